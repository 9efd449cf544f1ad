"""Fits that a claim is held against by doing them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tollens.lint.check import Check, Direct, Subtype, unchecked, undetermined
from tollens.lint.domain import inside
from tollens.lint.fields import Fields
from tollens.lint.interval import Range
from tollens.lint.law import Example
from tollens.lint.registry import invariant

__all__ = ["polynomial"]

BASES = ("monomial", "legendre")
_NOISE, _SEEDS = 0.3, 20
_POINTS, _NOISES, _DEGREE, _DEGREES = (2.0, 1000.0), (0.0, 1e6), 300.0, 8
_TWO = {"n": "30", "target": "sine", "degrees": ["8", "100"]}


@invariant(
    id="replay.poly",
    formula="test error of least squares on n points of sin(pi x) with noise, for each degree",
    needs={"n": "count", "target": "word", "degrees": "count[]", "mse": "1[]"},
    optional={"basis": "word", "grid": "word", "noise": "1"},
    replays=True,
    assumes=("equispaced points on [-1, 1], the solution of least norm, an error free of noise on 500 points",),
    violation=Subtype.NOT_REPRODUCED,
    reference="Hastie, Montanari, Rosset and Tibshirani, Surprises in high-dimensional ridgeless least squares "
    "interpolation, Annals of Statistics 50(2) (2022)",
    known=(
        Example(
            {**_TWO, "mse": ["0.08", "0.07"], "basis": "polynomial features"},
            "undetermined/not_reproduced",
            witness="legendre: degree 8 0.0265, degree 100 0.058",
        ),
        Example(
            {**_TWO, "mse": ["0.03", "0.06"], "basis": "legendre", "grid": "equispaced", "noise": "0.3"},
            "undetermined/consistent",
        ),
        Example(
            {**_TWO, "mse": ["0.03", "0.06"], "basis": "monomial", "grid": "equispaced", "noise": "0.3"},
            "undetermined/not_reproduced",
        ),
        Example({**_TWO, "mse": ["0.08"]}, "unchecked", witness="2 degrees, 1 mse"),
        Example({**_TWO, "mse": ["0.08", "0.07"], "target": "step"}, "unchecked"),
    ),
)
def polynomial(f: Fields) -> Check:
    """With more coefficients than points the fit of least norm passes through all of them.
    Which of these fits that is depends on the basis in which the norm is taken: in Legendre polynomials the error
    falls again beyond n, in monomials it does not. It also depends on the points and the noise.
    The fit is made for 20 seeds; a claim within the spread of them is consistent. None is refuted, since its data
    are not at hand.
    """
    if (f.word("target") or "").strip().lower() not in ("sine", "sin", "sin(pi x)"):
        return unchecked(f"cannot be checked: no replay for target = {f.word('target')}")
    parts = inside(f, n=_POINTS, noise=_NOISES)
    if isinstance(parts, Direct):
        return parts
    degrees, claimed = f.list("degrees"), f.list("mse")
    if len(degrees) != len(claimed):
        return unchecked(f"cannot be checked: {len(degrees)} degrees, {len(claimed)} mse")
    if len(degrees) > _DEGREES or any(d.low < 0.0 or d.high > _DEGREE or d.middle % 1 for d in degrees):
        return unchecked("replay limit")
    basis, grid = (f.word("basis") or "").strip().lower(), (f.word("grid") or "").strip().lower()
    noise = parts["noise"].middle if "noise" in parts else _NOISE
    orders = [int(d.middle) for d in degrees]
    shown: list[str] = []
    fits = False
    for name in (basis,) if basis in BASES else BASES:
        asked = {"n": int(parts["n"].middle), "basis": name, "degrees": orders, "noise": noise, "seeds": _SEEDS}
        found = f.replay("poly", asked)
        if found is None:
            return unchecked("replay limit")
        fits = fits or _reproduced(found, orders, claimed)
        each = ", ".join(f"degree {d} {found[str(d)]:.3g}" for d in orders if str(d) in found)
        shown.append(f"{name}: {each}")
    open_ = [
        name
        for name, stated in (("basis", basis in BASES), ("grid", grid == "equispaced"), ("noise", "noise" in parts))
        if not stated
    ]
    depends = f"; depends on {', '.join(open_)}" if open_ else ""
    said = ", ".join(f"{value.middle:.3g}" for value in claimed)
    subtype = Subtype.CONSISTENT if fits else Subtype.NOT_REPRODUCED
    return undetermined(subtype, f"claimed {said}; {'; '.join(shown)}{depends}", ", ".join(open_) or "the data")


def _reproduced(found: Mapping[str, float], orders: Sequence[int], claimed: Sequence[Range]) -> bool:
    ends = [(found.get(f"{d}.low"), found.get(f"{d}.high")) for d in orders]
    return all(
        low is not None and high is not None and value.meets(Range(low, high))
        for (low, high), value in zip(ends, claimed, strict=True)
    )
