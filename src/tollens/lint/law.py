"""A law over reported numbers, with everything needed to check, cite and explain it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tollens.lint.check import Check, Subtype
from tollens.lint.fields import Fields, Need

Law: TypeAlias = Callable[[Fields], Check]
Written: TypeAlias = str | bool | Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Example:
    """A known answer: `fields` as a person would write them, and what must come out.

    A number is `"29.8"`, in the first unit that the invariant asks for, or `"29.8 %"`; `outcome` is
    `"refuted/impossible"`, `"supported/identity"`, `"unchecked"` and so on. `numbers` are those of `computed`,
    `bound`, `margin` and `margin_rounded` that are known, within `tolerance`; `witness` must stand in the witness.
    """

    fields: Mapping[str, Written]
    outcome: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    tolerance: float = 1e-6
    witness: str = ""
    derivation: str = ""


@dataclass(frozen=True, slots=True)
class Invariant:
    """One law over reported numbers.

    `needs` are its required fields, `optional` the others, `one_of` groups of which one is required. `exact`
    are design settings, taken as printed. `states` are flags that the claim must state true for the law to
    hold; left out they make a refutation model-based, false makes the law not apply. `estimates` says that the
    law holds for estimates too. `formula` is the relation in one line, the docstring of the function its derivation.
    """

    id: str
    function: Law
    formula: str
    needs: Mapping[str, Need]
    optional: Mapping[str, Need]
    one_of: tuple[tuple[str, ...], ...]
    exact: frozenset[str]
    states: tuple[str, ...]
    assumes: tuple[str, ...]
    estimates: bool
    violation: Subtype
    reference: str
    known: tuple[Example, ...]
    replays: bool

    @property
    def family(self) -> str:
        return self.id.partition(".")[0]

    @property
    def derivation(self) -> str:
        return inspect.getdoc(self.function) or ""

    @property
    def fields(self) -> dict[str, Need]:
        """Every field that the invariant can use, the flags it wants stated among them."""
        return {**self.needs, **self.optional, **{name: Need("flag") for name in self.states}}
