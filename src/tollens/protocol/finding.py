"""Findings: what is wrong with one weight matrix, from its measured fields alone."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tollens.instrument.traps import Cause

SEVERITY = {"nonfinite": 5, "dead": 4, "rank_collapsed": 3, "trap": 2, "no_power_law": 1}


class Finding(msgspec.Struct, frozen=True):
    """One defect of one layer. `value` is the number that shows it, `null` what chance alone would give."""

    code: str
    layer: str
    cause: str | None
    value: float
    null: float | None
    sentence: str


class Note(msgspec.Struct, frozen=True):
    """Something a reader should know that is not a defect."""

    code: str
    layers: list[str]
    sentence: str


def findings_of(layer: Mapping[str, Any], *, needs_power_law: bool = False) -> list[Finding]:
    """The findings of one layer, most severe first.

    `layer` holds the fields of `tollens.scan/1`. `needs_power_law` is set when a claim speaks about the tail; only
    then is the absence of a power law a finding.
    """
    name = str(layer["name"])
    if layer.get("status") == "FAILED":
        return [_nonfinite(name, layer["nonfinite"])] if layer.get("nonfinite") else []
    if "factored" in layer.get("flags", ()):  # few directions are what a product of thin factors has by construction
        return [_idle(name, layer)] if layer.get("lambda_max") == 0.0 else []
    if layer.get("lambda_max") == 0.0:
        return [_dead(name, "zero_matrix", layer)]
    if "no_variance" in layer.get("flags", ()) and min(layer["M"], layer["N"]) > 1:
        return [_dead(name, "no_variance", layer)]
    found = [_rank_collapsed(name, layer), _trap(name, layer)]
    if needs_power_law and "no_power_law" in layer.get("flags", ()):
        found.append(_no_power_law(name, layer))
    return sorted((f for f in found if f is not None), key=lambda f: -SEVERITY[f.code])


def trap_cause(layer: Mapping[str, Any]) -> tuple[Cause, float] | None:
    """The cause of a layer's traps and their median count over shuffles; None if it is below 1.

    The cause with the largest median wins, of equal ones the rarer: residual before entry before mean, because a
    mean offset makes at most one outlier and many trained layers have one. Where several causes share the shuffles
    so that no median reaches 1, the one that was seen most often is named.
    """
    counts: dict[Cause, list[int]] = {cause: layer.get(f"traps_{cause}") or [0] for cause in Cause}
    total = float(statistics.median(layer.get("traps_all") or [0]))
    medians = {cause: float(statistics.median(seen)) for cause, seen in counts.items()}
    largest = max(Cause, key=lambda cause: medians[cause])
    if medians[largest] >= 1.0:
        return largest, max(total, medians[largest])
    often = max(Cause, key=lambda cause: sum(counts[cause]))
    return (often, total) if total >= 1.0 and sum(counts[often]) > 0 else None


def _nonfinite(name: str, where: Mapping[str, Any]) -> Finding:
    count, index = int(where["count"]), list(where["first_index"])
    return Finding(
        "nonfinite",
        name,
        None,
        float(count),
        0.0,
        f"{count} element{'s are' if count > 1 else ' is'} NaN or infinite, the first at {index}; "
        "a usable matrix has 0.",
    )


def _dead(name: str, code: str, layer: Mapping[str, Any]) -> Finding:
    if code == "zero_matrix":
        return Finding("dead", name, None, 0.0, None, "all elements are 0: the layer maps every input to its bias.")
    value = (float(layer.get("fro2") or 0.0) / (layer["M"] * layer["N"])) ** 0.5
    return Finding(
        "dead",
        name,
        None,
        value,
        None,
        f"every element has the same value, {value:.3g} in size (variance 0): only one direction passes.",
    )


def _idle(name: str, layer: Mapping[str, Any]) -> Finding:
    scaled = "its scaling is 0" if layer.get("gamma") == 0.0 else "one of its factors, or their product, is 0"
    return Finding("dead", name, None, 0.0, None, f"the adapter leaves this matrix as it is: {scaled}.")


def _rank_collapsed(name: str, layer: Mapping[str, Any]) -> Finding | None:
    rank = layer.get("numerical_rank")
    if rank is None or rank >= layer["M"] / 2:
        return None
    band = (layer.get("null") or {}).get("numerical_rank")
    null = None if band is None else float(band["median"])
    beside = "fewer than half" if null is None else f"a Gaussian matrix of this shape and type has {null:g}"
    return Finding(
        "rank_collapsed",
        name,
        None,
        float(rank),
        null,
        f"only {rank} of {layer['M']} eigenvalues rise above rounding; {beside}.",
    )


def _trap(name: str, layer: Mapping[str, Any]) -> Finding | None:
    found = trap_cause(layer)
    if found is None:
        return None
    cause, count = found
    why = {
        Cause.MEAN: "the elements share a mean offset: subtracting it clears the edge",
        Cause.ENTRY: "a few large elements make it: clipping them clears the edge",
        Cause.RESIDUAL: "neither the mean nor large elements explain it",
    }[cause]
    number = f"{count:g} eigenvalue{'s' if count != 1 else ''}"
    return Finding(
        "trap",
        name,
        cause.value,
        count,
        0.0,
        f"{number} (median over {layer['shuffles']} shuffles) outside the random-matrix edge after shuffling, "
        f"where chance gives 0; cause {cause}: {why}.",
    )


def _no_power_law(name: str, layer: Mapping[str, Any]) -> Finding:
    null = layer.get("alpha_null")
    alpha = layer.get("alpha")
    median = float(null["median"]) if isinstance(null, Mapping) else None
    if alpha is None:
        points = int(layer.get("n_tail") or 0)
        return Finding(
            "no_power_law",
            name,
            None,
            float(points),
            median,
            f"the claim needs a power law and the tail has {points} eigenvalues, too few to fit one.",
        )
    return Finding(
        "no_power_law",
        name,
        None,
        float(alpha),
        median,
        f"the claim needs a power law; alpha {alpha:.2f} stands for none: {' and '.join(_against(layer))}.",
    )


def _against(layer: Mapping[str, Any]) -> list[str]:
    """What speaks against reading alpha as the exponent of a power law."""
    said = []
    p, laws = layer.get("p_gof"), layer.get("alternatives") or ()
    better = [str(law["name"]).replace("_", " ") for law in laws if law["preferred"] == law["name"]]
    if p is not None and p < 0.1:
        said.append(f"goodness of fit rejects it (p = {p:.2g})")
    if better:
        said.append(f"{', '.join(better)} fits the tail better")
    null, interval = layer.get("alpha_null"), layer.get("alpha_interval")
    if null and interval and interval["low"] <= null["high"] and null["low"] <= interval["high"]:
        said.append(
            f"its interval [{interval['low']:.2f}, {interval['high']:.2f}] meets the "
            f"{null['low']:.2f} to {null['high']:.2f} of iid Gaussian matrices of its shape"
        )
    return said


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda f: (-SEVERITY[f.code], f.layer))


def verdict_of(findings: Sequence[Finding], judged: int) -> str:
    """FINDINGS, CLEAN, or UNDETERMINED where no layer could be judged. Silence is never a pass."""
    if findings:
        return "FINDINGS"
    return "CLEAN" if judged else "UNDETERMINED"
