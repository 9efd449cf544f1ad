"""The attributes of a proposal that have a known kind and known words, and what may be said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from tollens.core.expression.predicate import compared_word, shown, tests, word_key
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
        known = KNOWN.get(name)
        if known is None:
            continue
        if known.kind == "number":
            if isinstance(value, bool) or not isinstance(value, int):
                raise _refused(name, "a number", value, "Write it without quotation marks.")
            continue
        if isinstance(value, bool | int) or (isinstance(value, list) and known.kind == "word"):
            raise _refused(name, "a word" if known.kind == "word" else "a list of words", value, "Correct it.")
        for word in [value] if isinstance(value, str) else value:
            if known.words and word not in known.words:
                raise _refused(name, f"one of {', '.join(known.words)}", word, nearest(word, known.words))
            if not word_key(word).strip("_"):
                raise _refused(name, "words of letters and digits", word, "Name it.")


def _refused(name: str, expected: str, found: Attribute, fix: str) -> Exception:
    return refused("proposal_value", f"proposal.{name}", expected, shown(found) or "nothing", fix)


def nearest(word: str, words: tuple[str, ...] | list[str]) -> str:
    """What was meant, as a sentence; all the words where none is near."""
    near = get_close_matches(word_key(word), words, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"Known: {', '.join(words)}."


def unaskable(predicate: Predicate) -> str | None:
    """Why an atom could never be true as written, where the attribute is a known one; None where all can."""
    for test in tests(predicate):
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
