"""Logs of inspect_ai, `.json` and `.eval`: the metrics of a scorer under a reducer, and the scores of its samples.

A result stands at `results.scores[].metrics.<metric>.value`, one row for each scorer and reducer; how often each item
was run at `eval.config.epochs`; the scores of one item at one epoch at `samples[].scores.<scorer>.value`, in an
archive at the same place of `summaries.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tollens.core.errors import TollensError
from tollens.subject.document import parse
from tollens.subject.results import imported as common
from tollens.subject.results.archive import member
from tollens.subject.results.imported import Imported, Sample, Wanted, absent, ambiguous, broken

SOURCE = "inspect-ai"
WORDS: Mapping[str, float] = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""What inspect_ai's `value_to_float` makes of a score in letters: correct, incorrect, partial, no answer."""
ERROR = "stderr"
WORDY = "a score in words"


def is_ours(tree: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a log, or the header of one."""
    return isinstance(tree.get("status"), str) and isinstance(tree.get("eval"), dict)


def unpacked(data: bytes, subject: str) -> dict[str, Any]:
    """The header of an archive with its samples, in the form of a `.json` log. Raises: `import_syntax`."""
    header = member(data, "header.json", subject)
    if header is None:
        raise broken(subject, "header.json in the archive", "none: a run that never ended, or another archive")
    tree = parse(header, f"{subject}: header.json", "import_syntax", constants=True)
    summaries = member(data, "summaries.json", subject)
    if summaries is not None:  # a list, which is wrapped so that one parser with one set of limits reads everything
        wrapped = parse(
            b'{"samples":' + summaries + b"}", f"{subject}: summaries.json", "import_syntax", constants=True
        )
        tree["samples"] = wrapped["samples"]
    return tree


def read(tree: Mapping[str, Any], wanted: Wanted, subject: str) -> Imported:
    """The result that is asked for.

    Raises TollensError: `import_status` for a run that did not end in success; `import_reducer` for another reducer
    than the one asked for; `import_syntax`, `import_absent`, `import_ambiguous`, `import_differs`;
    `not_scorable` (22).
    """
    if tree.get("status") != "success":
        raise TollensError(
            "import_status", subject, expected="status success", found=f"status {str(tree.get('status'))[:40]}",
            fix="Run the evaluation to its end: inspect eval-retry LOG",
        )  # fmt: skip
    about = common.table(subject, "eval", tree.get("eval"))
    task = common.text(subject, "eval.task", about.get("task"))
    if wanted.task is not None and wanted.task != task:
        raise absent(subject, f"a task {wanted.task!r}", [task], "--task")
    results = common.table(subject, "results", tree.get("results"))
    row, scorer, metric, reducer = _choice(results, wanted, subject)
    config = common.table(subject, "eval.config", about.get("config", {}))
    epochs = common.count(subject, "eval.config.epochs", config.get("epochs") or 1, 1)
    field = f"{scorer} {metric}"
    metrics = common.table(subject, "metrics", row.get("metrics"))
    value = common.number(subject, field, common.table(subject, field, metrics[metric]).get("value"))
    error = metrics.get(ERROR)
    stderr, why = common.stderr_of(subject, f"{scorer} {ERROR}", error if isinstance(error, dict) else {}, "value")
    total = common.count(subject, "results.total_samples", results.get("total_samples"))
    n, items, n_from, notes = _n(row, total, epochs, subject)
    samples = _samples(tree, scorer, subject)
    if samples:
        items = max(items, len({sample.id for sample in samples}))
        _recompute(subject, metric, reducer, value, n, samples)
    packages = about.get("packages")
    version = packages.get("inspect_ai") if isinstance(packages, dict) else None
    stats = tree.get("stats")
    ended = stats.get("completed_at") if isinstance(stats, dict) else None
    return Imported(
        source="inspect-ai", version=common.text(subject, "the version", version) if version else "not stated",
        task=task, task_version=_shown(about.get("task_version")), metric=f"{scorer}/{metric}", reducer=reducer,
        value=value, stderr=stderr, no_stderr=why, n=n, n_from=n_from, attempts=items * epochs, scored=n,
        unscored=max(items - n, 0), made=common.stated_time(ended) or common.stated_time(about.get("created")),
        run=_shown(about.get("eval_id")), notes=notes, samples=samples,
    )  # fmt: skip


def _n(row: Mapping[str, Any], total: int, epochs: int, subject: str) -> tuple[int, int, str, list[str]]:
    """Items with a score, items at all, who says so, and notes."""
    items = total // epochs
    if row.get("scored_samples") is None:
        raise TollensError(
            "import_n", subject, expected="results.scores[].scored_samples", found="none",
            fix="Import a log of a version that writes it.",
        )  # fmt: skip
    n = common.count(subject, "scored_samples", row.get("scored_samples"), 1)
    said = common.count(subject, "unscored_samples", row.get("unscored_samples") or 0)
    notes = []
    if max(items - n, 0) != said:  # a scorer that returned nothing is in neither of its two counts
        notes.append(f"the tool counts {said} unscored; {items} items less {n} scored are {max(items - n, 0)}")
    return n, items, "scored_samples", notes


def _shown(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return (value if isinstance(value, str) else f"{value:.6g}")[: common.LONGEST].encode("utf-8", "replace").decode()


def _choice(results: Mapping[str, Any], wanted: Wanted, subject: str) -> tuple[Mapping[str, Any], str, str, str | None]:
    """The row, its scorer, its metric and its reducer; None for a reducer where every item was run once."""
    there: list[tuple[Mapping[str, Any], str, str, str | None]] = []
    for place, row in enumerate(common.rows(subject, "results.scores", results.get("scores"))):
        row = common.table(subject, f"results.scores[{place}]", row)
        scorer = common.text(subject, "a scorer", row.get("name"))
        reducer = row.get("reducer")
        reducer = None if reducer is None else common.text(subject, "a reducer", reducer)
        for metric in common.table(subject, "metrics", row.get("metrics")):
            if metric != ERROR:
                there.append((row, scorer, common.text(subject, "a metric", metric), reducer))
    named = [f"{scorer}/{metric}" for _, scorer, metric, _ in there]
    if wanted.metric is None:
        chosen = list(dict.fromkeys(named))
        if not chosen:
            raise absent(subject, "a scorer with a metric", [], "--metric")
    else:
        whole = wanted.metric in named
        chosen = [wanted.metric] if whole else [n for n in dict.fromkeys(named) if n.split("/", 1)[1] == wanted.metric]
        if not chosen:
            raise absent(subject, f"a metric {wanted.metric!r}", list(dict.fromkeys(named)), "--metric")
    if len(chosen) > 1:
        raise ambiguous(subject, "metric", chosen, "--metric")
    rows = [found for found, name in zip(there, named, strict=True) if name == chosen[0]]
    reducers = [str(reducer) if reducer is not None else "none" for *_, reducer in rows]
    if wanted.reducer is not None:
        rows = [found for found in rows if found[3] == wanted.reducer]
        if not rows:
            raise other_reducer(subject, wanted.reducer, reducers)
    if len(rows) > 1:
        raise ambiguous(subject, f"reducer of {chosen[0]}", reducers, "--reducer")
    return rows[0]


def other_reducer(subject: str, wanted: str, found: Sequence[str]) -> TollensError:
    """Attempts became one score in another way than was promised."""
    return TollensError(
        "import_reducer", subject, expected=f"reducer {wanted}"[: common.LONGEST],
        found=f"reducer {common.listed(found)}",
        fix="Reduce again: inspect score LOG --epochs-reducer; or amend [sign_check] reducer.",
    )  # fmt: skip


def _samples(tree: Mapping[str, Any], scorer: str, subject: str) -> list[Sample]:
    found: dict[tuple[str, int], Sample] = {}
    for place, row in enumerate(common.rows(subject, "samples", tree.get("samples") or [])):
        where = f"samples[{place}]"
        row = common.table(subject, where, row)
        id_ = row.get("id")
        if isinstance(id_, bool) or not isinstance(id_, str | int):
            raise broken(subject, f"{where}.id: a number or a text", type(id_).__name__)
        if isinstance(id_, int):
            id_ = common.count(subject, f"{where}.id", id_)
        name = common.text(subject, f"{where}.id", str(id_))
        epoch = common.count(subject, f"{where}.epoch", row.get("epoch", 1), 1)
        if (name, epoch) in found:
            raise broken(subject, "every item once an epoch", f"{name} twice in {epoch}")
        value, why = _score(row, scorer)
        found[name, epoch] = Sample(name, epoch, value, why)
    return list(found.values())


def _score(row: Mapping[str, Any], scorer: str) -> tuple[float | None, str | None]:
    scores = row.get("scores")
    score = scores.get(scorer) if isinstance(scores, dict) else None
    if score is None:
        return None, "the sample ended with an error" if row.get("error") else "no score"
    value = score.get("value") if isinstance(score, dict) else None
    if isinstance(value, bool):
        return float(value), None
    if isinstance(value, str) and value not in ("NaN", "Infinity", "-Infinity"):
        return (WORDS[value], None) if value in WORDS else (None, WORDY)
    number = common.optional_number(value)
    return number, None if number is not None else "the score is no finite number"


def _recompute(subject: str, metric: str, reducer: str | None, value: float, n: int, samples: Sequence[Sample]) -> None:
    """Where the log has the score of every attempt, mean and maximum are computed again and must be the same.

    A score in other words than WORDS, and another metric or reducer, is taken as it stands.
    """
    folds: Mapping[str | None, Callable[[Sequence[float]], float]] = {
        None: lambda v: v[0], "mean": lambda v: sum(v) / len(v), "max": max,
    }  # fmt: skip
    if reducer not in folds or metric not in ("accuracy", "mean") or any(s.why == WORDY for s in samples):
        return
    if reducer is not None and any(sample.value is None for sample in samples):
        return  # what a reducer makes of a missing attempt is its own affair
    items: dict[str, list[float]] = {}
    for sample in samples:
        if sample.value is not None:
            items.setdefault(sample.id, []).append(sample.value)
    if len(items) != n:
        common.differs(subject, "scored_samples", n, len(items))
    found = sum(folds[reducer](values) for values in items.values()) / n
    if not common.close(found, value):
        common.differs(subject, f"{metric} ({reducer or 'one epoch'})", value, found)
