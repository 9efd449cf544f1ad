"""From text to a rule: recursive descent over the grammar

    rule  := conj ("or" conj)*
    conj  := neg ("and" neg)*
    neg   := "not" neg | cmp | quant | "(" rule ")"
    cmp   := lin OP lin
    quant := ("any" | "all") "(" list OP lin ")"
    lin   := ["-"] term (("+" | "-") term)*
    term  := literal | reading | literal "*" reading
           | ("mean" | "min" | "max") "(" list ")" | "quantile" "(" literal "," list ")"

The predicate profile, over attributes, has other atoms:

    neg   := "not" neg | test | "(" rule ")"
    test  := attribute | attribute "in" "{" word ("," word)* "}" | "has" "(" attribute ")"
           | attribute ("==" | "!=") word | lin OP lin

A lone word on the right of == and != is a word there, never another attribute.

A literal may carry a unit: `-0.5 pp`, `3 weight^2`, `2 B/token`. There is no division, so `/` after a number
belongs to its unit, and `*` does where a base unit follows it. The symbols of base units name no readings.
"""

from __future__ import annotations

import re
import typing
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from typing import overload

from tollens.core.errors import TollensError
from tollens.core.expression.fault import fault, quoted
from tollens.core.expression.lexer import KEYWORDS, RESERVED, Kind, Token, number, tokens
from tollens.core.expression.syntax import (
    Aggregate,
    And,
    Compare,
    Flag,
    Fold,
    Formula,
    Has,
    Linear,
    Literal,
    Member,
    Name,
    Not,
    Op,
    Or,
    Predicate,
    Quantified,
    Quantifier,
    Rule,
    Term,
    Test,
)
from tollens.core.units import BASE_UNITS, ONE, Unit, base_unit

MAX_DEPTH = 50

_FOLDS = frozenset(Fold)
_CONSTANTS = frozenset({"true", "false"})
_ATTRIBUTES = "a rule is about readings, and attributes stand in the trigger of a constraint."
_QUANTIFIERS = frozenset(Quantifier)
_TWO_WORDS = re.compile(r"(?<![\w.])([A-Za-z_']+)[\s,]+([A-Za-z_']+)(?![\w.])", re.ASCII)


class Profile(Enum):
    """Which atoms the parser admits."""

    RULE = "rule"
    PREDICATE = "predicate"


@overload
def parse(text: str, profile: typing.Literal[Profile.RULE] = Profile.RULE) -> Rule: ...


@overload
def parse(text: str, profile: typing.Literal[Profile.PREDICATE]) -> Predicate: ...


def parse(text: str, profile: Profile = Profile.RULE) -> Formula:
    """The rule, or the predicate, that `text` states.

    Raises TollensError with the place marked: claim_empty, claim_prose, claim_character, claim_number,
    claim_syntax, claim_chained, claim_function, claim_unit, claim_quantile, claim_too_long, claim_too_deep.
    """
    try:
        return _Parser(text, profile).whole()
    except TollensError as error:
        prose = profile is Profile.RULE and _is_prose(text)
        if error.code in ("claim_syntax", "claim_character", "claim_unit") and prose:
            raise fault(
                "claim_prose",
                text,
                0,
                expected="a comparison of named quantities with numbers",
                found="a sentence",
                fix="Say what would be measured, such as `all(stable_rank >= 8)`.",
            ) from error
        raise


def _is_prose(text: str) -> bool:
    """Two words in a row that are no keywords, and no relation anywhere."""
    if re.search("[<>=≤≥≠]", text):
        return False
    return any(not {m[1].lower(), m[2].lower()} & (KEYWORDS | RESERVED) for m in _TWO_WORDS.finditer(text))


class _Parser:
    """One pass over the tokens of one text; the state is the place and the depth."""

    def __init__(self, text: str, profile: Profile) -> None:
        self._text = text
        self._profile = profile
        self._tokens = tokens(text)
        self._place = 0
        self._depth = 0

    def whole(self) -> Formula:
        rule = self._rule()
        if self._peek().kind is not Kind.END:
            raise self._wrong("`and`, `or` or the end")
        return rule

    def _peek(self) -> Token:
        return self._tokens[self._place]

    def _take(self) -> Token:
        token = self._peek()
        if token.kind is not Kind.END:
            self._place += 1
        return token

    def _accept(self, text: str) -> bool:
        if self._peek().text == text and self._peek().kind is not Kind.END:
            self._place += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._wrong(f"`{text}`")

    def _wrong(self, expected: str, fix: str = "", token: Token | None = None) -> TollensError:
        at = self._peek() if token is None else token
        found = quoted(at.text) if at.text else "the end"
        if at.text == "/":
            fix = fix or "There is no division; multiply the other side instead."
        elif at.text in RESERVED:
            place = "in a rule" if self._profile is Profile.RULE else "here"
            fix = fix or f"`{at.text}` is reserved and has no meaning {place}."
        fix = fix or "`tollens explain claim_syntax` shows complete claims."
        return fault("claim_syntax", self._text, at.position, expected=expected, found=found, fix=fix)

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise fault(
                "claim_too_deep",
                self._text,
                self._peek().position,
                expected=f"at most {MAX_DEPTH} levels",
                found="one more",
                fix="Remove superfluous parentheses and double negations.",
            )

    def _rule(self) -> Formula:
        self._descend()
        operands = [self._conjunction()]
        while self._accept("or"):
            operands.append(self._conjunction())
        self._depth -= 1
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def _conjunction(self) -> Formula:
        operands = [self._negation()]
        while self._accept("and"):
            operands.append(self._negation())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _negation(self) -> Formula:
        if self._accept("not"):
            self._descend()
            operand = self._negation()
            self._depth -= 1
            return Not(operand)
        if self._accept("("):
            rule = self._rule()
            if self._peek().text != ")":
                raise self._wrong("`)`", "Every opening parenthesis needs a closing one.")
            self._take()
            if self._peek().kind is Kind.RELATION or self._peek().text in ("+", "-", "*", "/"):
                raise self._wrong("`and`, `or` or the end", "Parentheses group comparisons, not sums.")
            return rule
        if self._profile is Profile.PREDICATE:
            return self._test()
        if self._peek().text in _QUANTIFIERS:
            return self._quantified()
        if self._peek().text == "has" and self._after().text == "(":
            raise self._wrong("a comparison", f"`has` asks for an attribute; {_ATTRIBUTES}")
        left = self._linear()
        if self._peek().text == "in":
            raise self._wrong("one of < <= > >= == !=", f"`in` asks for a word of an attribute; {_ATTRIBUTES}")
        op = self._relation("Parentheses group comparisons, not sums." if self._peek().text == ")" else "")
        rule = Compare(left, op, self._linear())
        self._refuse_chain()
        return rule

    def _test(self) -> Test:
        """An atom of the predicate profile."""
        token = self._peek()
        if token.kind is Kind.WORD and token.text in _CONSTANTS:
            raise self._wrong("the name of an attribute", "A flag stands alone: `frozen`, or `not frozen`.")
        if token.text in _QUANTIFIERS or token.text in _FOLDS:
            raise self._wrong("the name of an attribute", f"`{token.text}` is for lists of readings, not attributes.")
        if token.text == "has":
            self._take()
            self._expect("(")
            name = self._attribute()
            self._expect(")")
            return Has(name)
        after = self._after()
        if token.kind is Kind.WORD and after.text == "in":
            name = self._attribute()
            self._take()
            return Member(name, self._words())
        if token.kind is Kind.WORD and after.text in ("and", "or", ")", ""):
            return Flag(self._attribute())
        left = self._linear()
        op = self._relation("")
        if op in (Op.EQ, Op.NE) and self._peek().kind is Kind.WORD:
            return self._is_word(left, op)
        made = Compare(left, op, self._linear())
        self._refuse_chain()
        for term in (*left.terms, *made.right.terms):
            if isinstance(term.atom, Aggregate):
                raise self._wrong("numbers and attributes", f"`{term.atom.fold}` is for lists of readings.", token)
            if term.factor is not None and term.factor.unit is not None:
                raise self._wrong("numbers without a unit", "An attribute is a bare number.", token)
        return made

    def _is_word(self, left: Linear, op: Op) -> Compare:
        if self._peek().text in _CONSTANTS:
            raise self._wrong("a word", "A flag stands alone: `frozen`, or `not frozen`.")
        first = left.terms[0]
        if len(left.terms) != 1 or first.negative or first.factor is not None:
            raise self._wrong("a number", "Only one attribute is compared with a word: `base == frozen`.")
        made = Compare(left, op, Linear((Term(False, None, Name(self._word())),)))
        self._refuse_chain()
        if self._peek().kind is Kind.SIGN and self._peek().text != ")":
            raise self._wrong("`and`, `or` or the end", "Compare numbers by `a - b == 0`.")
        return made

    def _words(self) -> tuple[str, ...]:
        self._expect("{")
        words = [self._word()]
        while self._accept(","):
            words.append(self._word())
        self._expect("}")
        return tuple(words)

    def _word(self) -> str:
        token = self._peek()
        if token.kind is not Kind.WORD or token.text in KEYWORDS or token.text in RESERVED:
            raise self._wrong("a word", "Words stand in braces: `touches in {kv, routing}`.")
        return self._take().text

    def _attribute(self) -> str:
        return self._name("the name of an attribute")

    def _after(self) -> Token:
        return self._tokens[min(self._place + 1, len(self._tokens) - 1)]

    def _quantified(self) -> Quantified:
        quantifier = Quantifier(self._take().text)
        self._expect("(")
        if self._peek().kind is not Kind.WORD or self._peek().text in KEYWORDS:
            raise self._wrong("the name of a list", f"The list comes first: `{quantifier}(x > 0)`.")
        name = self._name()
        shape = f"The comparison goes inside: `{quantifier}({name} >= 8)`."
        op = self._relation(shape)
        right = self._linear()
        self._refuse_chain()
        if self._peek().text in ("and", "or"):
            word, each = self._peek().text, f"{quantifier}({name}"
            raise self._wrong("`)`", f"One comparison each: `{each} > 1) {word} {each} < 2)`.")
        self._expect(")")
        if self._peek().kind is Kind.RELATION:
            raise self._wrong("`and`, `or` or the end", shape)
        return Quantified(quantifier, name, op, right)

    def _relation(self, fix: str) -> Op:
        if self._peek().kind is not Kind.RELATION:
            raise self._wrong("one of < <= > >= == !=", fix)
        return Op(self._take().text)

    def _refuse_chain(self) -> None:
        if self._peek().kind is Kind.RELATION:
            raise fault(
                "claim_chained",
                self._text,
                self._peek().position,
                expected="one relation in a comparison",
                found="a second one",
                fix="Write `a < b and b < c`.",
            )

    def _linear(self) -> Linear:
        if self._profile is Profile.PREDICATE and self._peek().text in RESERVED:
            raise self._wrong("a number or the name of an attribute")
        terms = [self._term(self._accept("-"))]
        while self._peek().text in ("+", "-") and self._peek().kind is Kind.SIGN:
            terms.append(self._term(self._take().text == "-"))
        return Linear(tuple(terms))

    def _term(self, negative: bool) -> Term:
        token = self._peek()
        if token.kind is Kind.NUMBER:
            literal = self._literal()
            if not self._accept("*"):
                return Term(negative, literal, None)
            if self._peek().kind is not Kind.WORD or self._peek().text in KEYWORDS:
                raise self._wrong("a reading", "A number multiplies a reading, nothing else.")
            return Term(negative, literal, Name(self._name()))
        if token.text in _FOLDS:
            return Term(negative, None, self._aggregate())
        if token.kind is not Kind.WORD or token.text in KEYWORDS:
            raise self._wrong("a number, a reading, mean, min, max or quantile")
        name = Name(self._name())
        if self._peek().text == "*":
            raise self._wrong("a relation, + or -", "A number stands before the reading: `2*x`.")
        return Term(negative, None, name)

    def _aggregate(self) -> Aggregate:
        fold = Fold(self._take().text)
        self._expect("(")
        level: Decimal | None = None
        if fold is Fold.QUANTILE:
            token = self._peek()
            if token.kind is not Kind.NUMBER:
                raise self._wrong("the level of the quantile", "Write `quantile(0.95, x)`.")
            level = number(self._text, self._take())
            if not 0 < level <= 1:
                raise fault(
                    "claim_quantile",
                    self._text,
                    token.position,
                    expected="a level in (0, 1]",
                    found=quoted(token.text),
                    fix="Use a level such as 0.5 or 0.95.",
                )
            self._expect(",")
        name = self._name()
        if self._peek().kind is Kind.RELATION:
            raise self._wrong("`)`", f"Compare the {fold}: `{fold}({'0.5, ' if level else ''}{name}) > 1`.")
        self._expect(")")
        return Aggregate(fold, name, level)

    def _name(self, what: str = "the name of a reading") -> str:
        token = self._peek()
        if token.kind is not Kind.WORD or token.text in KEYWORDS or token.text in RESERVED:
            raise self._wrong(what)
        if token.text in BASE_UNITS:
            raise self._wrong(what, f"`{token.text}` is a unit; a unit follows a number.")
        self._take()
        if self._peek().text == "(":
            near = get_close_matches(token.text, [*_FOLDS, *_QUANTIFIERS], n=1, cutoff=0.6)
            raise fault(
                "claim_function",
                self._text,
                token.position,
                expected="one of any, all, mean, min, max, quantile",
                found=quoted(token.text),
                fix=f"Did you mean `{near[0]}`?" if near else "No other function exists.",
            )
        return token.text

    def _literal(self) -> Literal:
        return Literal(number(self._text, self._take()), self._unit())

    def _unit(self) -> Unit | None:
        """The unit that follows a number, if one does."""
        token = self._peek()
        if token.kind is Kind.WORD and token.text not in KEYWORDS:
            if self._tokens[self._place + 1].text == "(":
                raise self._wrong("a unit, an operator or a relation")
            unit = self._unit_factor()
        elif token.text in ("%", "1"):
            unit = self._unit_factor()
        else:
            return None
        while (sign := self._peek().text) in ("*", "/"):
            after = self._tokens[self._place + 1].text
            if sign == "*" and after not in BASE_UNITS:
                return unit
            self._take()
            factor = self._unit_factor()
            unit = unit * factor if sign == "*" else unit / factor
        return unit

    def _unit_factor(self) -> Unit:
        token = self._take()
        if token.kind is not Kind.WORD and token.text not in ("%", "1"):
            raise self._wrong("a unit", token=token)
        power = 1
        if self._accept("^"):
            exponent = self._take()
            if not re.fullmatch("[1-9][0-9]?", exponent.text, re.ASCII):
                raise self._wrong("a power from 1 to 99", token=exponent)
            power = int(exponent.text)
        if token.text == "1":
            return ONE
        try:
            return base_unit(token.text, power)
        except TollensError as error:
            raise fault(
                error.code,
                self._text,
                token.position,
                expected=error.expected,
                found=quoted(token.text),
                fix=error.fix,
            ) from error
