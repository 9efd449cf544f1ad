"""Regular expressions out of a stranger's file: the plain ones, matched in time linear in the name.

The matcher of Python goes back and tries again, and a short expression can make it do so for ever. Here a set of
states walks over the name once (Thompson 1968), which no expression can slow down by more than its own length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from tollens.core.errors import TollensError

MAX_PATTERN = 512
MAX_NESTING = 16
PLAIN = re.compile(r"[A-Za-z0-9_\-./ :]+")
SHORTHANDS: dict[str, Callable[[str], bool]] = {
    "d": str.isdecimal, "D": lambda c: not c.isdecimal(),
    "w": lambda c: c.isalnum() or c == "_", "W": lambda c: not (c.isalnum() or c == "_"),
    "s": str.isspace, "S": lambda c: not c.isspace(),
}  # fmt: skip

Test: TypeAlias = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class _State:
    """One state: a test of the next character, after which `out[0]` follows, or no test and several that follow
    at once. `anchor` lets it be passed only at the start (^) or at the end ($) of the name.
    """

    test: Test | None
    out: list[int]
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Pattern:
    """An expression of literals, `.`, classes, `\\d \\w \\s`, groups, `|`, `* + ?`, `^` and `$`."""

    text: str
    states: tuple[_State, ...]
    start: int

    def ends(self, name: str) -> bool:
        """Whether the expression matches the whole of `name`, or the rest of it after a dot: what
        `re.match(rf"(.*\\.)?({text})$", name)` says of a name in one line.
        """
        end = len(name)
        current: set[int] = set()
        for place in range(end + 1):
            if place == 0 or name[place - 1] == ".":
                self._reach(self.start, place, end, current)
            if place == end:
                break
            following: set[int] = set()
            for index in current:
                state = self.states[index]
                if state.test is not None and state.test(name[place]):
                    self._reach(state.out[0], place + 1, end, following)
            current = following
        return len(self.states) - 1 in current

    def _reach(self, index: int, place: int, end: int, found: set[int]) -> None:
        """Add the state and all that follow it without a character."""
        waiting = [index]
        while waiting:
            here = waiting.pop()
            if here in found:
                continue
            state = self.states[here]
            if (state.anchor == "^" and place != 0) or (state.anchor == "$" and place != end):
                continue
            found.add(here)
            if state.test is None:
                waiting.extend(state.out)


@dataclass(frozen=True, slots=True)
class Plain:
    """An expression without a special character but the dot, which stands for any character."""

    text: str

    def ends(self, name: str) -> bool:
        """As `Pattern.ends`."""
        rest = len(name) - len(self.text)
        if rest < 0 or (rest > 0 and name[rest - 1] != "."):
            return False
        return all(c in (".", n) for c, n in zip(self.text, name[rest:], strict=True))


def compiled(text: str, subject: str) -> Pattern | Plain:
    """The expression `text`. Raises: `adapter_pattern_unsupported`, which names it and what it holds."""
    if len(text) > MAX_PATTERN:
        raise _refused(text, subject, f"{len(text)} characters")
    if PLAIN.fullmatch(text):
        return Plain(text)
    states: list[_State] = []
    parser = _Parser(text, subject, states)
    start, ends = parser.alternatives(0)
    if parser.place != len(text):
        raise _refused(text, subject, f"{text[parser.place]!r} at {parser.place}")
    states.append(_State(None, []))
    for index in ends:
        states[index].out.append(len(states) - 1)
    return Pattern(text, tuple(states), start)


class _Parser:
    """Reads an expression from left to right. Each piece becomes (its first state, the states it leaves by)."""

    def __init__(self, text: str, subject: str, states: list[_State]) -> None:
        self.text, self.subject, self.states = text, subject, states
        self.place = 0

    def alternatives(self, depth: int) -> tuple[int, list[int]]:
        if depth > MAX_NESTING:
            raise _refused(self.text, self.subject, f"groups nested more than {MAX_NESTING} deep")
        branch = self._new(None)
        ends: list[int] = []
        while True:
            first, last = self._sequence(depth)
            self.states[branch].out.append(first)
            ends += last
            if self._next() != "|":
                return branch, ends
            self.place += 1

    def _sequence(self, depth: int) -> tuple[int, list[int]]:
        first = self._new(None)
        ends = [first]
        while self._next() not in ("", "|", ")"):
            anchored = self._next() in ("^", "$")
            begin, last = self._atom(depth)
            if not anchored:
                begin, last = self._repeated(begin, last)
            for index in ends:
                self.states[index].out.append(begin)
            ends = last
        return first, ends

    def _repeated(self, first: int, ends: list[int]) -> tuple[int, list[int]]:
        mark = self._next()
        if mark not in ("*", "+", "?"):
            return first, ends
        self.place += 1
        if self._next() == "?":  # as few as possible: the same names match
            self.place += 1
        if self._next() in ("*", "+", "?"):
            raise self._unread()
        fork = self._new(None)
        self.states[fork].out.append(first)
        if mark != "?":
            for index in ends:
                self.states[index].out.append(fork)
        return (first, [fork]) if mark == "+" else (fork, [fork] if mark == "*" else [*ends, fork])

    def _atom(self, depth: int) -> tuple[int, list[int]]:
        char = self._next()
        if char in "*+?{}":
            raise self._unread()
        self.place += 1
        if char == "(":
            return self._group(depth)
        if char in "^$":
            made = self._new(None, char)
        elif char == ".":
            made = self._new(lambda c: c != "\n")
        elif char == "[":
            made = self._new(self._class())
        elif char == "\\":
            made = self._new(self._escape())
        else:
            made = self._new(char.__eq__)
        return made, [made]

    def _group(self, depth: int) -> tuple[int, list[int]]:
        if self._next() == "?":
            if self.text[self.place : self.place + 2] != "?:":
                raise self._unread()
            self.place += 2
        inside = self.alternatives(depth + 1)
        if self._next() != ")":
            raise self._unread()
        self.place += 1
        return inside

    def _escape(self) -> Test:
        char = self._next()
        self.place += 1
        if char in SHORTHANDS:
            return SHORTHANDS[char]
        if char.isalnum() or not char:
            self.place -= 1
            raise self._unread()
        return char.__eq__

    def _class(self) -> Test:
        negated = self._next() == "^"
        self.place += negated
        tests = list(self._members())
        self.place += 1
        return lambda c: any(test(c) for test in tests) is not negated

    def _members(self) -> Iterator[Test]:
        begin = self.place
        while self._next() != "]" or self.place == begin:
            char = self._next()
            if char in ("", "["):
                raise self._unread()
            self.place += 1
            test = self._escape() if char == "\\" else char.__eq__
            if self._next() != "-" or self.text[self.place + 1 : self.place + 2] in ("]", ""):
                yield test
                continue
            last = self.text[self.place + 1]
            if char == "\\" or last == "\\" or last < char:
                raise self._unread()
            self.place += 2
            yield _between(char, last)

    def _next(self) -> str:
        return self.text[self.place : self.place + 1]

    def _new(self, test: Test | None, anchor: str = "") -> int:
        self.states.append(_State(test, [], anchor))
        return len(self.states) - 1

    def _unread(self) -> TollensError:
        found = repr(self._next()) if self._next() else "the end"
        return _refused(self.text, self.subject, f"{found} at {self.place}")


def _between(first: str, last: str) -> Test:
    return lambda c: first <= c <= last


def _refused(text: str, subject: str, found: str) -> TollensError:
    return TollensError(
        "adapter_pattern_unsupported", f"{subject}: {text!r:.80}",
        expected="a plain regular expression: literals, . [] \\d \\w \\s () | * + ? ^ $, at most 512 characters",
        found=found, fix="Write the module's name out.",
    )  # fmt: skip
