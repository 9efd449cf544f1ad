"""Which optional packages are here, and the exact command that brings them."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError, metadata, requires, version

REPORT = ("altair", "vl_convert")


def missing_extra(modules: tuple[str, ...] = REPORT) -> str | None:
    """The first of `modules` that is not installed; None if all are."""
    return next((m for m in modules if not _is_here(m)), None)


def missing_distributions() -> dict[str, list[str]]:
    """The distributions that each extra of Tollens lacks here, by extra; an empty list where it is complete."""
    found: dict[str, list[str]] = {name: [] for name in metadata("tollens").get_all("Provides-Extra") or ()}
    for requirement in requires("tollens") or ():
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", requirement)
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        if extra and name and not _is_installed(name[0]):
            found[extra[1]].append(name[0])
    return found


def _is_installed(distribution: str) -> bool:
    try:
        return bool(version(distribution))
    except PackageNotFoundError:
        return False


def _is_here(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # an import hook may say no in this way
        return False


def install_command(extra: str) -> str:
    """The command that installs an extra into the environment that is running; `pip` alone may be another one."""
    return f"{shlex.quote(sys.executable)} -m pip install 'tollens[{extra}]'"
