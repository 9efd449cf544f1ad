"""Which optional packages are here, and the exact command that brings them."""

from __future__ import annotations

import importlib.util
import shlex
import sys

REPORT = ("altair", "vl_convert")


def missing_extra(modules: tuple[str, ...] = REPORT) -> str | None:
    """The first of `modules` that is not installed; None if all are."""
    return next((m for m in modules if not _is_here(m)), None)


def _is_here(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # an import hook may say no in this way
        return False


def install_command(extra: str) -> str:
    """The command that installs an extra into the environment that is running; `pip` alone may be another one."""
    return f"{shlex.quote(sys.executable)} -m pip install 'tollens[{extra}]'"
