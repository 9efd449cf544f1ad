"""Which optional packages are here."""

from __future__ import annotations

import importlib.util

REPORT = ("altair", "vl_convert")


def missing_extra(modules: tuple[str, ...] = REPORT) -> str | None:
    """The first of `modules` that is not installed; None if all are."""
    return next((m for m in modules if importlib.util.find_spec(m) is None), None)
