"""`tollens stats ab`: a sequential Bayesian A/B decision, with its operating characteristics before the data."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import TollensError
from tollens.core.seeding import generator
from tollens.stats.beta_bernoulli import Beta
from tollens.stats.domain import between, whole
from tollens.stats.expected_loss import Action, ExpectedLossRule, at_look, characteristics_beside, tie_bound
from tollens.stats.operating_characteristics import OperatingCharacteristics, OperatingRow, Simulation, Truth
from tollens.stats.result import ANY_TIME
from tollens.stats.two_sample_paths import parallel_e
from tollens.stats.two_sample_sequence import SCALE, blocks_between, two_sample_log_e
from tollens.subject.table import Table, read_table

LARGEST_EXPONENT = 700.0
MOST_LOOKS, MOST_RUNS, LONGEST_BLOCK = 10_000, 100_000, 20_000  # what a simulation of minutes can hold


class AbQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """The rule, stated before the data are opened.

    `rate` is what the control is expected to have, `better` what would be worth finding: 0 < rate < better < 1.
    A look is taken after every `every` units in each arm, up to `cap`; nothing is shipped before `minimum`.
    `third` is what is done at the last look. `alpha` is the level of the e-value rule beside it, `runs` and `seed`
    are those of the simulation. `arm` and `outcome` name columns, `control` the label of A.
    """

    rate: float
    better: float
    epsilon: float = 0.001
    every: int = 50
    cap: int = 5000
    minimum: int = 0
    prior: tuple[float, float] = (1.0, 1.0)
    third: Literal["keep control", "inconclusive"] = "inconclusive"
    alpha: float = 0.05
    runs: int = 1000
    seed: int = 0
    arm: str = "arm"
    outcome: str = "outcome"
    control: str = "A"


class Row(msgspec.Struct, frozen=True):
    """What a rule does under one truth; shares of simulated runs. Users are both arms together."""

    rate_a: float
    rate_b: float
    ships_a: float
    ships_b: float
    third: float
    mean_users: float
    median_users: float


class Characteristics(msgspec.Struct, frozen=True):
    """The rows of one rule, with what it promises."""

    rule: str
    guarantee: str
    rows: list[Row]


class LookRow(msgspec.Struct, frozen=True):
    """One look: units an arm, successes of both, expected losses in rate units, P(B > A), e-value against equality."""

    n: int
    a: int
    b: int
    loss_a: float
    loss_b: float
    b_better: float
    e: float


class AbReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens stats ab --json` prints.

    `decision` is that of the expected-loss rule at its first stopping look, `decision_e` that of the e-value
    rule; the looks end where both have stopped, or with the data. `unused` counts observations after that or
    without a partner in the other arm. `tie_n` is about the n an arm by which equal arms have stopped.
    """

    schema: str = "tollens.stats.ab/1"
    decision: str
    headline: str
    question: AbQuestion
    characteristics: list[Characteristics]
    tie_n: float
    path: str
    digest: str
    labels: tuple[str, str]
    looks: list[LookRow]
    stopped_at: int | None
    decision_e: str
    stopped_at_e: int | None
    posterior_a: tuple[float, float]
    posterior_b: tuple[float, float]
    estimate: float
    se: float
    guarantee: str
    assumptions: list[str]
    unused: int


Told = Callable[[list[Characteristics]], None]


def ab(path: str | os.PathLike[str], question: AbQuestion, *, told: Told | None = None) -> AbReport:
    """Simulate the rule, then open the data and follow it look by look.

    `told` receives the operating characteristics before the file is opened. Raises: TollensError for a rule
    that cannot be simulated or data that cannot be read.
    """
    rule = _rule(question)
    truths = (Truth(question.rate, question.rate), Truth(question.rate, question.better))
    simulation = Simulation(rule.looks, truths, question.runs)
    found = characteristics_beside(rule, parallel_e, question.alpha, simulation, generator(question.seed, "ab"))
    shown = [
        Characteristics(one.rule, promise, [_row(row) for row in one.rows])
        for one, promise in zip(
            found, ("calibrated under its prior, does not control the type-I error", ANY_TIME), strict=True
        )
    ]
    if told is not None:
        told(shown)
    table = read_table(os.fspath(path))
    return _followed(table, question, rule, found[0], shown)


def _rule(q: AbQuestion) -> ExpectedLossRule:
    between("the rate", q.rate, 0.0, 1.0)
    between("the better rate", q.better, q.rate, 1.0)
    between("alpha", q.alpha, 0.0, 1.0)
    whole("runs", q.runs, 1, MOST_RUNS)
    whole("units between two looks", q.every, 1, LONGEST_BLOCK)
    whole("the cap, units in each arm", q.cap, q.every, q.every * MOST_LOOKS)
    looks = tuple(range(q.every, q.cap + 1, q.every))
    return ExpectedLossRule(q.epsilon, looks, Beta(*q.prior), q.minimum, Action(q.third))


def _row(row: OperatingRow) -> Row:
    truth = row.truth
    return Row(truth.a, truth.b, row.ships_a, row.ships_b, row.third, row.mean_users, row.median_users)


def _followed(
    table: Table, q: AbQuestion, rule: ExpectedLossRule, characteristics: OperatingCharacteristics,
    shown: list[Characteristics],
) -> AbReport:  # fmt: skip
    a, b, labels = _arms(table, q)
    reached = [n for n in rule.looks if n <= min(len(a), len(b))]
    if not reached:
        raise TollensError(
            "stats_too_few_units", table.path, expected=f"{rule.looks[0]} units in each arm, the first look",
            found=f"{len(a)} and {len(b)}", fix="Collect more, or plan earlier looks with --every.",
        )  # fmt: skip
    log_e = two_sample_log_e(blocks_between(a, b, reached), SCALE)
    sums = np.cumsum(a), np.cumsum(b)
    looks: list[LookRow] = []
    stopped = stopped_e = None
    decision, decision_e = Action.CONTINUE, Action.CONTINUE
    result = None
    for n, e in zip(reached, log_e.tolist(), strict=True):
        k_a, k_b = int(sums[0][n - 1]), int(sums[1][n - 1])
        look = at_look(rule, n, (k_a, k_b), characteristics)
        looks.append(LookRow(n, k_a, k_b, look.losses.a, look.losses.b, look.b_better, _exp(e)))
        if stopped is None:
            decision, result = look.action, look.result
            stopped = n if decision is not Action.CONTINUE else None
        if stopped_e is None and e >= -np.log(q.alpha):
            stopped_e, decision_e = n, Action.SHIPPED_B if k_b > k_a else Action.SHIPPED_A
        if stopped is not None and stopped_e is not None:
            break
    if stopped_e is None and looks[-1].n == rule.looks[-1]:
        decision_e = Action(q.third)
    assert result is not None
    assert result.estimate is not None
    assert result.se is not None
    decided = stopped if stopped is not None else looks[-1].n
    at = next(look for look in looks if look.n == decided)
    prior = rule.prior
    return AbReport(
        decision=str(decision),
        headline=f"{decision} at n = {decided:,} an arm; {labels[1]} - {labels[0]} {result.estimate:+.4g}, "
        f"P({labels[1]} better) {at.b_better:.4g}",
        question=q,
        characteristics=shown,
        tie_n=tie_bound(q.rate, q.epsilon),
        path=table.path,
        digest=f"sha256:{table.digest}",
        labels=labels,
        looks=looks,
        stopped_at=stopped,
        decision_e=str(decision_e),
        stopped_at_e=stopped_e,
        posterior_a=(prior.alpha + at.a, prior.beta + decided - at.a),
        posterior_b=(prior.alpha + at.b, prior.beta + decided - at.b),
        estimate=result.estimate,
        se=result.se,
        guarantee=result.guarantee,
        assumptions=list(result.assumptions),
        unused=len(table) - 2 * looks[-1].n,
    )


def _arms(table: Table, q: AbQuestion) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[str, str]]:
    """Outcomes of A and of B in file order, and both labels."""
    arms = np.array(table.labels(q.arm, "--arm"), dtype=object)  # not as wide as the longest label
    outcomes = table.numbers(q.outcome, "--outcome")
    names = sorted(set(arms.tolist()))
    if len(names) != 2 or q.control not in names:
        raise TollensError(
            "table_column", f"{table.path}: column {q.arm}", expected=f"two labels, one of them {q.control!r}",
            found=f"{', '.join(names[:5])}"[:200], fix="Name the control with --control.",
        )  # fmt: skip
    other = next(name for name in names if name != q.control)
    wrong = np.flatnonzero((outcomes != 0.0) & (outcomes != 1.0))
    if wrong.size:
        raise TollensError(
            "table_column", f"{table.path}:{table.lines[int(wrong[0])]}: column {q.outcome}",
            expected="0 or 1", found=f"{outcomes[wrong[0]]:g}", fix="Give one row a unit, with 1 for a success.",
        )  # fmt: skip
    return outcomes[arms == q.control], outcomes[arms == other], (q.control, other)


def _exp(x: float) -> float:
    return float(np.exp(min(x, LARGEST_EXPONENT)))
