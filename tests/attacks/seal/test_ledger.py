"""Attacks on the record: sealing again, dropping, editing, typing and replaying records, understating what was seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.attacks.seal.study import Attack, Cli, edit, fought, held, records, rewrite

Study = Callable[[str], Path]
AMEND = ("amend", "--reason", "a mistake", "--access")


def _weaker(folder: Path) -> None:
    edit(folder / "claim.toml", "-10 pp", "-60 pp")
    edit(folder / "claim.toml", 'value = "-10"', 'value = "-60"')


def _without(*kinds: str) -> Callable[[Path], None]:
    """The record without records of these kinds, its chain made valid again."""
    return lambda folder: rewrite(folder, [r for r in records(folder) if r["type"] not in kinds])


def _line_edited(folder: Path) -> None:
    edit(folder / "ledger.jsonl", '"verdict":"KILLED"', '"verdict":"SURVIVED"')


def _lines_dropped(folder: Path) -> None:
    lines = (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "ledger.jsonl").write_bytes(b"".join([*lines[:3], *lines[5:]]))


def _lines_swapped(folder: Path) -> None:
    lines = (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    (folder / "ledger.jsonl").write_bytes(b"".join(lines))


def _hash_mended(folder: Path) -> None:
    """One record edited with its own hash set right, the ones behind it left as they are."""
    from tollens.core.canonical import canonical, digest

    rows = records(folder)
    row = {k: v for k, v in rows[2].items() if k != "hash"} | {"actor": "nobody"}
    rows[2] = {**row, "hash": digest(row)}
    (folder / "ledger.jsonl").write_bytes(b"".join(canonical(r) + b"\n" for r in rows))


def _sealed_again_by_hand(folder: Path) -> None:
    """A manifest of the weaker claim put into the record under the old seal's hash."""
    rows = records(folder)
    rows[0]["body"]["manifest"]["study"]["claim"]["value"] = "-60"
    rewrite(folder, rows)


def _seal_file_edited(folder: Path) -> None:
    edit(folder / "seal.json", '"value":"-10"', '"value":"-60"')


def _no_ledger(folder: Path) -> None:
    (folder / "ledger.jsonl").unlink()


def _amended(access: str) -> tuple[str, ...]:
    return (*AMEND, access)


ATTACKS = {
    "sealed again after an edit": Attack(_weaker, 3, ("already sealed; use amend",), verb=("lock",)),
    "sealed again without an edit": Attack(lambda _: None, 3, ("already sealed; use amend",), verb=("lock",)),
    "sealed again without seal.json": Attack(
        lambda f: (f / "seal.json").unlink(), 3, ("already sealed; use amend",), verb=("lock",)
    ),
    "sealed again without a ledger": Attack(_no_ledger, 3, ("already sealed; use amend",), verb=("lock",)),
    "a verdict edited": Attack(_line_edited, 20, ("ledger_broken", "TAMPERED ledger.jsonl:"), "killed"),
    "records dropped": Attack(_lines_dropped, 20, ("TAMPERED ledger.jsonl:4",), "killed"),
    "records swapped": Attack(_lines_swapped, 20, ("TAMPERED ledger.jsonl:3",), "killed"),
    "a record and its own hash": Attack(_hash_mended, 20, ("TAMPERED ledger.jsonl:4",), "killed"),
    "another manifest under the old hash": Attack(_sealed_again_by_hand, 20, ("TAMPERED ledger.jsonl",)),
    "seal.json edited": Attack(_seal_file_edited, 20, ("TAMPERED seal seal.json",)),
    "the ledger removed": Attack(_no_ledger, 20, ("TAMPERED ledger.jsonl",)),
    "nothing run declared after a verdict": Attack(
        _weaker, 3, ("declared nothing run; ledger shows results seen",), "killed", _amended("nothing run")
    ),
    "no results declared after a verdict": Attack(
        _weaker, 3, ("declared no results seen; ledger shows results seen",), "killed", _amended("no results seen")
    ),
    "nothing run declared after readings, the verdict dropped": Attack(
        lambda f: (_without("verdict", "run.finished")(f), _weaker(f)),
        3,
        ("declared nothing run; ledger shows results seen",),
        "killed",
        _amended("nothing run"),
    ),
    "nothing run declared after a run that was started": Attack(
        lambda f: (_without("verdict", "run.finished", "cell.finished", "trap", "spend")(f), _weaker(f)),
        3,
        ("declared nothing run; ledger shows no results seen",),
        "killed",
        _amended("nothing run"),
    ),
    "an amendment that changes nothing": Attack(lambda _: None, 3, ("nothing_amended",), verb=_amended("nothing run")),
    "an amendment without a reason": Attack(
        _weaker, 3, ("amend_reason",), verb=("amend", "--reason", "  ", "--access", "nothing run")
    ),
    "a second climb for a second chance": Attack(
        lambda _: None, 2, ("already_decided", "KILLED"), "killed", ("climb",)
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_the_record_is_refused_and_named(name: str, study: Study, cli: Cli) -> None:
    attack = ATTACKS[name]
    said = fought(attack, study(attack.template), cli)
    assert held(attack, said), said


def test_an_amendment_after_results_labels_every_later_verdict(killed: Path, cli: Cli) -> None:
    """The honest way to the weaker claim: allowed, and never to be mistaken for the first one."""
    _weaker(killed)
    assert "EXPLORATORY" in cli("amend", killed, "--reason", "too strict", "--access", "results seen").text
    for said in (cli("climb", killed), cli("status", killed)):
        assert said.exit == 0
        assert said.out.split("\n")[0].startswith("SURVIVED  gate  unanchored")
        assert "EXPLORATORY (amended after results)" in said.text
    edit(killed / "claim.toml", "The gate", "A gate")
    again = cli("amend", killed, "--reason", "wording", "--access", "nothing run")
    assert again.exit == 3
    assert "EXPLORATORY" in cli("amend", killed, "--reason", "wording", "--access", "results seen").text


def test_what_an_amendment_declared_seen_is_not_unseen_by_the_next_one(sealed: Path, cli: Cli) -> None:
    """Results can be seen outside of the ledger; whoever says so once has said it for good."""
    _weaker(sealed)
    assert cli("amend", sealed, "--reason", "seen elsewhere", "--access", "results seen").exit == 0
    edit(sealed / "claim.toml", "The gate", "A gate")
    said = cli("amend", sealed, "--reason", "wording", "--access", "nothing run")
    assert (said.exit, "ledger shows results seen" in said.text) == (3, True), said
    assert cli("amend", sealed, "--reason", "wording", "--access", "results seen").exit == 0
    rows = records(sealed)
    rows[-1]["body"]["access"] = "nothing run"
    rewrite(sealed, rows)
    assert "EXPLORATORY" in cli("climb", sealed).text


def test_an_amendment_before_anything_is_run_is_no_exploration(sealed: Path, cli: Cli) -> None:
    _weaker(sealed)
    said = cli("amend", sealed, "--reason", "a typing error", "--access", "nothing run")
    assert said.exit == 0
    assert "EXPLORATORY" not in said.text


@pytest.mark.parametrize("change", ["edited", "deleted"])
def test_the_verdict_is_the_ledgers_whatever_the_decision_file_says(change: str, killed: Path, cli: Cli) -> None:
    decision = killed / "decision.json"
    honest = decision.read_bytes()
    if change == "edited":
        edit(decision, '"verdict": "KILLED"', '"verdict": "SURVIVED"')
    else:
        decision.unlink()
    said = cli("status", killed)
    assert (said.exit, said.out.split()[0]) == (10, "KILLED")
    assert cli("climb", killed).exit == 2
    assert decision.read_bytes() == honest


def test_the_ledger_of_another_study_with_the_same_claim_id_is_no_ledger_of_this_one(study: Study, cli: Cli) -> None:
    """A verdict of the true study, carried over to the false one."""
    false, survived = study("false"), study("survived")
    for name in ("ledger.jsonl", "decision.json", "trap_results.json"):
        (false / name).write_bytes((survived / name).read_bytes())
    said = cli("status", false)
    assert said.exit == 20
    assert "TAMPERED" in said.text
    (false / "seal.json").write_bytes((survived / "seal.json").read_bytes())
    said = cli("status", false)
    assert said.exit == 20
    assert "TAMPERED data items.csv" in said.text


def test_records_of_another_seal_count_for_nothing(study: Study, cli: Cli) -> None:
    """The readings and the verdict of the true study appended to the false one, the chain made valid."""
    false, survived = study("false"), study("survived")
    rewrite(false, [*records(false), *records(survived)[1:]])
    said = cli("status", false)
    assert "SURVIVED" not in said.out, said
    climbed = cli("climb", false)
    assert (climbed.exit, climbed.out.split()[0]) == (10, "KILLED"), climbed


def test_a_ledger_cut_before_its_verdict_leads_to_the_same_verdict(killed: Path, cli: Cli) -> None:
    """Seeds decide every draw, so that there is no second chance in running again."""
    before = json.loads((killed / "decision.json").read_bytes())
    rewrite(killed, records(killed)[:1])
    (killed / "decision.json").unlink()
    assert cli("climb", killed).exit == 10
    after = json.loads((killed / "decision.json").read_bytes())
    for name in ("verdict", "seal", "found", "rung", "cell"):
        assert after[name] == before[name]
    assert after["rungs"][0]["readings"] == before["rungs"][0]["readings"]


def test_a_last_line_that_was_cut_is_set_aside_and_named(killed: Path, cli: Cli) -> None:
    """Half of a verdict is no verdict, and is not lost without a word."""
    data = (killed / "ledger.jsonl").read_bytes()
    (killed / "ledger.jsonl").write_bytes(data[:-40])
    said = cli("status", killed)
    assert (said.exit, "the verdict that decision.json repeats" in said.text) == (20, True)
    (killed / "decision.json").unlink()  # as it is where the process was killed inside that line
    said = cli("status", killed)
    assert "KILLED" not in said.out
    assert "was never finished" in said.text
    assert cli("climb", killed).exit == 10
    assert (killed / "ledger.torn").stat().st_size > 0


def test_an_amendment_cut_out_of_the_chain_leaves_another_seal_than_the_files(killed: Path, cli: Cli) -> None:
    """Dropping the record that says results were seen drops the seal of the changed claim with it."""
    _weaker(killed)
    assert cli("amend", killed, "--reason", "too strict", "--access", "results seen").exit == 0
    _without("amend")(killed)
    said = cli("status", killed)
    assert said.exit == 20
    assert "TAMPERED" in said.text
