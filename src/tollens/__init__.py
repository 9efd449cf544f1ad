"""Tollens tries to kill a claim about a neural network as cheaply as it can.

`tollens.scan(path)` judges a checkpoint from its weights alone and returns what `tollens scan --json` prints.
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
    from tollens.run.lint import lint_files
    from tollens.run.result import ScanReport
    from tollens.run.scan import scan
    from tollens.run.selftest import selftest
    from tollens.run.settings import ScanSettings
    from tollens.subject.checkpoint import open_checkpoint

_WHERE = {
    "Reading": "tollens.core.reading",
    "ScanReport": "tollens.run.result",
    "ScanSettings": "tollens.run.settings",
    "TollensError": "tollens.core.errors",
    "ablate": "tollens.instrument.ablation",
    "explain": "tollens.core.codes",
    "lint_files": "tollens.run.lint",
    "open_checkpoint": "tollens.subject.checkpoint",
    "remove_trap": "tollens.instrument.surgery",
    "scan": "tollens.run.scan",
    "selftest": "tollens.run.selftest",
}

__all__ = [
    "Reading",
    "ScanReport",
    "ScanSettings",
    "TollensError",
    "ablate",
    "explain",
    "lint_files",
    "open_checkpoint",
    "remove_trap",
    "scan",
    "selftest",
]


def __getattr__(name: str) -> object:
    """Names are loaded on first use, which keeps `import tollens` under a tenth of a second."""
    if name not in _WHERE:
        raise AttributeError(f"module 'tollens' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
