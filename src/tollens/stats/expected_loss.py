"""Stopping when the expected loss of shipping an arm is small: the rule, what it promises, and what it does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import TollensError
from tollens.stats.beta_bernoulli import Beta, Losses, expected_losses, loss_table, probability_greater
from tollens.stats.domain import between, refuse, whole
from tollens.stats.operating_characteristics import (
    Counts,
    Decision,
    EqualRatesEvalue,
    OperatingCharacteristics,
    OperatingRow,
    Simulation,
    StoppingRule,
    Truth,
    e_value_rule,
    operating_characteristics,
)
from tollens.stats.registry import Known, statistic
from tollens.stats.result import Result
from tollens.stats.schedule import PlannedLooks, admit

_UNIFORM = Beta(1.0, 1.0)
_FINEST = 1e-12  # rate units; a smaller loss is lost in the rounding of a rate
GUARANTEE = "calibrated under its prior, does not control the type-I error"


class Action(StrEnum):
    """What happens at a look; the word for a stop is shipped, since the rule does not test anything."""

    CONTINUE = "continue"
    SHIPPED_A = "shipped A"
    SHIPPED_B = "shipped B"
    KEEP_CONTROL = "keep control"
    INCONCLUSIVE = "inconclusive"
    UNDECIDED = "undecided at the last look"


@dataclass(frozen=True, slots=True)
class ExpectedLossRule:
    """Stop at a planned look, from `minimum` on, if the smaller expected loss is below `epsilon`; ship that arm.

    Equal losses ship A, the control.

    epsilon     in rate units, 1e-12 < epsilon < 1
    looks       n an arm, strictly increasing; the last is the cap
    prior       of either rate
    minimum     n an arm before which nothing is shipped
    third       what is done at the cap if nothing was shipped: keep control or inconclusive; None leaves it
                open, and then no share of wrong decisions may be called an error

    Raises: TollensError `stats_input`.
    """

    epsilon: float
    looks: tuple[int, ...]
    prior: Beta = _UNIFORM
    minimum: int = 0
    third: Action | None = None

    def __post_init__(self) -> None:
        between("epsilon", self.epsilon, _FINEST, 1.0)
        PlannedLooks(self.looks)
        if whole("the minimum n", self.minimum, 0) > self.looks[-1]:
            refuse("the minimum n", f"at most the last look, {self.looks[-1]}", self.minimum)
        if self.third not in (None, Action.KEEP_CONTROL, Action.INCONCLUSIVE):
            refuse("the third action", "keep control or inconclusive", str(self.third))

    @property
    def name(self) -> str:
        return f"expected loss < {self.epsilon}, prior {_told_prior(self.prior)}, from n = {self.minimum} an arm"

    def decisions(self) -> StoppingRule:
        """The rule over many runs at once, for simulation."""

        def rule(n: int, a: Counts, b: Counts, going: Counts) -> NDArray[np.int8]:
            if n < self.minimum:
                return np.zeros(a.size, dtype=np.int8)
            seen = np.unique(np.concatenate([a, b]))
            table = loss_table(self.prior.alpha + seen, self.prior.beta + (n - seen))
            i, j = np.searchsorted(seen, a), np.searchsorted(seen, b)
            loss_a, loss_b = table[i, j], table[j, i]
            arm = np.where(loss_b < loss_a, Decision.SHIP_B, Decision.SHIP_A)
            return np.where(np.minimum(loss_a, loss_b) < self.epsilon, arm, Decision.CONTINUE).astype(np.int8)

        return rule


@dataclass(frozen=True, slots=True)
class Look:
    """What the rule says at one look, and what that rests on."""

    action: Action
    losses: Losses
    b_better: float
    result: Result


@statistic(
    guarantee="the number of units an arm, in large samples, at which equal posterior means stop the rule",
    references=("Raiffa & Schlaifer 1961, unit normal loss integral at 0",),
    known=(
        Known("p = .1, epsilon .001", lambda f: f(0.1, 0.001), 28_647.89, "0.18 * (0.3989423/0.001)^2", 0.01),
        Known("p = .1, epsilon .005", lambda f: f(0.1, 0.005), 1_145.92, "0.18 * (0.3989423/0.005)^2", 0.01),
    ),
)
def tie_bound(rate: float, epsilon: float) -> float:
    """About the n an arm by which equal arms have stopped: 2p(1 - p)(phi(0)/epsilon)^2.

    With equal posterior means either loss is phi(0) times the standard deviation sqrt(2p(1 - p)/n) of the
    difference, and a difference only makes the smaller loss smaller. `rate` p in (0, 1), `epsilon` in rate
    units. Raises: TollensError `stats_input`.
    """
    p = between("the base rate", rate, 0.0, 1.0)
    return 2.0 * p * (1.0 - p) / (2.0 * math.pi * between("epsilon", epsilon, _FINEST, 1.0) ** 2)


def _beside(f: Callable[..., tuple[OperatingCharacteristics, ...]]) -> list[float]:
    rule = ExpectedLossRule(0.005, (50, 100))
    simulation = Simulation(rule.looks, (Truth(0.0, 0.0), Truth(0.0, 1.0)), 3)
    evalue: EqualRatesEvalue = lambda n, a, b, going: (b - a).astype(np.float64)  # noqa: E731
    own, other = f(rule, lambda runs: evalue, 0.01, simulation, np.random.Generator(np.random.Philox(1)))
    return [x for row in (*own.rows, *other.rows) for x in (row.ships_a, row.ships_b, row.mean_users)]


@statistic(
    guarantee="Monte Carlo shares; their standard error is at most 1/(2 sqrt(runs))",
    references=("Robinson 2015, Is Bayesian A/B testing immune to peeking?",),
    known=(
        Known(
            "rates 0 and 0, 0 and 1; looks at 50 and 100",
            _beside,
            (1, 0, 200, 0, 1, 100, 0, 0, 200, 0, 1, 200),
            "no successes leave Beta(1, m), m = n + 1, with loss m/((m + 1)(2m + 1)): .0095 at 50, .0049 at 100, a tie "
            "that ships A; 100 successes more are the e-value 100 = 1/alpha at the second look",
            0.0,
        ),
    ),
)
def characteristics_beside(
    rule: ExpectedLossRule,
    e_values: Callable[[int], EqualRatesEvalue],
    alpha: float,
    simulation: Simulation,
    rng: np.random.Generator,
) -> tuple[OperatingCharacteristics, OperatingCharacteristics]:
    """The rule and, next to it, the e-value rule of level `alpha` at the same looks and truths.

    `e_values(runs)` starts the e-values of so many runs.

    Raises: TollensError `stats_peeking` where the simulation has other looks than the rule.
    """
    if simulation.looks != rule.looks:
        raise TollensError(
            "stats_peeking",
            rule.name,
            expected=f"the {len(rule.looks)} looks of the rule",
            found=f"{len(simulation.looks)} other looks in the simulation",
            fix="Simulate the schedule that will be followed.",
        )
    beside = f"e-value >= 1/{alpha:g}"
    return (
        operating_characteristics(rule.name, lambda runs: rule.decisions(), simulation, rng),
        operating_characteristics(beside, lambda runs: e_value_rule(e_values(runs), alpha), simulation, rng),
    )


def _one_error(f: Callable[[ExpectedLossRule, OperatingRow], float]) -> float:
    rule = ExpectedLossRule(0.001, (100,), third=Action.INCONCLUSIVE)
    return f(rule, OperatingRow(Truth(0.1, 0.1), 0.25, 0.5, 0.25, 200.0, 200.0))


@statistic(
    guarantee="a share of simulated runs",
    references=("Robinson 2015, Is Bayesian A/B testing immune to peeking?",),
    known=(Known("equal arms, a quarter undecided", _one_error, 0.75, "either shipment is wrong", 0.0),),
)
def error_rate(rule: ExpectedLossRule, row: OperatingRow) -> float:
    """P(ships the wrong arm) under the name of an error, which a rule without a third action cannot carry.

    With equal arms this is the type-I error. Raises: TollensError `stats_unnamed` without a third action.
    """
    if rule.third is None:
        raise TollensError(
            "stats_unnamed",
            rule.name,
            expected="a third action, keep control or inconclusive",
            found="a rule that can only ship A or B",
            fix="State the third action, or speak of the share of wrong shipments.",
        )
    return row.wrong


@statistic(
    guarantee=GUARANTEE,
    references=(
        "Stucchio 2015, Bayesian A/B testing at VWO",
        "Robinson 2015, Is Bayesian A/B testing immune to peeking?",
    ),
    known=(
        Known(
            "100 of 1000 v 120 of 1000, epsilon .001",
            lambda f: (lambda look: (look.losses.b, look.b_better))(_told(f, (100, 120))),
            (0.00048461, 0.9231834),
            "the loss of B and P(B > A) of Beta(101,901) v Beta(121,881)",
            1e-7,
        ),
        Known(
            "it ships B",
            lambda f: str(_told(f, (100, 120)).action),
            "shipped B",
            "the loss of B, .00048, is below .001",
        ),
        Known(
            "100 of 1000 v 110 of 1000, epsilon .001",
            lambda f: str(_told(f, (100, 110)).action),
            "continue",
            "posterior difference .01 with sd .0137: loss .0137*(phi(.73) - .73*Phi(-.73)) = .0019 is above .001",
        ),
    ),
)
def at_look(
    rule: ExpectedLossRule, n: int, successes: tuple[int, int], characteristics: OperatingCharacteristics
) -> Look:
    """What the rule says after `n` units an arm with `successes` of A and of B.

    The estimate is the posterior mean of B - A in rate units; where nothing is shipped, `n_to_settle` is the number
    of users, both arms together, by which the rule stops even with equal arms (`tie_bound`). `characteristics`
    are those simulated for this rule, the row with equal arms among them: without them nobody would know what a
    shipment means.

    Raises: TollensError `stats_uncalibrated` without the A/A row or with characteristics of another rule,
    `stats_peeking` at a look that was not planned, `stats_input` for counts outside 0 to n.
    """
    if characteristics.rule != rule.name or characteristics.looks != rule.looks or not characteristics.equal_arms:
        raise TollensError(
            "stats_uncalibrated",
            rule.name,
            expected="operating characteristics of this rule and schedule, with a row of equal arms (A/A)",
            found=f"those of '{characteristics.rule}' with {len(characteristics.equal_arms)} A/A rows",
            fix="Simulate the rule before the data are opened.",
        )
    admit(PlannedLooks(rule.looks), n)
    a, b = (rule.prior.updated(k, n) for k in successes)
    losses = expected_losses(a, b)
    action = _action(rule, n, losses)
    equal = characteristics.equal_arms[0]
    undecided = action not in (Action.SHIPPED_A, Action.SHIPPED_B)
    return Look(
        action,
        losses,
        probability_greater(a, b),
        Result(
            rule=f"{rule.name}: {action}",
            guarantee=f"{GUARANTEE}; equal arms: ships A in {equal.ships_a:.1%}, B in {equal.ships_b:.1%} of runs",
            estimate=b.mean - a.mean,
            se=math.sqrt(_variance(a) + _variance(b)),
            n=2 * n,
            n_to_settle=2 * math.ceil(tie_bound(0.5 * (a.mean + b.mean), rule.epsilon)) if undecided else None,
            assumptions=(
                "independent units",
                "constant rates",
                f"prior {_told_prior(rule.prior)} of either rate",
            ),
        ),
    )


def _action(rule: ExpectedLossRule, n: int, losses: Losses) -> Action:
    if n >= rule.minimum and min(losses.a, losses.b) < rule.epsilon:
        return Action.SHIPPED_B if losses.b < losses.a else Action.SHIPPED_A
    if n < rule.looks[-1]:
        return Action.CONTINUE
    return rule.third or Action.UNDECIDED


def _told_prior(prior: Beta) -> str:
    return f"Beta({prior.alpha}, {prior.beta})"


def _variance(law: Beta) -> float:
    return law.mean * (1.0 - law.mean) / (law.alpha + law.beta + 1.0)


def _told(f: Callable[..., Look], successes: tuple[int, int]) -> Look:
    rule = ExpectedLossRule(0.001, (1000, 2000))
    row = OperatingRow(Truth(0.1, 0.1), 0.5, 0.5, 0.0, 2000.0, 2000.0)
    return f(rule, 1000, successes, OperatingCharacteristics(rule.name, rule.looks, 1, (row,)))
