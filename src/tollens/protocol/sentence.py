"""One sentence a layer: a number, the null it is compared with, and what the comparison says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """One value beside its null band.

    `distance` is the gap between the value's interval (the value itself where it has none) and the band, in band
    widths; 0 where they meet. `below` is true only where the whole interval lies below the band.
    """

    quantity: str
    value: float
    median: float
    low: float
    high: float
    distance: float
    below: bool


_SAYS = {
    "alpha": ("a heavier tail than chance gives", "a lighter tail than chance gives"),
    "stable_rank": ("energy gathers in few directions", "energy is spread more evenly than chance spreads it"),
    "entropy_rank": ("energy gathers in few directions", "energy is spread more evenly than chance spreads it"),
    "mp_distance": ("the bulk is closer to Marchenko-Pastur than chance", "the bulk is not Marchenko-Pastur"),
}
_ORDER = tuple(_SAYS)
# A point falls outside a 5-95 % band by chance one time in ten, and several are compared; half a band width further
# out is 3.3 standard deviations of a normal law. An interval clear of the band needs no such rim.
RIM = {"alpha": 0.0, "stable_rank": 0.5, "entropy_rank": 0.5, "mp_distance": 0.5}


def compare(layer: Mapping[str, Any]) -> list[Comparison]:
    """Every quantity of `layer` that has a null band and a sentence to say, in the order of telling."""
    nulls: Mapping[str, Any] = layer.get("null") or {}
    found = []
    for quantity in _ORDER:
        value, band = layer.get(quantity), nulls.get(quantity)
        if value is None or band is None:
            continue
        low, high = float(band["low"]), float(band["high"])
        width = max(high - low, 1e-12 * abs(float(band["median"])), 1e-300)
        interval = layer.get(f"{quantity}_interval") or {"low": value, "high": value}
        under, over = low - float(interval["high"]), float(interval["low"]) - high
        gap = max(under, over, 0.0)  # an interval that touches the band is inside
        found.append(Comparison(quantity, value, float(band["median"]), low, high, gap / width, under > 0.0))
    return found


def null_distance(layer: Mapping[str, Any]) -> float | None:
    """How far the layer stands outside its null band, in band widths: the largest over the compared quantities."""
    return max((c.distance for c in compare(layer)), default=None)


def sentence(layer: Mapping[str, Any]) -> str:
    """One sentence with a number and its null; says so where there is none."""
    if layer.get("status") == "FAILED":
        broken, reasons = layer.get("nonfinite"), layer.get("undefined") or {}
        if broken:
            return f"not measured: {broken['count']} of its elements are NaN or infinite; a usable matrix has 0."
        return f"not measured: {reasons.get('alpha', 'the measurement failed')}."
    factored = "factored" in (layer.get("flags") or ())
    if factored and layer.get("lambda_max") == 0.0:
        return "the product of its factors is 0: the adapter changes nothing here."
    compared = compare(layer)
    if not compared:
        return _without_null(layer)
    told = next((c for c in compared if c.distance > RIM[c.quantity]), compared[0])
    value, band = _number(told.value), f"{_number(told.low)} to {_number(told.high)}"
    name = told.quantity.replace("_", " ").replace("mp distance", "distance of the bulk to Marchenko-Pastur")
    interval = layer.get("alpha_interval") if told.quantity == "alpha" else None
    around = f" [{_number(interval['low'])}, {_number(interval['high'])}]" if isinstance(interval, Mapping) else ""
    where, law = "below" if told.below else "above", "iid Gaussian matrices of its shape"
    if factored:
        value, law = f"{value} of at most {layer['rank']}", "products of Gaussian factors of its shape"
    if told.distance > RIM[told.quantity]:
        says = _SAYS[told.quantity][0 if told.below else 1]
        return f"{name} {value}{around} lies {where} the {band} of {law}: {says}."
    if told.distance > 0:
        return f"{name} {value} lies just {where} the {band} of {law}: chance may explain it."
    verb = "overlaps" if around else "lies within"
    return f"{name} {value}{around} {verb} the {band} of {law}: chance explains it."


def _without_null(layer: Mapping[str, Any]) -> str:
    reasons = sorted(set((layer.get("undefined") or {}).values()) - {"not_requested"})
    if layer.get("alpha") is not None:
        return f"alpha {_number(layer['alpha'])} over {layer['n_tail']} eigenvalues; its null was not asked for."
    return f"no reading has a null here ({', '.join(reasons) or 'nothing was measured'})."


def _number(x: float) -> str:
    return f"{x:.3g}" if abs(x) < 1000 else f"{x:,.0f}"
