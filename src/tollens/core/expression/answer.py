"""What an evaluation says: the verdict, the smallest thing that shows why, and which absences matter."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from tollens.core.expression.ranges import Bound
from tollens.core.expression.syntax import Op
from tollens.core.units import COUNT, ONE, Unit
from tollens.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Witness:
    """`quantity` at `label` is `value`, to be compared by `relation` with `threshold`.

    `margin` is the signed distance to the threshold, positive where the relation holds; None between names.
    Where undefined entries leave the value open but not the answer, `value` or `threshold` is the bound that
    decides it and `certain` is False. `label` is None where no single layer carries the value.
    """

    label: str | None
    name: str
    quantity: str
    value: Fraction | str
    relation: Op
    threshold: Fraction | str
    margin: Fraction | None
    certain: bool = True
    unit: Unit = ONE


@dataclass(frozen=True, slots=True)
class Missing:
    """An undefined value that could change the answer."""

    label: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """`expected` is the part of the rule that decides, `found` one sentence that names the number."""

    verdict: Verdict
    witness: Witness | None
    expected: str
    found: str
    undetermined: tuple[Missing, ...] = ()
    reason: str | None = None


def as_float(value: Bound) -> float:
    """The nearest double; beyond its range the largest one, so that what is written stays finite."""
    try:
        return max(-sys.float_info.max, min(sys.float_info.max, float(value)))
    except OverflowError:
        return sys.float_info.max if value > 0 else -sys.float_info.max


def shown(value: Fraction | str) -> str:
    """Six significant digits; integers of up to 15 digits in full."""
    if isinstance(value, str):
        return value
    if value.denominator == 1 and abs(value) < 10**15:
        return str(value.numerator)
    return f"{as_float(value):.6g}"


def sentence(witness: Witness) -> str:
    """The witness in words: quantity, value, layer, and the distance to the threshold."""
    where = f" at {witness.label}" if witness.label is not None else ""
    unit = f" {witness.unit}" if witness.unit not in (ONE, COUNT) else ""
    if isinstance(witness.value, str) or isinstance(witness.threshold, str):
        return f"{witness.quantity} is {witness.value}{where}"
    distance = abs(witness.value - witness.threshold)
    side = "below" if witness.value < witness.threshold else "above"
    gap = f"{shown(distance)} {side} {shown(witness.threshold)}" if distance else "exactly the threshold"
    relation = "=" if witness.certain or witness.quantity == witness.name else _bounded(witness)
    value = f"{witness.quantity} {relation} {shown(witness.value)}{unit}{where}, {gap}"
    return value if witness.certain else f"{value}, whatever the undefined values are"


def _bounded(witness: Witness) -> str:
    if witness.relation in (Op.EQ, Op.NE) or witness.margin is None:
        return "comes no nearer than"
    satisfied = witness.margin > 0 or (witness.margin == 0 and witness.relation in (Op.GE, Op.LE))
    return "is at least" if (witness.relation in (Op.GT, Op.GE)) == satisfied else "is at most"


def missing_sentence(missing: Sequence[Missing]) -> str:
    """How many undefined values could change the answer, and the first three of them."""
    first = "; ".join(f"{m.name} at {m.label} ({m.reason})" for m in missing[:3])
    more = f"; and {len(missing) - 3} more" if len(missing) > 3 else ""
    values = "1 undefined value" if len(missing) == 1 else f"{len(missing)} undefined values"
    return f"{values} could change the answer: {first}{more}"
