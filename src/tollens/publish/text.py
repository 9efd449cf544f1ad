"""Numbers and foreign text as HTML shows them."""

from __future__ import annotations

import math
from html import escape

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def foreign(text: str) -> str:
    """Text that a checkpoint chose, made harmless.

    Markup is escaped; what cannot be seen or stored (control characters, text direction marks, lone
    surrogates) is written as its code point.
    """
    return escape("".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in text))


def breakable(name: str) -> str:
    """A tensor name that may break after its dots, so that it fits a narrow column."""
    return foreign(name).replace(".", ".<wbr>")


def number(value: float) -> str:
    """Three significant digits, powers of ten outside 0.001 to 100,000; integers below that in full."""
    if value == int(value) and abs(value) < 100_000:
        return f"{int(value):,}"
    size = abs(value)
    if 1e-3 <= size < 1e5:
        digits = max(0, 2 - math.floor(math.log10(size)))
        return f"{value:,.{digits}f}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa} × {power(int(exponent))}"


def power(exponent: int) -> str:
    """A power of ten in plain characters."""
    return "10" + str(exponent).translate(SUPERSCRIPT)


def plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
