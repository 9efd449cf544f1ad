from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.stats.binomial_interval import ends
from tollens.stats.relative import relative_difference

arm = st.integers(2, 500).flatmap(lambda n: st.tuples(st.integers(1, n - 1), st.just(n)))


@settings(max_examples=60, deadline=None)
@given(arm, arm)
def test_variance_is_that_of_the_ratio_from_the_log(a: tuple[int, int], b: tuple[int, int]) -> None:
    """se(ratio) = ratio x se(ln ratio), and var(ln p) = (1 - p)/(n p)."""
    found = relative_difference(a, b)
    log_variance = sum((1.0 - k / n) / k for k, n in (a, b))
    assert found.estimate is not None
    assert found.se == pytest.approx((found.estimate + 1.0) * math.sqrt(log_variance), rel=1e-9)
    low, high = ends(found)
    assert (low + high) / 2.0 == pytest.approx(found.estimate, abs=1e-9)
    assert found.p is not None
    assert 0.0 <= found.p <= 1.0
    if found.p > 1e-12:
        assert (low <= 0.0 <= high) == (found.p >= 0.05)
    sides = [relative_difference(a, b, alternative=s).p for s in ("greater", "less")]
    assert sum(p for p in sides if p is not None) == pytest.approx(1.0)


def test_it_narrows_with_n() -> None:
    widths = [ends(relative_difference((49 * m, 100 * m), (51 * m, 100 * m))) for m in (1, 4, 16)]
    spread = [high - low for low, high in widths]
    assert spread[0] == pytest.approx(2.0 * spread[1])
    assert spread[1] == pytest.approx(2.0 * spread[2])


@pytest.mark.parametrize(
    ("a", "b", "code"),
    [
        ((0, 10), (3, 10), "stats_input"),
        ((11, 10), (3, 10), "stats_input"),
        ((3, 10), (-1, 10), "stats_input"),
        ((3, 0), (0, 10), "stats_input"),
        ((10, 10), (10, 10), "stats_no_scale"),
        ((10, 10), (0, 10), "stats_no_scale"),
    ],
)
def test_refusals(a: tuple[int, int], b: tuple[int, int], code: str) -> None:
    with pytest.raises(TollensError) as caught:
        relative_difference(a, b)
    assert caught.value.code == code


def test_level_and_alternative_are_checked() -> None:
    for options in ({"alpha": 0.0}, {"alternative": "up"}):
        with pytest.raises(TollensError):
            relative_difference((3, 10), (4, 10), **options)  # type: ignore[arg-type]
