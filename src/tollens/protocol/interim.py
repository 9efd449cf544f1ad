"""What a sealed stopping rule says about the cells read so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec
import numpy as np

from tollens.protocol.betting import log_capitals
from tollens.protocol.boundary import normal_score, student_boundary
from tollens.protocol.stopping import Stopping, Support, expected_shortfall, level_of, looks_of, loss_of, schedule
from tollens.stats.domain import refuse, sample, whole
from tollens.stats.evalue import capped_exp
from tollens.stats.gaussian import Gaussian, posterior
from tollens.stats.schedule import admit

Side: TypeAlias = Literal["for", "against"]
_Step: TypeAlias = tuple[int, float | None, float, bool, float]
"""Cells, statistic, boundary, whether it is crossed, and a number of the sign of mean - value, as the evidence is."""


class Interim(msgspec.Struct, frozen=True):
    """What the rule says.

    stop       a boundary is crossed, or every cell is read
    crossed    for or against the claim; None where no boundary is, and always under fixed_n
    cells      at how many cells that was so first
    statistic  |z|, e-value or expected loss; None under fixed_n and where equal cells leave no spread
    """

    stop: bool
    crossed: Side | None
    cells: int
    statistic: float | None
    boundary: float | None
    sentence: str


def interim(
    stopping: Stopping, values: Sequence[float], value: float, relation: str, support: Support | None, total: int
) -> Interim:
    """The rule on the `values` (n,) of the cells read so far, in the sealed order, for `mean relation value`.

    The first boundary that was crossed counts, so that the answer does not depend on how often it was asked for.

    group_sequential  |z| of Student's t at each planned look against the Lan-DeMets boundary, raised for t
    e_value           betting e-value of either side (Waudby-Smith & Ramdas 2024) against 2/level, half of it a side
    expected_loss     the smaller of E(value - mean)+ and E(mean - value)+ under the posterior

    Raises: TollensError `stats_peeking` at a look that was not planned; `stats_input` for values that cannot be
    used; `stats_assumption_violated` for a value outside the support of an e-value; what `check` raises.
    """
    if relation not in ("<", "<=", ">", ">=", "within"):
        refuse("the relation", "< <= > >= or within", relation)
    x, total = sample("the values", values), whole("the number of cells", total, 1)
    n = whole("the number of values", x.size, 1, total)
    admit(schedule(stopping, total), n)
    if stopping.rule == "fixed_n":
        return Interim(True, None, n, None, None, f"fixed_n: all {n:,} cells are read; finding and kill decide")
    if relation == "within":
        refuse("the relation", f"< <= > or >= under {stopping.rule}", relation)
    steps = {"group_sequential": _looks, "e_value": _bets, "expected_loss": _losses}[stopping.rule]
    found = steps(stopping, x, value, support)
    cells, statistic, bound, crossed, sign = next((step for step in found if step[3]), found[-1])
    agrees = sign > 0.0 if relation in (">", ">=") else sign < 0.0  # what lies exactly at the value is no support
    side: Side | None = ("for" if agrees else "against") if crossed else None
    return Interim(
        crossed or n == total,
        side,
        cells,
        statistic,
        bound,
        _sentence(stopping, (cells, total), statistic, bound, side),
    )


def _looks(stopping: Stopping, x: np.ndarray, value: float, support: Support | None) -> list[_Step]:
    found: list[_Step] = []
    bounds = student_boundary(looks_of(stopping), level_of(stopping), str(stopping.spending))
    for n, bound in zip(looks_of(stopping), bounds, strict=True):
        if n <= x.size:
            z = _z(x[:n], value)
            found.append((n, None if z is None else abs(z), bound, z is not None and abs(z) >= bound, z or 0.0))
    return found


def _z(x: np.ndarray, value: float) -> float | None:
    """The normal quantile of the p-value of Student's t; None where equal values leave no spread."""
    spread = float(x.std(ddof=1))
    if float(np.ptp(x)) == 0.0 or spread == 0.0:  # the mean of equal values may round
        return None
    t = (float(x.mean()) - value) * math.sqrt(x.size) / spread
    return math.copysign(float(normal_score(np.array(t), x.size - 1)), t)


def _bets(stopping: Stopping, x: np.ndarray, value: float, support: Support | None) -> list[_Step]:
    if support is None:
        refuse("the support", "[low, high], both finite", support)
    above, below = log_capitals(x, value, support)
    most = 2.0 / level_of(stopping)
    larger = np.maximum(above, below)
    return [
        (n + 1, capped_exp(float(log_e)), most, bool(log_e >= math.log(most)), float(above[n] - below[n]))
        for n, log_e in enumerate(larger)
    ]


def _losses(stopping: Stopping, x: np.ndarray, value: float, support: Support | None) -> list[_Step]:
    mean, prior_sd, sd, loss = loss_of(stopping)
    found: list[_Step] = []
    for n, total in enumerate(np.cumsum(x), start=1):
        law = posterior(Gaussian(mean, prior_sd), float(total) / n, sd, n)
        wrong = expected_shortfall(law, value)
        found.append((n, wrong, loss, wrong <= loss, law.mean - value))
        if wrong <= loss:
            break
    return found


def _sentence(
    stopping: Stopping, cells: tuple[int, int], statistic: float | None, bound: float, side: Side | None
) -> str:
    done, total = cells
    head = f"{stopping.rule}, {done:,} of {total:,} cells: "
    if statistic is None:
        return head + "the cells are equal, so that there is no spread to test with"
    name = {"group_sequential": "|z|", "e_value": "e", "expected_loss": "expected loss"}[stopping.rule]
    shown = f"{name} = {statistic:.4g}, boundary {bound:.4g}; "
    if side is not None:
        return f"{head}{shown}stopped {side} the claim"
    return head + shown + ("no boundary was crossed" if done == total else "not crossed, go on")
