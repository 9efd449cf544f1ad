"""The kinds of rung that come with Tollens; a theorem or an engine registers beside them."""

from tollens.protocol.rung import RUNGS, RungKind
from tollens.protocol.study import refused
from tollens.run.plugins import installed
from tollens.run.rungs import arithmetic, cpu, weights

__all__ = ["arithmetic", "cpu", "rung_named", "weights"]


def rung_named(kind: str) -> RungKind:
    """The registered kind of that name, plugins looked at. Raises TollensError `unknown_rung`, exit 3."""
    installed()
    if kind not in RUNGS:
        raise refused(
            "unknown_rung", f"rung kind {kind!r}", f"one of {', '.join(sorted(RUNGS))}", "no such kind",
            "Correct the kind, or install the plugin that brings it.",
        )  # fmt: skip
    return RUNGS[kind]
