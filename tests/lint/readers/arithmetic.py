"""The arithmetic of the laws that draft readings use, written a second time in fractions, apart from the linter."""

from __future__ import annotations

from fractions import Fraction

from tollens.lint.claim import Claim, Quantity
from tollens.lint.unit import parse_unit

Ends = tuple[Fraction, Fraction]
DURATIONS = {"ns", "us", "ms", "s", "min", "h", "d"}


def ends(q: Quantity) -> Ends:
    """What the number can be before it was rounded, in base units; a count is exact."""
    size = parse_unit(q.unit or "1", "").size
    half = Fraction(0) if q.unit == "count" else Fraction(q.number.step) / 2
    value = Fraction(q.number.value)
    return (value - half) * size, (value + half) * size


def quantity(claim: Claim, name: str) -> Quantity:
    found = claim.fields[name]
    assert isinstance(found, Quantity)
    return found


def one(claim: Claim, name: str) -> Ends:
    return ends(quantity(claim, name))


def meets(a: Ends, b: Ends) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def over(a: Ends, b: Ends) -> Ends:
    return (a[0] / b[1], a[1] / b[0]) if b[0] > 0 else (Fraction(-(10**30)), Fraction(10**30))


def contradicted(claim: Claim) -> bool:
    """Whether no numbers that print like these can satisfy the law that the claim names."""
    kind = claim.kinds[0]
    if kind in ("acct.sum", "acct.money"):
        listed = claim.fields["parts" if kind == "acct.sum" else "amounts"]
        assert isinstance(listed, tuple)
        parts = [ends(q) for q in listed if isinstance(q, Quantity)]
        made = sum((p[0] for p in parts), Fraction(0)), sum((p[1] for p in parts), Fraction(0))
        total = one(claim, "total")
        if kind == "acct.sum":  # parts below the total leave a gap, and durations need the name of their statistic
            return total[1] < made[0] and quantity(claim, "total").unit not in DURATIONS
        return not meets(total, made)
    if kind == "acct.elapsed":
        return not meets(one(claim, "fraction"), over(one(claim, "elapsed"), one(claim, "total")))
    if kind == "stat.interval":
        low, estimate, high = (one(claim, name) for name in ("low", "estimate", "high"))
        return estimate[1] < low[0] or estimate[0] > high[1]
    if kind == "stat.grim":
        low, high = one(claim, "percent")
        n = int(quantity(claim, "n").number.value)
        return not any(low <= Fraction(k, n) <= high for k in range(n + 1))
    assert kind == "acct.ratio"
    before, after, said = (one(claim, name) for name in ("before", "after", "improvement"))
    up, down = over(before, after), over(after, before)
    values = [up, down, (up[0] - 1, up[1] - 1), (down[0] - 1, down[1] - 1), (1 - down[1], 1 - down[0])]
    return not any(meets(said, value) for value in values)
