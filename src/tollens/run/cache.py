"""Where certificates are kept between runs: one small file a machine, in a folder that may be deleted at any time."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tollens.run.certificate import Certificate, Machine

VARIABLE = "TOLLENS_CACHE"
KEPT = 16  # older certificates are removed when one is added
FAULTS = (OSError, ValueError, RecursionError, msgspec.MsgspecError)  # what a file of anybody's may raise
LIMIT = 64 << 20  # bytes; a larger file is none of ours


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why there is no certificate at `path`: `state` is "absent", "stale" or "unreadable"."""

    state: str
    path: Path
    why: str


def cache_folder() -> Path:
    """$TOLLENS_CACHE, or `tollens` in $XDG_CACHE_HOME, or ~/.cache/tollens."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path(os.path.expanduser("~")) / ".cache") / "tollens"


def certificate_path(machine: Machine) -> Path:
    return cache_folder() / f"selftest-{machine.key}.json"


def find(machine: Machine) -> Certificate | Unusable:
    """The certificate that was stored for exactly this machine, or why there is none.

    What cannot be read, or is of another machine than its name says, is ignored and said so.
    """
    path = certificate_path(machine)
    try:
        found = _read(path)
    except FileNotFoundError:
        return _another(machine, path)
    except FAULTS as error:
        return Unusable("unreadable", path, f"{type(error).__name__}: {error}")
    if found.machine != machine:
        return Unusable("unreadable", path, f"it is of another machine: {'; '.join(machine.differs(found.machine))}")
    return found


def store(certificate: Certificate) -> Certificate:
    """Write it where `find` looks, at once or not at all; returned with where it is kept, or why it is not."""
    path = certificate_path(certificate.machine)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".selftest-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(certificate) + b"\n")
            os.replace(name, path)
        except OSError:
            os.unlink(name)
            raise
        for old in sorted(path.parent.glob("selftest-*.json"), key=_age)[KEPT:]:
            old.unlink(missing_ok=True)
    except OSError as error:
        why = f"{path.parent}: {error.strerror or error}; {VARIABLE} names another folder"
        return msgspec.structs.replace(certificate, unkept=why)
    return msgspec.structs.replace(certificate, kept=str(path))


def _read(path: Path) -> Certificate:
    if path.stat().st_size > LIMIT:
        raise ValueError(f"larger than {LIMIT} bytes")
    found = msgspec.json.decode(path.read_bytes(), type=Certificate)
    if found.schema != "tollens.selftest/1" or found.only is not None:
        raise ValueError(f"no whole certificate of this version: {found.schema[:40]}, only {found.only}")
    return found


def _another(machine: Machine, path: Path) -> Unusable:
    """Stale if the last certificate is of what this machine was before, and absent without one."""
    for other in sorted(path.parent.glob("selftest-*.json"), key=_age):
        try:
            differs = machine.differs(_read(other).machine)
        except FAULTS:
            continue
        return Unusable("stale", path, "; ".join(differs))
    return Unusable("absent", path, "none was made here")


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0
