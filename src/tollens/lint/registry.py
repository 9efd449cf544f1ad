"""The decorator that makes one function an invariant, and that refuses one whose check cannot go red."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from tollens.lint.ask import judge_one
from tollens.lint.check import Outcome, Subtype
from tollens.lint.example import example_claim
from tollens.lint.fields import parse_need
from tollens.lint.finding import Finding
from tollens.lint.law import Example, Invariant, Law

INVARIANTS: dict[str, Invariant] = {}


def invariant(
    *,
    id: str,
    formula: str,
    needs: Mapping[str, str],
    reference: str,
    known: Sequence[Example],
    violation: Subtype,
    optional: Mapping[str, str] | None = None,
    one_of: Iterable[tuple[str, ...]] = (),
    exact: Iterable[str] = (),
    states: Iterable[str] = (),
    assumes: Iterable[str] = (),
    estimates: bool = True,
    replays: bool = False,
) -> Callable[[Law], Invariant]:
    """Register a function of `Fields` under `id`; see `Invariant` for what each argument says.

    Raises ValueError, at import, for an id that exists, a reference or a derivation that is missing, fewer
    than two known answers, known answers that all come out alike, a law that is said to refute and none of
    whose known answers is refuted, and a known answer that does not hold. Known answers of a law that
    `replays` are held by `tollens selftest`, since a replay takes its time.
    """

    def register(function: Law) -> Invariant:
        made = Invariant(
            id, function, formula,
            {name: parse_need(text) for name, text in needs.items()},
            {name: parse_need(text) for name, text in (optional or {}).items()},
            tuple(one_of), frozenset(exact), tuple(states), tuple(assumes), estimates,
            violation, reference, tuple(known), replays,
        )  # fmt: skip
        faults = list(_faults(made))
        if faults:
            raise ValueError(f"invariant {id}: {'; '.join(faults)}")
        INVARIANTS[id] = made
        return made

    return register


def _faults(made: Invariant) -> Iterable[str]:
    if made.id in INVARIANTS:
        yield "an invariant of this id is registered already"
    if made.family == made.id or not made.reference.strip() or not made.derivation or not made.formula:
        yield "it needs a family.name, a formula, a reference and a docstring with the derivation"
    unknown = [name for group in made.one_of for name in group if name not in made.optional]
    if unknown or (made.exact - made.fields.keys()):
        yield f"fields that it does not declare: {unknown or sorted(made.exact - made.fields.keys())}"
    if len(made.known) < 2:
        yield "fewer than two known answers"
        return
    outcomes = {example.outcome for example in made.known}
    if len(outcomes) == 1:
        yield f"all known answers are {outcomes.pop()}: a check that cannot go red is no check"
    refutes = made.violation in (Subtype.IMPOSSIBLE, Subtype.CONTRADICTED)
    if refutes and not any(outcome.startswith(Outcome.REFUTED) for outcome in outcomes):
        yield "no known answer is refuted: a check that cannot go red is no check"
    if all(outcome.startswith(Outcome.REFUTED) for outcome in outcomes):
        yield "every known answer is refuted: a check that never stays silent is no check"
    if not made.replays:
        yield from (wrong for example in made.known for wrong in wrong_answers(made, example))


def wrong_answers(made: Invariant, example: Example) -> list[str]:
    """How what the invariant makes of an example differs from what is known; empty if it does not."""
    return differences(judge_one(example_claim(made, example), made), example)


def differences(found: Finding, example: Example) -> list[str]:
    """How the finding of an example differs from what is known of it; empty if it does not."""
    title = ", ".join(f"{name} {value}" for name, value in example.fields.items())[:120]
    said = found.said
    wrong = [] if said == example.outcome else [f"({title}) is {said}, known to be {example.outcome}"]
    for name, value in example.numbers.items():
        number = getattr(found, name)
        if number is None or not math.isclose(number, value, rel_tol=0.0, abs_tol=example.tolerance):
            wrong.append(f"({title}) has {name} {number}, known to be {value} within {example.tolerance:g}")
    if example.witness not in found.witness:
        wrong.append(f"({title}) has the witness {found.witness!r}, which should hold {example.witness!r}")
    return wrong
