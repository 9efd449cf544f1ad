"""Units of readings: products and quotients of a few base units, equal or not, never converted.

% and pp differ, nat and bit differ, s and ms differ: a conversion is a statement, and nobody made it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from tollens.core.errors import TollensError

BASE_UNITS = ("%", "pp", "nat", "bit", "token", "s", "ms", "B", "FLOP", "USD", "count", "weight", "decade")
_ORDER: Mapping[str, int] = {symbol: place for place, symbol in enumerate(BASE_UNITS)}
_FACTOR = re.compile(r"(%|[A-Za-z]+|1)(?:\^([1-9][0-9]?))?", re.ASCII)
_MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class Unit:
    """A product of base units with non-zero integer powers, in the order of `BASE_UNITS`; empty means 1.

    Equality is equality of the powers: `B/token` equals `B^2/B/token` and differs from `token/B`.
    """

    powers: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        places = [_ORDER.get(symbol, -1) for symbol, _ in self.powers]
        if -1 in places or places != sorted(set(places)) or any(power == 0 for _, power in self.powers):
            raise ValueError(f"not a reduced product of base units: {self.powers!r}")

    def __mul__(self, other: Unit) -> Unit:
        return _reduced([*self.powers, *other.powers])

    def __truediv__(self, other: Unit) -> Unit:
        return _reduced([*self.powers, *((symbol, -power) for symbol, power in other.powers)])

    def __str__(self) -> str:
        above = "*".join(_shown(symbol, power) for symbol, power in self.powers if power > 0)
        below = "".join("/" + _shown(symbol, -power) for symbol, power in self.powers if power < 0)
        return (above or "1") + below


def _shown(symbol: str, power: int) -> str:
    return symbol if power == 1 else f"{symbol}^{power}"


def _reduced(factors: list[tuple[str, int]]) -> Unit:
    total: dict[str, int] = {}
    for symbol, power in factors:
        total[symbol] = total.get(symbol, 0) + power
    return Unit(tuple((symbol, total[symbol]) for symbol in BASE_UNITS if total.get(symbol)))


def base_unit(symbol: str, power: int = 1) -> Unit:
    """The unit `symbol^power`; "1" is the empty unit.

    Raises TollensError `claim_unit` for a symbol that is not a base unit.
    """
    if symbol == "1":
        return ONE
    if symbol not in _ORDER:
        # Case is the usual slip (b for B, usd for USD), and difflib counts it as a difference.
        same = [known for known in BASE_UNITS if known.lower() == symbol.lower()]
        near = same or get_close_matches(symbol[:40], BASE_UNITS, n=2, cutoff=0.5)
        raise TollensError(
            "claim_unit",
            repr(symbol[:40]),
            expected="one of 1 " + " ".join(BASE_UNITS),
            found="no such unit",
            fix=f"Did you mean {' or '.join(near)}?" if near else "Use one of these or a product of them.",
        )
    return _reduced([(symbol, power)])


def parse_unit(text: str) -> Unit:
    """Read `1`, `pp`, `weight^2`, `B/token`, `FLOP/s/B`; `/` binds to one factor. Powers are 1 to 99.

    Raises TollensError `unit_syntax` or `claim_unit`.
    """
    if len(text) > _MAX_TEXT:
        raise _unreadable(text)
    unit, position, sign = ONE, 0, 1
    while True:
        match = _FACTOR.match(text, position)
        if match is None:
            raise _unreadable(text)
        factor = base_unit(match[1], int(match[2] or 1))
        unit = unit * factor if sign > 0 else unit / factor
        position = match.end()
        if position == len(text):
            return unit
        if text[position] not in "*/":
            raise _unreadable(text)
        sign = 1 if text[position] == "*" else -1
        position += 1


def _unreadable(text: str) -> TollensError:
    return TollensError(
        "unit_syntax",
        "unit",
        expected="a product or quotient such as pp, weight^2 or B/token",
        found=repr(text[:60]),
        fix="Join base units by * and /, with powers as ^2.",
    )


ONE = Unit()
COUNT = Unit((("count", 1),))
