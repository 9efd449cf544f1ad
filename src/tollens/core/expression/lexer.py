"""From text to tokens. Everything outside a small ASCII alphabet is refused with what to write instead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto

from tollens.core.expression.fault import fault, quoted

MAX_LENGTH = 10_000
MAX_NAME = 100
MAX_DIGITS = 60
MAX_EXPONENT = 300

KEYWORDS = frozenset({"and", "or", "not", "any", "all", "mean", "min", "max", "quantile"})
# Words of the predicate profile are reserved in a rule too: what reads alike must not mean two things.
RESERVED = frozenset({"in", "flag", "has", "true", "false", "nan", "inf", "infinity"})

_SPACE = re.compile(r"[ \t\r\n]+")
_NUMBER = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RELATION = re.compile(r"<=|>=|==|!=|<|>")
_INSTEAD = {
    "≥": ">=",
    "≤": "<=",
    "≠": "!=",
    "−": "-",
    "–": "-",
    "—": "-",
    "×": "*",
    "·": "*",
    "&": "and",
    "|": "or",
    "!": "not",
    "=": "==",
    "∧": "and",
    "∨": "or",
    "¬": "not",
    "∀": "all",
    "∃": "any",
}


class Kind(Enum):
    NUMBER = auto()
    WORD = auto()
    RELATION = auto()
    SIGN = auto()  # one of + - * / ^ % ( ) { } ,
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    position: int


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, ending in one of kind END.

    Raises TollensError: `claim_too_long`, `claim_empty`, `claim_character`, `claim_number`.
    """
    if len(text) > MAX_LENGTH:
        raise fault(
            "claim_too_long",
            text,
            0,
            expected=f"at most {MAX_LENGTH} characters",
            found=f"{len(text)} characters",
            fix="Split the claim into several.",
        )
    found: list[Token] = []
    position = 0
    while position < len(text):
        if space := _SPACE.match(text, position):
            position = space.end()
        else:
            found.append(_token(text, position))
            position = found[-1].position + len(found[-1].text)
    if not found:
        raise fault(
            "claim_empty",
            text,
            0,
            expected="a comparison",
            found="no text",
            fix="Write for instance `all(stable_rank >= 8)`.",
        )
    return [*found, Token(Kind.END, "", len(text))]


def _token(text: str, position: int) -> Token:
    if number := _NUMBER.match(text, position):
        if after := _WORD.match(text, number.end()):
            # 0x10, 1e, 1_000 and 3pp would read as a number and a word; only a unit may follow so closely.
            if after[0][0] in "xXeE_" or "_" in after[0]:
                raise _bad_number(text, position, text[position : after.end()])
        elif text[number.end() : number.end() + 1] == ".":
            raise _bad_number(text, position, number[0] + ".")
        return Token(Kind.NUMBER, number[0], position)
    if word := _WORD.match(text, position):
        if len(word[0]) > MAX_NAME:
            raise fault(
                "claim_too_long",
                text,
                position,
                expected=f"a name of at most {MAX_NAME} characters",
                found=f"one of {len(word[0])}",
                fix="Names are those of the readings.",
            )
        return Token(Kind.WORD, word[0], position)
    if relation := _RELATION.match(text, position):
        return Token(Kind.RELATION, relation[0], position)
    character = text[position]
    if character in "+-*/^%(){},":
        return Token(Kind.SIGN, character, position)
    instead = _INSTEAD.get(character)
    raise fault(
        "claim_character",
        text,
        position,
        expected="ASCII letters, digits, < <= > >= == != + - * ( ) and ,",
        found=f"{quoted(character)} (U+{ord(character):04X})",
        fix=f"Write `{instead}`." if instead else "Claims have no strings, attributes or indices.",
    )


def number(text: str, token: Token) -> Decimal:
    """The exact decimal a NUMBER token stands for.

    Raises TollensError `claim_number` beyond 60 digits or outside 1e-300 … 1e300 (0 is fine).
    """
    mantissa, _, exponent = token.text.lower().partition("e")
    if len(mantissa) > MAX_DIGITS or len(exponent) > 6:
        raise _bad_number(text, token.position, token.text)
    value = Decimal(token.text)
    if value and abs(value.adjusted()) > MAX_EXPONENT:
        raise _bad_number(text, token.position, token.text)
    if not value and abs(int(exponent or 0)) > MAX_EXPONENT:
        raise _bad_number(text, token.position, token.text)
    return value


def _bad_number(text: str, position: int, found: str) -> Exception:
    return fault(
        "claim_number",
        text,
        position,
        expected=f"a decimal of at most {MAX_DIGITS} digits between 1e-{MAX_EXPONENT} and 1e{MAX_EXPONENT}",
        found=quoted(found),
        fix="Write a finite decimal such as 0.5, 12 or 1e-3.",
    )
