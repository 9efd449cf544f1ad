"""The attributes of a proposal that have a known kind and known words, and what may be said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from tollens.core.expression.predicate import atoms_in, compared_word, shown, word_key
from tollens.core.expression.syntax import Compare, Flag, Has, Member, Predicate, show
from tollens.protocol.study import Attribute, Study, refused


@dataclass(frozen=True, slots=True)
class Known:
    """`kind`: a set of words, one word, or a number; `words` are the only ones there are, where any are named."""

    kind: Literal["set", "word", "number"]
    words: tuple[str, ...] = ()


KNOWN: Mapping[str, Known] = {
    "touches": Known("set", ("kv", "routing", "weights", "activations", "decode")),
    "calibration": Known("word", ("none", "weight_only", "activation")),
    "base": Known("word", ("frozen", "trained")),
    "metrics": Known("set"),
    "batch": Known("number"),
    "hardware": Known("set"),
}


def check_proposal(study: Study) -> None:
    """Return if every attribute of a known name has a value that it can have.

    An empty list says that there is nothing: `touches = []` is declared and touches nothing. Raises TollensError
    `proposal_value`, exit 3.
    """
    for name, value in study.proposal.items():
        wrong = misdeclared(name, value)
        if wrong is not None:
            expected, found, fix = wrong
            raise refused("proposal_value", f"proposal.{name}", expected, found or "nothing", fix)


def misdeclared(name: str, value: Attribute) -> tuple[str, str, str] | None:
    """(what a known attribute can be, what was found, what to do) where it cannot be `value`."""
    known = KNOWN.get(name)
    if known is None:
        return None
    if known.kind == "number":
        number = isinstance(value, int) and not isinstance(value, bool)
        return None if number else ("a number", shown(value), "Write a whole number, without quotation marks.")
    if isinstance(value, bool | int):
        return ("words", shown(value), "Name it.")
    if isinstance(value, list) and known.kind == "word":
        return ("one word", shown(value), "Write the word alone, in quotation marks.")
    for word in [value] if isinstance(value, str) else value:
        if known.words and word not in known.words:
            return (f"one of {', '.join(known.words)}", repr(word[:64]), nearest(word, known.words))
        if not word_key(word).strip("_"):
            return ("words of letters and digits", repr(word[:64]), "Name it.")
    return None


def nearest(word: str, words: tuple[str, ...] | list[str]) -> str:
    """What was meant, as a sentence; all the words where none is near."""
    near = get_close_matches(word_key(word), words, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"Known: {', '.join(words)}."


def unaskable(predicate: Predicate) -> str | None:
    """Why an atom could never be true as written, where the attribute is a known one; None where all can."""
    for test in atoms_in(predicate):
        if isinstance(test, Has):
            continue
        word = compared_word(test) if isinstance(test, Compare) else None
        if isinstance(test, Compare) and word is None:
            numbers = {t.atom.name for side in (test.left, test.right) for t in side.terms if t.atom is not None}
            worded = sorted(name for name in numbers if name in KNOWN and KNOWN[name].kind != "number")
            if worded:
                return f"`{show(test)}`: {worded[0]} holds words, not numbers"
            continue
        name = word[0] if word is not None else test.name if isinstance(test, Flag | Member) else ""
        known = KNOWN.get(name)
        if known is None:
            continue
        if isinstance(test, Flag):
            return f"`{show(test)}`: {name} is no flag"
        if known.kind == "number":
            return f"`{show(test)}`: {name} is a number"
        if known.kind == "set" and word is not None:
            return f"`{show(test)}`: {name} is a set; write `{name} in {{{word[1]}}}`"
        asked = (word[1],) if word is not None else test.words if isinstance(test, Member) else ()
        for said in asked:
            if known.words and word_key(said) not in known.words:
                return f"`{show(test)}`: {said} is no value of {name}. {nearest(said, known.words)}"
    return None
