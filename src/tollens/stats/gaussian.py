"""A Gaussian prior, n Gaussian observations, and what n more would be worth before they are made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy.special import ndtr, ndtri

from tollens.core.errors import TollensError
from tollens.core.reading import Interval
from tollens.stats.domain import LARGEST, between, positive, refuse, whole
from tollens.stats.registry import Known, statistic
from tollens.stats.result import Result

COHERENCE = (
    "calibrated under its prior, does not control the type-I error; that a posterior stays coherent when one stops at "
    "will is no guarantee of an error rate"
)


@dataclass(frozen=True, slots=True)
class Gaussian:
    """A Gaussian law. Raises TollensError `stats_input` unless |mean| < 1e100 and 1e-50 <= sd <= 1e50."""

    mean: float
    sd: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", between("the mean", self.mean, -LARGEST, LARGEST))
        object.__setattr__(self, "sd", positive("the standard deviation", self.sd))

    def below(self, x: float) -> float:
        return float(ndtr((x - self.mean) / self.sd))

    def interval(self, level: float) -> Interval:
        """The central interval: at 95 % never narrower than 1.96 standard deviations on each side."""
        half = self.sd * float(ndtri(0.5 + 0.5 * between("the level", level, 0.0, 1.0)))
        return Interval(self.mean - half, self.mean + half, level, "central posterior")


_PRIOR = Gaussian(-0.1, 0.2)


@statistic(
    guarantee="calibrated under its prior, does not control the type-I error",
    references=("Gelman et al. 2013, Bayesian Data Analysis, section 2.5",),
    known=(
        Known(
            "prior N(-.1, .2^2), 28 at -.12, sd .08: mean",
            lambda f: _update(f).mean,
            -0.119886,
            "4375*-.12 + 25*-.1",
            1e-6,
        ),
        Known("its sd", lambda f: _update(f).sd, 0.0150756, "precision 25 + 28/.0064 = 4400", 1e-7),
        Known(
            "its P(below -.05)",
            lambda f: _update(f).below(-0.05),
            0.999998,
            "Phi(.069886*sqrt 4400) = Phi(4.6357)",
            1e-6,
        ),
    ),
)
def posterior(prior: Gaussian, mean: float, sd: float, n: int) -> Gaussian:
    """The posterior of a mean after `n` observations of known standard deviation `sd` with average `mean`.

    Precision 1/tau^2 + n/sd^2; the mean weighs prior and data by precision. Raises: TollensError `stats_input`.
    """
    data = Gaussian(mean, positive("the standard deviation", sd) / math.sqrt(whole("n", n, 1)))
    share = 1.0 / (1.0 + (data.sd / prior.sd) ** 2)
    return Gaussian(prior.mean + share * (data.mean - prior.mean), data.sd * math.sqrt(share))


@statistic(
    guarantee=COHERENCE,
    references=("Gelman et al. 2013, Bayesian Data Analysis, section 2.5",),
    known=(
        Known(
            "prior N(-.1, .2^2), 28 at -.12, sd .08: estimate and standard error",
            lambda f: (lambda x: (x.estimate, x.se))(f(_PRIOR, -0.12, 0.08, 28)),
            (-0.119886, 0.0150756),
            "precision 25 + 28/.0064 = 4400, mean (25*-.1 + 4375*-.12)/4400",
            1e-6,
        ),
        Known(
            "half its 95 % interval",
            lambda f: (lambda x: (x.interval.high - x.interval.low) / 2.0)(f(_PRIOR, -0.12, 0.08, 28)),
            0.0295476,
            "1.959964/sqrt 4400: a standard deviation of .0151 cannot give .010",
            1e-7,
        ),
    ),
)
def gaussian_update(prior: Gaussian, mean: float, sd: float, n: int, level: float = 0.95) -> Result:
    """`posterior` as an answer with its interval at `level`; in the unit of the data. Raises as `posterior` does."""
    law = posterior(prior, mean, sd, n)
    return Result(
        rule=f"Gaussian update of N({prior.mean:g}, {prior.sd:g}^2)",
        guarantee=COHERENCE,
        estimate=law.mean,
        se=law.sd,
        interval=law.interval(level),
        n=n,
        assumptions=("independent Gaussian observations", f"known standard deviation {sd:g}"),
    )


@statistic(
    guarantee="exact, and independent of the outcome",
    references=("Lindley 1956, On a measure of the information provided by an experiment",),
    known=(
        Known(
            "tau .2, sd .08, n 28, nats", lambda f: f(0.2, 0.08, 28), 2.585242, "ln(1 + 28*6.25)/2 = ln(176)/2", 1e-6
        ),
        Known("the same in bits", lambda f: f(0.2, 0.08, 28) / math.log(2.0), 3.729716, "log2(176)/2", 1e-6),
        Known("n tau^2 = sd^2", lambda f: f(1.0, 3.0, 9), 0.34657359, "ln(2)/2", 1e-8),
    ),
)
def expected_information_gain(prior_sd: float, sd: float, n: int) -> float:
    """ln(1 + n tau^2/sd^2)/2 nats: how much `n` observations narrow the prior. Raises: TollensError `stats_input`."""
    tau, sigma = positive("the prior standard deviation", prior_sd), positive("the standard deviation", sd)
    return 0.5 * math.log1p(whole("n", n, 0) * (tau / sigma) ** 2)


@statistic(
    guarantee="calibrated under its prior",
    references=("Raiffa & Schlaifer 1961, preposterior analysis",),
    known=(
        Known(
            "prior N(-.1, .2^2), sd .08, n 28, threshold -.05",
            lambda f: f(_PRIOR, 0.08, 28, -0.05),
            0.401018,
            "future mean N(-.1, .2^2*175/176): Phi(-.05/.199431)",
            1e-6,
        ),
        Known("threshold at the prior mean", lambda f: f(Gaussian(3.0, 2.0), 5.0, 7, 3.0), 0.5, "symmetry", 1e-12),
        Known("no data", lambda f: f(Gaussian(3.0, 2.0), 5.0, 0, 3.1), 0.0, "the mean stays where it is", 1e-12),
    ),
)
def crossing_probability(prior: Gaussian, sd: float, n: int, threshold: float) -> float:
    """P(the posterior mean after `n` observations lies on the other side of `threshold` than the prior mean).

    The future posterior mean is N(prior mean, tau^4/(tau^2 + sd^2/n)). Raises: TollensError `stats_input`.
    """
    distance = abs(between("the threshold", threshold, -LARGEST, LARGEST) - prior.mean)
    spread = _future_sd(prior, sd, n)
    return float(ndtr(-distance / spread)) if spread > 0.0 else 0.0


@dataclass(frozen=True, slots=True)
class Worth:
    """What an experiment is worth before it is made.

    nats       expected information gain
    crossing   probability that it moves the posterior mean over the threshold
    gain       expected gain of deciding by the posterior rather than the prior mean, in the unit of the effect
    cost       in the same unit
    run        gain > cost
    """

    nats: float
    crossing: float
    gain: float
    cost: float

    @property
    def run(self) -> bool:
        return self.gain > self.cost


@statistic(
    guarantee="calibrated under its prior",
    references=("Raiffa & Schlaifer 1961, expected value of sample information", "Lindley 1956"),
    known=(
        Known(
            "threshold at the prior mean",
            lambda f: f(Gaussian(0.0, 2.0), 2.0, 1, threshold=0.0, cost=0.5).gain,
            0.56418958,
            "the future mean has sd sqrt 2; E max(0, m) = sqrt(2)*phi(0) = 1/sqrt(pi)",
            1e-8,
        ),
        Known(
            "and worth a cost of .5, not of .6",
            lambda f: [f(Gaussian(0.0, 2.0), 2.0, 1, threshold=0.0, cost=c).run for c in (0.5, 0.6)],
            (True, False),
            "1/sqrt(pi) = .564",
        ),
    ),
)
def worth_running(
    prior: Gaussian, sd: float, n: int, *, threshold: float | None = None, cost: float | None = None
) -> Worth:
    """Whether `n` observations with standard deviation `sd` pay for themselves.

    The decision gains effect - threshold where it acts and 0 where it does not, and acts on the sign of the mean;
    `cost` is in the unit of the effect. The information gain alone recommends nothing: a large one that cannot
    move the mean over the threshold changes no decision.

    Raises: TollensError `stats_unnamed` without cost or threshold, `stats_input` for a negative cost.
    """
    if threshold is None or cost is None:
        missing = " and ".join(name for name, value in (("threshold", threshold), ("cost", cost)) if value is None)
        raise TollensError(
            "stats_unnamed",
            "a recommendation to run",
            expected="a decision threshold and a cost in the unit of the effect",
            found=f"no {missing}",
            fix="State both; the information gain alone cannot recommend.",
        )
    if not 0.0 <= cost < math.inf:
        refuse("the cost", "a finite number, at least 0", cost)
    crossing = crossing_probability(prior, sd, n, threshold)
    spread = _future_sd(prior, sd, n)
    gain = 0.0
    if spread > 0.0:
        z = abs(threshold - prior.mean) / spread
        gain = spread * max(0.0, math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) - z * float(ndtr(-z)))
    return Worth(expected_information_gain(prior.sd, sd, n), crossing, gain, cost)


def _future_sd(prior: Gaussian, sd: float, n: int) -> float:
    sigma, units = positive("the standard deviation", sd), whole("n", n, 0)
    return prior.sd / math.sqrt(1.0 + (sigma / prior.sd) ** 2 / units) if units else 0.0


def _update(f: Callable[..., Gaussian]) -> Gaussian:
    return f(_PRIOR, -0.12, 0.08, 28)
