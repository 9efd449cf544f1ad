"""Which optional packages are here."""

from __future__ import annotations

import importlib.util

REPORT = ("altair", "vl_convert")


def missing_extra(modules: tuple[str, ...] = REPORT) -> str | None:
    """The first of `modules` that is not installed; None if all are."""
    return next((m for m in modules if not _is_here(m)), None)


def _is_here(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # an import hook may say no in this way
        return False
