from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from tollens.core.reading import Undefined
from tollens.instrument.trajectory import (
    HeldOut,
    Panels,
    Pieces,
    Trajectory,
    delta_gram,
    deltas,
    fit_line,
    fit_trajectory,
    held_out,
    held_out_fit,
)

STEPS = [100, 250, 300, 700, 1_000]


def panels_of(thetas: Sequence[NDArray[np.floating]], piece: int = 37) -> Panels:
    flat = [theta.reshape(-1) for theta in thetas]

    def panels() -> Iterator[Pieces]:
        for start in range(0, flat[0].size, piece):
            yield [theta[start : start + piece] for theta in flat]

    return panels


def planted(noise: float = 0.0, steps: Sequence[int] = STEPS) -> list[NDArray[np.float64]]:
    """theta_0, and theta_0 + t*d + e*d for the steps t, e = 40: every delta is a multiple of d."""
    rng = np.random.default_rng(5)
    base, d = rng.standard_normal((20, 15)), rng.standard_normal((20, 15)) * 1e-3
    rest = rng.standard_normal((len(steps), 20, 15))
    rest -= (rest.reshape(len(steps), -1) @ d.reshape(-1) / np.sum(d * d))[:, None, None] * d  # orthogonal to d
    return [base, *((base + t * d + 40.0 * d + noise * r) for t, r in zip(steps, rest, strict=True))]


def gram_of(thetas: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    gram = delta_gram(panels_of(thetas))
    assert not isinstance(gram, Undefined)
    return gram


def forecast(thetas: Sequence[NDArray[np.floating]], fit: Trajectory) -> NDArray[np.float64]:
    base, delta = deltas([theta.reshape(-1) for theta in thetas])
    return base + fit.weights @ delta


def share(value: float | Undefined) -> float:
    assert not isinstance(value, Undefined)
    return value


def test_the_gram_matrix_does_not_depend_on_how_the_tensor_is_cut() -> None:
    thetas = planted(0.3)
    delta = np.stack([(theta - thetas[0]).reshape(-1) for theta in thetas[1:]])
    for piece in (1, 37, 10**6):
        found = delta_gram(panels_of(thetas, piece))
        np.testing.assert_allclose(found, delta @ delta.T, rtol=1e-12)


def test_a_straight_path_is_continued_exactly() -> None:
    """delta_t = (t + 40) d: rank one, c_t = (t + 40)|d| up to sign, so theta at 1,600 is theta_0 + 1,640 d."""
    thetas = planted()
    fit = fit_trajectory(gram_of(thetas), STEPS, 1_600)
    d = (thetas[2] - thetas[1]) / 150.0
    assert share(fit.explained_variance) == pytest.approx(1.0, abs=1e-10)
    assert share(fit.r2) == pytest.approx(1.0, abs=1e-10)
    assert fit.exact
    np.testing.assert_allclose(forecast(thetas, fit), (thetas[0] + 1_640.0 * d).reshape(-1), rtol=1e-10)
    length = float(np.linalg.norm(d))
    assert fit.slope == pytest.approx(length, rel=1e-10)
    assert fit.intercept == pytest.approx(140.0 * length, rel=1e-9)  # c at the first step, 100 + 40
    assert fit.origin == 100


def test_the_forecast_for_a_fitted_step_is_that_checkpoint() -> None:
    thetas = planted()
    for step, theta in zip(STEPS, thetas[1:], strict=True):
        np.testing.assert_allclose(
            forecast(thetas, fit_trajectory(gram_of(thetas), STEPS, step)), theta.reshape(-1), rtol=1e-10
        )


def test_the_step_numbers_count_and_not_their_places() -> None:
    """The same checkpoints with places for steps: the line is no longer one."""
    thetas = planted()
    fit = fit_trajectory(gram_of(thetas), [1, 2, 3, 4, 5], 6)
    assert share(fit.explained_variance) == pytest.approx(1.0, abs=1e-10)
    assert share(fit.r2) < 0.99
    assert not fit.exact


@pytest.mark.parametrize("noise", [1e-3, 1e-2, 0.1])
def test_noise_beside_the_path_ends_the_claim_of_exactness(noise: float) -> None:
    """Noise n_t orthogonal to d and (nearly) to the others: G = c c' + noise^2 n I, so the first share is about
    |c|^2/(|c|^2 + T noise^2 n)."""
    thetas = planted(noise)
    gram = gram_of(thetas)
    fit = fit_trajectory(gram, STEPS, 1_600)
    assert not fit.exact
    assert share(fit.explained_variance) < 1.0 - 1e-10
    clean = planted()
    c2 = sum(float(np.sum((theta - clean[0]) ** 2)) for theta in clean[1:])
    expected = (c2 + noise**2 * 300) / (c2 + 5 * noise**2 * 300)
    assert share(fit.explained_variance) == pytest.approx(expected, abs=0.2 * (1.0 - expected) + 1e-9)


@pytest.mark.parametrize(("dtype", "eps"), [(np.float32, 2.0**-24), (ml_dtypes.bfloat16, 2.0**-9)])
def test_narrow_types_are_exact_to_their_rounding(dtype: type, eps: float) -> None:
    """Each of n elements of size w carries an error of at most eps*|w|, so of at most eps*|theta| in all; theta_0's is
    shared by all deltas and the weights' sum multiplies it."""
    thetas = [theta.astype(dtype).astype(np.float64) for theta in planted()]
    fit = fit_trajectory(gram_of(thetas), STEPS, 1_600)
    assert 1.0 > share(fit.explained_variance) > 1.0 - 10.0 * (eps * 300 / 1.0) ** 2
    clean = planted()
    truth = forecast(clean, fit_trajectory(gram_of(clean), STEPS, 1_600))
    bound = 4.0 * eps * max(float(np.linalg.norm(theta)) for theta in clean) * (1.0 + float(np.abs(fit.weights).sum()))
    assert float(np.linalg.norm(forecast(thetas, fit) - truth)) < bound


def test_a_tensor_that_never_moves_is_forecast_unmoved() -> None:
    theta = np.random.default_rng(1).standard_normal((4, 4))
    gram = gram_of([theta] * 5)
    fit = fit_trajectory(gram, [1, 2, 3, 4], 9)
    assert fit.explained_variance == Undefined("no_movement")
    assert fit.r2 == Undefined("no_movement")
    assert not fit.exact
    np.testing.assert_array_equal(forecast([theta] * 5, fit), theta.reshape(-1))
    errors = held_out(np.zeros((4, 16)), held_out_fit(gram, [1, 2, 3, 4]))
    assert errors == HeldOut()
    assert errors.relative(errors.last) == Undefined("no_movement")


def test_a_tensor_that_jumped_once_has_no_line() -> None:
    """delta_t = d for all t: rank one and explained, and a constant leaves nothing for R^2 to be a share of."""
    base, d = np.zeros((3, 3)), np.arange(9.0).reshape(3, 3)
    thetas = [base, d, d, d, d]
    fit = fit_trajectory(gram_of(thetas), [1, 2, 3, 4], 50)
    assert share(fit.explained_variance) == pytest.approx(1.0, abs=1e-12)
    assert fit.r2 == Undefined("no_movement")
    np.testing.assert_allclose(forecast(thetas, fit), d.reshape(-1), atol=1e-12)


def test_least_squares_on_a_line_worked_by_hand() -> None:
    """Times 0, 1, 2 and values 0, 0, 3: slope 3/2, intercept -1/2; residuals 1/2, -1, 1/2 of total 6: R^2 = 3/4."""
    slope, intercept, r2 = fit_line(np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.0, 3.0]))
    assert (slope, intercept) == pytest.approx((1.5, -0.5))
    assert share(r2) == pytest.approx(0.75)


def test_the_left_out_checkpoint_is_met_on_a_straight_path() -> None:
    """Baselines on delta = (t + 40) d, left-out step 1,000: standing still at 700 misses 300/1,040 of the way, the
    mean of 250, 300 and 700 misses (1,000 - 1,250/3)/1,040."""
    thetas = planted()
    gram = gram_of(thetas)
    _, delta = deltas([theta.reshape(-1) for theta in thetas])
    errors = held_out(delta, held_out_fit(gram, STEPS))
    assert share(errors.relative(errors.extrapolated)) < 1e-10
    assert share(errors.relative(errors.last)) == pytest.approx(300.0 / 1_040.0, rel=1e-9)
    assert share(errors.relative(errors.average)) == pytest.approx((1_000.0 - 1_250.0 / 3.0) / 1_040.0, rel=1e-9)


def test_the_errors_of_pieces_add_up() -> None:
    thetas = planted(0.2)
    fit = held_out_fit(gram_of(thetas), STEPS)
    _, delta = deltas([theta.reshape(-1) for theta in thetas])
    total = held_out(delta, fit)
    summed = held_out(delta[:, :100], fit) + held_out(delta[:, 100:], fit)
    for name in ("extrapolated", "last", "average", "moved"):
        assert getattr(summed, name) == pytest.approx(getattr(total, name), rel=1e-12)


def test_a_turn_is_not_foreseen() -> None:
    """The path goes forward and comes back: the forecast is worse than standing still, and the error says so."""
    rng = np.random.default_rng(8)
    d = rng.standard_normal(50)
    thetas = [c * d for c in (0.0, 1.0, 2.0, 3.0, 2.0)]
    gram = gram_of(thetas)
    _, delta = deltas(thetas)
    errors = held_out(delta, held_out_fit(gram, [1, 2, 3, 4]))
    assert share(errors.relative(errors.extrapolated)) == pytest.approx(1.0)  # forecast 4 d where 2 d came, of 2 d
    assert share(errors.relative(errors.last)) == pytest.approx(0.5)


def test_three_checkpoints_average_with_the_first() -> None:
    delta = np.array([[3.0], [6.0], [9.0]])
    errors = held_out(delta, held_out_fit(delta @ delta.T, [1, 2, 3]))
    assert math.sqrt(errors.average) == pytest.approx(6.0)  # mean of 0, 3 and 6 against 9
    assert errors.moved == 81.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_path(bad: float) -> None:
    thetas = planted()
    thetas[2][3, 4] = bad
    assert delta_gram(panels_of(thetas)) == Undefined("nonfinite")


@pytest.mark.parametrize("scale", [1e-170, 1e200, 1.7e308])
def test_squares_out_of_range_are_said_to_be(scale: float) -> None:
    thetas = [scale * sign * np.ones(8) for sign in (-0.5, 0.5, 1.0, 1.0)]
    assert delta_gram(panels_of(thetas)) == Undefined("scale_out_of_range")


def test_steps_of_any_size_are_told_apart() -> None:
    """2^53 - 3 ... 2^53 - 1 as float64 from their own origin: the line is exact."""
    steps = [2**53 - 4, 2**53 - 3, 2**53 - 2]
    d = np.arange(1.0, 9.0)
    thetas = [np.zeros(8), d, 2 * d, 3 * d]
    np.testing.assert_allclose(forecast(thetas, fit_trajectory(gram_of(thetas), steps, 2**53 - 1)), 4 * d, rtol=1e-12)


def test_fewer_than_two_deltas_have_no_line() -> None:
    with pytest.raises(ValueError, match="two deltas"):
        fit_trajectory(np.ones((1, 1)), [1], 2)
    with pytest.raises(ValueError, match="without elements"):
        delta_gram(lambda: iter(()))
