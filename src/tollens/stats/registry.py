"""The decorator that puts a function of the statistics kit beside its guarantee and its known answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

Answer: TypeAlias = bool | int | float | str | Sequence[float]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Known:
    """`ask(function)` must be `expected`, each number within the absolute `tolerance`.

    `derivation` says where the number is from: a publication, an exact fraction, an identity.
    """

    title: str
    ask: Callable[[Callable[..., Any]], Any]
    expected: Answer
    derivation: str
    tolerance: float = 1e-4


@dataclass(frozen=True, slots=True)
class Statistic:
    """A function with what it promises: `guarantee` in words, `references`, and what it must reproduce."""

    name: str
    function: Callable[..., Any]
    guarantee: str
    references: tuple[str, ...]
    known: tuple[Known, ...]


STATISTICS: dict[str, Statistic] = {}


def reproduces(function: Callable[..., Any], known: Known) -> bool:
    """Whether `function` gives the known answer: words and truth values exactly, numbers within the tolerance.

    What it raises is not caught.
    """
    return _agrees(known.ask(function), known.expected, known.tolerance)


def _agrees(found: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, (bool, str)):
        return type(found) is type(expected) and bool(found == expected)
    if isinstance(expected, Sequence):
        values = found.tolist() if hasattr(found, "tolist") else found
        return len(values) == len(expected) and all(map(_agrees, values, expected, [tolerance] * len(expected)))
    return bool(abs(found - expected) <= tolerance)  # a NaN is within nothing


def statistic(*, guarantee: str, references: Sequence[str], known: Sequence[Known]) -> Callable[[F], F]:
    """Register a function under its own name; it is returned unchanged.

    Raises ValueError for a second function of one name, and for one without guarantee, reference or known
    answer: what cannot be checked is not offered.
    """

    def register(function: F) -> F:
        name = function.__name__
        if name in STATISTICS:
            raise ValueError(f"a statistic named {name!r} is registered already")
        if not guarantee.strip() or not references or not known:
            raise ValueError(f"{name} needs a guarantee, a reference and a known answer")
        STATISTICS[name] = Statistic(name, function, guarantee, tuple(references), tuple(known))
        return function

    return register
