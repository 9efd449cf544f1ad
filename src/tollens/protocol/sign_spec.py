"""What the sign-check of a metric is asked: the quantity, its direction, and the sizes that matter."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from tollens.core.errors import Exit, TollensError

Direction = Literal["higher_is_better", "lower_is_better", "target"]

FEWEST_SEEDS = 20
FEWEST_POINTS = 32


class SignSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The question put to a metric before a claim on it is sealed.

    `quantity` is the key of the metric's answer, in the unit of the claim; `margin`, `null_value`, `tolerance`
    and `value` are in the same unit. `ideal` must beat `worst` by more than `margin` (>= 0), and `noop` must
    lie within `tolerance` (>= 0) of `null_value`. `value` is the target, given exactly for direction `target`.
    `seeds` >= 20 repetitions of each arm and `points` >= 32 slight improvements are run.

    `attempts` names the inputs of shape (items, attempts, ...). Where it is not empty, the order of attempts
    must not matter, and neither must the order of reduction: with `reducer` "mean", the metric must give one
    value whether attempts come as (items, attempts) or each as an item of its own; with another one of
    `tollens.protocol.reducers`, the metric must be the mean over items of the one input so reduced.
    `labels` gives arms a name to be shown under, such as {"worst": "forgetting"}.

    Raises TollensError `sign_spec`, exit 3, where a field is out of range.
    """

    quantity: str
    direction: Direction
    margin: float
    null_value: float
    tolerance: float
    value: float | None = None
    seeds: int = FEWEST_SEEDS
    points: int = FEWEST_POINTS
    attempts: tuple[str, ...] = ()
    reducer: str = "mean"
    labels: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not self.quantity:
            raise _wrong("quantity", "the name of a value that the metric returns", "nothing")
        for name, size in (("margin", self.margin), ("tolerance", self.tolerance)):
            if not (math.isfinite(size) and size >= 0):
                raise _wrong(name, "a finite number >= 0", str(size))
        if not math.isfinite(self.null_value):
            raise _wrong("null_value", "a finite number", str(self.null_value))
        if self.direction not in ("higher_is_better", "lower_is_better", "target"):
            raise _wrong("direction", "higher_is_better, lower_is_better or target", repr(self.direction))
        if self.direction == "target" and (self.value is None or not math.isfinite(self.value)):
            raise _wrong("value", "the finite target of direction `target`", str(self.value))
        if self.direction != "target" and self.value is not None:
            raise _wrong("value", f"no target for direction `{self.direction}`", str(self.value))
        if self.seeds < FEWEST_SEEDS:
            raise _wrong("seeds", f"at least {FEWEST_SEEDS}", str(self.seeds))
        if self.points < FEWEST_POINTS:
            raise _wrong("points", f"at least {FEWEST_POINTS}", str(self.points))
        if self.reducer != "mean" and len(self.attempts) != 1:
            raise _wrong("attempts", f"the one input that `{self.reducer}` reduces", f"{len(self.attempts)} inputs")

    def gain(self, value: float) -> float:
        """How good `value` is in the declared direction: the larger the better."""
        if self.direction == "target":
            assert self.value is not None
            return -abs(value - self.value)
        return value if self.direction == "higher_is_better" else -value

    def slack(self, *values: float) -> float:
        """The difference that rounding alone explains: 1e-12 of the largest of `values` and the margin."""
        return 1e-12 * max(self.margin, *map(abs, values))

    def label(self, arm: str) -> str:
        return self.labels.get(arm, arm)


def _wrong(field: str, expected: str, found: str) -> TollensError:
    return TollensError(
        "sign_spec",
        f"sign_check.{field}",
        expected=expected,
        found=found,
        fix=f"Correct `{field}`.",
        exit_code=Exit.REFUSED_TO_SEAL,
    )
