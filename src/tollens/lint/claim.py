"""A claim of reported numbers: typed fields, each with its digits, its unit and its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tollens.lint.number import Number

AUTO = ("auto",)
COMMON = ("n", "percentile", "estimator", "reference", "held_fixed")
"""Keys that any claim may carry beside the fields of its invariants."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: a path as given, and a line from 1; column 0 where it is not known."""

    path: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with the unit written beside it (None if none was), and what else was said of it.

    `exact` None leaves the rule of the invariant: counts and design settings are exact, the rest is rounded.
    `measured` says that it was measured rather than assumed; `estimator` names how it was estimated; `digest`
    is that of the file it was read from.
    """

    number: Number
    unit: str | None
    place: Place
    exact: bool | None = None
    measured: bool | None = None
    estimator: str | None = None
    digest: str | None = None


Entry: TypeAlias = Quantity | tuple[Quantity, ...] | bool | str | tuple[tuple[str, str], ...] | tuple[str, ...]
"""A field: a quantity, a list of them, a flag, a word, a list of edges (from, to), or a list of words."""


@dataclass(frozen=True, slots=True)
class Claim:
    """`kinds` are ids of invariants, or `AUTO`. `fields` by name. `draft` marks what was guessed from plain text."""

    id: str
    text: str
    kinds: tuple[str, ...]
    place: Place
    fields: Mapping[str, Entry] = field(default_factory=dict)
    expect: str | None = None
    draft: bool = False
    source: str | None = None
