"""`scan --series`: checkpoints of one run in, what changed between them and where the best one probably is out."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from tollens.core.reading import Undefined
from tollens.core.work import MapFn, repeated, serial
from tollens.instrument.null import ShapeNull
from tollens.instrument.turning_point import NEEDED, turning_point
from tollens.protocol.change import (
    Change,
    chance_of_disjoint,
    comparisons,
    count_changes,
    interval_changes,
    lost_numbers,
)
from tollens.protocol.finding import Note
from tollens.run.extrapolate import MADE_BY, check_forecast, extrapolated
from tollens.run.layer import LayerTask, ShapeTask, lost_layer, lost_shape, measure_layer, measure_shape, used
from tollens.run.path import Path, PathTask, lost_path, measure_path
from tollens.run.refusal import refusals
from tollens.run.result import LayerReport
from tollens.run.scan import Progress, environment, selected
from tollens.run.series_result import (
    BestStep,
    Forecast,
    SeriesMember,
    SeriesReport,
    SeriesRow,
    StepSummary,
    UnmatchedMatrix,
)
from tollens.run.settings import ScanSettings
from tollens.run.tensors_digest import tensors_digest
from tollens.subject.matrices import MatrixView, matrices
from tollens.subject.place import Url, shown
from tollens.subject.series import Member, Series, align, open_series
from tollens.subject.shelf import let_go

FEWEST = 5
"""Checkpoints below which no best one is looked for."""
COUNTS = ("traps_mean", "traps_entry", "traps_residual", "n_outliers")
COPIED = (
    "alpha", "alpha_interval", "alpha_null", "erg_gap", "n_outliers", "mp_sigma2", "stable_rank", "fro2", "spectral2",
    "digest",
)  # fmt: skip
TRAPS = ("traps_all", "traps_mean", "traps_entry", "traps_residual")
MEDIANS = ("alpha", "stable_rank", "spectral_excess", "distance", "speed", "delta_stable_rank")


def series(
    paths: Sequence[str | os.PathLike[str]],
    settings: ScanSettings | None = None,
    *,
    extrapolate: int | None = None,
    out: str | os.PathLike[str] | None = None,
    map_fn: MapFn = serial,
    progress: Progress | None = None,
) -> SeriesReport:
    """Follow every weight matrix through the checkpoints of one run; what `tollens scan --series --json` prints.

    `paths`: checkpoints in any order, or the one folder that holds `checkpoint-N` folders. Every matrix is measured
    with the same seed at every step, so with the same permutations, and against one null for its shape. `extrapolate`
    is a step for which a checkpoint is forecast and written to `out`, a new .safetensors file.

    Raises TollensError: those of `open_series`, `series_unlike`, `no_such_layer`; those of `extrapolated`.
    """
    settings = settings if settings is not None else ScanSettings()
    opened = open_series(paths)
    checkpoints = [member.checkpoint for member in opened.members]
    inventories = [matrices(checkpoint) for checkpoint in checkpoints]
    if extrapolate is not None:
        check_forecast(opened, inventories, extrapolate, out)
    aligned = align(opened.steps, inventories)
    chosen = {view.name for view in selected([path[0] for path in aligned.paths], settings.layers)}
    followed = [path for path in aligned.paths if path[0].name in chosen]
    refused = refusals(used(settings))
    forecast: Forecast | UnsetType = UNSET
    before = repeated(map_fn)
    judged = [sum(min(v.shape) >= settings.min_side for v in inventory.matrices) for inventory in inventories]
    far = [isinstance(checkpoint.path, Url) and extrapolate is None for checkpoint in checkpoints]
    with ThreadPoolExecutor(1) as beside:  # hashing releases the interpreter lock and needs no worker
        files = [None if away else beside.submit(c.digest) for c, away in zip(checkpoints, far, strict=True)]
        try:
            if extrapolate is not None:
                sources = ["sha256:" + file.result() for file in files if file is not None]
                forecast = extrapolated(opened, inventories, sources, extrapolate, out, progress)
            by_matrix = list(_rows(opened, followed, judged, settings, frozenset(refused), map_fn, progress))
        finally:
            let_go()
    digests = [
        tensors_digest(checkpoint.tensors, [rows[place] for rows in by_matrix])
        if file is None
        else "sha256:" + file.result()
        for place, (checkpoint, file) in enumerate(zip(checkpoints, files, strict=True))
    ]
    members = [_member(member, digest) for member, digest in zip(opened.members, digests, strict=True)]
    changes = [change for rows in by_matrix for change in _changes(opened.steps, rows)]
    changes.sort(key=lambda change: not change.finding)
    best = _best(opened.steps, by_matrix, settings.min_side)
    pairs = [([row.alpha for row in rows], [row.alpha_interval for row in rows]) for rows in by_matrix]
    compared = sum(comparisons(values, intervals) for values, intervals in pairs)
    level = next((i.level for _, intervals in pairs for i in intervals if i is not None), None)
    return SeriesReport(
        verdict="FINDINGS" if any(change.finding for change in changes) else "CLEAN",
        headline=_headline(best, changes, by_matrix, opened),
        best=best,
        changes=changes,
        compared=compared,
        by_chance=0.0 if level is None else chance_of_disjoint(level) * compared,
        extrapolation=forecast,
        notes=[
            *_of_workers(by_matrix, repeated(map_fn) - before),
            *_notes(opened, len(aligned.unmatched), max(len(found.factors) for found in inventories), refused),
        ],
        steps=[_summary(step, [rows[place] for rows in by_matrix]) for place, step in enumerate(opened.steps)],
        paths=[shown(path) for path in paths],
        members=members,
        rows=[row for rows in by_matrix for row in rows],
        unmatched=[UnmatchedMatrix(u.name, list(u.steps), [list(s) for s in u.shapes]) for u in aligned.unmatched],
        settings=msgspec.to_builtins(settings),
        environment=environment(),
    )


def _member(member: Member, digest: str) -> SeriesMember:
    checkpoint = member.checkpoint
    return SeriesMember(
        shown(checkpoint.path),
        member.step,
        member.said_by,
        digest,
        checkpoint.format,
        sum(tensor.size for tensor in checkpoint.tensors),
        len(checkpoint.tensors),
    )


def _rows(
    opened: Series,
    followed: Sequence[tuple[MatrixView, ...]],
    judged: Sequence[int],
    settings: ScanSettings,
    refused: frozenset[str],
    map_fn: MapFn,
    progress: Progress | None,
) -> Iterator[list[SeriesRow]]:
    """One list a matrix, by step. The null of a shape is drawn once and serves all steps."""
    shapes: list[tuple[int, int]] = []
    if settings.null_draws and not settings.only:
        shapes = sorted({(min(p[0].shape), max(p[0].shape)) for p in followed if min(p[0].shape) > 0})
    count = len(opened.members)
    total, done = len(shapes) + len(followed) * (count + 1), 0

    def told(name: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, name)

    nulls: dict[tuple[int, int], ShapeNull] = {}
    drawn = map_fn(measure_shape, [ShapeTask(*s, settings) for s in shapes], lost=lost_shape)
    for shape, null in zip(shapes, drawn, strict=True):
        if null is not None:
            nulls[shape] = null
        told(f"null {shape[0]}x{shape[1]}")
    tasks = [
        LayerTask(view, order, settings, max(1, judged[place]), nulls.get((min(view.shape), max(view.shape))), refused)
        for order, path in enumerate(followed)
        for place, view in enumerate(path)
    ]
    measured: list[list[SeriesRow]] = []
    for place, layer in enumerate(map_fn(measure_layer, tasks, lost=lost_layer)):
        if place % count == 0:
            measured.append([])
        step = opened.steps[place % count]
        measured[-1].append(_row(layer, step, bool(shapes)))
        told(f"{step} {layer.name}")
    between = map_fn(
        measure_path, [PathTask(path, settings.seed, settings.threads) for path in followed], lost=lost_path
    )
    for rows, path in zip(measured, between, strict=True):
        told(rows[0].matrix)
        yield [_moved(row, path, place) for place, row in enumerate(rows)]


def _row(layer: LayerReport, step: int, asked_null: bool) -> SeriesRow:
    """What of a scanned matrix a series keeps."""
    fields: dict[str, Any] = {name: getattr(layer, name) for name in COPIED}
    for name in TRAPS:
        counts = getattr(layer, name)
        fields[name] = None if counts is None else float(statistics.median(counts))
    fields["stable_rank_null"] = layer.null.get("stable_rank")
    undefined = {name: layer.undefined[name] for name in (*COPIED, *TRAPS) if name in layer.undefined}
    if layer.mp_edge is not None and layer.lambda_max is not None and layer.mp_edge > 0.0:
        fields["spectral_excess"] = max(layer.lambda_max - layer.mp_edge, 0.0) / layer.mp_edge
    else:
        undefined["spectral_excess"] = layer.undefined.get("mp_edge", "absent")
    strongest = layer.outliers[0].get("theta") if layer.outliers else None
    if strongest is not None:
        fields["theta"] = strongest
    else:
        undefined["theta"] = layer.undefined.get("outliers", "inside_bulk")
    if fields["stable_rank_null"] is None:
        undefined["stable_rank_null"] = (
            undefined["stable_rank"] if layer.stable_rank is None else "no_null" if asked_null else "not_requested"
        )
    return SeriesRow(
        matrix=layer.name,
        step=step,
        role=layer.role,
        M=layer.M,
        N=layer.N,
        source_dtype=layer.source_dtype,
        status=layer.status,
        undefined=undefined,
        **fields,
    )


def _moved(row: SeriesRow, path: Path, place: int) -> SeriesRow:
    """The row with what lies between the checkpoints."""
    fields: dict[str, float] = {}
    undefined = dict(row.undefined)
    for name in ("distance", "speed", "delta_stable_rank"):
        value: float | Undefined = getattr(path, name)[place]
        if isinstance(value, Undefined):
            undefined[name] = value.reason
        else:
            fields[name] = value
    return msgspec.structs.replace(row, undefined=undefined, **fields)


def _changes(steps: Sequence[int], rows: Sequence[SeriesRow]) -> Iterable[Change]:
    name = rows[0].matrix
    finite = [row.status == "OK" or row.undefined.get("alpha") != "nonfinite" for row in rows]
    return chain(
        lost_numbers(name, steps, finite),
        *(count_changes(name, quantity, steps, [getattr(row, quantity) for row in rows]) for quantity in COUNTS),
        interval_changes(name, "alpha", steps, [row.alpha for row in rows], [row.alpha_interval for row in rows]),
    )


def _best(steps: Sequence[int], by_matrix: Sequence[Sequence[SeriesRow]], min_side: int) -> BestStep:
    """Ask for the turn of the matrices that are large enough and have all their values.

    A checkpoint at which most matrices failed is left out rather than all matrices.
    """
    large = [rows for rows in by_matrix if min_side <= rows[0].M]
    kept = [place for place in range(len(steps)) if 2 * sum(rows[place].status == "OK" for rows in large) > len(large)]
    if len(kept) < FEWEST:
        reason = f"too few: {len(kept)} checkpoints can be followed, and {FEWEST} are the least"
        return BestStep(
            low=None, high=None, guess=None, sure="undetermined", reason=reason, matrices=0, steps=len(kept)
        )
    whole = [rows for rows in large if all(getattr(rows[place], name) is not None for place in kept for name in NEEDED)]
    arrays = {name: _array(whole, name, kept) for name in NEEDED}
    turn = turning_point(np.array([steps[place] for place in kept], dtype=np.int64), arrays)
    return BestStep(
        low=turn.low,
        high=turn.high,
        guess=turn.guess,
        sure=turn.sure,
        reason=turn.reason,
        matrices=len(whole),
        steps=len(kept),
    )


def _array(whole: Sequence[Sequence[SeriesRow]], name: str, kept: Sequence[int]) -> NDArray[np.float64]:
    """(matrices, T) of one quantity that all of them have throughout."""
    values = [[getattr(rows[place], name) for place in kept] for rows in whole]
    return np.array(values, dtype=np.float64).reshape(len(whole), len(kept))


def _summary(step: int, rows: Sequence[SeriesRow]) -> StepSummary:
    def median(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(statistics.median(known)) if known else None

    intervals = [row.alpha_interval for row in rows if row.alpha_interval is not None]
    medians = {name: median(getattr(row, name) for row in rows) for name in MEDIANS}
    counts = {name: [n for row in rows if (n := getattr(row, name)) is not None] for name in TRAPS[1:]}
    totals = {name: float(sum(known)) if known else None for name, known in counts.items()}
    values: dict[str, Any] = medians | totals
    return StepSummary(
        step=step,
        measured=sum(row.status == "OK" for row in rows),
        failed=sum(row.status != "OK" for row in rows),
        alpha_low=median(interval.low for interval in intervals),
        alpha_high=median(interval.high for interval in intervals),
        **values,
    )


def _headline(
    best: BestStep, changes: Sequence[Change], by_matrix: Sequence[Sequence[SeriesRow]], opened: Series
) -> str:
    """Where the best checkpoint is, how sure that is, and how much changed."""
    if best.guess is None:
        where = f"where the best checkpoint lies is undetermined ({best.reason})"
    else:
        where = (
            f"the best checkpoint lies probably between steps {best.low} and {best.high} "
            f"(guess {best.guess}; sure: {best.sure})"
        )
    findings = sum(change.finding for change in changes)
    touched = len({change.matrix for change in changes})
    return (
        f"{where}; {len(changes)} change{'' if len(changes) == 1 else 's'} in {touched} of {len(by_matrix)} "
        f"matri{'x' if len(by_matrix) == 1 else 'ces'} over {len(opened.members)} checkpoints, {findings} "
        f"finding{'' if findings == 1 else 's'}"
    )


def _of_workers(by_matrix: Sequence[Sequence[SeriesRow]], again: int) -> list[Note]:
    """What workers that died have cost: nothing, time, or what they were at."""
    notes = []
    dead = [rows[0].matrix for rows in by_matrix if any("worker_died" in row.undefined.values() for row in rows)]
    if dead:
        notes.append(Note("worker_died", dead, f"{len(dead)} of {len(by_matrix)} matrices: every worker died at them."))
    if again:
        told = "1 task was" if again == 1 else f"{again} tasks were"
        notes.append(Note("task_repeated", [], f"{told} repeated because a worker died."))
    return notes


def _notes(opened: Series, unmatched: int, factors: int, refused: Mapping[str, str]) -> list[Note]:
    notes = [Note("answers_fail", [], f"{name} was refused: {why}.") for name, why in refused.items()]
    if opened.left_out:
        named = ", ".join(opened.left_out[:5]) + (" and more" if len(opened.left_out) > 5 else "")
        notes.append(Note("left_out", [], f"Not part of the series, although in the folder: {named}."))
    made = [member.step for member in opened.members if member.checkpoint.metadata.get("made_by") == MADE_BY]
    if made:
        named = ", ".join(map(str, made[:5]))
        notes.append(Note("extrapolated", [], f"Extrapolated and never trained, so no evidence of training: {named}."))
    if factors:
        notes.append(Note("factors_not_followed", [], f"{factors} pairs of low-rank factors are not followed."))
    if unmatched:
        notes.append(Note("not_in_all", [], f"{unmatched} matrices are not in every checkpoint in one shape."))
    return notes
