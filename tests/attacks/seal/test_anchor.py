"""Attacks by the owner of every byte: the record made anew, with and without a history that others hold."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.attacks.seal.study import Cli, edit, git, manifest_hash, push, record, records, rewrite

from tollens.core.canonical import canonical

Study = Callable[[str], Path]


def weaker(folder: Path) -> None:
    edit(folder / "claim.toml", "-10 pp", "-60 pp")
    edit(folder / "claim.toml", 'value = "-10"', 'value = "-60"')


def sealed_anew(folder: Path, cli: Cli) -> None:
    """The record deleted, the claim made weaker, sealed as if for the first time."""
    for name in ("ledger.jsonl", "seal.json", "decision.json", "trap_results.json"):
        (folder / name).unlink(missing_ok=True)
    weaker(folder)
    assert cli("lock", folder).exit == 0


def rewritten(folder: Path, cli: Cli) -> None:
    """The weaker manifest put in the place of the sealed one, and a ledger of valid hashes written around it."""
    twin = folder.parent / "twin"
    shutil.copytree(folder, twin, ignore=shutil.ignore_patterns(".git"))
    sealed_anew(twin, cli)
    manifest = records(twin)[0]["body"]["manifest"]
    seal = manifest_hash(manifest)
    rewrite(folder, [record("seal", {"seal": seal, "manifest": manifest})])
    (folder / "seal.json").write_bytes(canonical(manifest) + b"\n")
    (folder / "claim.toml").write_bytes((twin / "claim.toml").read_bytes())
    for name in ("decision.json", "trap_results.json"):
        (folder / name).unlink(missing_ok=True)


FORGERIES = {"the record deleted and sealed again": sealed_anew, "the whole chain rewritten": rewritten}


@pytest.mark.parametrize("name", FORGERIES)
def test_without_an_anchor_every_line_of_it_says_unanchored(name: str, killed: Path, cli: Cli) -> None:
    FORGERIES[name](killed, cli)
    for verb, first in (("status", "SEALED"), ("climb", "SURVIVED"), ("status", "SURVIVED")):
        said = cli(verb, killed)
        assert (said.exit, said.out.split()[:3]) == (0, [first, "gate", "unanchored"]), said


@pytest.mark.parametrize("name", FORGERIES)
def test_without_an_anchor_it_does_not_pass_where_one_is_required(name: str, killed: Path, cli: Cli) -> None:
    FORGERIES[name](killed, cli)
    said = cli("climb", killed, "--require-anchor")
    assert (said.exit, "unanchored" in said.text) == (23, True)


@pytest.mark.parametrize("name", FORGERIES)
def test_a_pushed_seal_speaks_against_it(name: str, killed: Path, tmp_path: Path, cli: Cli) -> None:
    commit = push(killed, tmp_path / "remote.git")
    assert f"anchored: git origin {commit[:12]}" in cli("status", killed).text
    if name == "the record deleted and sealed again":
        weaker_folder = killed
        for file in ("ledger.jsonl", "seal.json", "decision.json", "trap_results.json"):
            (weaker_folder / file).unlink(missing_ok=True)
        weaker(weaker_folder)
        said = cli("lock", weaker_folder)
    else:
        rewritten(killed, cli)
        said = cli("status", killed)
    assert (said.exit, f"TAMPERED: anchor {commit[:12]} holds another seal" in said.text) == (20, True), said
    assert cli("climb", killed).exit in (20, 21)


def test_a_forced_push_over_it_is_still_seen_where_it_was_fetched(killed: Path, tmp_path: Path, cli: Cli) -> None:
    """History rewritten at the remote too: the reflog of the tracking branch still names what was pushed first."""
    push(killed, tmp_path / "remote.git")
    rewritten(killed, cli)
    git(killed, "checkout", "--quiet", "--orphan", "anew")
    git(killed, "add", "-A")
    git(killed, "commit", "--quiet", "-m", "anew")
    git(killed, "push", "--quiet", "--force", "origin", "HEAD:refs/heads/main")
    said = cli("status", killed)
    assert (said.exit, "holds another seal" in said.text) == (20, True), said


def test_an_honest_amendment_keeps_the_anchor_of_its_chain(killed: Path, tmp_path: Path, cli: Cli) -> None:
    push(killed, tmp_path / "remote.git")
    weaker(killed)
    assert cli("amend", killed, "--reason", "too strict", "--access", "results seen").exit == 0
    commit = push(killed, tmp_path / "remote.git")
    said = cli("climb", killed)
    assert said.exit == 0
    assert f"anchored: git origin {commit[:12]} (remote not checked) EXPLORATORY" in said.text


@pytest.fixture
def forged(false: Path) -> Path:
    """A false claim with a reading of zero typed for every cell of its subject, the chain valid."""
    rows = records(false)
    seal = rows[0]["body"]["seal"]
    rows.append(record("run.started", {"seal": seal, "inputs": "", "environment": {}}))
    for seed in (1, 2):
        key = {"seal": seal, "rung": "items", "arm": "gated", "cell": f"seed={seed}", "seed": seed}
        rows.append(record("cell.started", {"run": "typed", "key": key, "attempt": 1}))
        body = {"run": "typed", "key": key, "attempt": 1, "readings": {"accuracy_diff": 0}, "note": "", "seconds": 0.1}
        rows.append(record("cell.finished", body))
    rewrite(false, rows)
    return false


def test_readings_typed_by_the_owner_get_no_more_than_unanchored(forged: Path, tmp_path: Path, cli: Cli) -> None:
    """What an earlier run left is not measured again; nobody outside has seen that run, whoever has seen the seal."""
    push(forged, tmp_path / "remote.git")
    for verb in ("climb", "status"):
        said = cli(verb, forged)
        assert said.out.split()[:3] == ["SURVIVED", "gate", "unanchored"], said
        assert "2 readings were kept from an earlier run" in said.text
        assert "anchored: git" not in said.out.splitlines()[0]


def test_readings_typed_by_the_owner_do_not_pass_where_an_anchor_is_required(
    forged: Path, tmp_path: Path, cli: Cli
) -> None:
    push(forged, tmp_path / "remote.git")
    said = cli("climb", forged, "--require-anchor")
    assert (said.exit, "kept from an earlier run" in said.text) == (23, True), said


def test_a_reader_who_starts_from_the_seal_alone_sees_through_typed_readings(forged: Path, cli: Cli) -> None:
    rewrite(forged, records(forged)[:1])
    assert cli("climb", forged).exit == 10


KINDS = ["verdict", "cell.finished", "cell.started", "trap", "amend", "seal", "run.started", "run.finished"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [{}, {"seal": 5}, {"seal": "x", "key": []}, {"key": {"seal": None}}])
def test_a_record_of_another_form_is_named_and_ends_nothing_else(
    kind: str, body: dict[str, object], sealed: Path, cli: Cli
) -> None:
    rewrite(sealed, [*records(sealed), record(kind, body)])
    for verb in ("status", "climb", "lock"):
        said = cli(verb, sealed)
        assert (said.exit, "TAMPERED ledger.jsonl:2" in said.text) == (20, True), said
    assert cli("amend", sealed, "--reason", "x", "--access", "results seen").exit == 20
