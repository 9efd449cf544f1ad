"""Constraints and the folders around a study: what counts as evidence, and what an older seal still is."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from tollens.core.errors import TollensError
from tollens.protocol.ruling import Ruling
from tollens.protocol.seal import Manifest, read_seal, seal_bytes, seal_hash
from tollens.protocol.study import read_study
from tollens.record.ledger import Writer, parse_ledger, read_ledger
from tollens.run.climb import climb, plan
from tollens.run.constraints import rulings_of
from tollens.run.lock import amend, lock
from tollens.run.new import new
from tollens.run.status import status
from tollens.run.study import alone, claim_text, sealed
from tollens.run.waive import waive

GOLDEN = Path(__file__).parents[1] / "golden" / "sealed_before_constraints"
LABORATORY = """
[[constraint]]
id = "rounding"
trigger = "touches in {weights}"
mechanism = "what is rounded is not what was measured"
require = ["reading:accuracy_diff >= -0.5 pp", "survived:evidence", "numbers:ceiling.compression"]
"""
SMALL = {"seeds = [1, 2, 3]": "seeds = [1]", "axes = { seed = 3 }": "axes = { seed = 1 }"}
PROPOSAL = '\n[proposal]\ntouches = ["weights"]\n'
EVIDENCE = '\n[[evidence]]\nconstraint = "rounding"\nstudy = "../evidence"\n'


def edit(folder: Path, changes: dict[str, str], tail: str = "") -> None:
    text = (folder / "claim.toml").read_text()
    for old, new_ in changes.items():
        assert old in text
        text = text.replace(old, new_)
    (folder / "claim.toml").write_text(text + tail)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A laboratory with a decided study, `evidence`, and a draft that needs it, `proposal`."""
    root = tmp_path_factory.mktemp("laboratory")
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    for name in ("evidence", "proposal"):
        new(str(root / name))
        edit(root / name, SMALL)
    edit(root / "evidence", {}, "\n[proposal]\ntouches = []\n")
    lock(root / "evidence")
    assert climb(root / "evidence").verdict == "SURVIVED"
    (root / "tollens.toml").write_text(LABORATORY)
    edit(root / "proposal", {}, PROPOSAL)
    return root


@pytest.fixture
def lab(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "lab")
    return tmp_path / "lab"


def ruling(folder: Path, day: datetime.date | None = None) -> Ruling:
    found = rulings_of(folder, read_study(claim_text(folder)), read_ledger(folder / "ledger.jsonl"), day=day)
    assert found is not None
    return found[0]


def test_a_seal_made_before_there_were_constraints_still_verifies() -> None:
    record = parse_ledger((GOLDEN / "ledger.jsonl").read_bytes()).records[0]
    manifest = msgspec.convert(record.body["manifest"], Manifest)
    assert seal_hash(manifest) == record.body["seal"]
    assert seal_bytes(manifest) == (GOLDEN / "seal.json").read_bytes()
    assert read_seal(seal_bytes(manifest)) == manifest
    assert b'"constraints"' not in seal_bytes(manifest)


def test_without_a_laboratory_nothing_is_asked_and_nothing_is_sealed_of_it(lab: Path) -> None:
    (lab / "tollens.toml").unlink()
    assert lock(lab / "proposal").constraints == []
    assert "constraints" not in json.loads((lab / "proposal" / "seal.json").read_text())


def test_evidence_lifts_and_is_pinned_by_the_record_of_its_verdict(lab: Path) -> None:
    with pytest.raises(TollensError) as refused:
        lock(lab / "proposal")
    assert (refused.value.code, int(refused.value.exit_code)) == ("constraint_unmet", 3)
    assert not (lab / "proposal" / "seal.json").exists()
    edit(lab / "proposal", {}, EVIDENCE)
    report = lock(lab / "proposal")
    verdict = sealed(lab / "evidence").verdict
    assert verdict is not None
    assert [(r.state, r.evidence[0].record) for r in report.constraints] == [("met", verdict.hash)]
    held = json.loads((lab / "proposal" / "seal.json").read_text())["constraints"]
    says = "claim evidence, SURVIVED"
    assert held[0]["evidence"] == [{"evidence": "study ../evidence", "record": verdict.hash, "says": says}]
    assert climb(lab / "proposal").verdict == "SURVIVED"


def records(folder: Path) -> list[str]:
    return [record.type for record in read_ledger(folder / "ledger.jsonl").records]


def blocked(folder: Path, says: str) -> None:
    """Nothing is run, nothing is kept, and what is missing is said."""
    before = sorted(os.listdir(folder)), records(folder)
    decision = climb(folder)
    assert (decision.verdict, decision.rungs, decision.reason) == ("BLOCKED", [], "constraint_unmet")
    assert says in decision.found
    assert (sorted(os.listdir(folder)), records(folder)) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_who_reads_evidence_writes_nothing_into_its_folder(lab: Path) -> None:
    """Not even the seal.json that is missing there: somebody else may be at work on that study."""
    edit(lab / "proposal", {}, EVIDENCE)
    (lab / "evidence" / "seal.json").unlink()
    before = contents(lab / "evidence")
    assert "seal.json" not in before
    assert ruling(lab / "proposal").state == "met"
    assert [r.state for r in lock(lab / "proposal").constraints] == ["met"]
    assert climb(lab / "proposal").verdict == "SURVIVED"
    assert contents(lab / "evidence") == before


def test_status_puts_a_missing_seal_in_place_unless_somebody_is_at_work_there(lab: Path) -> None:
    path = lab / "evidence" / "seal.json"
    before = path.read_bytes()
    path.unlink()
    with alone(lab / "evidence"):
        assert status(lab / "evidence").state == "SURVIVED"
    assert not path.exists()
    assert status(lab / "evidence").state == "SURVIVED"
    assert path.read_bytes() == before


@pytest.mark.parametrize("harm", ["gone", "amended", "tampered", "decided again"])
def test_evidence_that_is_not_what_it_was_blocks_the_climb(lab: Path, harm: str) -> None:
    edit(lab / "proposal", {}, EVIDENCE)
    lock(lab / "proposal")
    evidence = lab / "evidence"
    if harm == "gone":
        shutil.rmtree(evidence)
        blocked(lab / "proposal", "is no folder")
    elif harm == "tampered":
        (evidence / "metric.py").write_text("")
        blocked(lab / "proposal", "tampered")
    elif harm == "amended":
        edit(evidence, {"at most half a point": "no more than half a point"})
        amend(evidence, "another wording", "results seen")
        blocked(lab / "proposal", "has no verdict yet")
        climb(evidence)
        blocked(lab / "proposal", "is exploratory")
    else:
        for name in ("ledger.jsonl", "seal.json", "decision.json", "trap_results.json"):
            (evidence / name).unlink()
        lock(evidence)
        climb(evidence)
        blocked(lab / "proposal", "has changed since the study was sealed")
        amend(lab / "proposal", "the evidence was measured again", "nothing run")  # claim.toml is as it was
        assert climb(lab / "proposal").verdict == "SURVIVED"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("../../outside", "leads out of the laboratory"),
        ("../link", "leads out of the laboratory"),
        ("/etc", "no path relative to the study"),
        (".", "is the study itself"),
        ("../proposal", "is the study itself"),
        ("../nowhere", "is no folder"),
        ("../draft", "not_sealed"),
        ("../open", "has no verdict yet"),
        ("../torn", "ledger_broken"),
    ],
)
def test_what_is_no_evidence(lab: Path, path: str, says: str) -> None:
    shutil.copytree(lab / "evidence", lab.parent / "outside")
    (lab / "link").symlink_to(lab.parent / "outside")
    shutil.copytree(lab / "evidence", lab / "draft")
    for name in ("ledger.jsonl", "seal.json", "decision.json"):
        (lab / "draft" / name).unlink()
    shutil.copytree(lab / "draft", lab / "open")
    lock(lab / "open")
    shutil.copytree(lab / "evidence", lab / "torn")
    (lab / "torn" / "ledger.jsonl").write_bytes(b"\x00\xff\n")
    edit(lab / "proposal", {}, EVIDENCE.replace("../evidence", path))
    assert ruling(lab / "proposal").state == "blocked"
    assert says in ruling(lab / "proposal").missing[0]
    with pytest.raises(TollensError, match="constraint_unmet"):
        lock(lab / "proposal")


def test_evidence_of_another_claim_or_a_failing_number_is_not_enough(lab: Path) -> None:
    edit(lab / "proposal", {}, EVIDENCE)
    wanted = {
        "survived:another": "no such survival",
        "reading:accuracy_diff >= 50 pp": "50",
        "reading:needle >= 1": "records no needle",
        "numbers:acct.sum": "ceiling.compression",
    }
    for rule, says in wanted.items():
        (lab / "tollens.toml").write_text(LABORATORY.split("require")[0] + f'require = ["{rule}"]\n')
        assert says in ruling(lab / "proposal").missing[0]


def test_a_study_whose_control_did_not_behave_is_no_evidence(lab: Path) -> None:
    void = lab / "void"
    new(str(void))
    swapped = {'arm = "random_codes"\nmust = "die"': 'arm = "random_codes"\nmust = "survive"',
               'arm = "identity"\nmust = "survive"': 'arm = "identity"\nmust = "die"'}  # fmt: skip
    edit(void, SMALL | swapped, "\n[proposal]\ntouches = []\n")
    lock(void)
    assert climb(void).verdict == "VOID"
    edit(lab / "proposal", {}, EVIDENCE.replace("../evidence", "../void"))
    assert "is VOID" in ruling(lab / "proposal").missing[0]


def test_numbers_that_nobody_could_check_are_no_numbers(lab: Path) -> None:
    (lab / "tollens.toml").write_text(LABORATORY.split("require")[0] + 'require = ["numbers:ceiling.compression"]\n')
    assert ruling(lab / "proposal").state == "met"
    path = lab / "proposal" / "numbers.toml"
    path.write_text(path.read_text().split("[claim.fields]")[0])
    assert ruling(lab / "proposal").state == "blocked"
    path.write_bytes(b"\xff\x00")
    assert ruling(lab / "proposal").state == "blocked"


def test_an_imported_reading_lifts_and_another_hash_does_not(lab: Path) -> None:
    (lab / "tollens.toml").write_text(LABORATORY.split("require")[0] + 'require = ["reading:needle >= 0.9"]\n')
    one, two = "a" * 64, "b" * 64
    body = {
        "source": "lm-eval", "path": "../results.json", "sha256": one, "name": "needle", "file": "needle.json",
        "data": "c" * 64, "task": "needle", "metric": "acc", "value": 0.95, "n": 100, "scored": 100, "unscored": 0,
        "readings": {"needle": 0.95},
    }  # fmt: skip
    Writer(lab / "proposal" / "ledger.jsonl").append("import", body)
    edit(lab / "proposal", {}, f'\n[[evidence]]\nconstraint = "rounding"\nimported = "{two}"\n')
    assert "no import record" in ruling(lab / "proposal").missing[0]
    edit(lab / "proposal", {two: one})
    assert ruling(lab / "proposal").state == "met"
    said = "met by imported aaaaaaaaaaaa (needle = 0.95, task 'needle', metric 'acc', n = 100)"
    assert said in ruling(lab / "proposal").sentence  # the name of a reading is whatever somebody called it
    Writer(lab / "proposal" / "ledger.jsonl").append("import", {**body, "value": 0.5, "readings": {"needle": 0.5}})
    assert ruling(lab / "proposal").state == "blocked"


def test_another_reading_of_the_same_file_that_is_imported_later_changes_nothing_of_what_was_sealed(lab: Path) -> None:
    (lab / "tollens.toml").write_text(LABORATORY.split("require")[0] + 'require = ["reading:needle >= 0.9"]\n')
    body = {
        "source": "lm-eval", "path": "../results.json", "sha256": "a" * 64, "name": "needle", "file": "needle.json",
        "data": "c" * 64, "task": "needle", "metric": "acc", "value": 0.95, "n": 100, "scored": 100, "unscored": 0,
        "readings": {"needle": 0.95},
    }  # fmt: skip
    log = Writer(lab / "proposal" / "ledger.jsonl")
    log.append("import", body)
    edit(lab / "proposal", {}, f'\n[[evidence]]\nconstraint = "rounding"\nimported = "{"a" * 64}"\n')
    assert lock(lab / "proposal").constraints[0].state == "met"
    Writer(lab / "proposal" / "ledger.jsonl").append(
        "import", {**body, "name": "other", "data": "d" * 64, "value": 0.1, "readings": {"other": 0.1}}
    )
    report = status(lab / "proposal")
    assert (report.state, report.constraints[0].state) == ("SEALED", "met")


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "now no tollens.toml has it"), (LABORATORY.replace("{weights}", "{kv}"), "it is not triggered")],
)
def test_a_waiver_that_the_seal_rests_on_stays_said_when_the_constraint_is_taken_away(
    lab: Path, text: str | None, says: str
) -> None:
    until = (datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=10)).isoformat()
    waive(lab / "proposal", "rounding", "it is a toy", until)
    lock(lab / "proposal")
    if text is None:
        (lab / "tollens.toml").unlink()
    else:
        (lab / "tollens.toml").write_text(text)
    told = [status(lab / "proposal").notes, climb(lab / "proposal").notes, status(lab / "proposal").notes]
    for notes in told[:2]:
        assert any("waived until" in note and "it is a toy" in note and says in note for note in notes)
    decision = status(lab / "proposal").decision
    assert decision is not None
    assert any("it is a toy" in note for note in decision.notes)


def test_an_edited_study_is_waived_before_it_is_amended(lab: Path) -> None:
    edit(lab / "proposal", {'touches = ["weights"]': "touches = []"})
    lock(lab / "proposal")
    edit(lab / "proposal", {"touches = []": 'touches = ["weights"]'})
    with pytest.raises(TollensError, match="constraint_unmet"):
        amend(lab / "proposal", "weights after all", "nothing run")
    until = (datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=10)).isoformat()
    made = waive(lab / "proposal", "rounding", "it is a toy", until)
    assert made.next.startswith("tollens amend ")
    assert amend(lab / "proposal", "weights after all", "nothing run").constraints[0].state == "waived"
    assert climb(lab / "proposal").verdict == "SURVIVED"


def test_a_study_whose_other_files_were_changed_is_not_waived(lab: Path) -> None:
    edit(lab / "proposal", {}, EVIDENCE)
    lock(lab / "proposal")
    (lab / "proposal" / "metric.py").write_text("ARMS = {}\n")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    with pytest.raises(TollensError, match="tampered"):
        waive(lab / "proposal", "rounding", "it is a toy", today)


def test_every_command_that_is_printed_runs_from_elsewhere_with_a_blank_in_the_path(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.move(lab, tmp_path / "my lab")
    study = tmp_path / "my lab" / "proposal"
    monkeypatch.chdir(tmp_path)
    path = "my lab/proposal"
    assert status(path).next == "edit 'my lab/proposal/claim.toml', then tollens lock 'my lab/proposal'"
    with pytest.raises(TollensError) as refused:
        lock(path)
    assert "tollens record waive 'my lab/proposal' rounding" in refused.value.fix
    edit(study, {}, EVIDENCE)
    assert status(path).next == "tollens lock 'my lab/proposal'"
    printed = [lock(path).next, status(path).next, plan(path).next]
    assert printed == ["tollens climb 'my lab/proposal'"] * 3
    with pytest.raises(TollensError) as refused:
        lock(path)
    assert refused.value.fix.startswith("tollens amend 'my lab/proposal' ")
    assert '--access "nothing run"' in refused.value.fix
    assert climb(path).next == "tollens status 'my lab/proposal'"
    assert status(path).next.startswith("git add 'my lab/proposal' && ")
    with pytest.raises(TollensError) as refused:
        lock(path)
    assert '--access "results seen"' in refused.value.fix  # what the ledger shows, or the command would be refused
    with pytest.raises(TollensError, match="amend_reason"):
        amend(path, "...", "results seen")  # as it is printed


def test_a_constraint_that_was_tightened_after_sealing_blocks_and_a_waiver_lifts_it(lab: Path) -> None:
    edit(lab / "proposal", {}, EVIDENCE)
    lock(lab / "proposal")
    (lab / "tollens.toml").write_text(LABORATORY.replace(">= -0.5 pp", ">= 5 pp"))
    blocked(lab / "proposal", "below 5")
    until = (datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=10)).isoformat()
    waive(lab / "proposal", "rounding", "five points is a typing error", until)
    decision = climb(lab / "proposal")
    assert decision.verdict == "SURVIVED"
    assert f"constraint rounding (policy) waived until {until}: five points is a typing error" in decision.notes


def test_a_waiver_ends(lab: Path) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    waive(lab / "proposal", "rounding", "a toy", today.isoformat())
    assert ruling(lab / "proposal", today).state == "waived"
    assert ruling(lab / "proposal", today + datetime.timedelta(days=1)).state == "blocked"
    (lab / "tollens.toml").write_text(LABORATORY.replace("is rounded", "was rounded"))
    assert ruling(lab / "proposal", today).state == "blocked"


def test_a_file_in_the_folder_of_the_study_lifts_nothing(lab: Path) -> None:
    (lab / "proposal" / "tollens.toml").write_text("[drift]\npapers = []\n")
    assert ruling(lab / "proposal").state == "blocked"


def test_a_waiver_record_of_no_form_breaks_the_ledger(lab: Path) -> None:
    path = lab / "proposal" / "ledger.jsonl"
    Writer(path).append(
        "waiver", {"claim": "c", "constraint": "rounding", "digest": "0" * 64, "reason": "r", "until": "for ever"}
    )
    with pytest.raises(TollensError, match="ledger_broken"):
        read_ledger(path)
