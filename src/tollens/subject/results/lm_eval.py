"""Results of lm-evaluation-harness: `results_*.json`, and the samples of a task, `samples_<task>_*.jsonl`.

A result stands at `results.<task>."<metric>,<filter>"` with its `_stderr` beside it; n at `n-samples.<task>.effective`,
of a group at `results.<group>.sample_count` or the sum over its tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollens.core.errors import TollensError
from tollens.subject.document import parse
from tollens.subject.results import imported as common
from tollens.subject.results.imported import Imported, Sample, Wanted, absent, ambiguous, broken

SOURCE = "lm-eval"
DETAIL = frozenset({"alias", "name", "sample_len", "sample_count"})


def is_ours(tree: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a result file of the harness."""
    return isinstance(tree.get("results"), dict) and ("n-samples" in tree or "lm_eval_version" in tree)


def read(tree: Mapping[str, Any], wanted: Wanted, subject: str, samples: bytes | None = None) -> Imported:
    """The result that is asked for. `samples`: the bytes of the task's JSONL, from which it is computed again.

    Raises TollensError: `import_syntax`, `import_absent`, `import_ambiguous`, `import_n`, `import_differs`;
    `not_scorable` (22).
    """
    results = common.table(subject, "results", tree.get("results"))
    task, metric, filter_ = _choice(results, wanted, subject)
    row = results[task]
    where = f"results.{task}"
    value = common.number(subject, f"{where}.{metric},{filter_}", row[f"{metric},{filter_}"])
    stderr, why = common.stderr_of(subject, f"{metric}_stderr,{filter_}", row, f"{metric}_stderr,{filter_}")
    versions = common.table(subject, "versions", tree.get("versions", {}))
    version = versions.get(task)
    if isinstance(version, bool) or not isinstance(version, str | int | float) or version in ("", "N/A"):
        raise absent(
            subject, f"versions.{task}", sorted(map(str, versions)), "a result without the version of its task"
        )
    n = _n(tree, task, f"{metric},{filter_}", subject)
    notes = _notes(tree, task, metric)
    found: list[Sample] = []
    unscored, n_from = 0, "n-samples"
    if samples is not None:
        found = _samples(samples, metric, filter_, f"{subject}: samples")
        unscored = sum(sample.value is None for sample in found)
        n_from = "n-samples and the samples"
        _recompute(subject, value, n, found, mean=_aggregation(tree, task, metric) == "mean")
    tool = tree.get("lm_eval_version")
    return Imported(
        source="lm-eval", version=common.text(subject, "lm_eval_version", tool) if tool is not None else "not stated",
        task=task, task_version=_version(version), metric=metric, filter=filter_, value=value, stderr=stderr,
        no_stderr=why, n=n, n_from=n_from, attempts=n, scored=n - unscored, unscored=unscored,
        made=common.seconds_time(common.optional_number(tree.get("date"))), notes=notes, samples=found,
    )  # fmt: skip


def _version(value: str | int | float) -> str:
    return value[: common.LONGEST] if isinstance(value, str) else f"{value!r:.40}"


def _choice(results: Mapping[str, Any], wanted: Wanted, subject: str) -> tuple[str, str, str]:
    """Task, metric and filter: what is asked for, or the only one there is."""
    there = {
        common.text(subject, "a task", task): _metrics(common.table(subject, f"results.{task!r:.60}", row), subject)
        for task, row in results.items()
    }
    tasks = [task for task, pairs in there.items() if pairs]
    if wanted.task is not None and wanted.task not in tasks:
        raise absent(subject, f"a task {wanted.task!r}", tasks, "--task")
    if wanted.task is None and len(tasks) != 1:
        if not tasks:
            raise absent(subject, "a task with a metric", [], "--task")
        raise ambiguous(subject, "task", tasks, "--task")
    task = wanted.task or tasks[0]
    pairs = there[task]
    metric, _, filter_ = (wanted.metric or "").partition(",")
    filter_ = wanted.filter or filter_
    metrics = list(dict.fromkeys(name for name, _ in pairs))
    if metric and metric not in metrics:
        raise absent(subject, f"a metric {metric!r} of {task}", metrics, "--metric")
    if not metric and len(metrics) > 1:
        raise ambiguous(subject, f"metric of {task}", metrics, "--metric")
    metric = metric or metrics[0]
    filters = [name for found, name in pairs if found == metric]
    if filter_ and filter_ not in filters:
        raise absent(subject, f"a filter {filter_!r} of {task} {metric}", filters, "--filter")
    if not filter_ and len(filters) > 1:
        raise ambiguous(subject, f"filter of {task} {metric}", filters, "--filter")
    return task, metric, filter_ or filters[0]


def _metrics(row: Mapping[str, Any], subject: str) -> list[tuple[str, str]]:
    pairs = []
    for key in row:
        metric, comma, filter_ = key.rpartition(",")
        if comma and metric and filter_ and key not in DETAIL and not metric.endswith("_stderr"):
            pairs.append((common.text(subject, "a metric", metric), common.text(subject, "a filter", filter_)))
    return pairs


def _n(tree: Mapping[str, Any], task: str, key: str, subject: str) -> int:
    counts = common.table(subject, "n-samples", tree.get("n-samples", {}))
    if task in counts:
        row = common.table(subject, f"n-samples.{task}", counts[task])
        return common.count(subject, f"n-samples.{task}.effective", row.get("effective"), 1)
    told = tree["results"][task].get("sample_count")
    if isinstance(told, dict) and key in told:
        return common.count(subject, f"results.{task}.sample_count.{key}", told[key], 1)
    members = common.table(subject, "group_subtasks", tree.get("group_subtasks", {})).get(task)
    if isinstance(members, list) and members and all(isinstance(name, str) and name in counts for name in members):
        rows = [common.table(subject, f"n-samples.{name}", counts[name]) for name in members]
        return sum(common.count(subject, "n-samples.effective", row.get("effective"), 1) for row in rows)
    raise TollensError(
        "import_n", subject, expected=f"n-samples.{task}", found=common.listed(sorted(map(str, counts))),
        fix="Import a task of its own, or results of a version that writes n-samples.",
    )  # fmt: skip


def _aggregation(tree: Mapping[str, Any], task: str, metric: str) -> str:
    """How the tool made one value of the samples; a mean unless its configuration says otherwise."""
    configs = tree.get("configs")
    config = configs.get(task) if isinstance(configs, dict) else None
    listed = config.get("metric_list") if isinstance(config, dict) else None
    for row in listed if isinstance(listed, list) else []:
        if isinstance(row, dict) and row.get("metric") == metric and isinstance(row.get("aggregation"), str):
            return str(row["aggregation"])[: common.LONGEST]
    return "mean"


def _notes(tree: Mapping[str, Any], task: str, metric: str) -> list[str]:
    notes = []
    shots = tree.get("n-shot")
    if isinstance(shots, dict) and isinstance(shots.get(task), int):
        notes.append(f"{shots[task]!r:.20} shots")
    better = tree.get("higher_is_better")
    row = better.get(task) if isinstance(better, dict) else None
    if isinstance(row, dict) and isinstance(row.get(metric), bool):
        notes.append("higher is better" if row[metric] else "lower is better")
    config = tree.get("config")
    if isinstance(config, dict) and config.get("limit") is not None:
        notes.append(f"limited to {config['limit']!r:.20} samples a task: not the whole task")
    return notes


def _samples(data: bytes, metric: str, filter_: str, subject: str) -> list[Sample]:
    found: dict[str, Sample] = {}
    filters: set[str] = set()
    for place, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        row = parse(line, f"{subject}:{place}", "import_syntax", constants=True)
        named = common.text(f"{subject}:{place}", "filter", row.get("filter"))
        filters.add(named)
        if named != filter_:
            continue
        id_ = row.get("doc_id")
        if isinstance(id_, bool) or not isinstance(id_, str | int):
            raise broken(f"{subject}:{place}", "doc_id: a number or a text", type(id_).__name__)
        if isinstance(id_, int):
            id_ = common.count(f"{subject}:{place}", "doc_id", id_)
        name = common.text(f"{subject}:{place}", "doc_id", str(id_))
        if name in found:
            raise broken(f"{subject}:{place}", "every doc_id once", f"{name} twice")
        if metric not in row:
            raise absent(f"{subject}:{place}", f"a score {metric!r}", sorted(row), "--metric")
        value = common.optional_number(float(row[metric]) if isinstance(row[metric], bool) else row[metric])
        found[name] = Sample(name, 1, value, None if value is not None else f"{metric} is no finite number")
        if len(found) > common.MOST_SAMPLES:
            raise broken(subject, f"at most {common.MOST_SAMPLES:,} samples", "more")
    if not found:
        raise absent(subject, f"samples of the filter {filter_!r}", sorted(filters), "--filter")
    return list(found.values())


def _recompute(subject: str, value: float, n: int, samples: list[Sample], *, mean: bool) -> None:
    """What the samples give must be what the results say."""
    if len(samples) != n:
        common.differs(subject, "n =", n, len(samples))
    scores = [sample.value for sample in samples if sample.value is not None]
    if mean:
        found = sum(scores) / len(scores) if scores else 0.0
        if not common.close(found, value):
            common.differs(subject, "mean", value, found)
