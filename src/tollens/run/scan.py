"""`scan`: a checkpoint in, a verdict and one report out."""

from __future__ import annotations

import fnmatch
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from tollens.core.errors import TollensError
from tollens.core.extras import install_command
from tollens.core.work import MapFn, repeated, serial
from tollens.instrument.factored import factored
from tollens.instrument.null import ShapeNull
from tollens.instrument.registry import INSTRUMENTS
from tollens.protocol.finding import SEVERITY, Finding, Note, by_severity, findings_of, verdict_of
from tollens.run.factor_layer import FactorTask, lost_any, measure_any
from tollens.run.hashing import hashing
from tollens.run.layer import LayerTask, ShapeTask, lost_shape, measure_shape, used
from tollens.run.machine import this_machine
from tollens.run.plugins import installed, plugged_quantities
from tollens.run.refusal import refusals
from tollens.run.result import AliasedTensor, Environment, LayerReport, ScanReport, SkippedTensor, Subject
from tollens.run.settings import ScanSettings
from tollens.run.tensors_digest import tensors_digest
from tollens.subject.checkpoint import Checkpoint, open_checkpoint
from tollens.subject.factors import FactorView
from tollens.subject.matrices import Inventory, MatrixView, matrices
from tollens.subject.place import Url, shown
from tollens.subject.shelf import let_go

V = TypeVar("V", bound=MatrixView | FactorView)
Progress = Callable[[int, int, str], None]
WHOLE = frozenset(
    {"alternatives", "localisation", "mp_sigma2_estimates", "outliers", "permutation_id", "singular_values"}
)
"""Quantities that are no number and no name: a claim speaks of their parts, or not at all."""
PART_UNITS = {
    **{f"alpha_interval_{part}": "1" for part in ("low", "high")},
    **{f"alpha_null_{part}": "1" for part in ("median", "low", "high")},
    **{f"mp_sigma2_estimates_{part}": "weight^2" for part in ("cdf", "median", "kde")},
}
PLAIN_UNITS = {
    **dict.fromkeys(("M", "N", "rank"), "count"),
    **dict.fromkeys(("Q", "role", "band", "status", "source_dtype", "gamma"), "1"),
}


def scan(
    path: str | os.PathLike[str],
    settings: ScanSettings | None = None,
    *,
    claim: str | None = None,
    map_fn: MapFn = serial,
    progress: Progress | None = None,
) -> ScanReport:
    """Judge a checkpoint from its weights alone; the object that `tollens scan --json` prints.

    `path` is a file of one of the formats that `open_checkpoint` reads, a folder with shards, a Hugging Face checkpoint
    or a LoRA adapter, or the URL of one, of which each byte that is analysed is fetched once and no other but the
    headers. `claim` is a
    rule over layer fields such as "all(stable_rank >= 8)". `map_fn` runs the work, `progress(done, total, name)`
    is told of each finished task. Raises: TollensError with a code for anything wrong with the input.
    """
    settings = settings if settings is not None else ScanSettings()
    units = layer_units()
    law = False
    if claim is not None:
        from tollens.protocol.claim import claim_names, judge_claim, needs_power_law  # 0.03 s, and few scans need it

        law = needs_power_law(claim_names(claim, units))
    checkpoint = open_checkpoint(path)
    found = matrices(checkpoint)
    views = selected(_in_file_order(found, checkpoint), settings.layers)
    refused = refusals([*used(settings), *([factored] if found.factors else [])])
    before = repeated(map_fn)
    lost: list[str] = []
    far = isinstance(checkpoint.path, Url)
    with hashing() as digest_of:
        files = None if far else digest_of(checkpoint)
        try:
            layers = list(_measured(views, settings, frozenset(refused), map_fn, progress, lost))
        finally:
            let_go()
    plain = [msgspec.to_builtins(layer) for layer in layers]
    findings = by_severity(f for fields in plain for f in findings_of(_ours(fields), needs_power_law=law))
    judged = [layer for layer in layers if _judged(layer, findings)]
    answer = judge_claim(claim, [_flat(fields) for fields in plain], units) if claim is not None else UNSET
    verdict = verdict_of(findings, len(judged)) if isinstance(answer, msgspec.UnsetType) else answer.verdict
    summary = _summary(layers, judged, findings, found, checkpoint)
    return ScanReport(
        verdict=str(verdict),
        headline=_headline(summary),
        subject=Subject(
            shown(path),
            tensors_digest(checkpoint, layers, found.factors) if files is None else "sha256:" + files.result(),
            checkpoint.format,
            sum(t.size for t in checkpoint.tensors),
            len(checkpoint.tensors),
        ),
        settings=msgspec.to_builtins(settings),
        claim=answer,
        findings=findings,
        notes=[
            *of_parts([checkpoint]),
            *_of_workers(layers, lost, repeated(map_fn) - before),
            *_notes(layers, refused),
            *_unread(found),
        ],
        layers=_ranked(layers, findings),
        skipped=[SkippedTensor(s.name, list(s.shape), s.dtype, s.reason) for s in found.skipped],
        aliased=[AliasedTensor(a.name, a.of) for a in found.aliases],
        summary=summary,
        environment=environment(),
    )


def layer_units() -> dict[str, str]:
    """The unit of each quantity that a claim may name, those of plugged-in instruments among them."""
    installed()
    measured = {q: unit for made in INSTRUMENTS.values() for q, unit in made.quantities.items()}
    return PLAIN_UNITS | PART_UNITS | {q: unit for q, unit in measured.items() if q.isidentifier() and q not in WHOLE}


def _ours(fields: dict[str, Any]) -> dict[str, Any]:
    """A layer without what plugins say of it: their reasons are not evidence of a dead layer."""
    foreign = plugged_quantities()
    return fields | {"undefined": {q: reason for q, reason in fields["undefined"].items() if q not in foreign}}


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    """A layer as a claim sees it: the quantities of plugins stand among the others."""
    plugged: dict[str, Any] = fields["plugins"]
    return {name: value for name, value in fields.items() if name != "plugins"} | plugged


def _in_file_order(found: Inventory, checkpoint: Checkpoint) -> list[MatrixView | FactorView]:
    """Matrices and pairs of factors in the order in which their tensors begin."""
    place = {tensor.name: i for i, tensor in enumerate(checkpoint.tensors)}
    return sorted([*found.matrices, *found.factors], key=lambda view: min(place[name] for name in _tensors(view)))


def _tensors(view: MatrixView | FactorView) -> list[str]:
    return [view.b.name, view.a.name] if isinstance(view, FactorView) else [view.tensor.name]


def selected(views: Sequence[V], pattern: str | None) -> list[V]:
    """The views whose name, or that of their tensor, matches a shell pattern. Raises: `no_such_layer`."""
    if pattern is None:
        return list(views)
    chosen = [v for v in views if any(fnmatch.fnmatchcase(name, pattern) for name in (v.name, *_tensors(v)))]
    if views and not chosen:
        raise TollensError(
            "no_such_layer",
            pattern,
            expected="a shell pattern that matches at least one weight matrix",
            found=f"none of {len(views)} matrices, such as {views[0].name!r}",
            fix="List the names with --csv.",
        )
    return chosen


def _measured(
    views: Sequence[MatrixView | FactorView],
    settings: ScanSettings,
    refused: frozenset[str],
    map_fn: MapFn,
    progress: Progress | None,
    lost: list[str],
) -> Iterator[LayerReport]:
    """The nulls of all shapes first, then every matrix against the null of its own. `lost` takes the names of nulls."""
    whole = [v for v in views if isinstance(v, MatrixView)]
    shapes: list[tuple[int, int]] = []
    if settings.null_draws and not settings.only:
        shapes = sorted({(min(v.shape), max(v.shape)) for v in whole if min(v.shape) > 0})
    total, done = len(shapes) + len(views), 0
    nulls: dict[tuple[int, int], ShapeNull] = {}
    drawn = map_fn(measure_shape, [ShapeTask(*s, settings) for s in shapes], lost=lost_shape)
    for shape, null in zip(shapes, drawn, strict=True):
        if null is not None:
            nulls[shape] = null
        else:
            lost.append(f"{shape[0]}x{shape[1]}")
        done += 1
        if progress is not None:
            progress(done, total, f"null {shape[0]}x{shape[1]}")
    judged = max(1, sum(min(v.shape) >= settings.min_side for v in whole))
    tasks = [
        LayerTask(v, order, settings, judged, nulls.get((min(v.shape), max(v.shape))), refused)
        if isinstance(v, MatrixView)
        else FactorTask(v, order, settings, refused)
        for order, v in enumerate(views)
    ]
    for layer in map_fn(measure_any, tasks, lost=lost_any):
        done += 1
        if progress is not None:
            progress(done, total, layer.name)
        yield layer


def _judged(layer: LayerReport, findings: Sequence[Finding]) -> bool:
    """A layer is judged if it has a finding, or if it was large enough and finite."""
    return any(f.layer == layer.name for f in findings) or _unjudgeable(layer) is None


def _unjudgeable(layer: LayerReport) -> str | None:
    """Why nothing can be said of a layer without a finding; None if something can."""
    if layer.status != "OK":
        return layer.undefined["alpha"]
    foreign = plugged_quantities()
    ours = {reason for quantity, reason in layer.undefined.items() if quantity not in foreign}
    return next((why for why in ("answers_fail", "too_small") if why in ours), None)


def _summary(
    layers: Sequence[LayerReport],
    judged: Sequence[LayerReport],
    findings: Sequence[Finding],
    found: Inventory,
    checkpoint: Checkpoint,
) -> dict[str, Any]:
    names = {layer.name for layer in judged}
    reasons = Counter(str(_unjudgeable(layer)) for layer in layers if layer.name not in names)
    return {
        "layers": len(layers),
        "judged": len(judged),
        "not_judgeable": dict(sorted(reasons.items())),
        "findings": dict(sorted(Counter(f.code for f in findings).items())),
        "causes": dict(sorted(Counter(f.cause for f in findings if f.cause).items())),
        "skipped": dict(sorted(Counter(s.reason for s in found.skipped).items())),
        "unmatched": [v.name for v in found.matrices if v.role.kind == "unmatched"],
        "tensors": {
            "in_file": len(checkpoint.tensors),
            "analysed": len(found.analysed),
            "skipped": len(found.skipped),
            "aliased": len(found.aliases),
        },
    }


def _headline(summary: dict[str, Any]) -> str:
    """N layers judged, K findings, U not judgeable and why."""
    count = sum(summary["findings"].values())
    not_judged = sum(summary["not_judgeable"].values())
    why = ", ".join(f"{n} {code}" for code, n in summary["not_judgeable"].items())
    return (
        f"{summary['judged']} layer{_s(summary['judged'])} judged, {count} finding{_s(count)}, "
        f"{not_judged} not judgeable{f' ({why})' if why else ''}"
    )


def _s(n: int) -> str:
    return "" if n == 1 else "s"


def _of_workers(layers: Sequence[LayerReport], nulls: Sequence[str], again: int) -> list[Note]:
    """What workers that died have cost: nothing, time, a null or a layer."""
    notes = []
    dead = [layer.name for layer in layers if "worker_died" in layer.undefined.values()]
    if dead:
        notes.append(Note("worker_died", dead, f"{len(dead)} of {len(layers)} layers: every worker died at it."))
    if nulls:
        named = ", ".join(nulls)
        notes.append(Note("no_null", [], f"No null of shape {named}: every worker died at it."))
    if again:
        told = "1 task was" if again == 1 else f"{again} tasks were"
        notes.append(Note("task_repeated", [], f"{told} repeated because a worker died."))
    return notes


def _notes(layers: Sequence[LayerReport], refused: Mapping[str, str]) -> list[Note]:
    """What is worth knowing of several layers at once; never a finding."""
    sentences = {
        "xmin_unstable": "alpha depends on where the tail is cut: read it with its interval only",
        "short_tail": "the tail has 20 to 49 eigenvalues",
        "precision_escalated": "float32 was blind here; measured again in float64",
        "fused_unsplit": "a fused tensor of unknown layout was analysed whole",
        "factored": "measured from two factors of rank r, and low rank is what such a product has by construction: "
        "compare the stable rank with r",
        "scaling_unknown": "nothing says how the product of the factors is scaled, so norms do not exist",
        "base_altered": "the base was altered when the adapter was made, so that the product is not the whole change",
    }
    names = [layer.name for layer in layers]
    notes = [Note("answers_fail", names, f"{name} was refused: {why}.") for name, why in refused.items()]
    for code, sentence in sentences.items():
        names = [layer.name for layer in layers if code in layer.flags]
        if names:
            notes.append(Note(code, names, f"{len(names)} of {len(layers)} layers: {sentence}."))
    expanded = [layer.name for layer in layers if any(flag.startswith("dequantised:") for flag in layer.flags)]
    if expanded:
        sentence = f"{len(expanded)} of {len(layers)} layers: stored quantised; the readings are of expanded numbers."
        notes.append(Note("dequantised", expanded, sentence))
    if layers and all(layer.undefined.get("traps_all") == "not_requested" for layer in layers):
        notes.append(
            Note("not_requested", [], "only the tail was measured: no rank, no trap and no null was looked for.")
        )
    failed = [layer.name for layer in layers if "plugin_failed" in layer.undefined.values()]
    if failed:
        sentence = f"{len(failed)} of {len(layers)} layers: a plugged-in instrument failed."
        notes.append(Note("plugin_failed", failed, sentence))
    for r in installed():
        if r.error is not None:
            notes.append(Note("plugin_skipped", [], f"Plugin {r.name} ({r.module}) was skipped: {r.error}."))
    unmatched = [layer.name for layer in layers if layer.role == "unmatched"]
    if unmatched:
        notes.append(Note("unmatched", unmatched, f"{len(unmatched)} of {len(layers)} layers: the role is not known."))
    return notes


def of_parts(checkpoints: Sequence[Checkpoint]) -> list[Note]:
    """Which of the files that were named are one part of several, so that most of the model was not read."""
    return [
        Note(
            "part_of_several",
            [],
            f"{c.path.name} is part {c.part[0]} of {c.part[1]}: the other parts are not read; name the folder or the "
            "index.",
        )
        for c in checkpoints
        if c.part is not None
    ]


def _unread(found: Inventory) -> list[Note]:
    """What an optional package would have made readable."""
    names = [s.name for s in found.skipped if s.reason == "gguf_extra_missing"]
    if not names:
        return []
    what = f"{len(names)} tensor{_s(len(names))} quantised in blocks"
    return [Note("gguf_extra_missing", names, f"{what} not read. To read them: {install_command('gguf')}")]


def _ranked(layers: Sequence[LayerReport], findings: Sequence[Finding]) -> list[LayerReport]:
    """By severity of the worst finding, then by distance outside the null band, then in file order."""
    worst: dict[str, int] = {}
    for f in findings:
        worst[f.layer] = max(worst.get(f.layer, 0), SEVERITY[f.code])
    return sorted(layers, key=lambda layer: (-worst.get(layer.name, 0), -(layer.null_distance or 0.0)))


def environment() -> Environment:
    """Versions and BLAS libraries: what the last bits depend on besides the input and the settings."""
    here = this_machine()
    return Environment(here.tollens, here.python, here.numpy, here.scipy, here.blas)
