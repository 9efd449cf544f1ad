"""Tollens tries to kill a claim about a neural network as cheaply as it can.

`tollens.scan(path)` judges a checkpoint from its weights alone, `tollens.lint_files(paths)` reported numbers from
arithmetic alone; each returns what its verb prints with --json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tollens.core.codes import explain
    from tollens.core.errors import TollensError
    from tollens.core.reading import Reading
    from tollens.instrument.ablation import ablate
    from tollens.instrument.surgery import remove_trap
    from tollens.protocol.decision import Decision
    from tollens.protocol.sign_arms import sentinel_arms
    from tollens.run.ab import AbQuestion, ab
    from tollens.run.ask import ask
    from tollens.run.climb import climb
    from tollens.run.compare import CompareQuestion, compare
    from tollens.run.diff import diff
    from tollens.run.diff_settings import DiffSettings
    from tollens.run.drift.check import drift
    from tollens.run.imports import ImportQuestion, import_result
    from tollens.run.lint import lint_files
    from tollens.run.lock import amend, lock
    from tollens.run.new import new
    from tollens.run.obstacles import obstacles
    from tollens.run.postmortem import record_postmortem
    from tollens.run.power import PowerQuestion, power
    from tollens.run.purchase import PurchaseQuestion, record_spend
    from tollens.run.result import ScanReport
    from tollens.run.scan import scan
    from tollens.run.scoreboard import scoreboard
    from tollens.run.selftest import selftest
    from tollens.run.series import series
    from tollens.run.settings import ScanSettings
    from tollens.run.spend import spend
    from tollens.run.status import status
    from tollens.run.waive import waive
    from tollens.subject.checkpoint import open_checkpoint

_WHERE = {
    "AbQuestion": "tollens.run.ab",
    "CompareQuestion": "tollens.run.compare",
    "Decision": "tollens.protocol.decision",
    "DiffSettings": "tollens.run.diff_settings",
    "ImportQuestion": "tollens.run.imports",
    "PowerQuestion": "tollens.run.power",
    "PurchaseQuestion": "tollens.run.purchase",
    "Reading": "tollens.core.reading",
    "ScanReport": "tollens.run.result",
    "ScanSettings": "tollens.run.settings",
    "TollensError": "tollens.core.errors",
    "ab": "tollens.run.ab",
    "ablate": "tollens.instrument.ablation",
    "amend": "tollens.run.lock",
    "ask": "tollens.run.ask",
    "climb": "tollens.run.climb",
    "compare": "tollens.run.compare",
    "diff": "tollens.run.diff",
    "drift": "tollens.run.drift.check",
    "explain": "tollens.core.codes",
    "import_result": "tollens.run.imports",
    "lint_files": "tollens.run.lint",
    "lock": "tollens.run.lock",
    "new": "tollens.run.new",
    "obstacles": "tollens.run.obstacles",
    "open_checkpoint": "tollens.subject.checkpoint",
    "power": "tollens.run.power",
    "record_postmortem": "tollens.run.postmortem",
    "record_spend": "tollens.run.purchase",
    "remove_trap": "tollens.instrument.surgery",
    "scan": "tollens.run.scan",
    "scoreboard": "tollens.run.scoreboard",
    "selftest": "tollens.run.selftest",
    "sentinel_arms": "tollens.protocol.sign_arms",
    "series": "tollens.run.series",
    "spend": "tollens.run.spend",
    "status": "tollens.run.status",
    "waive": "tollens.run.waive",
}

__all__ = [
    "AbQuestion",
    "CompareQuestion",
    "Decision",
    "DiffSettings",
    "ImportQuestion",
    "PowerQuestion",
    "PurchaseQuestion",
    "Reading",
    "ScanReport",
    "ScanSettings",
    "TollensError",
    "ab",
    "ablate",
    "amend",
    "ask",
    "climb",
    "compare",
    "diff",
    "drift",
    "explain",
    "import_result",
    "lint_files",
    "lock",
    "new",
    "obstacles",
    "open_checkpoint",
    "power",
    "record_postmortem",
    "record_spend",
    "remove_trap",
    "scan",
    "scoreboard",
    "selftest",
    "sentinel_arms",
    "series",
    "spend",
    "status",
    "waive",
]


def __getattr__(name: str) -> object:
    """Names are loaded on first use, which keeps `import tollens` under a tenth of a second."""
    if name not in _WHERE:
        raise AttributeError(f"module 'tollens' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
