"""The three registries that hold known answers, full: every module of ours imported, every plugin loaded."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from typing import TypeAlias

from tollens.instrument.registry import INSTRUMENTS, Instrument
from tollens.lint.registry import INVARIANTS, Invariant
from tollens.run.certificate import Kind
from tollens.run.plugins import installed
from tollens.stats.registry import STATISTICS, Statistic

Made: TypeAlias = Instrument | Invariant | Statistic
Entry: TypeAlias = tuple[Kind, str, Made]

PACKAGES = ("tollens.instrument", "tollens.lint.invariants", "tollens.stats")
REGISTRIES: Mapping[Kind, Mapping[str, Made]] = {
    "instrument": INSTRUMENTS,
    "invariant": INVARIANTS,
    "statistic": STATISTICS,
}


def registered() -> Iterator[Entry]:
    """(kind, name, entry) of everything with known answers, by kind and name."""
    _import_ours()
    installed()
    for kind, registry in REGISTRIES.items():
        for name in sorted(registry):
            yield kind, name, registry[name]


@lru_cache(maxsize=1)
def _import_ours() -> None:
    """Import every module that may register something; a list by hand would forget the next one."""
    for package in map(import_module, PACKAGES):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            import_module(module.name)
