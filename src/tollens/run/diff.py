"""`diff`: two checkpoints in, what changed between them out."""

from __future__ import annotations

import fnmatch
import os
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from tollens.core.errors import TollensError
from tollens.core.verdict import Verdict
from tollens.core.work import MapFn, repeated, serial
from tollens.protocol.finding import Note
from tollens.protocol.kinship import KinshipAnswer, LayerEvidence, answer
from tollens.run.diff_factors import measure_change
from tollens.run.diff_layer import DeltaTask, lost_delta
from tollens.run.diff_match import Matched, match
from tollens.run.diff_result import DiffReport, Expectation, LayerDelta, TensorDelta
from tollens.run.diff_settings import DiffSettings
from tollens.run.diff_tensor import TensorTask, lost_tensor, measure_tensor
from tollens.run.result import Subject
from tollens.run.scan import environment
from tollens.run.tensors_digest import tensors_digest
from tollens.subject.checkpoint import Checkpoint, open_checkpoint
from tollens.subject.matrices import MatrixView
from tollens.subject.place import Url, shown
from tollens.subject.shelf import let_go

Progress = Callable[[int, int, str], None]
NOTHING_LEARNED = frozenset({"not_a_weight", "not_in_index", "empty_tensor", "tied_on_both_sides"})
"""Reasons for which a tensor that is not compared leaves no doubt about the others."""
Compared = LayerDelta | TensorDelta
C = TypeVar("C", LayerDelta, TensorDelta)


def diff(
    base: str | os.PathLike[str],
    derived: str | os.PathLike[str],
    settings: DiffSettings | None = None,
    *,
    map_fn: MapFn = serial,
    progress: Progress | None = None,
) -> DiffReport:
    """What changed from BASE to DERIVED, told from the weights alone; the object that `tollens diff --json` prints.

    Both are anything that `open_checkpoint` reads. Tensors are matched by name and shape, and what has no partner
    is listed. `map_fn` runs the work, `progress(done, total, name)` is told of each finished task.
    Raises: TollensError with a code for anything wrong with the input.
    """
    settings = settings if settings is not None else DiffSettings()
    ours, theirs = open_checkpoint(base), open_checkpoint(derived)
    found = _selected(match(ours, theirs), settings.layers)
    before = repeated(map_fn)
    with ThreadPoolExecutor(1) as beside:  # hashing releases the interpreter lock and needs no worker
        hashed = [None if isinstance(c.path, Url) else beside.submit(c.digest) for c in (ours, theirs)]
        try:
            layers, others = _measured(found, ours, theirs, settings, map_fn, progress)
        finally:
            let_go()
    subjects = [
        _subject(path, c, _read_digest(c, layers, side) if files is None else "sha256:" + files.result())
        for path, c, files, side in zip((base, derived), (ours, theirs), hashed, ("base", "derived"), strict=True)
    ]
    kinship = _kinship(layers, settings, found.adapter or found.adapters)
    summary = _summary(layers, others, found)
    moved_most = next((layer.name for layer in layers if layer.state == "moved"), None)
    expectation = _expectation(settings, layers, others, found, kinship, summary)
    state = _state(layers, others)
    headline = _headline(summary, kinship, found)
    if state == "UNDETERMINED":
        headline = f"{_nothing(layers, others, found)}; {headline}"
    return DiffReport(
        verdict=state if isinstance(expectation, UnsetType) else str(expectation.verdict),
        headline=headline,
        base=subjects[0],
        derived=subjects[1],
        expectation=expectation,
        witness=moved_most,
        kinship=kinship,
        layers=layers,
        others=others,
        unmatched=found.unmatched,
        skipped=found.skipped,
        renamed=found.renamed,
        notes=[*_of_workers([*layers, *others], repeated(map_fn) - before), *_notes(layers, found)],
        summary=summary,
        settings=msgspec.to_builtins(settings),
        environment=environment(),
    )


def _subject(path: str | os.PathLike[str], checkpoint: Checkpoint, digest: str) -> Subject:
    return Subject(
        shown(path),
        digest,
        checkpoint.format,
        sum(t.size for t in checkpoint.tensors),
        len(checkpoint.tensors),
    )


class _Read(NamedTuple):
    """One matrix as `tensors_digest` takes it."""

    name: str
    source_dtype: str
    M: int
    N: int
    digest: str | None


def _read_digest(checkpoint: Checkpoint, layers: Sequence[LayerDelta], side: str) -> str:
    """Of a checkpoint that is not read twice: what its headers say, and the bytes of the matrices that were read."""
    of_base = side == "base"
    read = [
        _Read(layer.name, layer.base_dtype, layer.M, layer.N, layer.base_digest)
        if of_base
        else _Read(layer.derived_name, layer.derived_dtype, layer.M, layer.N, layer.derived_digest)
        for layer in layers
    ]
    return tensors_digest(checkpoint.tensors, read)


def _selected(found: Matched, pattern: str | None) -> Matched:
    """Everything, or the matrices that the pattern names and nothing else."""
    if pattern is None:
        return found
    views = [
        (ours, theirs, order)
        for ours, theirs, order in found.views
        if fnmatch.fnmatchcase(ours.name, pattern)
        or (isinstance(ours, MatrixView) and fnmatch.fnmatchcase(ours.tensor.name, pattern))
    ]
    if found.views and not views:
        raise TollensError(
            "no_such_layer",
            pattern,
            expected="a shell pattern that matches at least one weight matrix of both checkpoints",
            found=f"none of {len(found.views)} matrices, such as {found.views[0][0].name!r}",
            fix="List the names with --json.",
        )
    return replace(found, views=views, tensors=[])


def _measured(
    found: Matched,
    ours: Checkpoint,
    theirs: Checkpoint,
    settings: DiffSettings,
    map_fn: MapFn,
    progress: Progress | None,
) -> tuple[list[LayerDelta], list[TensorDelta]]:
    """The matrices, those that moved most first, and all other tensors likewise."""
    judged = max(1, sum(min(v.shape) >= settings.min_side for v, _, _ in found.views))
    deltas = [DeltaTask(ours_, theirs_, order, judged, settings) for ours_, theirs_, order in found.views]
    tensors = [TensorTask(pair, ours.source, theirs.source, settings.roundings) for pair in found.tensors]
    total, done = len(deltas) + len(tensors), 0

    def told(results: Iterator[C]) -> Iterator[C]:
        nonlocal done
        for result in results:
            done += 1
            if progress is not None:
                progress(done, total, result.name)
            yield result

    layers = list(told(map_fn(measure_change, deltas, lost=lost_delta)))
    others = list(told(map_fn(measure_tensor, tensors, lost=lost_tensor)))
    return sorted(layers, key=_by_change), sorted(others, key=_by_change)


def _by_change(compared: Compared) -> tuple[int, float, int]:
    """What could not be measured first, then by relative change, a base of zeros before all, then in file order."""
    if compared.state == "unknown":
        return 0, 0.0, compared.order
    change = compared.relative_change
    if change is None:
        change = float("inf") if compared.changed_share else 0.0
    return 1, -change, compared.order


def _state(layers: Sequence[LayerDelta], others: Sequence[TensorDelta]) -> str:
    """The strongest state of any tensor; UNDETERMINED where nothing could be compared."""
    compared: list[Compared] = [*layers, *others]
    states = {c.state for c in compared} - {"unknown"}
    for state in ("moved", "rounded", "identical"):
        if state in states:
            return state.upper()
    return "UNDETERMINED"


def _kinship(layers: Sequence[LayerDelta], settings: DiffSettings, adapter: bool) -> KinshipAnswer:
    tested = [(layer.name, layer.kinship) for layer in layers if layer.kinship is not None and layer.kinship.tested]
    evidence = [
        LayerEvidence(name, k.cosine, k.null_high, k.row_spread, k.column_spread, k.diagonal) for name, k in tested
    ]
    found = answer(evidence, settings.draws)
    if adapter and not evidence:
        sentence = "an adapter holds the change alone, and nothing of the network that it was made for"
        return msgspec.structs.replace(found, sentence=sentence, settle="the adapter merged into its base")
    return found


def _summary(layers: Sequence[LayerDelta], others: Sequence[TensorDelta], found: Matched) -> dict[str, Any]:
    changes = [layer.relative_change for layer in layers if layer.relative_change is not None]
    cosines = [layer.cosine for layer in layers if layer.cosine is not None]
    return {
        "matrices": len(layers),
        "states": _states(layers),
        "others": len(others),
        "other_states": _states(others),
        "unmatched": dict(sorted(Counter(u.reason for u in found.unmatched).items())),
        "skipped": dict(sorted(Counter(s.reason for s in found.skipped).items())),
        "casts": sum(layer.state == "rounded" and layer.base_dtype != layer.derived_dtype for layer in layers),
        "median_relative_change": statistics.median(changes) if changes else None,
        "median_cosine": statistics.median(cosines) if cosines else None,
    }


def _states(compared: Sequence[Compared]) -> dict[str, int]:
    counts: Counter[str] = Counter(c.state for c in compared)
    return {state: counts[state] for state in ("identical", "rounded", "moved", "unknown")}


def _headline(summary: dict[str, Any], kinship: KinshipAnswer, found: Matched) -> str:
    """N of T matrices moved, R only rounded; what DERIVED is to BASE."""
    states, total = summary["states"], summary["matrices"]
    parts = [f"{states['moved']} of {total} matri{'x' if total == 1 else 'ces'} moved"]
    for state, word in (("rounded", "only rounded"), ("identical", "identical"), ("unknown", "not measured")):
        if states[state]:
            parts.append(f"{states[state]} {word}")
    tensors = sum(summary["unmatched"].values())
    if tensors:
        parts.append(f"{tensors} tensor{'' if tensors == 1 else 's'} without a partner")
    if found.adapter:
        return f"{', '.join(parts)}; DERIVED is an adapter"
    if found.adapters:
        return f"{', '.join(parts)}; both are adapters"
    return f"{', '.join(parts)}; {_relation(kinship)}"


def _nothing(layers: Sequence[LayerDelta], others: Sequence[TensorDelta], found: Matched) -> str:
    """Why nothing was compared, and what to do."""
    sentences = [*(layer.sentence for layer in layers), *(tensor.sentence for tensor in others)]
    if sentences:
        return f"nothing could be compared: {sentences[0]}"
    listed = [*((u.reason, u.name) for u in found.unmatched), *((s.reason, s.name) for s in found.skipped)]
    why = " ".join(listed[0]) if listed else "there are no tensors"
    return f"nothing could be compared ({why}): give checkpoints with tensors of the same name and shape"


def _relation(kinship: KinshipAnswer) -> str:
    if kinship.answer == "undetermined":
        return "whether DERIVED is kin to BASE is open"
    words = {
        "yes": "DERIVED is kin to BASE",
        "permuted": "DERIVED is kin to BASE, with its neurons in another order",
        "no": "no trace that DERIVED is kin to BASE",
    }
    return f"{words[kinship.answer]} (cosine {kinship.cosine:.3f} median, chance {kinship.null:.3f})"


def _expectation(
    settings: DiffSettings,
    layers: Sequence[LayerDelta],
    others: Sequence[TensorDelta],
    found: Matched,
    kinship: KinshipAnswer,
    summary: dict[str, Any],
) -> Expectation | UnsetType:
    """SURVIVED, KILLED with its witness, or UNDETERMINED with what would settle it."""
    asked = settings.expect
    if asked is None:
        return UNSET
    if asked == "related":
        verdict = {"no": Verdict.KILLED, "undetermined": Verdict.UNDETERMINED}.get(kinship.answer, Verdict.SURVIVED)
        return Expectation(asked, verdict, kinship.sentence, None, kinship.settle)
    allowed = {"identical"} if asked == "identical" else {"identical", "rounded"}
    compared: list[Compared] = [*layers, *others]
    for one in sorted(compared, key=lambda c: (c.state != "moved", _by_change(c))):
        if one.state not in allowed and one.state != "unknown":
            return Expectation(asked, Verdict.KILLED, f"{one.state}: {one.sentence}", one.name)
    lone = [u for u in found.unmatched if u.weight]
    if lone and settings.layers is None:
        alone = lone[0]
        return Expectation(
            asked, Verdict.KILLED, f"{alone.reason}: {len(lone)} weight tensors have no partner", alone.name
        )
    unknown = next((c for c in compared if c.state == "unknown"), None)
    if unknown is not None:
        settle = "a checkpoint in which this tensor is finite"
        return Expectation(asked, Verdict.UNDETERMINED, unknown.sentence, unknown.name, settle)
    unread = next((s for s in found.skipped if s.reason not in NOTHING_LEARNED), None)
    if unread is not None and settings.layers is None:
        settle = "a checkpoint that stores this tensor as floating-point numbers"
        return Expectation(asked, Verdict.UNDETERMINED, f"not compared: {unread.reason}", unread.name, settle)
    if not compared:
        settle = "checkpoints that have tensors of the same name and shape"
        return Expectation(asked, Verdict.UNDETERMINED, "nothing could be compared", None, settle)
    states = Counter(c.state for c in compared)
    return Expectation(asked, Verdict.SURVIVED, ", ".join(f"{n} {state}" for state, n in sorted(states.items())))


def _of_workers(compared: Sequence[Compared], again: int) -> list[Note]:
    """What workers that died have cost: nothing, time, or a tensor."""
    notes = []
    dead = [c.name for c in compared if "worker_died" in c.undefined.values()]
    if dead:
        notes.append(Note("worker_died", dead, f"{len(dead)} of {len(compared)} tensors: every worker died at it."))
    if again:
        told = "1 task was" if again == 1 else f"{again} tasks were"
        notes.append(Note("task_repeated", [], f"{told} repeated because a worker died."))
    return notes


def _notes(layers: Sequence[LayerDelta], found: Matched) -> list[Note]:
    """What is worth knowing of several layers at once."""
    notes = []
    if found.renamed is not None:
        r = found.renamed
        sides = [f"{p!r} of {side}" for p, side in ((r.base_prefix, "BASE"), (r.derived_prefix, "DERIVED")) if p]
        sentence = f"names match without the prefix {' and '.join(sides)}: {r.gained} more tensors are compared."
        notes.append(Note("prefix_left_out", [], sentence))
    unsettled = [layer.name for layer in layers if "subspace_unsettled" in layer.flags]
    if unsettled:
        sentence = (
            f"{len(unsettled)} of {len(layers)} layers: no gap sets the leading directions apart from the next, so "
            "that their overlap is that of a subspace near the top."
        )
        notes.append(Note("subspace_unsettled", unsettled, sentence))
    quantised = [layer.name for layer in layers if "no_common_grid" in layer.undefined.values()]
    if quantised:
        sentence = f"{len(quantised)} of {len(layers)} layers: quantised on one side, so no rounding floor is known."
        notes.append(Note("no_common_grid", quantised, sentence))
    return notes
