"""Outside evidence that a seal existed: what its owner alone could not have made, and how far it was checked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from tollens.core.errors import Exit, TollensError
from tollens.run.anchor_git import Absent, printable, pushed_seal, remote_holds
from tollens.run.anchor_timestamp import NO_ROOT, TOKEN_BYTES, Stamp, read_stamp, roots_given

TOKEN = "seal.tsr"


class Anchor(msgspec.Struct, frozen=True):
    """The words that end a verdict line, and `why` they are not stronger: one sentence, empty if they cannot be.

    "none" and "kept" are unanchored; "kept" where the seal is anchored and readings of an earlier run are not.
    """

    kind: Literal["none", "kept", "git", "rfc3161"]
    text: str
    why: str = ""


def anchor_of(
    folder: Path,
    seal_hash: str,
    known: frozenset[str],
    *,
    check_remote: bool = False,
    roots: Sequence[Path] | None = None,
) -> Anchor:
    """The strongest evidence for the seal `seal_hash` (SHA-256, hex) of the study in `folder`.

    A verified time stamp in `seal.tsr` comes first, since it alone says when; then the oldest commit in
    remote-tracking history that holds this `seal.json`. `known` are the seal hashes of the whole ledger.
    `roots` are certificate files, by default those of $TOLLENS_TSA_ROOTS. With `check_remote` the remote is
    asked: where it has no ref that reaches the commit the local refs are no evidence, and nothing is claimed;
    where that cannot be found out the line says `remote not checked`. A self-contained chain proves nothing
    against its owner (Haber & Stornetta 1991), hence `unanchored` is the answer whenever evidence is missing.

    Raises TollensError `seal_anchor_differs` (exit 20) where evidence names a seal that the ledger does not know.
    """
    stamp = _stamp(folder, seal_hash, known, roots_given() if roots is None else roots)
    pushed = pushed_seal(folder, seal_hash, known)  # always, since it may speak against the ledger
    if isinstance(stamp, Stamp):
        return Anchor("rfc3161", f"anchored: rfc3161 {stamp.authority} {_utc(stamp.time)}")
    if isinstance(pushed, Absent):
        return _unanchored(stamp, pushed.why)
    if not check_remote:
        return _git(pushed.remotes[0], pushed.commit, "remote not checked", stamp)
    answers = {}
    for remote in pushed.remotes:
        answers[remote] = answer = remote_holds(folder, remote, pushed.commit)
        if answer is True:
            return _git(remote, pushed.commit, f"remote checked {_utc(datetime.now(UTC))}", stamp)
    for remote, answer in answers.items():
        if isinstance(answer, str):
            return _git(remote, pushed.commit, "remote not checked", stamp, f"remote not confirmed: {answer}")
    named = ", ".join(printable(remote) for remote in answers)
    return _unanchored(stamp, f"remote not confirmed: no ref of {named} reaches {pushed.commit[:12]}")


def _git(remote: str, commit: str, checked: str, *reasons: str) -> Anchor:
    return Anchor("git", f"anchored: git {printable(remote)} {commit[:12]} ({checked})", _sentence(reasons))


def _unanchored(*reasons: str) -> Anchor:
    return Anchor("none", "unanchored", _sentence(reasons))


def _sentence(reasons: Sequence[str]) -> str:
    said = "; ".join(reason.removesuffix(".") for reason in reasons if reason)
    return f"{said[0].upper()}{said[1:]}." if said else ""


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _stamp(folder: Path, seal_hash: str, known: frozenset[str], roots: Sequence[Path]) -> Stamp | str:
    """The verified time stamp of this seal, else why there is none; empty where there is no file."""
    path = folder / TOKEN
    if not path.is_file():
        return ""
    try:
        with path.open("rb") as file:
            stamp = read_stamp(file.read(TOKEN_BYTES + 1), roots)
    except OSError as error:
        return f"{TOKEN} cannot be read ({error.strerror})"
    except TollensError as refused:
        if refused.code == "timestamp_no_root":
            return NO_ROOT
        return f"{TOKEN} does not count: {refused}"
    if stamp.digest == seal_hash:
        return stamp
    if stamp.digest in known:
        return f"{TOKEN} is of an earlier seal of this ledger"
    raise TollensError(
        "seal_anchor_differs",
        TOKEN,
        expected="a time stamp of a seal of the ledger",
        found=f"TAMPERED: anchor {TOKEN} holds another seal",
        fix="Restore the ledger that holds that seal, or give the new claim a folder of its own.",
        exit_code=Exit.TAMPERED,
    )
