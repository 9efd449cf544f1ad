"""What the installation and the machine under it are: the part of a certificate that says what it holds for."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import numpy as np
import scipy
from threadpoolctl import threadpool_info

from tollens import __version__
from tollens.run.certificate import Machine
from tollens.run.plugins import installed

COMPILED = (".so", ".pyd", ".dylib")


def this_machine() -> Machine:
    """The machine, the libraries and the sources of this process."""
    return Machine(
        tollens=__version__,
        digest=package_digest(),
        python=platform.python_version(),
        numpy=np.__version__,
        scipy=scipy.__version__,
        cpu=cpu(),
        platform=f"{platform.system()} {platform.machine()}",
        blas=blas(),
        plugins={r.name: module_digest(r.module) for r in installed() if r.error is None},
    )


@lru_cache(maxsize=1)
def package_digest() -> str:
    """SHA-256 of every Python source of Tollens and of its compiled kernels, with their names."""
    kernels = Path(str(import_module("tollens._native").__file__))
    return _digest([*_sources(Path(__file__).parents[1]), ("kernels", kernels)])


def module_digest(target: str) -> str:
    """SHA-256 of the sources of an imported module or package; of what has no file, of its name alone."""
    name = target.partition(":")[0].strip()
    found = getattr(sys.modules.get(name.partition(".")[0]), "__file__", None)
    if found is None:
        return hashlib.sha256(name.encode()).hexdigest()
    path = Path(found)
    return _digest(_sources(path.parent) if path.name == "__init__.py" else [(path.name, path)])


def _sources(folder: Path) -> list[tuple[str, Path]]:
    return sorted((path.relative_to(folder).as_posix(), path) for path in _walk(folder))


def _walk(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir() and entry.name != "__pycache__":
                yield from _walk(Path(entry.path))
            elif entry.name.endswith((".py", *COMPILED)):
                yield Path(entry.path)


def _digest(files: list[tuple[str, Path]]) -> str:
    whole = hashlib.sha256()
    for name, path in files:
        content = path.read_bytes()
        whole.update(f"{name}\0{len(content)}\0".encode())
        whole.update(content)
    return whole.hexdigest()


@lru_cache(maxsize=1)
def cpu() -> str:
    """The model of the processor, or its architecture where the system does not tell."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:  # the first processor is enough, and reading all of them takes time on large machines
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


@lru_cache(maxsize=1)
def blas() -> list[str]:
    """Name, version and kernels of each BLAS library, as "openblas 0.3.30 Haswell"."""
    import_module("scipy.linalg")  # brings one of its own
    return sorted(
        {
            f"{i['internal_api']} {i['version']} {i.get('architecture', '')}".strip()
            for i in threadpool_info()
            if i["user_api"] == "blas"
        }
    )


def bits() -> dict[str, str]:
    """What the last bits of a result depend on besides its input: two machines that agree on it give the same."""
    here = this_machine()
    found: list[str] = np.show_config(mode="dicts")["SIMD Extensions"]["found"]  # numpy's own loops, not the BLAS
    return {
        "tollens": here.tollens,
        "numpy": here.numpy,
        "scipy": here.scipy,
        "blas": ", ".join(here.blas),
        "vector instructions": " ".join(found),
        "sources of tollens": here.digest,
        **{f"plugin {name}": digest for name, digest in here.plugins.items()},
    }


def machine_lines() -> dict[str, str]:
    """What a verdict may depend on besides its inputs, as a seal records it."""
    return {
        "tollens": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "blas": ", ".join(blas()),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": cpu(),
    }
