"""Known answers: what each entry of the three registries must reproduce, asked one at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tollens.instrument.registry import Instrument, KnownAnswer
from tollens.run.certificate import Answer, Kind
from tollens.run.plugins import Raised, attempt

if TYPE_CHECKING:
    from tollens.lint.law import Example, Invariant
    from tollens.run.registries import Made
    from tollens.stats.registry import Known, Statistic

LISTED = 12  # of a longer list as many elements are kept in an answer


@dataclass(frozen=True, slots=True)
class Question:
    """One known answer, ready to be asked. `ask()` returns what came out and whether that is right.

    `known` is false for what follows from no example: that an invariant without one of its fields says so.
    """

    kind: Kind
    name: str
    title: str
    expected: Any
    tolerance: float | None
    derivation: str
    ask: Callable[[], tuple[Any, bool]]
    quick: bool = True
    known: bool = True


def questions(kind: Kind, made: Made) -> Iterator[Question]:
    """Every question of one entry of a registry, known answers first."""
    ask: Mapping[Kind, Callable[[Any], Iterator[Question]]] = {
        "instrument": instrument_questions,
        "invariant": _of_invariant,
        "statistic": _of_statistic,
    }
    return ask[kind](made)


def answered(question: Question) -> Answer:
    """The question's answer on this machine; what it raises is an answer that fails."""
    begin = time.perf_counter()
    found = attempt(question.ask)
    got, passed = (found.text, False) if isinstance(found, Raised) else found
    return Answer(
        kind=question.kind,
        name=question.name,
        title=question.title,
        expected=plain(question.expected),
        got=plain(got),
        tolerance=question.tolerance,
        passed=passed,
        seconds=round(time.perf_counter() - begin, 6),
        derivation=question.derivation,
        raised=isinstance(found, Raised),
    )


def instrument_questions(made: Instrument) -> Iterator[Question]:
    """The known answers of one instrument; its numbers are read with seed 0."""
    for known in made.known_answers:
        yield Question(
            "instrument", made.name, f"{known.title}: {known.quantity}", known.value, known.tolerance,
            known.derivation, partial(measured, made, known), known.quick,
        )  # fmt: skip


def measured(made: Instrument, known: KnownAnswer, seed: int = 0) -> tuple[Any, bool]:
    """What the instrument reads where an answer is known, and whether it is that answer.

    Of a list each number has to be it: it holds one for each shuffle.
    """
    rows = [r for r in made.measure(known.part(), seed=seed) if r.quantity == known.quantity]
    pick = known.pick if known.pick is not None else lambda value: value
    values = [pick(r.value) if r.value is not None else f"{r.status} {r.reason}" for r in rows]
    flat: list[Any] = [v for value in values for v in (value if isinstance(value, list) else [value])]
    passed = bool(flat) and all(_is_number(v) and abs(v - known.value) <= known.tolerance for v in flat)
    return (flat[0] if len(set(map(str, flat))) == 1 else flat), passed


def _of_statistic(made: Statistic) -> Iterator[Question]:
    for known in made.known:
        tolerance = known.tolerance if _has_number(known.expected) else None
        yield Question(
            "statistic", made.name, known.title, known.expected, tolerance, known.derivation,
            partial(_asked, made, known),
        )  # fmt: skip


def _asked(made: Statistic, known: Known) -> tuple[Any, bool]:
    got = known.ask(made.function)
    return got, agrees(got, known.expected, known.tolerance)


def agrees(got: Any, expected: Any, tolerance: float) -> bool:
    """Equal; numbers within the absolute tolerance, sequences element by element. NaN agrees with nothing."""
    if _is_number(expected):
        return _is_number(got) and bool(got == expected or abs(got - expected) <= tolerance)
    if isinstance(expected, str | bool) or expected is None:
        return type(got) is type(expected) and bool(got == expected)
    got, expected = _listed(got), _listed(expected)
    if got is None or expected is None or len(got) != len(expected):
        return False
    return all(agrees(g, e, tolerance) for g, e in zip(got, expected, strict=True))


def _of_invariant(made: Invariant) -> Iterator[Question]:
    for example in made.known:
        expected = {"outcome": example.outcome, **example.numbers}
        if example.witness:
            expected["witness"] = example.witness
        yield Question(
            "invariant", made.id, written(example), expected, example.tolerance if example.numbers else None,
            example.derivation or made.formula, partial(_judged, made, example),
        )  # fmt: skip
    yield from _deletions(made)


def written(example: Example) -> str:
    """The fields of an example on one line."""
    return ", ".join(f"{name} = {value}" for name, value in example.fields.items())


def _judged(made: Invariant, example: Example) -> tuple[Any, bool]:
    from tollens.lint.ask import judge_one
    from tollens.lint.example import example_claim
    from tollens.lint.registry import differences

    found = judge_one(example_claim(made, example), made)
    got = {"outcome": found.said, **{name: getattr(found, name) for name in example.numbers}}
    if example.witness:
        got["witness"] = found.witness
    return got, not differences(found, example)


def _deletions(made: Invariant) -> Iterator[Question]:
    """Each required field, and each group of which one is required, taken out of an example that has it."""
    for lost in [*((name,) for name in made.needs), *made.one_of]:
        whole = next((e for e in made.known if _complete(made, e) and any(n in e.fields for n in lost)), None)
        if whole is None:
            ask: Callable[[], tuple[Any, bool]] = partial(_no_example, lost)
        else:
            kept = {name: value for name, value in whole.fields.items() if name not in lost}
            ask = partial(_unchecked, made, replace(whole, fields=kept), lost)
        yield Question(
            "invariant", made.id, f"without {' and '.join(lost)}", f"unchecked, missing {' or '.join(lost)}", None,
            "a law that lacks a field says so, and says which", ask, known=False,
        )  # fmt: skip


def _complete(made: Invariant, example: Example) -> bool:
    fields = example.fields
    return all(n in fields for n in made.needs) and all(any(n in fields for n in group) for group in made.one_of)


def _no_example(lost: Sequence[str]) -> tuple[Any, bool]:
    return f"no known answer has {' or '.join(lost)}", False


def _unchecked(made: Invariant, example: Example, lost: Sequence[str]) -> tuple[Any, bool]:
    from tollens.lint.ask import judge_one
    from tollens.lint.example import example_claim

    found = judge_one(example_claim(made, example), made)
    got = f"{found.said}, missing {' or '.join(found.missing) or 'nothing'}"
    named = {name for missing in found.missing for name in missing.split(" or ")}  # a group is named in one
    return got, found.outcome == "unchecked" and named >= set(lost)


def plain(value: Any) -> Any:
    """A value as JSON has it: arrays as lists, what is not finite as its name, anything else as text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        listed = [plain(inner) for inner in value[:LISTED]]
        return listed if len(value) <= LISTED else [*listed, f"and {len(value) - LISTED} more"]
    return repr(value)[:200]


def _is_number(value: Any) -> bool:
    if hasattr(value, "tolist"):
        value = value.tolist()
    return isinstance(value, int | float) and not isinstance(value, bool)


def _has_number(value: Any) -> bool:
    return _is_number(value) or (not isinstance(value, str | bool) and any(map(_has_number, value)))


def _listed(value: Any) -> Sequence[Any] | None:
    if hasattr(value, "tolist"):
        value = value.tolist()
    return value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else None
