"""Every statistic reproduces its known answers, and one that could not be checked is refused."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tollens.stats
from tollens.stats.registry import STATISTICS, Known, Statistic, reproduces, statistic

for module in pkgutil.iter_modules(tollens.stats.__path__):
    importlib.import_module(f"tollens.stats.{module.name}")

EVERY = [(entry, known) for entry in STATISTICS.values() for known in entry.known]


@pytest.mark.parametrize(("entry", "known"), EVERY, ids=[f"{entry.name}: {known.title}" for entry, known in EVERY])
def test_known_answer(entry: Statistic, known: Known) -> None:
    assert reproduces(entry.function, known), (known.ask(entry.function), known.expected, known.derivation)


@pytest.mark.parametrize("entry", STATISTICS.values(), ids=lambda entry: entry.name)
def test_what_is_registered_is_told_to_people(entry: Statistic) -> None:
    assert entry.guarantee == entry.guarantee.strip() != ""
    assert entry.function.__doc__
    assert all(reference.strip() for reference in entry.references)
    titles = [known.title for known in entry.known]
    assert len(set(titles)) == len(titles)
    assert all(known.derivation.strip() and known.tolerance >= 0.0 for known in entry.known)


def shifted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with each number of its answer moved by a tenth of one percent and a bit."""
    return lambda *args, **kwargs: np.asarray(function(*args, **kwargs), dtype=float) * 1.001 + 0.001


SMOOTH = ("clustered_se", "mcnemar_statistic", "tost_power", "familywise_error", "naive_se")
NUMBERS = [(entry, known) for entry, known in EVERY if entry.name in SMOOTH]


@pytest.mark.parametrize(("entry", "known"), NUMBERS, ids=[f"{e.name}: {k.title}" for e, k in NUMBERS])
def test_a_wrong_formula_makes_a_known_answer_red(entry: Statistic, known: Known) -> None:
    assert not reproduces(shifted(entry.function), known)


@pytest.fixture
def registry() -> Iterator[dict[str, Statistic]]:
    before = dict(STATISTICS)
    yield STATISTICS
    STATISTICS.clear()
    STATISTICS.update(before)


def half(x: float) -> float:
    return x / 2.0


HALF = Known("two", lambda f: f(2.0), 1.0, "2/2", 0.0)


def test_registering_returns_the_function_itself(registry: dict[str, Statistic]) -> None:
    assert statistic(guarantee="exact", references=("Euclid",), known=(HALF,))(half) is half
    assert registry["half"].known == (HALF,)


@pytest.mark.parametrize(
    "missing", [{"known": ()}, {"references": ()}, {"guarantee": "  "}], ids=["known answer", "reference", "guarantee"]
)
def test_what_cannot_be_checked_is_not_offered(missing: dict[str, Any], registry: dict[str, Statistic]) -> None:
    with pytest.raises(ValueError, match="half needs a guarantee, a reference and a known answer"):
        statistic(**{"guarantee": "exact", "references": ("Euclid",), "known": (HALF,), **missing})(half)
    assert "half" not in registry


def test_a_second_function_of_one_name_is_refused(registry: dict[str, Statistic]) -> None:
    register = statistic(guarantee="exact", references=("Euclid",), known=(HALF,))
    register(half)
    with pytest.raises(ValueError, match="'half' is registered already"):
        register(half)


@pytest.mark.parametrize(
    ("found", "expected", "same"),
    [
        (1.0, 1.0, True),
        (1.05, 1.0, True),
        (1.2, 1.0, False),
        (math.nan, 1.0, False),
        (math.inf, 1.0, False),
        (np.array([1.0, 2.0]), (1.0, 2.0), True),
        (np.array([1.0, 2.2]), (1.0, 2.0), False),
        ((1.0,), (1.0, 2.0), False),
        ((1.0, math.nan), (1.0, 2.0), False),
        ("equivalent", "equivalent", True),
        ("different", "equivalent", False),
        (True, True, True),
        (False, True, False),
        (1, True, False),
    ],
)
def test_agreement(found: Any, expected: Any, same: bool) -> None:
    assert reproduces(lambda: found, Known("t", lambda f: f(), expected, "d", 0.1)) is same
