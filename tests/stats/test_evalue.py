from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ville.evalues import ebh
from ville.evalues import p_to_e as peer_p_to_e

from tollens.core.errors import TollensError
from tollens.stats.evalue import bayes_factor_bound, capped_exp, e_bh, p_from_e, p_to_e

probabilities = st.floats(1e-12, 1.0)
e_values = st.lists(st.floats(0.0, 1e6), min_size=1, max_size=12)


@given(st.floats(1e-12, 0.9), st.floats(0.05, 0.95))
def test_calibrators_are_those_of_ville(p: float, kappa: float) -> None:
    assert p_to_e(p) == pytest.approx(float(peer_p_to_e(p)), rel=1e-6)
    assert p_to_e(p, kappa) == pytest.approx(float(peer_p_to_e(p, kappa)), rel=1e-9)


@given(probabilities, probabilities)
def test_a_smaller_p_gives_a_larger_e(p: float, q: float) -> None:
    low, high = sorted((p, q))
    assert p_to_e(low) >= p_to_e(high) * (1.0 - 1e-9)
    assert p_to_e(low, 0.3) >= p_to_e(high, 0.3)


def test_the_integrated_calibrator_is_smooth_where_it_changes_form() -> None:
    x = 1e-4
    assert p_to_e(math.exp(-x * 0.9999999)) == pytest.approx(p_to_e(math.exp(-x * 1.0000001)), rel=1e-7)


def test_a_calibrator_integrates_to_at_most_one() -> None:
    """In p = u^4, which takes away the singularity at zero; the Bayes factor bound exceeds 1 by far."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    u, w = (nodes + 1.0) / 2.0, weights / 2.0
    jacobian = w * 4.0 * u**3
    assert sum(jacobian * [p_to_e(float(v), 0.5) for v in u**4]) == pytest.approx(1.0, abs=1e-6)
    assert 0.9 < sum(jacobian * [p_to_e(float(v)) for v in u**4]) <= 1.0
    assert sum(jacobian * [bayes_factor_bound(float(v)).bound for v in u**4]) > 1.5


@given(probabilities, st.floats(0.01, 0.99))
def test_no_calibrator_of_the_family_exceeds_the_bayes_factor_bound(p: float, kappa: float) -> None:
    assert p_to_e(p, kappa) <= bayes_factor_bound(p).bound * (1.0 + 1e-9)


@settings(max_examples=60)
@given(e_values, st.floats(0.01, 0.9))
def test_rejections_are_those_of_ville(e: list[float], alpha: float) -> None:
    if any(abs(k * v * alpha / len(e) - 1.0) < 1e-9 for v in e for k in range(1, len(e) + 1)):
        return  # on the boundary the last digit decides
    peer = set(np.flatnonzero(ebh(e, alpha)).tolist())
    ours = set(e_bh(e, alpha))
    if len(set(e)) == len(e):
        assert ours == peer
    assert sorted(e[i] for i in ours) == sorted(e[i] for i in peer)


@given(e_values, st.floats(0.01, 0.9), st.randoms(use_true_random=False))
def test_the_order_of_the_hypotheses_does_not_matter(e: list[float], alpha: float, random: Any) -> None:
    order = list(range(len(e)))
    random.shuffle(order)
    shuffled = e_bh([e[i] for i in order], alpha)
    assert sorted(e[order[i]] for i in shuffled) == sorted(e[i] for i in e_bh(e, alpha))


@given(e_values, st.floats(0.01, 0.45))
def test_a_stricter_level_rejects_less(e: list[float], alpha: float) -> None:
    assert set(e_bh(e, alpha)) <= set(e_bh(e, 2.0 * alpha))


def test_one_hypothesis_is_rejected_at_one_over_alpha() -> None:
    assert e_bh([20.0], 0.05) == (0,)
    assert e_bh([19.99], 0.05) == ()
    assert e_bh([0.0, 0.0], 0.05) == ()


def test_a_bayes_factor_bound_is_not_an_e_value() -> None:
    with pytest.raises(TollensError, match="p_to_e") as caught:
        e_bh([40.0, bayes_factor_bound(1e-6)], 0.05)
    assert caught.value.code == "stats_input"
    with pytest.raises(TypeError):
        float(bayes_factor_bound(0.01))  # type: ignore[arg-type]


@pytest.mark.parametrize("e", [[], [-0.1], [math.inf], [math.nan, 1.0], [[1.0]]])
def test_what_is_no_e_value_is_refused(e: Any) -> None:
    with pytest.raises(TollensError, match="stats_input"):
        e_bh(e, 0.05)


@pytest.mark.parametrize("p", [0.0, -0.1, 1.1, math.nan, "0.05", None])
def test_what_is_no_p_value_is_refused(p: Any) -> None:
    for ask in (p_to_e, bayes_factor_bound):
        with pytest.raises(TollensError, match="stats_input"):
            ask(p)


@pytest.mark.parametrize("kappa", [0.0, 1.0, -1.0, math.nan])
def test_kappa_lies_inside(kappa: float) -> None:
    with pytest.raises(TollensError, match="kappa"):
        p_to_e(0.05, kappa)


def test_markov_and_the_cap() -> None:
    assert p_from_e(0.0) == p_from_e(1.0) == 1.0
    assert p_from_e(20.0) == 0.05
    assert math.isfinite(capped_exp(1e9))
    assert capped_exp(0.5) == math.exp(0.5)


def test_a_denormal_p_value_does_not_overflow() -> None:
    for calibrate in (p_to_e, bayes_factor_bound):
        with pytest.raises(TollensError) as caught:
            calibrate(1e-310)
        assert caught.value.code == "stats_input"
    assert p_to_e(2.3e-308) > 1e300
