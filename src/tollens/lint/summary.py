"""The statistic that a table reports: whether it adds, and which quantile it is."""

from __future__ import annotations

import re

from tollens.lint.unit import parse_unit

MEANS = frozenset({"mean", "average", "avg", "expectation", "sum", "total", "one run", "single run"})
_NAMED = {"min": 0.0, "minimum": 0.0, "median": 0.5, "max": 1.0, "maximum": 1.0}
_QUANTILE = re.compile(r"p?(?P<level>100|999+|\d{1,2}(?:\.\d{1,6})?)(?:th)?(?: percentile)?", re.ASCII)


def adds(word: str | None) -> bool:
    """Whether values of this statistic of several stages make that of their sum."""
    return word is not None and word.strip().lower() in MEANS


def quantile(word: str | None) -> float | None:
    """The level in [0, 1] of `p99`, `99.9`, `p999`, `95th percentile`, `median`, `min`, `max`; None for other words."""
    if word is None:
        return None
    text = word.strip().lower()
    if text in _NAMED:
        return _NAMED[text]
    match = _QUANTILE.fullmatch(text)
    if match is None:
        return None
    nines = match["level"].startswith("999")
    return float("0." + match["level"]) if nines else float(match["level"]) / 100.0


def is_duration(unit: str | None) -> bool:
    """Whether `unit` measures time, where mean and p99 are reported side by side."""
    return unit is not None and parse_unit(unit, "unit").powers == (("s", 1),)
