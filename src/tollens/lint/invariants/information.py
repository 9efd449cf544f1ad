"""Mutual information: what entropy, processing and a normal law allow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from tollens.lint.check import Check, Comparison, Direct, Subtype, at_least, at_most, equal, unchecked, undetermined
from tollens.lint.claim import Quantity
from tollens.lint.domain import AT_LEAST_ONE, SHARE, inside
from tollens.lint.fields import Fields
from tollens.lint.interval import INF, Range, as_range, between, hull
from tollens.lint.law import Example
from tollens.lint.registry import invariant
from tollens.lint.shown import number_text
from tollens.lint.unit import parse_unit

__all__ = ["dpi", "entropy", "gaussian", "layers", "saturation"]

LN2 = as_range(math.log(2)).widened(1e-16)
_UNITS = ("nat", "bit")


def in_unit(nats: Range, unit: str) -> Range:
    """A value in nat in the unit named."""
    return nats / LN2 if unit == "bit" else nats


def binary_entropy(p: float) -> float:
    """H(p) in nat for p in [0, 1]."""
    return 0.0 if p in (0.0, 1.0) else -p * math.log(p) - (1 - p) * math.log1p(-p)


def rate_for(nats: float) -> float | None:
    """The smallest p with H(p) = `nats`; None above ln 2.

    Newton's method from the lower bound b / (2 log2(6 / b)) for b bits (Calabro 2009): H is concave, so that it
    climbs to the root without passing it.
    """
    if not 0.0 < nats <= math.log(2):
        return 0.0 if nats == 0.0 else None
    bits = min(nats / math.log(2), 1.0)
    p = bits / (2 * math.log2(6 / bits))
    for _ in range(80):
        slope = math.log1p(-p) - math.log(p)
        step = (nats - binary_entropy(p)) / slope if slope > 0.0 else 0.0
        p = min(p + step, 0.5)
        if step <= 1e-14 * p:
            break
    return p


def label_entropy(rate: Range | None, classes: Range | None) -> Range:
    """All values that the largest entropy of a label can have, in nat.

    With K classes ln K; with the share p of one class H(p) + (1 - p) ln(K - 1), where K = 2 unless it is given.
    In p this is concave with its peak at 1/K, in K it rises.
    """
    if rate is None or (classes is not None and classes.low < 2.0):
        return (classes or as_range(2.0)).rising(math.log)

    def at(p: float, k: float) -> float:
        return binary_entropy(p) + (1 - p) * math.log(k - 1)

    few, many = (classes.low, classes.high) if classes is not None else (2.0, 2.0)
    peak = min(max(1 / many, rate.low), rate.high)
    return between(min(at(rate.low, few), at(rate.high, few)), at(peak, many)).widened(1e-14)


def _either_unit(f: Fields, name: str, law: Callable[[str], Comparison]) -> Check:
    """The law in the unit of the field; where none was written, in both, and it decides only if both refute."""
    unit = f.unit(name)
    if unit is not None:
        return law(unit)
    nat, bit = (law(unit) for unit in _UNITS)
    if not (nat.violated and bit.violated):
        return unchecked(f"cannot be checked: missing field {name} (its unit)", f"{name}.unit")
    sign = "at most" if nat.relation == "<=" else "is"
    bounds = f"{number_text(nat.right.middle)} nat = {number_text(bit.right.middle)} bit"
    return replace(bit, remark=f"(any unit) {bit.names[1]} {sign} {bounds}")


def _remark(f: Fields, made: Comparison, bound: Range) -> str:
    if bound.high < 1e-300:
        return "entropy is zero: any positive MI is impossible"
    if f.maybe("classes") is not None:
        return ""
    value = f"{number_text(made.left.middle)} {made.unit}"
    needed = rate_for(made.left.middle * (math.log(2) if made.unit == "bit" else 1.0))
    if needed is None:
        return f"no base rate gives more than ln 2 = {number_text(math.log(2))} nat = 1 bit"
    return f"{value} needs a base rate of at least {number_text(needed)}"


def _any_unit(value: Range, unit: str) -> Range:
    """All that a value without a unit can be in the unit named."""
    return hull(value, value / LN2 if unit == "bit" else value * LN2)


def _reported_highs(f: Fields, name: str) -> Sequence[float] | None:
    """The upper ends as reported, the same for both readings of a claim; None if only some have a unit."""
    entry = f.claim.fields[name]
    given = [q for q in entry if isinstance(q, Quantity)] if isinstance(entry, tuple) else []
    units = {q.unit for q in given}
    if None in units and len(units) > 1:
        return None
    return [q.number.range(q.exact is True).high * float(parse_unit(q.unit or "1", name).size) for q in given]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _normal_information(rho: float) -> float:
    if rho == 1.0:
        return INF
    return -0.5 * (math.log1p(-rho * rho) if rho < 0.5 else math.log1p(-rho) + math.log1p(rho))


@invariant(
    id="info.entropy",
    formula="0 <= I(X;Y) <= min(H(X), H(Y)); H(p) = -p ln p - (1-p) ln(1-p); K classes: H <= ln K",
    needs={"mi": "nat|bit?"},
    optional={"base_rate": "1", "classes": "count"},
    one_of=(("base_rate", "classes"),),
    assumes=("base_rate is the share of one class; the label has two classes unless classes says otherwise",),
    estimates=False,
    violation=Subtype.IMPOSSIBLE,
    reference="Cover and Thomas, Elements of Information Theory, 2nd edition (2006), theorems 2.6.4 and 2.6.5",
    known=(
        Example(
            {"mi": "0.78 ?", "base_rate": "2 %"}, "refuted/impossible", {"bound": 0.141441},
            witness="(any unit) H(base_rate) at most 0.0980391 nat = 0.141441 bit",
            derivation="-.02 ln .02 - .98 ln .98 = .078240 + .019799",
        ),
        Example({"mi": "0.050", "base_rate": "2 %"}, "undetermined/consistent", {"bound": 0.098039}),
        Example({"mi": "0.050 bit", "base_rate": "2 %"}, "undetermined/consistent", {"bound": 0.141441}),
        Example(
            {"mi": "0.43", "base_rate": "10 %"}, "refuted/impossible",
            witness="0.43 nat needs a base rate of at least 0.154244",
        ),
        Example({"mi": "2.5", "classes": "10"}, "refuted/impossible", {"bound": 2.302585}),
        Example({"mi": "2.5 bit", "classes": "10"}, "undetermined/consistent", {"bound": 3.321928}),
        Example(
            {"mi": "0.125", "base_rate": "2 %"}, "refuted/impossible",
            derivation="H(.025) = .116907 < .1245, the least that is printed as .125",
        ),
        Example(
            {"mi": "0.117", "base_rate": "2 %"}, "undetermined/consistent",
            derivation="the base rate may be 2.5 %, and H(.025) = .116907 > .1165",
        ),
        Example({"mi": "0.120 ?", "base_rate": "2 %"}, "unchecked", derivation="impossible in nat, possible in bit"),
        Example({"mi": "-0.2", "classes": "10"}, "refuted/impossible", {"bound": 0.0}),
    ),
)  # fmt: skip
def entropy(f: Fields) -> Check:
    """I(X;Y) = H(Y) - H(Y|X), and H(Y|X) >= 0 for a discrete label Y, so I(X;Y) <= H(Y); the same with X.
    I(X;Y) >= 0, being the divergence of the joint law from the product of its margins.
    A label with the share p of one class and K classes has H(Y) <= H(p) + (1-p) ln(K-1), which is H(p) for K = 2.
    K classes alone give H(Y) <= ln K, reached when all are equally frequent.
    H(p) rises up to p = 1/2 and falls beyond: over the rounding of p its range is taken with the peak.
    """
    parts = inside(f, base_rate=SHARE, classes=AT_LEAST_ONE)
    if isinstance(parts, Direct):
        return parts
    if f.mi.high < 0.0:
        return at_least(f.mi, as_range(0.0), ("I", "least"), unit=f.unit("mi") or "")
    rate = parts.get("base_rate")
    bound = label_entropy(rate, parts.get("classes"))
    name = "H(base_rate)" if rate is not None else "ln classes"
    open_end = rate is not None and rate.low < rate.high and not {rate.low, rate.high}.isdisjoint({0.0, 1.0})
    settle = "exact = true for a base rate of exactly 0 or 1" if open_end else None

    def law(unit: str) -> Comparison:
        made = at_most(f.mi, in_unit(bound, unit), ("I", name), unit=unit, settle=settle)
        return replace(made, remark=_remark(f, made, bound)) if made.violated else made

    return _either_unit(f, "mi", law)


@invariant(
    id="info.dpi",
    formula="X -> Y -> T, or Y -> X -> T: I(T;Y) <= min(I(X;T), I(X;Y))",
    needs={"i_xt": "nat|bit?", "i_ty": "nat|bit?"},
    optional={"i_xy": "nat|bit?", "layer": "count"},
    assumes=("T is computed from X alone",),
    estimates=False,
    violation=Subtype.IMPOSSIBLE,
    reference="Cover and Thomas, Elements of Information Theory, 2nd edition (2006), theorem 2.8.1",
    known=(
        Example({"i_xt": "1.9", "i_ty": "2.2"}, "refuted/impossible", {"margin": -0.3, "margin_rounded": -0.2}, 1e-9),
        Example(
            {"i_xt": "1.2 ?", "i_ty": "2.2 ?", "layer": "4"}, "refuted/impossible",
            witness="(any unit) layer 4: at most one of the two is right",
        ),
        Example({"i_xt": "2.2", "i_ty": "1.9"}, "undetermined/consistent", {"margin": 0.3}, 1e-9),
        Example({"i_xt": "2.1", "i_ty": "2.2"}, "undetermined/consistent", {"margin_rounded": 0.0}, 1e-9),
        Example({"i_xt": "2.10", "i_ty": "2.2", "i_xy": "2.13"}, "refuted/impossible", {"margin": -0.1}, 1e-9),
        Example({"i_xt": "3.0", "i_ty": "2.2", "i_xy": "2.0"}, "refuted/impossible", {"margin": -0.2}, 1e-9),
        Example({"i_xt": "1.9 ?", "i_ty": "2.2 ?"}, "unchecked", derivation="2.2 bit are 1.525 nat"),
        Example({"i_xt": "1.9 nat", "i_ty": "2.2 bit"}, "unchecked", witness="i_ty in bit, i_xt in nat"),
    ),
)  # fmt: skip
def dpi(f: Fields) -> Check:
    """For a chain Y -> X -> T, I(Y;X,T) = I(Y;X) + I(Y;T|X) = I(Y;T) + I(Y;X|T), and I(Y;T|X) = 0.
    So I(Y;T) <= I(Y;X); the chain read backwards gives I(Y;T) <= I(X;T).
    Where units are missing each value is taken in nat and in bit; the answer stands if no choice saves it.
    A violation shows that one of the values is wrong, not which.
    """
    names = [name for name in ("i_ty", "i_xt", "i_xy") if f.maybe(name) is not None]
    written = {name: unit for name in names if (unit := f.unit(name)) is not None}
    if len(set(written.values())) > 1:
        return unchecked(f"cannot be checked: {', '.join(f'{n} in {u}' for n, u in written.items())}")
    known = len(written) == len(names)
    unit = next(iter(written.values()), "nat")
    values = {name: f.values[name] if name in written else _any_unit(f.values[name], unit) for name in names}
    layer = f.maybe("layer")
    remark = "" if known else "(any unit) "
    remark += f"layer {number_text(layer.middle)}: " if layer is not None else ""
    remark += "at most one of the two is right"
    said = {"i_ty": "I(T;Y)", "i_xt": "I(X;T)", "i_xy": "I(X;Y)"}
    made = [
        at_most(values["i_ty"], values[name], (said["i_ty"], said[name]), unit=unit, remark=remark)
        for name in names[1:]
    ]  # fmt: skip
    if known:
        return [c if c.violated else replace(c, remark="") for c in made]
    if not any(c.violated for c in made):
        missing = [name for name in names if name not in written]
        listed = ", ".join(f"{name} (its unit)" for name in missing)
        return unchecked(f"cannot be checked: missing field {listed}", *(f"{name}.unit" for name in missing))
    return [
        replace(c, left=f.values["i_ty"], right=f.values[name], unit="") if not written else c
        for c, name in zip(made, names[1:], strict=True)
        if c.violated
    ]


@invariant(
    id="info.layers",
    formula="I(X;T_l) and I(T_l;Y) do not increase with the depth l",
    needs={},
    optional={"i_xt": "nat|bit?[]", "i_ty": "nat|bit?[]"},
    one_of=(("i_xt", "i_ty"),),
    assumes=("each layer is computed from the one before it, without a skip connection",),
    estimates=False,
    violation=Subtype.IMPOSSIBLE,
    reference="Cover and Thomas, Elements of Information Theory, 2nd edition (2006), theorem 2.8.1",
    known=(
        Example({"i_xt": ["4.1", "3.0", "3.4"]}, "refuted/impossible", {"margin": -0.4}, 1e-9, "I(X;T) at layer 3"),
        Example({"i_xt": ["4.1", "3.0", "2.4"]}, "undetermined/consistent", {"margin": 0.6}, 1e-9),
        Example({"i_xt": ["3.0", "3.1"]}, "undetermined/consistent", {"margin_rounded": 0.0}, 1e-9),
        Example({"i_ty": ["2.2 ?", "2.1 ?", "2.4 ?"]}, "refuted/impossible", witness="(any unit)"),
        Example(
            {"i_ty": ["1.00", "1", "1.20"]}, "refuted/impossible", {"margin": -0.2}, 1e-9,
            derivation="1 may be 1.5, so that only the first and the third contradict each other",
        ),
        Example({"i_xt": ["1.00 kbit", "900 bit", "950 bit"]}, "refuted/impossible", {"margin": -50.0}, 1e-9),
    ),
)  # fmt: skip
def layers(f: Fields) -> Check:
    """X -> T_1 -> ... -> T_L is a chain when each layer sees only the one before it.
    The data-processing inequality then holds for each pair of layers, l < m: I(X;T_m) <= I(X;T_l), and I(T;Y) too.
    Each layer is held against the smallest upper end before it, which need not be that of its neighbour.
    """
    made: list[Comparison] = []
    for name, said in (("i_xt", "I(X;T)"), ("i_ty", "I(T;Y)")):
        values = f.list(name)
        if not values:
            continue
        highs = _reported_highs(f, name)
        if highs is None:
            return unchecked(f"cannot be checked: missing field {name} (its unit)", f"{name}.unit")
        remark = "" if f.unit(name) else "(any unit)"
        lowest = 0
        for layer in range(1, len(values)):
            sides = (f"{said} at layer {layer + 1}", f"{said} at layer {lowest + 1}")
            made.append(at_most(values[layer], values[lowest], sides, unit=f.unit(name) or "", remark=remark))
            lowest = layer if highs[layer] < highs[lowest] else lowest
    return made or unchecked("cannot be checked: one layer has none to be held against")


@invariant(
    id="info.saturation",
    formula="an estimate of I from N samples within ln 2 of ln N is saturated",
    needs={"mi": "nat|bit?", "n": "count"},
    optional={"classes": "count"},
    violation=Subtype.UNDERPOWERED,
    reference="McAllester and Stratos, Formal Limitations on the Measurement of Mutual Information, AISTATS (2020)",
    known=(
        Example(
            {"mi": "9.1", "n": "10000"}, "undetermined/underpowered", {"bound": 9.210340},
            witness="within ln 2 of ln N = 9.21034 nat",
        ),
        Example({"mi": "2.1", "n": "10000"}, "undetermined/consistent", {"bound": 9.210340}),
        Example(
            {"mi": "2.1", "n": "10000", "classes": "10"}, "undetermined/consistent", {"bound": 9.210340},
            witness="ln classes = 2.30259 nat",
        ),
        Example({"mi": "13.1 bit", "n": "10000"}, "undetermined/underpowered", {"bound": 13.287712}),
        Example({"mi": "9.1 ?", "n": "10000"}, "unchecked", derivation="9.1 bit are 6.3 nat"),
        Example({"mi": "13.1 ?", "n": "10000"}, "undetermined/underpowered", witness="(any unit)"),
    ),
)  # fmt: skip
def saturation(f: Fields) -> Check:
    """No distribution-free lower bound on I that holds with high confidence exceeds O(ln N) for N samples.
    A contrastive estimate over N samples is at most ln N; for a density ratio of constant size it is near
    ln N - ln(1 + N exp(-I)), so that within ln 2 of ln N it no longer tells I = ln N from any larger value.
    """
    parts = inside(f, n=AT_LEAST_ONE, classes=AT_LEAST_ONE)
    if isinstance(parts, Direct):
        return parts
    unit = f.unit("mi")
    limit = parts["n"].rising(math.log)
    saturated = [not f.mi.below(in_unit(limit - LN2, u)) for u in ((unit,) if unit else _UNITS)]
    if unit is None and len(set(saturated)) > 1:
        return unchecked("cannot be checked: missing field mi (its unit)", "mi.unit")
    shown = in_unit(limit, unit or "bit")
    bounds = f"ln N = {number_text(shown.middle)} {unit or 'bit'}{'' if unit else ' (any unit)'}"
    classes = parts.get("classes")
    if classes is not None:
        most = in_unit(classes.rising(math.log), unit or "bit")
        bounds += f"; ln classes = {number_text(most.middle)} {unit or 'bit'} bounds I for such a label"
    value = f"I = {number_text(f.mi.middle)}"
    numbers = {"computed": _finite(f.mi.middle), "bound": shown.middle}
    if not all(saturated):
        return undetermined(Subtype.CONSISTENT, f"{value}, {bounds}", None, unit=unit or "bit", **numbers)
    settle = f"more samples than {number_text(parts['n'].middle)}, or an upper bound on I"
    return undetermined(
        Subtype.UNDERPOWERED, f"{value} comes within ln 2 of {bounds}", settle, unit=unit or "bit", **numbers
    )


@invariant(
    id="info.gaussian",
    formula="I = -ln(1 - rho^2) / 2",
    needs={"mi": "nat|bit?", "rho": "1"},
    assumes=("X and Y are jointly normal",),
    estimates=False,
    violation=Subtype.CONTRADICTED,
    reference="Cover and Thomas, Elements of Information Theory, 2nd edition (2006), example 8.5.1",
    known=(
        Example({"mi": "0.8304", "rho": "0.9"}, "supported/recomputed", {"computed": 0.830366}),
        Example({"mi": "1.198 bit", "rho": "-0.900"}, "supported/recomputed", {"computed": 1.197964}),
        Example({"mi": "0.50", "rho": "0.90"}, "refuted/contradicted", {"computed": 0.830366}),
        Example(
            {"mi": "1.1", "rho": "0.9"}, "undetermined/consistent",
            derivation="rho may be .95, which gives 1.164",
        ),
        Example({"mi": "0.50 ?", "rho": "0.90"}, "refuted/contradicted", witness="(any unit)"),
        Example({"mi": "0.83 ?", "rho": "0.90"}, "unchecked"),
    ),
)  # fmt: skip
def gaussian(f: Fields) -> Check:
    """A normal Y has differential entropy ln(2 pi e s^2) / 2; given X its variance is s^2 (1 - rho^2).
    I = h(Y) - h(Y|X) = -ln(1 - rho^2) / 2 nat, which rises with |rho| and is unbounded at 1.
    """
    parts = inside(f, rho=(-1.0, 1.0))
    if isinstance(parts, Direct):
        return parts
    rho = parts["rho"]
    ends = (abs(rho.low), abs(rho.high))
    size = Range(0.0 if 0.0 in rho else min(ends), max(ends))

    def law(unit: str) -> Comparison:
        expected = in_unit(size.rising(_normal_information), unit)
        return equal(f.mi, expected, ("I", "-ln(1 - rho^2) / 2"), unit=unit)

    return _either_unit(f, "mi", law)
