"""The abstract syntax of the expression language, and its one canonical text.

`parse(show(rule)) == rule` for every rule, and for every predicate in its own profile. Numbers are exact decimals,
as written.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

from tollens.core.units import Unit


class Op(StrEnum):
    """The six relations; `!=` and `==` are for integers and names only."""

    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    EQ = "=="
    NE = "!="

    @property
    def negated(self) -> Op:
        """not (a op b) is a negated(op) b."""
        return _NEGATED[self]

    @property
    def mirrored(self) -> Op:
        """a op b is b mirrored(op) a."""
        return _MIRRORED[self]


_NEGATED = {Op.LT: Op.GE, Op.LE: Op.GT, Op.GT: Op.LE, Op.GE: Op.LT, Op.EQ: Op.NE, Op.NE: Op.EQ}
_MIRRORED = {Op.LT: Op.GT, Op.LE: Op.GE, Op.GT: Op.LT, Op.GE: Op.LE, Op.EQ: Op.EQ, Op.NE: Op.NE}


class Fold(StrEnum):
    """How a list becomes one number. `quantile(p, x)` is the ceil(p n)-th smallest of n values."""

    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    QUANTILE = "quantile"


class Quantifier(StrEnum):
    ANY = "any"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Literal:
    """A non-negative decimal with its unit; `unit` None is a bare number (its sign belongs to the term)."""

    value: Decimal
    unit: Unit | None = None

    def __post_init__(self) -> None:
        if not self.value.is_finite() or self.value.is_signed():
            raise ValueError(f"a literal is a finite decimal without a sign; found {self.value}")


@dataclass(frozen=True, slots=True)
class Name:
    """A reading by name; in a comparison with a reading of names, the name itself (`role == head`)."""

    name: str


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A fold of a list; `level` in (0, 1] exactly for QUANTILE."""

    fold: Fold
    name: str
    level: Decimal | None = None

    def __post_init__(self) -> None:
        if (self.fold is Fold.QUANTILE) != (self.level is not None):
            raise ValueError("quantile has a level and nothing else has one")
        if self.level is not None and not 0 < self.level <= 1:
            raise ValueError(f"the level of a quantile lies in (0, 1]; found {self.level}")


@dataclass(frozen=True, slots=True)
class Term:
    """A signed literal, reading, aggregate or product of a literal and a reading."""

    negative: bool
    factor: Literal | None
    atom: Name | Aggregate | None

    def __post_init__(self) -> None:
        if self.factor is None and self.atom is None:
            raise ValueError("a term has a literal, an atom or both")
        if self.factor is not None and isinstance(self.atom, Aggregate):
            raise ValueError("an aggregate has no factor")


@dataclass(frozen=True, slots=True)
class Linear:
    """A sum of at least one term."""

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("a sum has at least one term")


@dataclass(frozen=True, slots=True)
class Compare:
    left: Linear
    op: Op
    right: Linear


@dataclass(frozen=True, slots=True)
class Quantified:
    """`any` or `all` entries of the list `name` stand in relation `op` to `right`."""

    quantifier: Quantifier
    name: str
    op: Op
    right: Linear


@dataclass(frozen=True, slots=True)
class Flag:
    """Predicate profile: the attribute is true."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """Predicate profile: the attribute is one of `words`; of an attribute that is a set, some of it is."""

    name: str
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.words:
            raise ValueError("a set has at least one word")


@dataclass(frozen=True, slots=True)
class Has:
    """Predicate profile: the attribute is declared, whatever it is."""

    name: str


F_co = TypeVar("F_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Not(Generic[F_co]):
    operand: F_co


@dataclass(frozen=True, slots=True)
class And(Generic[F_co]):
    operands: tuple[F_co, ...]

    def __post_init__(self) -> None:
        if len(self.operands) < 2:
            raise ValueError("a conjunction has at least two operands")


@dataclass(frozen=True, slots=True)
class Or(Generic[F_co]):
    operands: tuple[F_co, ...]

    def __post_init__(self) -> None:
        if len(self.operands) < 2:
            raise ValueError("a disjunction has at least two operands")


# Two profiles with atoms of their own under the same connectives: what walks a rule never meets a flag.
Atom: TypeAlias = Compare | Quantified
Test: TypeAlias = Compare | Flag | Member | Has
Rule: TypeAlias = "Atom | Not[Rule] | And[Rule] | Or[Rule]"
Predicate: TypeAlias = "Test | Not[Predicate] | And[Predicate] | Or[Predicate]"
Formula: TypeAlias = "Atom | Test | Not[Formula] | And[Formula] | Or[Formula]"


def show(rule: Formula) -> str:
    """The canonical text of a rule or a predicate."""
    if isinstance(rule, Compare):
        return f"{show_linear(rule.left)} {rule.op} {show_linear(rule.right)}"
    if isinstance(rule, Quantified):
        return f"{rule.quantifier}({rule.name} {rule.op} {show_linear(rule.right)})"
    if isinstance(rule, Flag):
        return rule.name
    if isinstance(rule, Member):
        return f"{rule.name} in {{{', '.join(rule.words)}}}"
    if isinstance(rule, Has):
        return f"has({rule.name})"
    if isinstance(rule, Not):
        return f"not {_grouped(rule.operand, And, Or)}"
    if isinstance(rule, And):
        return " and ".join(_grouped(operand, And, Or) for operand in rule.operands)
    return " or ".join(_grouped(operand, Or) for operand in rule.operands)


def _grouped(rule: Formula, *kinds: type[And[Formula]] | type[Or[Formula]]) -> str:
    return f"({show(rule)})" if isinstance(rule, kinds) else show(rule)


def show_linear(linear: Linear) -> str:
    """The canonical text of a sum."""
    parts = []
    for place, term in enumerate(linear.terms):
        sign = ("-" if term.negative else "") if place == 0 else (" - " if term.negative else " + ")
        parts.append(sign + _show_term(term))
    return "".join(parts)


def _show_term(term: Term) -> str:
    shown = []
    if term.factor is not None:
        shown.append(show_literal(term.factor))
    if term.atom is not None:
        shown.append(show_atom(term.atom))
    return "*".join(shown)


def show_literal(literal: Literal) -> str:
    text = str(literal.value).lower()
    return text if literal.unit is None else f"{text} {literal.unit}"


def show_atom(atom: Name | Aggregate) -> str:
    if isinstance(atom, Name):
        return atom.name
    if atom.level is not None:
        return f"{atom.fold}({str(atom.level).lower()}, {atom.name})"
    return f"{atom.fold}({atom.name})"
