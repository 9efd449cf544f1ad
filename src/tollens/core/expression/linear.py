"""Sums in normal form: equal terms combined, so that x - x is 0 whatever x is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TypeAlias

from tollens.core.expression.ranges import (
    Entry,
    Range,
    mean_range,
    order_can_be,
    order_range,
    plus,
    scaled,
)
from tollens.core.expression.syntax import Aggregate, Fold, Linear, Name, show_atom


@dataclass(frozen=True)
class Column:
    """The entries under one name and what each is or could be; `ranges` is empty for a list of names."""

    entries: tuple[Entry, ...]
    ranges: tuple[Range, ...]

    @cached_property
    def mean(self) -> Range:
        """The exact hull of what their mean can be; one atom asks for it three times."""
        return mean_range(self.ranges)


Columns: TypeAlias = Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class Scalar:
    name: str


@dataclass(frozen=True, slots=True)
class Order:
    """The `place`-th smallest of a list; min, max and every quantile are of this kind."""

    name: str
    place: int


@dataclass(frozen=True, slots=True)
class Mean:
    name: str


Key: TypeAlias = Scalar | Order | Mean


@dataclass(frozen=True, slots=True)
class Normal:
    """constant + sum of coefficient * key, no coefficient zero. `texts` is how the claim wrote each key."""

    constant: Fraction
    terms: Mapping[Key, Fraction]
    texts: Mapping[Key, str]

    def minus(self, other: Normal) -> Normal:
        terms = dict(self.terms)
        for key, coefficient in other.terms.items():
            terms[key] = terms.get(key, Fraction(0)) - coefficient
        return Normal(
            self.constant - other.constant,
            {key: coefficient for key, coefficient in terms.items() if coefficient},
            {**other.texts, **self.texts},
        )


def normal(linear: Linear, columns: Columns) -> Normal:
    """The normal form of a checked sum over non-empty lists."""
    constant = Fraction(0)
    terms: dict[Key, Fraction] = {}
    texts: dict[Key, str] = {}
    for term in linear.terms:
        coefficient = Fraction(term.factor.value) if term.factor is not None else Fraction(1)
        coefficient = -coefficient if term.negative else coefficient
        if term.atom is None:
            constant += coefficient
            continue
        key = _key(term.atom, columns)
        terms[key] = terms.get(key, Fraction(0)) + coefficient
        texts.setdefault(key, show_atom(term.atom))
    return Normal(constant, {key: c for key, c in terms.items() if c}, texts)


def _key(atom: Name | Aggregate, columns: Columns) -> Key:
    if isinstance(atom, Name):
        return Scalar(atom.name)
    n = len(columns[atom.name].entries)
    if atom.fold is Fold.MAX:
        return Order(atom.name, n)
    if atom.level is not None:
        return Order(atom.name, quantile_place(Fraction(atom.level), n))
    return Order(atom.name, 1) if atom.fold is Fold.MIN or n == 1 else Mean(atom.name)


def quantile_place(level: Fraction, n: int) -> int:
    """ceil(p n), exactly: 0.29 of 100 is place 29, which floating point would make 29 or 30 by luck."""
    return math.ceil(level * n)


def key_range(key: Key, columns: Columns) -> Range:
    """The exact hull of what the key can be."""
    if isinstance(key, Mean):
        return columns[key.name].mean
    ranges = columns[key.name].ranges
    return ranges[0] if isinstance(key, Scalar) else order_range(ranges, key.place)


def key_can_be(key: Key, columns: Columns, value: Fraction) -> bool:
    """Whether some filling gives the key this value; exact for single readings and order statistics."""
    if isinstance(key, Mean):
        return columns[key.name].mean.can_be(value)
    ranges = columns[key.name].ranges
    return order_can_be(ranges, key.place if isinstance(key, Order) else 1, value)


def normal_range(form: Normal, columns: Columns) -> Range:
    """An interval that holds every value of the sum.

    It is the hull itself unless two of the terms depend on the same undefined entry; then it may be too wide,
    and a verdict drawn from it UNDETERMINED where a finer analysis would decide.
    """
    total = Range(form.constant, form.constant)
    for key, coefficient in form.terms.items():
        part = scaled(coefficient, key_range(key, columns))
        total = Range(plus(total.low, part.low), plus(total.high, part.high))
    return total
