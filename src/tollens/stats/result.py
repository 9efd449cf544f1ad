"""What a test, an interval or a posterior answers, and how a refusal becomes an answer."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from tollens.core.errors import TollensError
from tollens.core.reading import Interval

ANY_TIME = "valid at any stopping time"


def at_n(n: int) -> str:
    """The guarantee of a method for a fixed sample size."""
    return f"valid only at n = {n:,}"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One statistical answer. What does not apply is None; nothing is ever NaN.

    `p` is a p-value, `e` an e-value, `bf10` a Bayes factor against the null. `n` counts independent units,
    `n_eff` those that remain after clustering. `guarantee` says in words what is promised and when. A refused
    result has a `reason` and no number.
    """

    rule: str
    guarantee: str
    estimate: float | None = None
    unit: str = "1"
    se: float | None = None
    interval: Interval | None = None
    p: float | None = None
    e: float | None = None
    bf10: float | None = None
    n: int | None = None
    n_eff: float | None = None
    assumptions: tuple[str, ...] = ()
    n_to_settle: int | None = None
    refused: bool = False
    reason: str | None = None

    def __post_init__(self) -> None:
        numbers = (self.estimate, self.se, self.p, self.e, self.bf10, self.n_eff)
        if any(x is not None and not math.isfinite(x) for x in numbers):
            raise ValueError(f"{self.rule}: a result is finite; found {numbers}")
        if self.refused != (self.reason is not None) or (self.refused and any(x is not None for x in numbers)):
            raise ValueError(f"{self.rule}: a refused result has a reason and no number")


def answered(rule: str, ask: Callable[[], Result]) -> Result:
    """What `ask()` returns, or its refusal as a result: for a caller that lists many answers side by side."""
    try:
        return ask()
    except TollensError as error:
        return Result(rule=rule, guarantee="none: refused", refused=True, reason=str(error))
