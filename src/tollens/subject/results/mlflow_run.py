"""Runs of MLflow: a folder of runs, or its data base (SQLite). It knows no n, so n is a logged number or is stated.

A folder holds `<run>/meta.yaml`, `<run>/metrics/<key>` with lines of time in milliseconds, value and step, and
`<run>/params/<key>`. The data base has the tables `runs`, `metrics` and `params`; it holds NaN as `is_nan` and an
infinity as the largest double.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from tollens.core.errors import TollensError
from tollens.subject.results import imported as common
from tollens.subject.results.imported import Imported, Wanted, absent, ambiguous, broken, unscorable

SOURCE = "mlflow"
MAGIC = b"SQLite format 3\x00"
MOST_STEPS = 50_000_000
"""Instructions of SQLite's machine that reading may take: a forged schema must not run for ever."""


@dataclass(frozen=True, slots=True)
class Point:
    """One logged value of a metric; `time` in milliseconds since 1970."""

    time: int
    value: object
    step: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as far as it was read: its points by metric, in the order they were logged."""

    id: str
    status: str
    ended: int | None
    metrics: Mapping[str, Sequence[Point]]
    params: Mapping[str, str]
    version: str


def read(run: Run, wanted: Wanted, subject: str) -> Imported:
    """The result that is asked for.

    Raises TollensError: `import_step` where a metric has several steps and none is chosen, or one step twice;
    `import_n` without a number of samples; `import_absent`, `import_ambiguous`, `import_syntax`; `not_scorable` (22).
    """
    if wanted.task is not None and wanted.task != run.id:
        raise absent(subject, f"a task {wanted.task!r}", [run.id], "--run")
    if wanted.metric is None and len(run.metrics) != 1:
        if not run.metrics:
            raise absent(subject, "a metric", [], "--metric")
        raise ambiguous(subject, "metric", sorted(run.metrics), "--metric")
    metric = wanted.metric if wanted.metric is not None else next(iter(run.metrics))
    if metric not in run.metrics:
        raise absent(subject, f"a metric {metric!r}", sorted(run.metrics), "--metric")
    point = _at(run.metrics[metric], metric, wanted.step, subject)
    value = _finite(subject, f"{metric} at step {point.step}", point.value)
    n, n_from = _n(run, wanted, point.step, subject)
    notes = [] if run.status == "FINISHED" else [f"the run is {run.status}"]
    made = common.seconds_time(point.time / 1000 if abs(point.time) <= 10**15 else None)
    return Imported(
        source="mlflow", version=run.version, task=run.id, metric=metric, step=point.step, value=value, stderr=None,
        no_stderr="MLflow keeps none", n=n, n_from=n_from, attempts=n, scored=n, unscored=0, made=made, run=run.id,
        notes=notes,
    )  # fmt: skip


def _finite(subject: str, field: str, value: object) -> float:
    found = common.number(subject, field, value)
    if abs(found) == sys.float_info.max:  # how the data base writes an infinity
        raise unscorable(subject, field, "inf" if found > 0 else "-inf")
    return found


def _at(points: Sequence[Point], metric: str, step: str | None, subject: str) -> Point:
    steps = sorted({point.step for point in points})
    if not steps:
        raise absent(subject, f"a value of {metric!r}", [], "--metric")
    if step is None and len(steps) > 1:
        raise _step(subject, f"one step of {metric}", common.listed([*map(str, steps)]), "Choose one: --step last")
    if step is None or step == "last":
        wanted = steps[-1]
    else:
        digits = step.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            raise _step(subject, "an integer, or last", repr(step)[:40], f"Choose one: --step {steps[-1]}")
        wanted = int(step)
    found = [point for point in points if point.step == wanted]
    if not found:
        raise absent(subject, f"step {wanted} of {metric}", [*map(str, steps)], "--step")
    if len(found) > 1:
        values = common.listed([repr(point.value)[:40] for point in found])
        raise _step(
            subject, f"{metric} once at step {wanted}", f"{len(found)} values: {values}",
            "Choose another step; nobody can say which of them counts.",
        )  # fmt: skip
    return found[0]


def _step(subject: str, expected: str, found: str, fix: str) -> TollensError:
    return TollensError("import_step", subject, expected=expected, found=found, fix=fix)


def _n(run: Run, wanted: Wanted, step: int, subject: str) -> tuple[int, str]:
    if wanted.n is not None:
        return wanted.n, "stated by hand"
    key = wanted.n_from
    if key is None:
        raise TollensError(
            "import_n", subject, expected="how many samples the value is over, which MLflow does not know",
            found=f"parameters {common.listed(sorted(run.params))}", fix="Give --n-from KEY or --n N.",
        )  # fmt: skip
    if key in run.params:
        digits = run.params[key].strip()
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 15):
            raise broken(subject, f"parameter {key}: a whole number", repr(run.params[key])[:40])
        return common.count(subject, f"parameter {key}", int(digits), 1), f"parameter {key}"
    if key in run.metrics:
        points = run.metrics[key]
        own = [point for point in points if point.step == step] or points
        if len(own) != 1:
            raise _step(subject, f"one value of {key}", f"{len(own)}", "Log it as a parameter, or give --n N.")
        return common.count(subject, f"metric {key}", common.number(subject, key, own[0].value), 1), f"metric {key}"
    raise absent(subject, f"a parameter or metric {key!r}", sorted({*run.params, *run.metrics}), "--n-from")


def points_of(data: bytes, subject: str) -> list[Point]:
    """The lines of a metric file: `time value step`. Raises TollensError `import_syntax`."""
    found = []
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise broken(subject, "text in UTF-8", "other bytes") from None
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        parts = line.split()
        try:
            time, value, step = parts[0], float(parts[1]), parts[2]
            if max(len(time), len(step)) > 18:
                raise ValueError("a number of more than 18 digits")
            found.append(Point(int(time), value, int(step)))
        except (IndexError, ValueError) as error:
            raise broken(f"{subject}:{place}", "time, value and step", str(error)) from None
    return found


def meta_of(data: bytes, subject: str) -> dict[str, str]:
    """The scalar fields of a meta.yaml as text. Raises TollensError `import_syntax`."""
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise broken(subject, "text in UTF-8", "other bytes") from None
    found = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and name.isidentifier():
            if name in found:
                raise broken(subject, "every key once", f"{name} twice")
            found[name] = value.strip().strip("'\"")
    return found


STATUS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}


def runs_of(data: bytes, wanted: str | None, subject: str) -> Run:
    """The chosen run of a data base, or its only one, read from the very bytes that were hashed.

    Raises TollensError `import_syntax`, `import_absent`, `import_ambiguous`.
    """
    copy = bytearray(data)
    if copy[18:20] == b"\x02\x02":  # a write-ahead log has no place in memory; the bytes are whole without it
        copy[18:20] = b"\x01\x01"
    spent = 0

    def more() -> int:
        nonlocal spent
        spent += 10_000
        return int(spent > MOST_STEPS)

    try:
        with closing(sqlite3.connect(":memory:")) as base:
            base.set_progress_handler(more, 10_000)
            base.deserialize(bytes(copy))
            base.execute("pragma trusted_schema=off")
            base.execute("pragma cell_size_check=on")
            return _run(base, wanted, subject)
    except (sqlite3.Error, OverflowError, ValueError, MemoryError) as error:
        raise broken(subject, "a data base of MLflow", f"{type(error).__name__}: {error}") from None


def _run(base: sqlite3.Connection, wanted: str | None, subject: str) -> Run:
    tables = {row[0] for row in base.execute("select name from sqlite_master where type = 'table'")}
    lacking = sorted({"runs", "metrics", "params"} - tables)
    if lacking:
        raise broken(subject, "the tables runs, metrics and params", f"no {', '.join(lacking)}")
    rows = base.execute(
        "select run_uuid, status, end_time from runs where lifecycle_stage = 'active' limit 100000"
    ).fetchall()
    known = {common.text(subject, "a run", row[0]): row for row in rows}
    id_ = chosen_run([*known], wanted, subject)
    metrics: dict[str, list[Point]] = {}
    query = "select key, timestamp, value, step, is_nan from metrics where run_uuid = ? order by rowid limit 2000000"
    for key, time, value, step, nan in base.execute(query, (id_,)):
        if not isinstance(time, int) or not isinstance(step, int):
            raise broken(subject, "whole numbers as time and step", f"{type(time).__name__}, {type(step).__name__}")
        point = Point(time, float("nan") if nan else value, step)
        metrics.setdefault(common.text(subject, "a metric", key), []).append(point)
    params = {
        common.text(subject, "a parameter", key): str(value)[:6000]
        for key, value in base.execute("select key, value from params where run_uuid = ? limit 100000", (id_,))
    }
    version = "not stated"
    if "alembic_version" in tables:
        found = base.execute("select version_num from alembic_version limit 1").fetchone()
        version = f"not stated (tables of {common.text(subject, 'the version', found[0])[:32]})" if found else version
    ended = known[id_][2] if isinstance(known[id_][2], int) else None
    return Run(id_, str(known[id_][1])[:20], ended, metrics, params, version)


def chosen_run(there: Sequence[str], wanted: str | None, subject: str) -> str:
    """The run that is asked for, or the only one."""
    if wanted is not None:
        if wanted not in there:
            raise absent(subject, f"a run {wanted!r}", there, "--run")
        return wanted
    if not there:
        raise absent(subject, "a run", [], "--run")
    if len(there) > 1:
        raise ambiguous(subject, "run", there, "--run")
    return there[0]
