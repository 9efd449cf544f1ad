"""A seal in the history that a git remote received: looked for with plumbing that runs nothing of the repository."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tollens.core.errors import Exit, TollensError

SECONDS = 60.0
SEAL = "seal.json"
_SEAL_BYTES = 64 << 20
_REFLOGS = 200
_KEPT = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_EXEC_PATH")
_SAFE = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.commitGraph=false",  # a forged one lies about parents
    "safe.bareRepository=explicit",  # a study folder that poses as a repository brings a configuration of its own
)
_QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS_REQUIRE": "never",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",  # replacements and grafts are private edits of the published history
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_NO_LAZY_FETCH": "1",  # a missing object would be fetched by a command of the repository's choice
    "GIT_LITERAL_PATHSPECS": "1",
    "LC_ALL": "C",
}


@dataclass(frozen=True, slots=True)
class Pushed:
    """The oldest commit of remote-tracking history that holds the seal, and the remotes whose refs reach it."""

    commit: str
    remotes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """Why git gives no evidence, as a sentence without its full stop."""

    why: str


class GitFailed(Exception):
    """git is absent, too slow or unwilling; the text says which."""


Git = Callable[..., bytes]


def pushed_seal(folder: Path, seal_hash: str, known: frozenset[str], seconds: float = SECONDS) -> Pushed | Absent:
    """The oldest commit reachable from a remote-tracking ref whose `seal.json` in `folder` has `seal_hash`.

    Neither HEAD nor the index nor any date is consulted, so that a detached HEAD changes nothing. A study that
    was moved as a whole is followed: where a commit renamed its `seal.json` unchanged, what lies before that
    commit at the old path is its history too. Where history was cut off (a shallow clone) nothing is claimed.

    Raises TollensError `seal_anchor_differs` where this history, or the reflog of its refs (what a forced push
    replaced), holds a seal that is neither `seal_hash` nor in `known`.
    """
    folder, deadline = folder.resolve(), time.monotonic() + seconds
    try:
        here = git_in(folder, deadline)
        top = Path(_line(here("rev-parse", "--show-toplevel")))
        named, _, shallow = here("rev-parse", "--show-prefix", "--is-shallow-repository").strip(b"\n").rpartition(b"\n")
        prefix = os.fsdecode(named)
        if (top / prefix).resolve() != folder:
            return Absent("git takes another folder for the working tree of this study")
        if shallow != b"false":
            return Absent("the clone is shallow, and what was cut off may hold another seal")
        return _pushed_seal(git_in(top, deadline), prefix + SEAL, seal_hash, known | {seal_hash})
    except GitFailed as failed:
        return Absent(str(failed))


def _pushed_seal(git: Git, path: str, seal_hash: str, known: frozenset[str]) -> Pushed | Absent:
    remotes = git("remote").decode(errors="surrogateescape").splitlines()
    if not remotes:
        return Absent("the repository has no remote")
    refs = tracking_refs(git, remotes)
    if not refs:
        return Absent("no remote-tracking ref is here: nothing was pushed or fetched")
    tips = {oid for _, _, oid in refs}
    now = _ancestry(git, sorted(tips), path)
    found = [commit for commit, blob in now if _known_seal(git, commit, blob, known) == seal_hash]
    before = [commit for commit in replaced(git, [ref for ref, _, _ in refs]) if commit not in tips]
    for commit, blob in _ancestry(git, before, path):
        _known_seal(git, commit, blob, known)
    if not found:
        here = git("ls-tree", "-z", "--full-tree", "HEAD", "--", path, may_fail=True)
        committed = any(_known_seal(git, "HEAD", blob, None) == seal_hash for blob in _blobs(here))
        return Absent(f"this seal is {'committed but not pushed' if committed else 'neither committed nor pushed'}")
    reaching = set(git("for-each-ref", "--format=%(refname)", "--contains", found[0], "refs/remotes/").split(b"\n"))
    names = {remote for ref, remote, _ in refs if os.fsencode(ref) in reaching}
    return Pushed(found[0], tuple(sorted(names, key=lambda name: (name != "origin", name))))


def tracking_refs(git: Git, remotes: Sequence[str]) -> list[tuple[str, str, str]]:
    """(ref, remote, commit) of every ref below refs/remotes/ of a remote that is configured."""
    listed = git("for-each-ref", "--format=%(objectname) %(refname)", "refs/remotes/")
    found = []
    for line in listed.decode(errors="surrogateescape").splitlines():
        oid, _, ref = line.partition(" ")
        owners = [name for name in remotes if ref.startswith(f"refs/remotes/{name}/")]
        if owners:
            found.append((ref, max(owners, key=len), oid))
    return found


def replaced(git: Git, refs: Sequence[str]) -> list[str]:
    """The commits that the reflogs of `refs` still name; none where no reflog is kept."""
    listed = b"".join(
        git("rev-list", "--walk-reflogs", "--ignore-missing", ref, "--", may_fail=True) for ref in refs[:_REFLOGS]
    )
    return sorted(set(listed.decode().split()))


def _ancestry(git: Git, tips: Sequence[str], path: str) -> list[tuple[str, str]]:
    """(commit, blob) wherever the history of `tips` set `path`, or a path it was renamed from; parents first."""
    older: list[tuple[str, str]] = []
    asked: set[tuple[str, tuple[str, ...]]] = set()
    wanted = [(path, tuple(tips))]
    while wanted:
        question = wanted.pop()
        if question in asked or not question[1]:
            continue
        asked.add(question)
        where, starts = question
        revisions = "".join(f"{start}\n" for start in starts).encode()
        flags = ("--full-history", "--topo-order", "--reverse", "--ignore-missing", "--stdin")
        commits = git("rev-list", *flags, "--", where, stdin=revisions).decode().split()
        held = [
            (commit, blob)
            for commit in commits
            for blob in _blobs(git("ls-tree", "-z", "--full-tree", commit, "--", where))
        ]
        older = held + older  # what lies before a renaming comes before what lies after it
        for commit, _ in held:
            source = _renamed_from(git, commit, where)
            if source:
                wanted.append((source, (f"{commit}^@",)))
    return older


def _renamed_from(git: Git, commit: str, path: str) -> str | None:
    """Where `commit` took `path` from, if it moved the file unchanged."""
    flags = (
        "-r",
        "-M100%",
        "--diff-filter=R",
        "--no-ext-diff",
        "--no-textconv",
        "--name-status",
        "--no-commit-id",
        "-z",
    )
    parts = git("diff-tree", *flags, commit).split(b"\0")
    for _, source, target in zip(*[iter(parts)] * 3, strict=False):
        if target == os.fsencode(path):
            return os.fsdecode(source)
    return None


def _blobs(listed: bytes) -> Iterator[str]:
    """The blob of a plain file in the output of `ls-tree -z`; a link or a folder is no seal."""
    for entry in listed.split(b"\0"):
        mode, _, rest = entry.partition(b" ")
        if mode in (b"100644", b"100755"):
            yield rest.split()[1].decode()


def _known_seal(git: Git, commit: str, blob: str, known: frozenset[str] | None) -> str | None:
    """The seal hash of `blob`; None where it holds no JSON object, such as a pointer to large files kept elsewhere."""
    if int(git("cat-file", "-s", blob)) > _SEAL_BYTES:
        return None
    data = git("cat-file", "blob", blob).replace(b"\r\n", b"\n")
    seal_hash = hashlib.sha256(data).hexdigest()
    if known is None or seal_hash in known:
        return seal_hash
    try:
        if not isinstance(msgspec.json.decode(data), dict):
            return None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    raise TollensError(
        "seal_anchor_differs",
        SEAL,
        expected="in published history, only the seals of the ledger",
        found=f"TAMPERED: anchor {commit[:12]} holds another seal",
        fix=f"Compare: git show {commit[:12]}. Restore that ledger, or give the new claim a folder of its own.",
        exit_code=Exit.TAMPERED,
    )


def remote_holds(folder: Path, remote: str, commit: str, seconds: float = SECONDS) -> bool | str:
    """Whether `remote` itself has a ref that reaches `commit`; a sentence where that could not be found out.

    The remote is asked by its address and from outside the repository, so that none of the repository's
    configuration (a command to connect with, a proxy, a credential program) is used. Nothing is fetched: a ref
    of the remote that is unknown here cannot be followed.
    """
    deadline = time.monotonic() + seconds
    git = git_in(folder.resolve(), deadline)
    try:
        listed = git("config", "-z", "--get-all", f"remote.{remote}.url", may_fail=True)
        url = os.fsdecode(listed.split(b"\0")[0])
        if not url:
            return f"remote {remote} has no address"
        if _is_local(url):
            url = os.path.join(_line(git("rev-parse", "--show-toplevel")), url)
        with tempfile.TemporaryDirectory() as outside:
            allowed = {"GIT_ALLOW_PROTOCOL": "file:http:https:ssh", "GIT_CEILING_DIRECTORIES": os.path.dirname(outside)}
            ask = git_in(Path(outside), deadline, allowed)
            answered = ask("ls-remote", "--", url)
        tips = sorted(set(re.findall(r"^([0-9a-f]{40,64})\t", answered.decode(errors="replace"), re.M)))
        unknown = 0
        for tip in tips:
            if git("rev-parse", "--verify", "--quiet", f"{tip}^{{commit}}", may_fail=True):
                base = git("rev-list", "--max-count=1", commit, f"^{tip}", "--")
                if not base:
                    return True
            else:
                unknown += 1
        return f"{unknown} refs of {remote} are not fetched yet" if unknown else False
    except GitFailed as failed:
        return f"{remote}: {failed}"


def _is_local(url: str) -> bool:
    """As git tells a path from an address: no scheme, and no colon before the first slash."""
    return "://" not in url and ":" not in url.partition("/")[0]


def git_in(folder: Path, deadline: float, extra: dict[str, str] | None = None) -> Git:
    """git, run in `folder` until `deadline`, deaf to its surroundings; by itself it may connect to nothing."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in _KEPT}
    environment = inherited | _QUIET | {"GIT_ALLOW_PROTOCOL": "none"} | (extra or {})
    options = [word for setting in _SAFE for word in ("-c", setting)]

    def git(*words: str, stdin: bytes = b"", may_fail: bool = False) -> bytes:
        command = ["git", "--no-pager", *options, *words]
        try:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            raise GitFailed("git is not installed" if folder.is_dir() else "the folder is not there") from None
        with process:
            try:
                out, err = process.communicate(stdin, timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):  # its session is its own: this ends what it started, no one else
                    os.killpg(process.pid, signal.SIGKILL)
                raise GitFailed("git took too long") from None
        if process.returncode != 0 and not may_fail:
            raise GitFailed(_told(err))
        return out if process.returncode == 0 else b""

    return git


def _line(out: bytes) -> str:
    return os.fsdecode(out.removesuffix(b"\n"))  # a folder may end in a newline of its own


def _told(err: bytes) -> str:
    text = err.decode(errors="replace").strip()
    if "not a git repository" in text:
        return "the folder is in no git repository"
    line = text.splitlines()[0] if text else "no reason given"
    return f"git could not answer: {printable(line.removeprefix('fatal: '))}"


def printable(text: str, limit: int = 120) -> str:
    """`text` on one line without control or direction marks, which would let a stranger write on a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text[:limit])
