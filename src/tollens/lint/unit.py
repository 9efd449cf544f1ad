"""Units of reported numbers, with the exact conversions among them and no other.

% is a hundredth and ms a thousandth of a second, GB is not GiB; % and pp, nat and bit, USD and EUR are never
converted. This is wider than the units of readings, which are never converted at all: a reading comes from
us in one unit, a report mixes ms and s in one table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from functools import lru_cache

from tollens.core.errors import TollensError

_SI = {"k": 3, "M": 6, "G": 9, "T": 12, "P": 15}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50}
COUNTS = ("count", "token", "request", "item", "sample", "user", "step", "epoch", "parameter")
CURRENCIES = ("USD", "EUR", "GBP", "CHF", "JPY", "CNY", "INR")
_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "x": "1", "×": "1", "µs": "us", "μs": "us", "percent": "%"}

SYMBOLS: dict[str, tuple[str, Fraction]] = {"1": ("", Fraction(1)), "%": ("", Fraction(1, 100))}
"""Each symbol as (base dimension, size); "" is no dimension."""
SYMBOLS |= {name: ("count", Fraction(1)) for name in COUNTS}
SYMBOLS |= {name: (name, Fraction(1)) for name in (*CURRENCIES, "pp", "nat", "bit", "weight", "B", "FLOP", "J", "W")}
SYMBOLS |= {
    name: ("s", Fraction(size))
    for name, size in {
        "s": "1", "ms": "1/1000", "us": "1/1000000", "ns": "1/1000000000", "min": "60", "h": "3600", "d": "86400",
    }.items()
}  # fmt: skip
SYMBOLS |= {f"{p}{base}": (base, Fraction(10**n)) for base in ("B", "FLOP", "J", "W") for p, n in _SI.items()}
SYMBOLS |= {f"{p}B": ("B", Fraction(2**n)) for p, n in _BINARY.items()}
SYMBOLS |= {f"{p}bit": ("bit", Fraction(10**n)) for p, n in _SI.items()}
SYMBOLS |= {"Wh": ("J", Fraction(3600)), "kWh": ("J", Fraction(3_600_000))}
_ONE = Fraction(1)
_FACTOR = re.compile(r"([^\s*/^]+)(?:\^([1-9]))?")


@dataclass(frozen=True, slots=True)
class Unit:
    """`text` in the symbols above; `powers` of base dimensions, sorted; `size` in those base dimensions, exact."""

    text: str
    powers: tuple[tuple[str, int], ...]
    size: Fraction

    def ratio(self, other: Unit) -> Fraction | None:
        """How many of `other` make one of these, exactly; None if they measure different things."""
        if self.powers != other.powers:
            return None
        return _ONE if self.size == other.size else self.size / other.size


@lru_cache(maxsize=1024)
def parse_unit(text: str, where: str) -> Unit:
    """Read `ms`, `GB/s`, `1/s`, `FLOP/B`, `USD`. A count in a product or quotient has no dimension of its own.

    Other spellings, such as `x`, `percent`, `µs` or `$`, become the symbol that they stand for.

    Raises TollensError `lint_unit` with the nearest symbols.
    """
    powers: dict[str, int] = {}
    size = Fraction(1)
    parts = re.split(r"([*/])", text.strip())
    for place, part in enumerate(parts[::2]):
        sign = -1 if place and parts[2 * place - 1] == "/" else 1
        match = _FACTOR.fullmatch(part)
        name = _SIGNS.get(match[1], match[1]) if match else part
        if match is None or name not in SYMBOLS:
            raise _unknown(text, name, where)
        parts[2 * place] = name + part[len(match[1]) :]
        base, scale = SYMBOLS[name]
        power = sign * int(match[2] or 1)
        if base:
            powers[base] = powers.get(base, 0) + power
        size *= scale**power
    if len(parts) > 1:
        powers.pop("count", None)
    return Unit("".join(parts), tuple(sorted((b, p) for b, p in powers.items() if p)), size)


def _unknown(text: str, name: str, where: str) -> TollensError:
    same = [known for known in SYMBOLS if known.lower() == name.lower()]
    near = same or get_close_matches(name[:40], [*SYMBOLS, *_SIGNS], n=2, cutoff=0.5)
    return TollensError(
        "lint_unit",
        where,
        expected="a unit such as 1, %, pp, count, ms, GB, GB/s, FLOP, nat, bit or USD",
        found=repr(text[:40]),
        fix=f"Did you mean {' or '.join(near)}?" if near else "Use one of these or a quotient of them.",
    )
