"""Small bundled checkpoints and their test split; `manifest.json` says how each was made.

`study` is the example of `tollens new`, `spread` a claim about weights that the demonstration climbs.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

CHECKPOINTS = ("good.safetensors", "trapped.safetensors", "overtrained.safetensors")
NAMES = (*CHECKPOINTS, "claims.toml", "digits_test.npz", "manifest.json")
STUDY = ("claim.toml", "metric.py", "numbers.toml")
SPREAD = ("claim.toml", "numbers.toml")


def path(name: str) -> Path:
    """Where a bundled file lies on disk. Raises ValueError for a name that is not in `NAMES`."""
    if name not in NAMES:
        raise ValueError(f"no bundled file {name!r}; there are {', '.join(NAMES)}")
    return Path(str(files(__name__))) / name


def study_files() -> list[Path]:
    """The files of the example study, those of the network it speaks of among them."""
    folder = Path(str(files(__name__)))
    return [folder / "study" / name for name in STUDY] + [path("good.safetensors"), path("digits_test.npz")]


def spread_files() -> list[Path]:
    """The study of the weights alone, without the checkpoint that it speaks of."""
    return [Path(str(files(__name__))) / "spread" / name for name in SPREAD]


def laboratory_text() -> str:
    """The tollens.toml of the example laboratory."""
    return (Path(str(files(__name__))) / "laboratory" / "tollens.toml").read_text(encoding="utf-8")
