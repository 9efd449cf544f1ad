"""The answer from the layers: how many by chance, and what remains open."""

from __future__ import annotations

import pytest

from tollens.protocol.kinship import LIMITS, LayerEvidence, answer, binomial_tail


def layers(above: int, total: int, null: float = 0.03, spread: float | None = 1.0) -> list[LayerEvidence]:
    return [LayerEvidence(f"w{i}", 0.5 if i < above else 0.001, null, spread, spread) for i in range(total)]


@pytest.mark.parametrize(
    ("k", "n", "p", "expected"),
    [
        (0, 5, 0.1, 1.0),
        (1, 1, 0.001, 0.001),
        (2, 2, 0.001, 1e-6),
        (3, 3, 0.5, 0.125),
        (1, 3, 0.5, 0.875),
        (8, 10, 0.5, 56 / 1024),  # 45 + 10 + 1 of 1,024
    ],
)
def test_the_tail_of_the_binomial(k: int, n: int, p: float, expected: float) -> None:
    assert binomial_tail(k, n, p) == pytest.approx(expected, rel=1e-12)


def test_a_tail_of_many_is_small_and_finite() -> None:
    """All 300 of 300 at level 1/1000: 10^-900, which float64 writes as 0."""
    assert binomial_tail(300, 300, 1e-3) == 0.0
    assert binomial_tail(200, 300, 0.5) < 1e-8


@pytest.mark.parametrize(
    ("above", "total", "expected"),
    [
        (300, 300, "yes"),
        (1, 1, "yes"),  # by chance 1 in 1,000
        (1, 4, "undetermined"),  # by chance 4 in 1,000: neither shown nor excluded
        (2, 4, "yes"),
        (4, 300, "yes"),  # expected 0.3
        (1, 300, "no"),  # by chance 26 in 100
        (0, 5, "no"),
    ],
)
def test_the_answer_follows_the_count(above: int, total: int, expected: str) -> None:
    found = answer(layers(above, total), 999)
    assert found.answer == expected
    assert (found.above, found.layers, found.level) == (above, total, 1e-3)
    assert (found.settle is None) == (expected != "undetermined")
    assert found.limits == LIMITS


def test_an_identity_in_both_is_no_evidence() -> None:
    along = [LayerEvidence(f"e{i}", 0.5, 0.03, diagonal=0.49) for i in range(6)]
    found = answer(along, 999)
    assert (found.answer, found.above) == ("undetermined", 6)
    assert "by construction" in found.sentence
    assert found.settle is not None
    assert answer([*along, *layers(0, 6)], 999).answer == "undetermined"
    assert answer([*along, *layers(6, 6)], 999).answer == "yes"


def test_wide_nulls_exclude_nothing() -> None:
    found = answer(layers(0, 5, null=0.3), 999)
    assert found.answer == "undetermined"
    assert found.settle is not None
    assert "0.30" in found.settle


def test_nothing_to_test_is_no_answer() -> None:
    found = answer([], 999)
    assert (found.answer, found.p, found.cosine) == ("undetermined", None, None)
    assert found.settle is not None


def test_sorted_norms_speak_where_the_cosine_is_silent() -> None:
    assert answer(layers(0, 6, spread=0.02), 999).answer == "permuted"
    assert answer(layers(0, 6, spread=0.07), 999).answer == "no"  # as two draws with one profile of column scales have
    assert answer(layers(6, 6, spread=0.02), 999).answer == "yes"
    assert answer(layers(0, 6, spread=None), 999).answer == "no"
    assert answer(layers(0, 1, spread=0.02), 999).answer == "no"  # one matrix is too few for it
    half = layers(0, 3, spread=0.02) + layers(0, 4, spread=1.0)
    assert answer(half, 999).answer == "no"
