"""What rounding can put into a difference: steps of stored types, their sums, and the floor that follows."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from tollens.instrument.delta import GRIDS, Elements, Grid, coarser, common_grid, elements_of, rounding_floor, ulp
from tollens.instrument.spectrum import STORED_EPS, spectrum_of
from tollens.subject.dtypes import _numpy_type, rounded_to

Array = NDArray[Any]


def gaussian(rows: int, cols: int, seed: int = 0, scale: float = 0.02) -> Array:
    return (np.random.default_rng(seed).standard_normal((rows, cols)) * scale).astype(np.float32)


def bf16(w: Array) -> Array:
    return rounded_to(w.astype(np.float32), "BF16")


def test_the_steps_of_the_types_are_those_of_the_stored_eps() -> None:
    assert {name.lower(): grid.eps for name, grid in GRIDS.items() if name.lower() in STORED_EPS} == STORED_EPS


@pytest.mark.parametrize("dtype", [d for d in GRIDS if d not in ("F64", "F32")])
def test_a_step_leads_to_the_next_number_of_the_type(dtype: str) -> None:
    """Every positive finite number of the type but the largest: the next code is exactly one ulp away."""
    kind = _numpy_type(dtype)
    codes = np.arange(1 << (8 * kind.itemsize - 1)).astype(f"<u{kind.itemsize}")
    values = codes.view(kind).astype(np.float32)
    end = int(np.argmax(~np.isfinite(values))) or values.size
    values = values[:end]
    assert values.size > 100
    assert (ulp(values[:-1].copy(), GRIDS[dtype]) == np.diff(values)).all()


@pytest.mark.parametrize(("dtype", "kind"), [("F32", np.float32), ("F64", np.float64)])
def test_a_step_of_a_native_type_is_its_spacing(dtype: str, kind: type) -> None:
    decades = 10.0 ** np.arange(-30, 20).repeat(20)
    values = (np.abs(np.random.default_rng(1).standard_normal(1000)) * decades).astype(kind)
    assert (ulp(values, GRIDS[dtype]) == np.spacing(values)).all()
    assert ulp(np.zeros(1, kind), GRIDS[dtype])[0] == np.spacing(kind(0.0))


def test_the_steps_that_two_types_keep() -> None:
    """Of bfloat16 and float16: 2^-7 at 1, and below 2^-17 the last steps of float16, 2^-24 = 2^(-17 - 7)."""
    both = common_grid("BF16", "F16")
    assert both == common_grid("F16", "BF16") == Grid(7, -17)
    assert both is not None
    assert ulp(np.array([1.0, 2.0**-16, 2.0**-17, 1e-9]), both).tolist() == [2.0**-7, 2.0**-23, 2.0**-24, 2.0**-24]
    assert common_grid("F32", "BF16") == GRIDS["BF16"] == common_grid("BF16", "BF16")
    assert common_grid("I8", "F32") is None


def test_the_coarser_type_has_the_longer_step_then_the_nearer_end() -> None:
    assert coarser("F32", "BF16") == "BF16" == coarser("BF16", "F32")
    assert coarser("F16", "BF16") == "BF16"
    assert coarser("BF16", "BF16") == "BF16"
    assert coarser("F8_E4M3", "F8_E4M3FNUZ") == "F8_E4M3"  # equal steps, and it is the one that ends at 2^-6
    assert coarser("I8", "F32") is None


def test_sums_of_two_small_matrices() -> None:
    """By hand: Delta = [[0, 1], [-2, 0]], base norm^2 30, <b, d> = 1 + 6 + 3 + 16 = 26."""
    base = np.array([[1, 2], [3, 4]], dtype=np.float32)
    derived = np.array([[1, 3], [1, 4]], dtype=np.float32)
    seen = elements_of(base, derived, GRIDS["BF16"])
    assert (seen.count, seen.equal, seen.changed, seen.inner, seen.delta2, seen.max_delta) == (4, 2, 2, 26.0, 5.0, 2.0)
    assert seen.base_rows.tolist() == [5.0, 25.0]
    assert seen.derived_cols.tolist() == [2.0, 25.0]
    assert seen.relative_change == pytest.approx(math.sqrt(5 / 30))
    assert seen.cosine == pytest.approx(26 / math.sqrt(30 * 27))
    # steps of bf16 at DERIVED: 1 -> 2^-7, 3 -> 2^-6, 4 -> 2^-5; the largest move is 2 at max(3, 1), 2/2^-6 = 128 steps
    assert seen.max_ulps == 128.0
    assert seen.step_rows is not None
    assert seen.step_rows.tolist() == [2.0**-14 + 2.0**-12, 2.0**-14 + 2.0**-10]
    turned = elements_of(base, derived, GRIDS["BF16"], base_rounded=True)
    assert turned.step_rows is not None
    assert turned.step_rows.tolist() == [2.0**-14 + 2.0**-12, 2.0**-12 + 2.0**-10]


def test_blocks_and_threads_change_no_sum() -> None:
    base, derived = gaussian(300, 1000), gaussian(300, 1000, 1)
    one, two = (elements_of(base, derived, GRIDS["F32"], threads) for threads in (1, 2))
    for name in Elements.__slots__:
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert one.delta2 == pytest.approx(float(((derived.astype(float) - base) ** 2).sum()), rel=1e-12)
    assert one.base_cols == pytest.approx((base.astype(float) ** 2).sum(axis=0), rel=1e-12)


def test_shapes_and_types_must_agree() -> None:
    with pytest.raises(ValueError, match="against"):
        elements_of(np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), None)
    with pytest.raises(ValueError, match="against"):
        elements_of(np.ones((2, 2), np.float32), np.ones((2, 2)), None)


def test_a_pruned_element_counts_its_steps_at_what_it_was() -> None:
    """1 -> 0 is 128 steps of bf16 at 1, not 2^133 steps at 0."""
    seen = elements_of(np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32), GRIDS["BF16"])
    assert seen.max_ulps == 128.0


@pytest.mark.parametrize("scale", [0.002, 0.02])
def test_one_rounding_has_the_size_of_the_floor(scale: float) -> None:
    """bf16 base + update in float32, rounded once: the error measured against the exact sum, 512 x 512 elements."""
    base = bf16(gaussian(512, 512))
    update = gaussian(512, 512, 1, scale)
    derived = bf16(base + update)
    floor = rounding_floor(elements_of(base, derived, GRIDS["BF16"]), 1, 0.01)
    assert floor is not None
    error = derived.astype(float) - base - update
    assert math.sqrt(float((error**2).mean())) == pytest.approx(floor.rms, rel=0.01)
    assert spectrum_of(error.astype(np.float32)).lambda_max < floor.edge


def test_two_roundings_have_twice_the_variance() -> None:
    """Base and derived both rounded from float32 weights that differ by many steps."""
    fine = gaussian(512, 512)
    moved = fine + gaussian(512, 512, 1, 0.02)
    base, derived = bf16(fine), bf16(moved)
    error = (derived.astype(float) - base) - (moved.astype(float) - fine)
    seen = elements_of(base, derived, GRIDS["BF16"])
    from_both = elements_of(derived, base, GRIDS["BF16"])
    once, other, twice = (
        rounding_floor(seen, 1, 0.01),
        rounding_floor(from_both, 1, 0.01),
        rounding_floor(seen, 2, 0.01),
    )
    assert once is not None
    assert other is not None
    assert twice is not None
    assert twice.rms == pytest.approx(once.rms * math.sqrt(2.0))
    assert float((error**2).mean()) == pytest.approx(once.rms**2 + other.rms**2, rel=0.01)
    assert spectrum_of(error.astype(np.float32)).lambda_max < twice.edge


def test_the_relative_bound_of_half_an_eps_is_an_upper_one() -> None:
    """2^-8 |w| is the most that half a step of bf16 is of a number; the floor from the exponents lies below it."""
    base = bf16(gaussian(256, 256))
    floor = rounding_floor(elements_of(base, base, GRIDS["BF16"]), 1, 0.01)
    assert floor is not None
    assert 0.5 < floor.rms / (2.0**-8 / math.sqrt(3.0) * float(np.sqrt((base.astype(float) ** 2).mean()))) < 1.0


@pytest.mark.parametrize("seed", range(5))
def test_uneven_rows_reach_beyond_the_flat_edge_and_not_beyond_the_floor(seed: int) -> None:
    """Two rows of large weights hold nearly all of the rounding: the edge of evenly spread noise misses them."""
    base = gaussian(256, 256, seed)
    base[:2] *= 100.0
    derived = bf16(base)
    floor = rounding_floor(elements_of(base, derived, GRIDS["BF16"]), 1, 0.01)
    assert floor is not None
    top = spectrum_of(derived - base).lambda_max
    assert floor.mp_edge < top < floor.edge


def test_one_step_of_the_largest_element_is_rounding() -> None:
    base = bf16(gaussian(64, 64))
    base[3, 5] = 1000.0
    derived = base.copy()
    derived[3, 5] += 4.0  # one step of bf16 between 512 and 1024
    floor = rounding_floor(elements_of(base, derived, GRIDS["BF16"]), 1, 0.01)
    assert floor is not None
    assert spectrum_of(derived - base).lambda_max == pytest.approx(16.0)
    assert floor.edge > 16.0


def test_learning_stands_above_the_floor() -> None:
    """The guard on the other side: an update of some ten steps an element is seen, and nothing else with it. One below
    half a step nearly everywhere is swallowed by the rounding and is not seen.
    """
    rng = np.random.default_rng(3)
    base = bf16(gaussian(512, 512))
    u, v = (x / np.linalg.norm(x) for x in (rng.standard_normal(512), rng.standard_normal(512)))
    noise = rounding_floor(elements_of(base, base, GRIDS["BF16"]), 1, 0.01)
    assert noise is not None
    for factor, above in ((300.0, 1), (0.5, 0)):
        derived = bf16(base + (factor * math.sqrt(noise.edge) * np.outer(u, v)).astype(np.float32))
        floor = rounding_floor(elements_of(base, derived, GRIDS["BF16"]), 1, 0.01)
        assert floor is not None
        assert int((spectrum_of(derived - base).eigenvalues > floor.edge).sum()) == above


def test_without_a_grid_there_is_no_floor() -> None:
    assert rounding_floor(elements_of(np.ones((2, 2)), np.zeros((2, 2)), None), 1, 0.01) is None


def test_a_cast_rounds_to_nearest_even() -> None:
    """bf16 has 8 bits: 257 and 259 lie halfway between 256, 258 and 260; the even mantissas are 256 and 260."""
    found = rounded_to(np.array([257.0, 259.0, 1e39], dtype=np.float64), "BF16")
    assert found.dtype == np.float64
    assert found.tolist() == [256.0, 260.0, math.inf]
    assert np.array_equal(rounded_to(gaussian(9, 9), "F16"), gaussian(9, 9).astype(np.float16).astype(np.float32))
    assert np.array_equal(
        rounded_to(gaussian(9, 9), "BF16"), gaussian(9, 9).astype(ml_dtypes.bfloat16).astype(np.float32)
    )
