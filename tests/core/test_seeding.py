"""Generators keyed by what is measured: stable over time, and apart from one another."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.seeding import generator, key

NAMES = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x1f"), max_size=5), max_size=3)


def test_the_first_draws_have_not_changed() -> None:
    """A scan of last year must be repeatable; Philox and SeedSequence are fixed by numpy's stream policy."""
    assert generator(0, "traps", "w").integers(0, 2**32, 4).tolist() == [2104050764, 4089294126, 966252182, 2869201504]
    assert generator(7).integers(0, 2**32, 2).tolist() == [1026775697, 3742258181]


def test_the_key_is_the_head_of_a_digest() -> None:
    digest = hashlib.sha256(b"3\x1ftail\x1flayers.0").digest()
    assert key(3, "tail", "layers.0") == int.from_bytes(digest[:16], "little")


def test_a_generator_does_not_depend_on_what_was_drawn_before() -> None:
    first = generator(0, "tail", "a").standard_normal(3)
    np.random.default_rng(0).standard_normal(100)
    generator(0, "tail", "b").standard_normal(100)
    np.testing.assert_array_equal(generator(0, "tail", "a").standard_normal(3), first)


@given(st.integers(), NAMES, st.integers(), NAMES)
def test_keys_are_equal_only_for_equal_seeds_and_names(a: int, x: list[str], b: int, y: list[str]) -> None:
    assert (key(a, *x) == key(b, *y)) == ((a, x) == (b, y))


def test_the_border_between_names_counts() -> None:
    assert key(0, "ab", "c") != key(0, "a", "bc")
    assert key(0, "a", "b") != key(0, "b", "a")
    assert key(1, "2") != key(12)


def test_numpy_integers_are_seeds_too() -> None:
    assert key(np.int64(5), "a") == key(5, "a")  # type: ignore[arg-type]
