"""The seal: a manifest of everything that decides a verdict, and how a study is told from what was sealed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tollens.core.canonical import Mode, canonical, file_digest
from tollens.core.errors import Exit, TollensError
from tollens.protocol.ruling import Ruling

FILE = "seal.json"
SCHEMA = "tollens.seal/1"


class Entry(msgspec.Struct, frozen=True):
    """One sealed file. `role` is claim, metric, numbers, checkpoint or data; `bytes` counts what was hashed."""

    role: str
    path: str
    mode: Mode
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """seal.json. Its hash is the SHA-256 of its bytes and stands in the ledger, never in the file itself.

    study        the tables of claim.toml, defaults filled in
    keys         the keys that claim.toml has, as `table.key`
    claim        the rule that the typed claim stands for; finding and kill in canonical text
    cells        every cell, in the sealed order
    traps        "rung: arm must fate" of every control
    guarantee    what the stopping rule promises
    witnesses    for each rule and side, readings that make it so
    outside      packages that the metric imports, with their versions
    sign_check   digest of the report of the metric's sign-check
    environment  recorded; a change of it is printed and is no tampering
    amends       the seal before this one, where there is one
    constraints  what was decided about every constraint of the laboratory; no such key where there was none
    """

    schema: str = SCHEMA
    study: dict[str, Any]
    keys: list[str]
    claim: str
    finding: str
    kill: str
    cells: list[str]
    traps: list[str]
    guarantee: str
    null: str
    witnesses: dict[str, str]
    entries: list[Entry]
    outside: dict[str, str]
    sign_check: str
    sign_sentence: str
    environment: dict[str, Any]
    amends: str | None = None
    constraints: list[Ruling] | msgspec.UnsetType = msgspec.UNSET


def seal_bytes(manifest: Manifest) -> bytes:
    """The bytes of seal.json."""
    return canonical(msgspec.to_builtins(manifest)) + b"\n"


def seal_hash(manifest: Manifest) -> str:
    """What identifies a seal: SHA-256 of the bytes of seal.json, 64 hexadecimal digits."""
    return file_digest(seal_bytes(manifest), "text")


def read_seal(data: bytes) -> Manifest:
    """Raises: msgspec.DecodeError for bytes that are no manifest."""
    return msgspec.json.decode(data, type=Manifest)


def keys_of(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every key of a TOML tree that holds a value, by path: `claim.value`, `rung[0].id`."""
    for key, value in tree.items():
        where = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from keys_of(value, f"{where}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for place, row in enumerate(value):
                yield from keys_of(row, f"{where}[{place}].")
        else:
            yield where


def changes(sealed: Sequence[Entry], found: Sequence[Entry]) -> list[str]:
    """Files that differ, as sentences; empty where every sealed file is there and no other is used."""
    now = {entry.path: entry for entry in found}
    said = []
    for entry in sealed:
        other = now.pop(entry.path, None)
        if other is None:
            said.append(f"{entry.role} {entry.path} expected {entry.sha256[:12]} found no file")
        elif (other.sha256, other.mode) != (entry.sha256, entry.mode):
            said.append(f"{entry.role} {entry.path} expected {entry.sha256[:12]} found {other.sha256[:12]}")
    said += [f"{entry.role} {entry.path} expected no such file found {entry.sha256[:12]}" for entry in now.values()]
    return said


def study_changes(manifest: Manifest, study: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """What differs between the sealed tables and those of a claim.toml, field by field."""
    said = [f"sealed key missing: {key}" for key in manifest.keys if key not in set(keys)]
    said += [f"key not sealed: {key}" for key in keys if key not in set(manifest.keys)]
    for where, sealed, found in _differences(manifest.study, study):
        name = {"metric.seeds": "seeds", "reducer.order": "reducer"}.get(where, where)
        said.append(f"{name} sealed {_shown(sealed)} found {_shown(found)}")
    return said


def _differences(sealed: Any, found: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(sealed, Mapping) and isinstance(found, Mapping):
        for key in dict.fromkeys((*sealed, *found)):
            yield from _differences(sealed.get(key), found.get(key), f"{where}.{key}" if where else str(key))
    elif (
        isinstance(sealed, list) and isinstance(found, list) and len(sealed) == len(found)
        and all(isinstance(row, Mapping) for row in (*sealed, *found))
    ):  # fmt: skip
        for place, (one, other) in enumerate(zip(sealed, found, strict=True)):
            yield from _differences(one, other, f"{where}[{place}]")
    elif sealed != found:
        yield where, sealed, found


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else canonical(value).decode().replace(",", ", ")


def tampered(subject: str, expected: str, found: str, fix: str) -> TollensError:
    """Exit 20."""
    return TollensError(
        "tampered", f"TAMPERED {subject}", expected=expected, found=found, fix=fix, exit_code=Exit.TAMPERED
    )
