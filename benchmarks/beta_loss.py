"""The expected losses of two arms, exact, beside the finite sum that gives the same number.

python -m benchmarks.beta_loss [--rounds 200] [--quick]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import gammaln
from threadpoolctl import threadpool_limits

from benchmarks.table import Line, show
from tollens.stats.beta_bernoulli import Beta, expected_losses, probability_greater

A, B = Beta(100_001.0, 900_001.0), Beta(100_101.0, 899_901.0)  # a million trials an arm, flat prior
TARGET = 0.010


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    rounds = 5 if given.quick else given.rounds
    with threadpool_limits(1):
        losses, summed = expected_losses(A, B), loss_by_the_sum(A, B)
        ours = _median(lambda: expected_losses(A, B), rounds)
        lines = [
            Line("expected losses", f"< {TARGET * 1e3:.0f} ms", f"{ours * 1e3:.2f} ms", ours < TARGET),
            Line("P(B > A)", "-", f"{_median(lambda: probability_greater(A, B), rounds) * 1e3:.2f} ms", None),
            Line(
                "one loss by the finite sum, in logarithms",
                "-",
                f"{_median(lambda: loss_by_the_sum(A, B), max(3, rounds // 10)) * 1e3:.1f} ms",
                None,
                f"differs by {abs(summed - losses.a):.1e} from {losses.a:.6e}",
            ),
        ]
    show("beta_loss: a million trials an arm", lines, [f"median of {rounds}, one thread"])


def loss_by_the_sum(a: Beta, b: Beta) -> float:
    """E(B - A)+ by the sum over the whole first parameter; its two terms cancel to their difference."""
    later = b.mean * _chance(b.alpha + 1.0, b.beta, a.alpha, a.beta)
    return later - a.mean * _chance(b.alpha, b.beta, a.alpha + 1.0, a.beta)


def _chance(a: float, b: float, c: float, d: float) -> float:
    """P(X > Y), X ~ Beta(a, b) and Y ~ Beta(c, d), for a whole a."""
    i = np.arange(int(a))
    first = gammaln(c + i) + gammaln(b + d) - gammaln(b + c + d + i) - np.log(b + i)
    second = gammaln(1.0 + i) + gammaln(b) - gammaln(1.0 + b + i) + gammaln(c) + gammaln(d) - gammaln(c + d)
    return float(np.exp(first - second).sum())


def _median(run: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
