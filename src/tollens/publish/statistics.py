"""The reference page of the statistics kit, generated from its registry."""

from __future__ import annotations

import inspect
import sys
from itertools import groupby
from pathlib import Path

from tollens.run.registries import registered
from tollens.stats.registry import Statistic

HEAD = """# Statistics

Generated from the functions; do not edit. Every function says what it guarantees and when, where its formula is from,
and must reproduce known answers (`tollens selftest --only statistic`). Bad input raises a named `TollensError`; an
answer is a `tollens.stats.result.Result`, which never holds a NaN.
"""


def statistics_text() -> str:
    """One section a module of `tollens.stats`, one entry a function, both in alphabetical order."""
    made = sorted(
        (entry for _, _, entry in registered() if isinstance(entry, Statistic)),
        key=lambda one: (one.function.__module__, one.name),
    )
    parts = [HEAD]
    for module, entries in groupby(made, key=lambda one: one.function.__module__):
        parts.append(f"\n## {module}\n")
        parts += [_entry(one) for one in entries]
    return "".join(parts)


def _entry(one: Statistic) -> str:
    doc = (inspect.getdoc(one.function) or "").split("\n\n")[0]
    return (
        f"\n### {one.name}\n\n{' '.join(doc.split())}\n\n- guarantee: {one.guarantee}\n"
        f"- reference: {'; '.join(one.references)}\n- known answers: {len(one.known)}\n"
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(statistics_text(), encoding="utf-8")
