"""Traps by cause: known answers, invariances in law, and the planted-trap search."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from tollens.core.reading import Status, Undefined
from tollens.instrument.edge import tw_edge
from tollens.instrument.outliers import count_from_top
from tollens.instrument.part import Part
from tollens.instrument.permutation import draw_key, key_of, shuffle
from tollens.instrument.registry import KnownAnswer
from tollens.instrument.screen import moments_of
from tollens.instrument.traps import (
    Cause,
    Counting,
    TrapCounts,
    TrapParams,
    Traps,
    count_shuffled,
    count_traps,
    is_sparse,
    prepare,
    traps,
)
from tollens.protocol.finding import trap_cause


def counts(matrix: np.ndarray, seed: int = 0, **params: object) -> Traps:
    rng = np.random.default_rng(seed)
    settings = msgspec.structs.replace(TrapParams(), **params)
    found = count_traps(matrix.copy, moments_of(matrix), settings, draw_key(rng), rng)
    assert isinstance(found, Traps)
    return found


def part(matrix: np.ndarray) -> Part:
    return Part("layer", matrix.shape, "F32", matrix.copy, moments_of(matrix))


def noise(seed: int, shape: tuple[int, int], dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def cause_of(found: Traps) -> Cause | None:
    named = trap_cause({f"traps_{cause}": [getattr(c, cause) for c in found.counts] for cause in Cause})
    return None if named is None else named[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("factor", "expected"), [(0.8, 0), (1.5, 1), (20.0, 1)])
def test_one_element(dtype: type, factor: float, expected: int) -> None:
    """One element makes an outlier from sigma*(NM)^(1/4) on: 22.6 at 512 x 512 (theta > c^(1/4), rank
    one)."""
    matrix = noise(1, (512, 512), dtype)
    matrix[17, 300] = factor * 512**0.5
    found = counts(matrix)
    assert found.counts == (TrapCounts(expected, 0, expected, 0),) * 5
    assert found.removed_share == 1 / 512**2
    assert found.clustering == Undefined("too_few_large")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("factor", "expected"), [(0.8, 0), (1.5, 1), (-1.5, 1), (1e5, 1)])
def test_mean_offset(dtype: type, factor: float, expected: int) -> None:
    """m*ones has the one singular value m*sqrt(NM): theta = m*sqrt(M)/sigma > c^(1/4) iff m >
    sigma*(NM)^(-1/4).

    The last factor is a mean of 4,400 sigma, where an uncentred f32 Gram matrix has lost the noise."""
    matrix = noise(2, (512, 512), dtype)
    matrix += dtype(factor * 512**-0.5 - matrix.mean(dtype=np.float64))
    assert counts(matrix).counts == (TrapCounts(expected, expected, 0, 0),) * 5


@pytest.mark.parametrize("shape", [(150, 150), (100, 200), (200, 100)])
@pytest.mark.parametrize("factor", [0.5, 1.0, 1.2, 1.4])
def test_uncentred_counts_agree_with_an_svd(shape: tuple[int, int], factor: float) -> None:
    """Both counts of one permuted matrix, near the threshold of the mean, on either side and square."""
    base = np.random.default_rng(int(10 * factor)).standard_normal(shape)
    base -= base.mean()
    offset, variance = factor * base.size**-0.25, float(base.var())
    edge = tw_edge(min(shape), max(shape), variance, 0.3)
    for _ in range(3):
        tops = [int((np.linalg.svd(base + m, compute_uv=False) ** 2 > edge).sum()) for m in (0.0, offset)]
        found = count_shuffled(base.copy(), offset, variance, None, Counting(0.3, np.random.default_rng(0)))
        assert (found.residual, found.all) == tuple(tops)
        shuffle(base, draw_key(np.random.default_rng(1)), 0)


@pytest.mark.parametrize("shape", [(150, 220), (220, 150)])
def test_the_top_end_and_the_factorisation_count_alike(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]) -> None:
    """All causes at once: a mean, elements, and both ways of counting, on the same permutations."""
    matrix = noise(15, shape)
    matrix += 0.2
    matrix[3, 4], matrix[100, 90], matrix[7, 8] = 40.0, -45.0, 30.0
    by_factors = counts(matrix).counts
    monkeypatch.setattr("tollens.instrument.traps.TOP_SIDE", 100)
    calls = []
    monkeypatch.setattr(
        "tollens.instrument.traps.count_from_top", lambda *a: calls.append(found := count_from_top(*a)) or found
    )
    assert counts(matrix).counts == by_factors == (TrapCounts(4, 1, 3, 0),) * 5
    assert len(calls) == 10  # centred and clipped, each of five
    assert None not in calls
    monkeypatch.setattr("tollens.instrument.traps.count_from_top", lambda *_: None)
    assert counts(matrix).counts == by_factors


def test_mean_and_elements_together() -> None:
    matrix = noise(3, (300, 400))
    matrix += 1.0
    matrix[5, 6] = matrix[200, 10] = 60.0
    found = counts(matrix)
    assert {(c.all, c.mean, c.residual) for c in found.counts} == {(3, 1, 0)}
    assert cause_of(found) is Cause.ENTRY


@pytest.mark.parametrize(("density", "low", "high"), [(0.009, 6, 11), (0.018, 1, 4), (0.029, 0, 2)])
def test_sparse_signs(density: float, low: int, high: int) -> None:
    """Zero-mean +-1 at 1024^2: 7-10, two, none or one outliers a shuffle, from row degrees alone."""
    rng = np.random.default_rng(4)
    matrix = np.zeros(1024**2, dtype=np.float32)
    kept = rng.choice(matrix.size, int(density * matrix.size), replace=False)
    matrix[kept] = np.where(np.arange(kept.size) % 2, 1.0, -1.0)
    found = counts(matrix.reshape(1024, 1024), shuffles=3)
    assert found.sparse
    assert low <= np.median([c.all for c in found.counts]) <= high
    assert all(c.mean == 0 for c in found.counts)


@pytest.mark.parametrize(("nu", "low", "high"), [(2.5, 5, 14), (1.5, 8, 25)])
def test_student_elements(nu: float, low: int, high: int) -> None:
    """Heavy tails: many outliers, all of them gone when large elements are; no clustering of what was
    removed."""
    found = counts(np.random.default_rng(5).standard_t(nu, (500, 500)).astype(np.float32), shuffles=3)
    assert all(low <= c.all <= high for c in found.counts)
    assert np.median([c.residual for c in found.counts]) == 0
    assert cause_of(found) is Cause.ENTRY
    assert 0.0 < found.removed_share < 0.02
    assert isinstance(found.clustering, float)
    assert found.clustering > 0.01


def test_a_large_column_is_seen_by_its_clustering_not_by_its_count() -> None:
    matrix = noise(6, (256, 256))
    matrix[:, 9] *= 20.0
    found = counts(matrix)
    assert cause_of(found) is Cause.ENTRY
    assert found.clustering == pytest.approx(2 / 200)


def test_the_screen_clears_noise_and_force_overrides_it() -> None:
    matrix = noise(7, (1024, 1024))
    cleared = counts(matrix)
    assert cleared.screened
    assert cleared.counts == (TrapCounts(0, 0, 0, 0),) * 5
    forced = counts(matrix, force=True)
    assert not forced.screened
    assert forced.counts == cleared.counts


def test_more_matrices_raise_the_edge() -> None:
    """An element a little above its threshold is an outlier of one matrix, not of a million of them."""
    matrix = noise(14, (128, 128))
    matrix[0, 0] = 1.38 * 128**0.5
    alone, among = counts(matrix), counts(matrix, matrices=10**6)
    assert sum(c.all for c in among.counts) < sum(c.all for c in alone.counts)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), exponent=st.integers(-120, 110), turned=st.booleans())
def test_scale_transpose_and_order_do_not_matter(seed: int, exponent: int, turned: bool) -> None:
    """Strong plants: a new permutation changes no median, and a power of two is exact in f32."""
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((60, 90)).astype(np.float32)
    matrix[3, 4] = -50.0  # one only: two that land in one row share a single singular value
    changed = np.ldexp(matrix[rng.permutation(60)][:, rng.permutation(90)], exponent)
    changed = np.ascontiguousarray(changed.T) if turned else changed
    for found in (counts(changed, seed).counts, counts(matrix, seed).counts):
        # one shuffle in five hundred shows an outlier of its own: that is the level
        assert [np.median([getattr(c, kind) for c in found]) for kind in ("all", "mean", "entry", "residual")] == [
            1,
            0,
            1,
            0,
        ]


def test_subnormal_weights_are_counted() -> None:
    matrix = noise(8, (100, 150), np.float64)
    matrix[1, 1] = 60.0
    assert counts(matrix * 1e-310).counts == counts(matrix).counts


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        (np.zeros((20, 20)), "zero_matrix"),
        (np.full((20, 20), 0.3), "no_variance"),
        (np.ones((1, 50)) * np.arange(50), "too_small"),
        (noise(0, (7, 500)), "too_small"),
    ],
)
def test_what_cannot_be_judged_says_why(matrix: np.ndarray, reason: str) -> None:
    readings = traps.measure(part(matrix))
    assert {(r.status, r.reason) for r in readings} == {(Status.UNDEFINED, reason)}


@pytest.mark.parametrize("answer", traps.known_answers, ids=lambda a: a.title)
def test_known_answers_of_the_instrument(answer: KnownAnswer) -> None:
    readings = {r.quantity: r.value for r in traps.measure(answer.part())}
    assert readings[answer.quantity] == [answer.value] * 5


def test_without_shuffles_nothing_is_counted() -> None:
    readings = traps.measure(part(noise(0, (50, 50))), TrapParams(shuffles=0))
    assert {r.reason for r in readings} == {"not_requested"}


def test_readings_of_a_cleared_a_sparse_and_a_shuffled_layer() -> None:
    cleared = {r.quantity: r for r in traps.measure(part(noise(9, (1024, 1024))), TrapParams(shuffles=3))}
    assert cleared["traps_all"].value == [0, 0, 0]
    assert cleared["traps_residual"].reason == "screened"
    assert cleared["traps_all"].flags == ("screened",)
    rng = np.random.default_rng(10)
    thin = (noise(10, (256, 256)) * (rng.random((256, 256)) < 0.05)).astype(np.float32)
    sparse = {r.quantity: r for r in traps.measure(part(thin))}
    assert (sparse["traps_residual"].status, sparse["traps_residual"].reason) == (Status.UNDEFINED, "sparse")
    assert sparse["traps_all"].status is Status.OK
    matrix = noise(11, (128, 128))
    matrix[0, 0] = 40.0
    shuffled = {r.quantity: r for r in traps.measure(part(matrix), seed=3)}
    assert shuffled["traps_entry"].value == [1] * 5
    assert shuffled["traps_entry"].null is not None
    assert (shuffled["traps_entry"].null.low, shuffled["traps_entry"].null.high) == (0.0, 0.0)


def test_a_recorded_identifier_regenerates_the_count() -> None:
    """From permutation_id alone: shuffle, centre, count with an SVD."""
    matrix = np.random.default_rng(12).standard_t(2.2, (200, 300))
    readings = {r.quantity: r for r in traps.measure(part(matrix), seed=5)}
    key = key_of(str(readings["permutation_id"].value))
    again = []
    for replicate in range(5):
        permuted = matrix.copy()
        prepare(permuted, moments_of(matrix))
        shuffle(permuted, key, replicate)
        edge = tw_edge(200, 300, float(permuted.var()), 0.002)
        again.append(int((np.linalg.svd(permuted, compute_uv=False) ** 2 > edge).sum()))
    value = {q: r.value for q, r in readings.items()}
    centred = np.subtract(value["traps_all"], value["traps_mean"])  # type: ignore[arg-type]
    assert centred.tolist() == again
    assert min(again) >= 1


def test_sparsity_rule() -> None:
    """10 ln 1024 = 69.3 non-zeros a row of 1,024, thinned by the binomial factor; dense matrices never
    count."""
    rng = np.random.default_rng(13)
    thin = moments_of((rng.random((1024, 1024)) < 0.05).astype(np.float32))
    thick = moments_of((rng.random((1024, 1024)) < 0.08).astype(np.float32))
    assert is_sparse(thin, 1024, 1024)
    assert not is_sparse(thick, 1024, 1024)
    assert not is_sparse(moments_of(noise(0, (16, 4096))), 16, 4096)


def plants(seeds: range) -> Iterator[tuple[int, str, np.ndarray, np.ndarray]]:
    """Seed, planted cause, planted matrix, clean twin: sides 128 to 512, 1.6 to 4 thresholds, either sign."""
    for seed in seeds:
        rng = np.random.default_rng([seed, 2024])
        shape = tuple(int(s) for s in rng.choice([128, 192, 256, 384, 512], 2))
        twin = rng.standard_normal(shape).astype(np.float32) * np.float32(10.0 ** rng.uniform(-4, 2))
        planted = twin.copy()
        size = float(rng.uniform(1.6, 4.0)) * rng.choice([-1.0, 1.0]) * float(twin.std())
        cause = str(rng.choice(["mean", "entry"]))
        if cause == "entry":
            planted[rng.integers(shape[0]), rng.integers(shape[1])] = size * planted.size**0.25
        else:
            planted += np.float32(size * planted.size**-0.25)
        yield seed, cause, planted, twin


def search(seeds: range) -> tuple[int, int]:
    found = raised = 0
    for seed, cause, planted, twin in plants(seeds):
        found += cause_of(counts(planted, seed)) == cause
        raised += any(c.all > 0 for c in counts(twin, seed, force=True).counts)
    return found, raised


def clopper_pearson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    a = (1.0 - level) / 2.0
    return (
        float(beta.ppf(a, k, n - k + 1)) if k else 0.0,
        float(beta.ppf(1 - a, k + 1, n - k)) if k < n else 1.0,
    )


def test_twenty_planted_traps_are_found_with_their_cause() -> None:
    found, raised = search(range(20))
    assert found >= 19
    assert raised <= 2


@pytest.mark.slow
def test_two_hundred_planted_traps(capsys: pytest.CaptureFixture[str]) -> None:
    """A twin counts as raised if any one of its five shuffles shows an outlier: nominal rate 0.01."""
    found, raised = search(range(200))
    with capsys.disabled():
        for what, k in (("found with the right cause", found), ("clean twins raising a trap", raised)):
            low, high = clopper_pearson(k, 200)
            print(f"\n{what}: {k} of 200 (95 % Clopper-Pearson {low:.3f} to {high:.3f})", end="")
    assert found >= 195
    assert raised <= 6
