"""Real repositories and bare remotes: what counts as published, what speaks against a ledger, what must not run."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tollens.core.errors import Exit, TollensError
from tollens.run.anchor import Anchor, anchor_of
from tollens.run.anchor_git import Absent, pushed_seal, remote_holds

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

FIRST, SECOND = b'{"claim":"first"}', b'{"claim":"second"}'
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
}  # fmt: skip


def sha(seal: bytes) -> str:
    return hashlib.sha256(seal.replace(b"\r\n", b"\n")).hexdigest()


def git(where: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=where, env=CLEAN, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class Clone:
    """A working repository with a bare remote beside it."""

    top: Path
    remote: Path

    def commit(self, seal: bytes | None, folder: str = "study") -> str:
        path = self.top / folder / "seal.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        if seal is None:
            path.unlink()
        else:
            path.write_bytes(seal)
        git(self.top, "add", "-A")
        git(self.top, "commit", "-q", "--allow-empty", "-m", "x")
        return git(self.top, "rev-parse", "HEAD")

    def push(self, *words: str) -> None:
        git(self.top, "push", "-q", *words, "origin", "HEAD:main")

    def anchor(self, seal: bytes = FIRST, *earlier: bytes, folder: str = "study", check_remote: bool = False) -> Anchor:
        known = frozenset(sha(s) for s in (seal, *earlier))
        return anchor_of(self.top / folder, sha(seal), known, check_remote=check_remote)


@pytest.fixture(autouse=True)
def _own_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("TOLLENS_TSA_ROOTS", raising=False)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "clone", tmp_path / "remote.git")
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(made.remote))
    git(tmp_path, "init", "-q", "-b", "main", str(made.top))
    git(made.top, "remote", "add", "origin", str(made.remote))
    return made


def test_a_pushed_seal_is_anchored(clone: Clone) -> None:
    commit = clone.commit(FIRST)
    clone.push()
    assert clone.anchor() == Anchor("git", f"anchored: git origin {commit[:12]} (remote not checked)")


def test_the_remote_confirms_it(clone: Clone) -> None:
    commit = clone.commit(FIRST)
    clone.push()
    found = clone.anchor(check_remote=True)
    pattern = rf"anchored: git origin {commit[:12]} \(remote checked \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ\)"
    assert re.fullmatch(pattern, found.text)
    assert (found.kind, found.why) == ("git", "")


def test_the_oldest_commit_is_named(clone: Clone) -> None:
    clone.commit(b"x", "elsewhere")
    oldest = clone.commit(FIRST)
    clone.commit(SECOND)
    clone.commit(FIRST)
    clone.commit(b"y", "elsewhere")
    clone.push()
    assert oldest[:12] in clone.anchor(FIRST, SECOND).text


def test_line_ends_of_a_checkout_do_not_matter(clone: Clone) -> None:
    clone.commit(b'{"a":\r\n1}')
    clone.push()
    assert clone.anchor(b'{"a":\n1}').kind == "git"


def test_a_commit_that_was_not_pushed_is_no_evidence(clone: Clone) -> None:
    clone.commit(b"x", "elsewhere")
    clone.push()
    clone.commit(FIRST)
    assert clone.anchor() == Anchor("none", "unanchored", "This seal is committed but not pushed.")


@pytest.mark.parametrize("pushed", [True, False])
def test_a_seal_that_was_not_committed(clone: Clone, pushed: bool) -> None:
    if pushed:
        clone.commit(b"x", "elsewhere")
        clone.push()
    (clone.top / "study").mkdir()
    (clone.top / "study/seal.json").write_bytes(FIRST)
    found = clone.anchor()
    assert found.text == "unanchored"
    assert found.why == ("This seal is neither committed nor pushed." if pushed else "No remote-tracking ref is here: "
                         "nothing was pushed or fetched.")  # fmt: skip


def test_no_remote(clone: Clone) -> None:
    clone.commit(FIRST)
    git(clone.top, "remote", "remove", "origin")
    git(clone.top, "update-ref", "refs/remotes/origin/main", "HEAD")  # a ref of no remote is a local ref
    assert clone.anchor() == Anchor("none", "unanchored", "The repository has no remote.")


def test_no_repository(tmp_path: Path) -> None:
    found = anchor_of(tmp_path, sha(FIRST), frozenset())
    assert found == Anchor("none", "unanchored", "The folder is in no git repository.")


def test_no_git(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    clone.commit(FIRST)
    clone.push()
    monkeypatch.setenv("PATH", str(clone.top))
    assert clone.anchor() == Anchor("none", "unanchored", "Git is not installed.")


def test_no_folder(clone: Clone) -> None:
    assert clone.anchor(folder="absent").why == "The folder is not there."


def test_git_that_takes_too_long(clone: Clone) -> None:
    clone.commit(FIRST)
    clone.push()
    assert pushed_seal(clone.top / "study", sha(FIRST), frozenset(), seconds=0.0) == Absent("git took too long")


def test_a_shallow_clone_may_hide_another_seal(clone: Clone, tmp_path: Path) -> None:
    clone.commit(SECOND)
    clone.commit(FIRST)
    clone.push()
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{clone.remote}", "shallow")
    found = Clone(tmp_path / "shallow", clone.remote).anchor()
    assert found.text == "unanchored"
    assert "shallow" in found.why


def test_a_detached_head_changes_nothing(clone: Clone) -> None:
    commit = clone.commit(FIRST)
    clone.push()
    git(clone.top, "checkout", "-q", "--detach")
    assert clone.anchor().text == f"anchored: git origin {commit[:12]} (remote not checked)"
    clone.commit(SECOND)
    assert clone.anchor(SECOND, FIRST).text == "unanchored"


def test_the_study_may_be_the_repository(clone: Clone) -> None:
    clone.commit(FIRST, ".")
    clone.push()
    assert clone.anchor(folder=".").kind == "git"


@pytest.mark.parametrize("folder", ["-option", ":(glob)**", "a b\tc", "é\n", "*"])
def test_a_folder_with_a_hostile_name(clone: Clone, folder: str) -> None:
    commit = clone.commit(FIRST, folder)
    clone.commit(SECOND, "other")
    clone.push()
    assert commit[:12] in clone.anchor(folder=folder).text


def test_a_worktree(clone: Clone, tmp_path: Path) -> None:
    commit = clone.commit(FIRST)
    clone.push()
    git(clone.top, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    found = Clone(tmp_path / "tree", clone.remote).anchor(check_remote=True)
    assert found.text.startswith(f"anchored: git origin {commit[:12]} (remote checked ")


def test_a_submodule_and_a_remote_with_a_relative_address(clone: Clone, tmp_path: Path) -> None:
    commit = clone.commit(FIRST)
    clone.push()
    git(tmp_path, "init", "-q", "outer")
    git(tmp_path / "outer", "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(clone.remote), "sub")
    git(tmp_path / "outer/sub", "remote", "set-url", "origin", "../../remote.git")
    found = Clone(tmp_path / "outer/sub", clone.remote).anchor(check_remote=True)
    assert found.text.startswith(f"anchored: git origin {commit[:12]} (remote checked ")


def test_any_remote_whose_refs_reach_the_commit_may_confirm(clone: Clone, tmp_path: Path) -> None:
    commit = clone.commit(FIRST)
    clone.push()
    git(tmp_path, "init", "-q", "--bare", "second.git")
    git(clone.top, "remote", "add", "a/b", str(tmp_path / "second.git"))
    git(clone.top, "push", "-q", "a/b", "HEAD:main")
    shutil.rmtree(clone.remote)
    assert clone.anchor(check_remote=True).text.startswith(f"anchored: git a/b {commit[:12]} (remote checked ")


# What speaks against a ledger.


def refused(clone: Clone, commit: str, *seals: bytes, folder: str = "study") -> None:
    with pytest.raises(TollensError) as caught:
        clone.anchor(*seals, folder=folder)
    assert caught.value.code == "seal_anchor_differs"
    assert caught.value.exit_code is Exit.TAMPERED
    assert caught.value.found == f"TAMPERED: anchor {commit[:12]} holds another seal"


def test_a_record_deleted_and_sealed_again_is_found(clone: Clone) -> None:
    first = clone.commit(FIRST)
    clone.push()
    clone.commit(None)
    clone.commit(SECOND)
    refused(clone, first, SECOND)  # not pushed yet
    clone.push()
    refused(clone, first, SECOND)


def test_an_amended_ledger_knows_its_earlier_seals(clone: Clone) -> None:
    clone.commit(FIRST)
    second = clone.commit(SECOND)
    clone.push()
    assert second[:12] in clone.anchor(SECOND, FIRST).text


def test_a_seal_on_another_branch_that_was_pushed_counts(clone: Clone) -> None:
    clone.commit(b"x", "elsewhere")
    clone.push()
    git(clone.top, "checkout", "-q", "-b", "side")
    side = clone.commit(SECOND)
    git(clone.top, "push", "-q", "origin", "side")
    git(clone.top, "checkout", "-q", "main")
    clone.commit(FIRST)
    clone.push()
    refused(clone, side, FIRST)


def test_a_seal_that_only_a_merge_holds_counts(clone: Clone) -> None:
    clone.commit(FIRST)
    git(clone.top, "checkout", "-q", "-b", "side")
    clone.commit(b"x", "elsewhere")
    git(clone.top, "checkout", "-q", "main")
    clone.commit(b"y", "another")
    git(clone.top, "merge", "-q", "--no-ff", "--no-commit", "side")
    merge = clone.commit(SECOND)
    clone.commit(FIRST)
    clone.push()
    assert len(git(clone.top, "rev-list", "--parents", "-1", merge).split()) == 3
    refused(clone, merge, FIRST)


def test_a_seal_on_a_branch_whose_merge_dropped_it_counts(clone: Clone) -> None:
    clone.commit(b"x", "elsewhere")
    git(clone.top, "checkout", "-q", "-b", "side")
    side = clone.commit(SECOND)
    git(clone.top, "checkout", "-q", "main")
    clone.commit(FIRST)
    git(clone.top, "merge", "-q", "-s", "ours", "-m", "x", "side")
    clone.push()
    refused(clone, side, FIRST)


def test_a_forced_push_is_remembered_by_the_clone_that_saw_both(clone: Clone, tmp_path: Path) -> None:
    first = clone.commit(FIRST)
    clone.push()
    git(clone.top, "checkout", "-q", "--orphan", "again")
    second = clone.commit(SECOND)
    clone.push("--force")
    refused(clone, first, SECOND)
    git(tmp_path, "clone", "-q", str(clone.remote), "fresh")
    fresh = Clone(tmp_path / "fresh", clone.remote)  # saw one history only, and says no more than that
    assert fresh.anchor(SECOND).text == f"anchored: git origin {second[:12]} (remote not checked)"


def test_a_forced_push_that_removes_the_seal_is_noticed_when_the_remote_is_asked(clone: Clone, tmp_path: Path) -> None:
    first = clone.commit(FIRST)
    clone.push()
    git(tmp_path, "clone", "-q", str(clone.remote), "stale")
    stale = Clone(tmp_path / "stale", clone.remote)
    git(clone.top, "checkout", "-q", "--orphan", "again")
    clone.commit(None)
    clone.push("--force")
    found = stale.anchor(check_remote=True)  # the new tip is unknown to this clone: it cannot know
    assert found.text == f"anchored: git origin {first[:12]} (remote not checked)"
    assert found.why == "Remote not confirmed: 1 refs of origin are not fetched yet."
    git(stale.top, "update-ref", "refs/remotes/origin/kept", first)
    git(stale.top, "fetch", "-q")
    assert stale.anchor(check_remote=True) == Anchor(
        "none", "unanchored", f"Remote not confirmed: no ref of origin reaches {first[:12]}."
    )


def test_an_amended_commit_that_was_never_pushed_leaves_no_trace(clone: Clone) -> None:
    clone.commit(SECOND)
    (clone.top / "study/seal.json").write_bytes(FIRST)
    git(clone.top, "commit", "-q", "-a", "--amend", "-m", "x")
    clone.push()
    assert clone.anchor().kind == "git"


def test_a_forged_tracking_ref_is_found_out_by_the_remote(clone: Clone) -> None:
    clone.commit(b"x", "elsewhere")
    clone.push()
    forged = clone.commit(FIRST)
    git(clone.top, "update-ref", "refs/remotes/origin/main", "HEAD")
    assert clone.anchor().text == f"anchored: git origin {forged[:12]} (remote not checked)"
    assert clone.anchor(check_remote=True).text == "unanchored"


def test_a_remote_that_is_gone_is_not_called_checked(clone: Clone) -> None:
    commit = clone.commit(FIRST)
    clone.push()
    shutil.rmtree(clone.remote)
    found = clone.anchor(check_remote=True)
    assert found.text == f"anchored: git origin {commit[:12]} (remote not checked)"
    assert found.why.startswith("Remote not confirmed: origin: git could not answer: ")


def test_a_pointer_or_a_link_is_no_other_seal(clone: Clone) -> None:
    clone.commit(b"version https://git-lfs.github.com/spec/v1\n")
    clone.commit(None)
    (clone.top / "study").mkdir(exist_ok=True)
    (clone.top / "study/seal.json").symlink_to("{}")  # what git keeps of a link is its target, here an object of JSON
    git(clone.top, "add", "-A")
    git(clone.top, "commit", "-q", "-m", "x")
    (clone.top / "study/seal.json").unlink()
    clone.commit(FIRST)
    clone.push()
    assert clone.anchor().kind == "git"


# A study that moved.


def test_a_renamed_study_keeps_its_history(clone: Clone) -> None:
    first = clone.commit(FIRST)
    git(clone.top, "mv", "study", "moved")
    git(clone.top, "commit", "-q", "-m", "x")
    git(clone.top, "mv", "moved", "again")
    git(clone.top, "commit", "-q", "-m", "x")
    clone.push()
    assert clone.anchor(folder="again").text == f"anchored: git origin {first[:12]} (remote not checked)"


def test_renaming_does_not_shake_off_an_earlier_seal(clone: Clone) -> None:
    earlier = clone.commit(SECOND)
    clone.commit(FIRST)
    git(clone.top, "mv", "study", "moved")
    git(clone.top, "commit", "-q", "-m", "x")
    clone.push()
    refused(clone, earlier, FIRST, folder="moved")


def test_what_came_to_the_old_place_later_is_another_study(clone: Clone) -> None:
    clone.commit(FIRST)
    git(clone.top, "mv", "study", "moved")
    git(clone.top, "commit", "-q", "-m", "x")
    clone.commit(SECOND, "study")
    clone.push()
    assert clone.anchor(folder="moved").kind == "git"


def test_a_copied_study_starts_anew(clone: Clone) -> None:
    clone.commit(SECOND)
    copied = clone.commit(FIRST, "copy")
    clone.push()
    assert copied[:12] in clone.anchor(folder="copy").text


# Private edits of published history.


def test_a_replaced_object_is_not_believed(clone: Clone) -> None:
    clone.commit(SECOND)
    clone.push()
    new = clone.top / "new"
    new.write_bytes(FIRST)
    git(
        clone.top,
        "replace",
        git(clone.top, "rev-parse", "HEAD:study/seal.json"),
        git(clone.top, "hash-object", "-w", str(new)),
    )
    assert git(clone.top, "show", "HEAD:study/seal.json") == FIRST.decode()  # git itself is taken in
    refused(clone, git(clone.top, "rev-parse", "HEAD"), FIRST)


def test_a_graft_is_not_believed(clone: Clone) -> None:
    clone.commit(b"x", "elsewhere")
    tip = clone.commit(b"y", "elsewhere")
    clone.push()
    unpushed = clone.commit(FIRST)
    (clone.top / ".git/info").mkdir(exist_ok=True)
    (clone.top / ".git/info/grafts").write_text(f"{tip} {unpushed}\n{unpushed}\n")
    assert unpushed in git(clone.top, "rev-list", "refs/remotes/origin/main")  # git itself is taken in
    assert clone.anchor().text == "unanchored"


def test_a_forged_graph_of_commits_is_not_believed(clone: Clone) -> None:
    """The parent of the pushed commit, by the layout of gitformat-commit-graph, becomes one that was not pushed."""
    tip = clone.commit(b"x", "elsewhere")
    clone.push()
    git(clone.top, "checkout", "-q", "--orphan", "side")
    unpushed = clone.commit(FIRST)
    git(clone.top, "commit-graph", "write", "--reachable")
    path = clone.top / ".git/objects/info/commit-graph"
    data = bytearray(path.read_bytes())
    chunks = {
        bytes(data[i : i + 4]): int.from_bytes(data[i + 4 : i + 12], "big") for i in range(8, 8 + 12 * data[6], 12)
    }
    order = sorted([tip, unpushed])
    parent = chunks[b"CDAT"] + order.index(tip) * 36 + 20
    assert data[parent : parent + 4] == b"\x70\0\0\0"  # no parent
    data[parent : parent + 4] = order.index(unpushed).to_bytes(4, "big")
    path.chmod(0o644)
    path.write_bytes(data)
    assert unpushed in git(clone.top, "rev-list", "refs/remotes/origin/main")  # git itself is taken in
    assert clone.anchor().text == "unanchored"


# Configuration that would run a command.


def mark(tmp_path: Path) -> tuple[Path, str]:
    marker = tmp_path / "ran"
    script = tmp_path / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch '{marker}'\nexit 1\n")
    script.chmod(0o755)
    return marker, str(script)


HOSTILE = {
    "core.fsmonitor": "{}", "core.sshCommand": "{}", "core.pager": "{}", "core.gitProxy": "{}", "core.askPass": "{}",
    "diff.external": "{}", "gpg.program": "{}", "remote.origin.uploadpack": "{}", "credential.helper": "!{}",
    "core.alternateRefsCommand": "{}", "diff.evil.textconv": "{}", "diff.evil.command": "{}",
    "filter.evil.smudge": "{}", "filter.evil.clean": "{}", "log.showSignature": "true", "protocol.ext.allow": "always",
    "pager.rev-list": "{}", "alias.rev-list": "!{}", "alias.ls-remote": "!{}", "core.hooksPath": "hooks",
}  # fmt: skip


def test_hostile_configuration_runs_nothing(clone: Clone, tmp_path: Path) -> None:
    (clone.top / ".gitattributes").write_text("* diff=evil filter=evil\n")
    commit = clone.commit(FIRST)
    clone.push()
    marker, script = mark(tmp_path)
    for key, value in HOSTILE.items():
        git(clone.top, "config", key, value.format(script))
    (clone.top / "hooks").mkdir()
    for hook in ("post-index-change", "reference-transaction", "pre-auto-gc"):
        shutil.copy(script, clone.top / "hooks" / hook)
    assert clone.anchor(check_remote=True).text.startswith(f"anchored: git origin {commit[:12]} (remote checked ")
    assert not marker.exists()
    subprocess.run(["git", "ls-remote", "origin"], cwd=clone.top, env=CLEAN, capture_output=True, check=False)
    assert marker.exists()  # the trap was armed: git itself, asked inside the repository, springs it


@pytest.mark.parametrize(
    "url", ["ext::{}", "-u{}", "--upload-pack={}", "ssh://-oProxyCommand={}/x", "git://127.0.0.1:1/x"]
)
def test_a_hostile_address_runs_nothing(clone: Clone, tmp_path: Path, url: str) -> None:
    commit = clone.commit(FIRST)
    clone.push()
    marker, script = mark(tmp_path)
    git(clone.top, "config", "protocol.ext.allow", "always")
    git(clone.top, "config", "remote.origin.url", url.format(script))
    assert isinstance(remote_holds(clone.top, "origin", commit), str)
    assert not marker.exists()


@pytest.mark.parametrize("key", ["core.sshCommand", "remote.origin.uploadpack"])
def test_a_command_to_connect_with_is_not_taken_from_the_repository(clone: Clone, tmp_path: Path, key: str) -> None:
    commit = clone.commit(FIRST)
    clone.push()
    marker, script = mark(tmp_path)
    if key == "core.sshCommand":
        git(clone.top, "config", "remote.origin.url", "ssh://host.invalid/x")
    git(clone.top, "config", key, script)
    remote_holds(clone.top, "origin", commit)
    assert not marker.exists()
    subprocess.run(["git", "ls-remote", "origin"], cwd=clone.top, env=CLEAN, capture_output=True, check=False)
    assert marker.exists()


def test_a_missing_object_is_not_fetched_by_a_command_of_the_repository(clone: Clone, tmp_path: Path) -> None:
    clone.commit(FIRST)
    clone.push()
    marker, script = mark(tmp_path)
    blob = git(clone.top, "rev-parse", "HEAD:study/seal.json")
    (clone.top / ".git/objects" / blob[:2] / blob[2:]).unlink()
    for key, value in {"core.repositoryFormatVersion": "1", "extensions.partialClone": "origin",
                       "remote.origin.promisor": "true", "remote.origin.uploadpack": script}.items():  # fmt: skip
        git(clone.top, "config", key, value)
    assert clone.anchor().text == "unanchored"
    assert not marker.exists()
    subprocess.run(["git", "cat-file", "blob", blob], cwd=clone.top, env=CLEAN, capture_output=True, check=False)
    assert marker.exists()


def test_a_study_that_poses_as_a_repository_is_not_entered(clone: Clone, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "study")
    (tmp_path / "study/seal.json").write_bytes(FIRST)
    found = anchor_of(tmp_path / "study", sha(FIRST), frozenset())
    assert found.text == "unanchored"
    assert "safe.bareRepository" in found.why


def test_a_working_tree_set_elsewhere_is_not_believed(clone: Clone, tmp_path: Path) -> None:
    clone.commit(FIRST)
    clone.push()
    git(clone.top, "config", "core.worktree", str(clone.top / "study"))
    (clone.top / "study/study").mkdir()
    assert clone.anchor(folder=".").why == "Git takes another folder for the working tree of this study."


def test_the_environment_of_a_hook_does_not_lead_astray(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    clone.commit(FIRST)
    clone.push()
    monkeypatch.setenv("GIT_DIR", str(clone.remote))
    monkeypatch.setenv("GIT_WORK_TREE", str(clone.remote))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "broken")
    assert clone.anchor().kind == "git"


def test_names_of_remotes_are_printed_without_marks_of_direction(clone: Clone) -> None:
    clone.commit(FIRST)
    git(clone.top, "remote", "rename", "origin", "a\u202eb")
    git(clone.top, "push", "-q", "a\u202eb", "HEAD:main")
    assert " git a?b " in clone.anchor().text


def test_a_process_that_hangs_is_ended(clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = clone.commit(FIRST)
    clone.push()
    sleeper = tmp_path / "sleep.sh"
    sleeper.write_text(f"#!/bin/sh\necho $$ > '{tmp_path / 'pid'}'\nexec sleep 60\n")
    sleeper.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(sleeper))
    git(clone.top, "config", "remote.origin.url", "ssh://host.invalid/x")
    for seconds in (1.0, 4.0, 16.0):  # on a busy machine git needs a while before it connects
        assert remote_holds(clone.top, "origin", commit, seconds=seconds) == "origin: git took too long"
        if (tmp_path / "pid").exists():
            break
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10  # the kernel ends a process when it next runs
    while _runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
