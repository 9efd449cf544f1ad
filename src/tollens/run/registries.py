"""The three registries that hold known answers, full: every module of ours imported, every plugin loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from tollens.instrument.registry import INSTRUMENTS, Instrument
from tollens.lint.law import Invariant
from tollens.lint.registry import INVARIANTS
from tollens.run.certificate import Kind
from tollens.run.plugins import import_ours, installed
from tollens.stats.registry import STATISTICS, Statistic

Made: TypeAlias = Instrument | Invariant | Statistic
Entry: TypeAlias = tuple[Kind, str, Made]

REGISTRIES: Mapping[Kind, Mapping[str, Made]] = {
    "instrument": INSTRUMENTS,
    "invariant": INVARIANTS,
    "statistic": STATISTICS,
}


def registered() -> Iterator[Entry]:
    """(kind, name, entry) of everything with known answers, by kind and name."""
    import_ours()
    installed()
    for kind, registry in REGISTRIES.items():
        for name in sorted(registry):
            yield kind, name, registry[name]
