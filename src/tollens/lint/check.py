"""What an invariant returns: a comparison with both of its sides, or an answer that needs none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from tollens.lint.interval import Range


class Outcome(StrEnum):
    """What became of a check, in order of precedence for the claim it belongs to."""

    REFUTED = "refuted"
    UNDETERMINED = "undetermined"
    SUPPORTED = "supported"
    UNCHECKED = "unchecked"


class Subtype(StrEnum):
    """Why: `impossible` holds for all data, `contradicted` for the claim's own inputs."""

    IMPOSSIBLE = "impossible"
    CONTRADICTED = "contradicted"
    CONSISTENT = "consistent"
    UNDERPOWERED = "underpowered"
    NOT_REPRODUCED = "not_reproduced"
    MODEL_BASED = "model_based"
    IDENTITY = "identity"
    RECOMPUTED = "recomputed"


class Relation(StrEnum):
    AT_MOST = "<="
    AT_LEAST = ">="
    EQUAL = "="


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left relation right`, both in `unit`; `names` are how the sides are called in the witness.

    The left side is what was claimed, the right side what bounds or reproduces it. Refuted, as `violation`,
    when no value in the left interval satisfies it with any value in the right. An equality supports, as
    `support`, when what the printed digits give lies in the claimed interval; None never supports. A
    `model` names the assumption without which the relation need not hold: it turns refuted into undetermined.
    """

    relation: Relation
    left: Range
    right: Range
    names: tuple[str, str]
    violation: Subtype
    unit: str = "1"
    support: Subtype | None = None
    model: str | None = None
    remark: str = ""
    settle: str | None = None

    @property
    def violated(self) -> bool:
        if self.relation is Relation.AT_MOST:
            return self.left.above(self.right)
        if self.relation is Relation.AT_LEAST:
            return self.left.below(self.right)
        return not self.left.meets(self.right)

    @property
    def margin(self) -> float | None:
        """Distance to the bound where it is least: negative when violated, None where it is unbounded.

        For an equality minus the gap between the two intervals, 0 where they meet.
        """
        above, below = self.right.high - self.left.low, self.left.high - self.right.low
        if self.relation is Relation.AT_MOST:
            found = above
        elif self.relation is Relation.AT_LEAST:
            found = below
        else:
            found = min(above, below, 0.0)
        return found if math.isfinite(found) else None


@dataclass(frozen=True, slots=True)
class Direct:
    """An outcome that no comparison of two numbers can show."""

    outcome: Outcome
    subtype: Subtype | None
    witness: str
    settle: str | None = None
    computed: float | None = None
    bound: float | None = None
    unit: str = "1"
    missing: tuple[str, ...] = ()


Check: TypeAlias = Comparison | Direct | Sequence[Comparison]


def at_most(
    left: Range, right: Range, names: tuple[str, str], *, unit: str = "1", model: str | None = None,
    remark: str = "", settle: str | None = None,
) -> Comparison:  # fmt: skip
    """An upper bound that holds for all data."""
    return Comparison(Relation.AT_MOST, left, right, names, Subtype.IMPOSSIBLE, unit, None, model, remark, settle)


def at_least(
    left: Range, right: Range, names: tuple[str, str], *, unit: str = "1", model: str | None = None,
    remark: str = "", settle: str | None = None,
) -> Comparison:  # fmt: skip
    """A lower bound that holds for all data."""
    return Comparison(Relation.AT_LEAST, left, right, names, Subtype.IMPOSSIBLE, unit, None, model, remark, settle)


def equal(
    left: Range, right: Range, names: tuple[str, str], *, unit: str = "1",
    support: Subtype | None = Subtype.RECOMPUTED, remark: str = "", settle: str | None = None,
) -> Comparison:  # fmt: skip
    """What the claim's own inputs give must be what it says."""
    return Comparison(Relation.EQUAL, left, right, names, Subtype.CONTRADICTED, unit, support, None, remark, settle)


def undetermined(
    subtype: Subtype, witness: str, settle: str | None, *, computed: float | None = None, bound: float | None = None,
    unit: str = "1",
) -> Direct:  # fmt: skip
    """No contradiction, or evidence too weak; `settle` says what would decide."""
    return Direct(Outcome.UNDETERMINED, subtype, witness, settle, computed, bound, unit)


def unchecked(why: str, *missing: str) -> Direct:
    """The check cannot be made."""
    return Direct(Outcome.UNCHECKED, None, why, missing=missing)


def lacking(*missing: str) -> Direct:
    """The check needs these fields."""
    return unchecked(f"cannot be checked: missing field {', '.join(missing)}", *missing)
