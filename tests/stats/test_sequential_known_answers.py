"""What the sequential methods must reproduce, replayed as a self-test does."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tollens.stats import bernoulli_sequence, crossing, evalue, group_sequential, mixture_sequence, spending, sprt
from tollens.stats import two_sample_sequence as two_sample
from tollens.stats.registry import STATISTICS, Known, Statistic

MODULES = (bernoulli_sequence, crossing, evalue, group_sequential, mixture_sequence, spending, sprt, two_sample)
HERE = [s for s in STATISTICS.values() if s.function.__module__ in {m.__name__ for m in MODULES}]
CASES = [(s, k) for s in HERE for k in s.known]


def holds(statistic: Statistic, known: Known) -> bool:
    found = known.ask(statistic.function)
    if isinstance(known.expected, str):
        return bool(found == known.expected)
    numbers = (np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (found, known.expected))
    return bool(np.allclose(*numbers, rtol=0.0, atol=known.tolerance))


@pytest.mark.parametrize(("statistic", "known"), CASES, ids=[f"{s.name}: {k.title}" for s, k in CASES])
def test_a_known_answer_is_reproduced(statistic: Statistic, known: Known) -> None:
    assert holds(statistic, known)


def test_all_of_them_take_less_than_a_second() -> None:
    assert len(CASES) >= 45
    start = time.perf_counter()
    for statistic, known in CASES:
        known.ask(statistic.function)
    assert time.perf_counter() - start < 1.0


def test_another_answer_would_be_noticed() -> None:
    statistic, known = next((s, k) for s, k in CASES if s.name == "exact_rho")
    assert not holds(statistic, Known(known.title, lambda f: f(100.0, 0.051), known.expected, "-", known.tolerance))
