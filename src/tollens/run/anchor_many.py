"""The anchors of many studies at once: history is read one time, and only where it leaves no question."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tollens.core.errors import TollensError
from tollens.run.anchor_git import SEAL, SECONDS, Git, GitFailed, git_in, replaced, tracking_refs

TOKEN, UNANCHORED = "seal.tsr", "unanchored"
SINGLY = 32
"""How many studies are asked one by one; what lies beyond is called unanchored, with a reason."""
_OID = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class Asked:
    """A sealed study: every seal of its ledger as its hash and its git blob (SHA-1), the last one last.

    `kept` counts the readings of an earlier run.
    """

    folder: Path
    seals: tuple[tuple[str, str], ...]
    kept: int


@dataclass(slots=True)
class _History:
    """What the remote-tracking refs of one repository hold, by path of a seal."""

    top: Path
    remotes: tuple[str, ...] = ()
    held: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    replaced: dict[str, list[str]] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)


def anchors_of(asked: Mapping[str, Asked]) -> dict[str, str | TollensError]:
    """The anchor line of each study as `evidence_of` finds it, or the refusal that it raises; never a stronger one.

    The history of a repository is listed once. A study is judged by that list only where every `seal.json` that was
    ever published in its folder is one of its own ledger, unchanged to the byte, was never moved and has no time
    stamp; every other is asked for by itself, `SINGLY` at most, and what lies beyond is `unanchored`.
    """
    found: dict[str, str | TollensError] = {}
    histories: dict[Path, _History | None] = {}
    singly: list[str] = []
    for name, study in asked.items():
        folder = study.folder.resolve()
        top = _repository(folder)
        stamped = (folder / TOKEN).exists()
        if top is not None and top not in histories:
            histories[top] = _history(top)
        judged: str | None = UNANCHORED if top is None else _judged(study, folder, histories[top])
        if stamped or judged is None:
            singly.append(name)
        else:
            found[name] = judged
    for place, name in enumerate(singly):
        found[name] = _single(asked[name]) if place < SINGLY else UNANCHORED
    return found


def _single(study: Asked) -> str | TollensError:
    from tollens.run.anchor import anchor_of  # what verifies time stamps is slow to load

    try:
        anchor = anchor_of(study.folder, study.seals[-1][0], frozenset(known for known, _ in study.seals))
    except TollensError as error:
        return error
    return UNANCHORED if study.kept else anchor.text  # as `evidence_of`: kept readings are on the owner's word


def _repository(folder: Path) -> Path | None:
    """The nearest folder above with an entry `.git`; git itself is asked whether it is one."""
    return next((place for place in (folder, *folder.parents) if (place / ".git").exists()), None)


def _judged(study: Asked, folder: Path, history: _History | None) -> str | None:
    """None where the list does not settle it."""
    if history is None:
        return None
    if not history.remotes:
        return UNANCHORED
    path = (folder.relative_to(history.top) / SEAL).as_posix()
    held, blobs = history.held.get(path, []), [blob for _, blob in study.seals]
    ever = [*(blob for _, blob in held), *history.replaced.get(path, [])]
    if path in history.moved or any(blob not in blobs for blob in ever):
        return None
    commit = next((commit for commit, blob in held if blob == blobs[-1]), None)
    if commit is None or study.kept:
        return UNANCHORED
    return f"anchored: git {history.remotes[0]} {commit[:12]} (remote not checked)"


def _history(top: Path) -> _History | None:
    """None where each study has to be asked for by itself."""
    git = git_in(top, time.monotonic() + SECONDS)
    try:
        if Path(os.fsdecode(git("rev-parse", "--show-toplevel").removesuffix(b"\n"))) != top:
            return None
        if git("rev-parse", "--is-shallow-repository").strip() != b"false":
            return None
        remotes = git("remote").decode(errors="surrogateescape").splitlines()
        refs = tracking_refs(git, remotes)
        if not refs:
            return _History(top)
        owners = tuple(sorted({owner for _, owner, _ in refs}))
        if len(owners) > 1 or not owners[0].isprintable():
            return None  # which of them reaches a commit is a question of its own
        history = _History(top, owners)
        tips = sorted({oid for _, _, oid in refs})
        _list(git, tips, history, held=True)
        before = [commit for commit in replaced(git, [ref for ref, _, _ in refs]) if commit not in set(tips)]
        if before:
            _list(git, before, history, held=False)
        return history
    except GitFailed:
        return _History(top)


def _list(git: Git, tips: Sequence[str], history: _History, *, held: bool) -> None:
    """Every change of a `seal.json` in the history of `tips`, parents first.

    What a forced push replaced (`held` false) anchors nothing, and may speak against a ledger.
    """
    order = ("--full-history", "--topo-order", "--reverse", "--ignore-missing", "--stdin")
    commits = git("rev-list", *order, stdin="".join(f"{tip}\n" for tip in tips).encode())
    flags = ("--stdin", "-r", "-m", "--root", "--raw", "-z", "-M100%", "--no-ext-diff", "--no-textconv", "--no-abbrev")
    listed = iter(git("diff-tree", *flags, stdin=commits).split(b"\0"))
    commit = ""
    for word in listed:
        if _OID.fullmatch(word):
            commit = word.decode()
        if not word.startswith(b":"):
            continue
        _, mode, _, blob, status = word.split()
        moved = status[:1] in (b"R", b"C")
        paths = [os.fsdecode(next(listed)) for _ in range(2 if moved else 1)]
        if moved:
            history.moved.update(paths)
        elif paths[0].rpartition("/")[2] == SEAL and mode in (b"100644", b"100755"):
            if held:
                history.held.setdefault(paths[0], []).append((commit, blob.decode()))
            else:
                history.replaced.setdefault(paths[0], []).append(blob.decode())
