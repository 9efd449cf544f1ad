"""What honest work leaves behind is clean, and a declaration is believed once it is in the ledger."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.attacks.seal.study import git
from tests.run.drift.planted import edit

from tollens.cli.main import run
from tollens.core.errors import Exit, TollensError
from tollens.record.ledger import FILE
from tollens.run.climb import climb
from tollens.run.drift.check import drift
from tollens.run.imports import ImportQuestion, import_result
from tollens.run.lock import amend, lock
from tollens.run.study import sealed
from tollens.run.waive import waive
from tollens.subject.results.imported import Wanted

RESULT = {
    "results": {"arc": {"alias": "arc", "acc,none": 0.5, "acc_stderr,none": 0.01}},
    "n-samples": {"arc": {"original": 100, "effective": 100}},
    "configs": {"arc": {"task": "arc"}}, "versions": {"arc": 1}, "higher_is_better": {"arc": {"acc": True}},
    "date": 1700000000.0, "config": {"model": "hf"}, "git_hash": "x",
}  # fmt: skip


@pytest.fixture
def imported(clean: Path) -> Path:
    """The clean repository with a result that was imported into a draft, which was sealed then."""
    (clean / "tollens.toml").unlink()
    (clean / "results").mkdir()
    (clean / "results" / "results_x.json").write_text(json.dumps(RESULT))
    question = ImportQuestion(Wanted(task="arc", metric="acc"), name="accuracy_diff")
    import_result(clean / "results" / "results_x.json", question, clean / "studies" / "draft")
    lock(clean / "studies" / "draft")
    return clean


def test_a_result_older_than_its_seal_is_exploratory_until_its_owner_declares_it(imported: Path) -> None:
    draft = imported / "studies" / "draft"
    (found,) = drift(imported).findings
    assert (found.path, found.code, drift(imported).exit_code) == ("studies/draft/ledger.jsonl", "D03", 1)
    assert f'tollens amend {draft} --reason "..." --access "results seen"' in found.fix
    climb(draft)
    assert [f.code for f in drift(imported).findings] == ["D03"]
    edit(draft / "claim.toml", "[claim]", "# It was suggested by an imported result.\n[claim]")
    amend(draft, "built on an imported result", "results seen")
    assert drift(imported).findings == []
    assert climb(draft).exploratory
    assert (drift(imported).findings, drift(imported).exit_code) == ([], 0)


def test_an_amendment_before_the_import_declares_nothing_of_it(clean: Path) -> None:
    twice = clean / "studies" / "twice"
    (clean / "results_x.json").write_text(json.dumps(RESULT))
    import_result(
        clean / "results_x.json", ImportQuestion(Wanted(task="arc", metric="acc"), name="accuracy_diff"), twice
    )
    assert [f.code for f in drift(clean).findings] == ["D03"]


def test_results_that_nobody_commits_are_missed_by_nobody(imported: Path) -> None:
    shutil.rmtree(imported / "results")
    assert [f.code for f in drift(imported).findings] == ["D03"]
    copy = imported / "studies" / "draft" / "accuracy_diff.imported.json"
    copy.write_bytes(copy.read_bytes().replace(b"0.5", b"0.6"))
    assert sorted({f.code for f in drift(imported).findings}) == ["D01", "D03"]


def test_a_laboratory_may_be_moved_and_checked_out_in_a_work_tree(clean: Path, tmp_path: Path) -> None:
    (clean / "tollens.toml").unlink()
    inner = shutil.copytree(clean / "studies" / "open", clean / "studies" / "gate" / "inner" / "deep")
    edit(inner / "claim.toml", 'id = "open"', 'id = "deep"')
    amend(inner, "another name", "nothing run")
    climb(inner)
    (clean / "studies").rename(clean / "renamed")
    assert drift(clean).findings == []
    git(clean, "init", "--quiet")
    git(clean, "add", "-A")
    git(clean, "commit", "--quiet", "-m", "all")
    git(clean, "worktree", "add", "--quiet", str(tmp_path / "tree"), "-b", "other")
    assert (drift(tmp_path / "tree").findings, drift(tmp_path / "tree").exit_code) == ([], 0)


def test_what_a_fix_names_works_where_the_check_was_started(
    clean: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (clean / "studies" / "gate" / "seal.json").unlink()
    with_space = clean.rename(clean.with_name("a lab"))
    monkeypatch.chdir(with_space.parent)
    assert run(["drift", "a lab", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    words = shlex.split(found["fix"])
    assert words[:3] == ["tollens", "status", "a lab/studies/gate"]
    assert run(words[1:3]) == 0
    (with_space / "papers" / "new.md").write_text("9.5<!--t:cited.accuracy_diff unit=pp-->\n")
    report = drift("a lab")
    assert [f.fix for f in report.findings] == ["tollens drift 'a lab' --fix"]
    assert report.next == report.findings[0].fix
    assert run(shlex.split(report.next)[1:]) == 0
    monkeypatch.chdir(with_space)
    (with_space / "papers" / "new.md").write_text("9.5<!--t:cited.accuracy_diff unit=pp-->\n")
    assert [f.fix for f in drift().findings] == ["tollens drift --fix"]


@pytest.mark.parametrize("study", ["gate", "dead", "twice"])
def test_traps_other_than_those_of_the_ledger_are_found(clean: Path, study: str) -> None:
    path = clean / "studies" / study / "trap_results.json"
    kept = path.read_bytes()
    for at in range(0, len(kept), 23):
        path.write_bytes(kept[:at] + bytes([kept[at] ^ 1]) + kept[at + 1 :])
        report = drift(clean / "studies" / study)
        if json_of(path.read_bytes()) != json_of(kept):
            assert report.exit_code in (1, 2), kept[max(0, at - 20) : at + 20]
    path.write_bytes(kept)
    assert drift(clean).findings == []


def json_of(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return None


def _agreed(folder: Path) -> tuple[bool, bool]:
    """Whether a climb would call the study tampered with, and whether a check of it does."""
    report = drift(folder)  # first: reading a study puts back a seal.json that is gone
    seen = any(f.code in ("D01", "D05", "D06") for f in report.findings) or bool(report.unread)
    try:
        sealed(folder)
    except TollensError as error:
        return error.exit_code in (Exit.TAMPERED, Exit.BAD_INPUT), seen
    return False, seen


def test_a_climb_and_a_check_agree_on_what_is_sealed(clean: Path, tmp_path: Path) -> None:
    """Every sealed file and the ledger with one bit turned, cut, emptied, gone: what one refuses the other names."""
    seen = 0
    for study in ("gate", "twice", "open"):
        kept = clean / "studies" / study
        folder = Path(shutil.copytree(kept, tmp_path / study))
        for name in ("claim.toml", "items.csv", "metric.py", "seal.json", FILE):
            data = (kept / name).read_bytes()
            at = [len(data) * part // 5 for part in range(5)]
            made = [data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :] for i in at] + [data[:i] for i in at]
            for number, changed in enumerate([*made, data + b"\n", data.replace(b"\n", b"\r\n"), None]):
                if name == "claim.toml" and changed is None:
                    continue  # no study is found there at all, and D06 names the rest
                (folder / name).unlink()
                if changed is not None:
                    (folder / name).write_bytes(changed)
                refused, named = _agreed(folder)
                assert named or not refused, (name, number)
                if named and not refused:
                    assert name == "seal.json" or name == FILE, (name, number)  # a climb puts it back, or a torn end
                seen += refused
                for file in kept.iterdir():
                    (folder / file.name).write_bytes(file.read_bytes())
    assert seen > 60


@pytest.mark.parametrize(("study", "access"), [("gate", "results seen"), ("open", "nothing run")])
def test_a_changed_study_is_amended_by_the_command_that_is_printed(clean: Path, study: str, access: str) -> None:
    edit(clean / "studies" / study / "items.csv", "1,1", "1,0")
    (clean / "tollens.toml").unlink()
    (found,) = drift(clean).findings
    words = shlex.split(found.fix.partition(": ")[2])
    assert words == ["tollens", "amend", f"{clean}/studies/{study}", "--reason", "...", "--access", access]
    words[words.index("...")] = "an item was wrong"
    assert run(words[1:]) == 0
    assert drift(clean).findings == []


PROPOSAL = '\n[proposal]\ntouches = ["kv"]\n'
CITED = '\n[[evidence]]\nconstraint = "care"\nstudy = "../cited"\n'


def test_a_blocked_study_and_one_that_is_waived_are_clean(clean: Path) -> None:
    draft = clean / "studies" / "draft"
    with open(draft / "claim.toml", "a") as text:
        text.write(PROPOSAL + CITED)
    lock(draft)
    assert (drift(clean).findings, drift(clean).exit_code) == ([], 0)
    edit(clean / "tollens.toml", '"survived:cited"', '"survived:included"')
    assert climb(draft).verdict == "BLOCKED"
    assert (drift(clean).findings, drift(clean).exit_code) == ([], 0)
    waive(draft, "care", "it is a toy", (datetime.now(UTC) + timedelta(days=9)).date().isoformat())
    assert drift(clean).findings == []
    assert climb(draft).verdict == "SURVIVED"
    assert (drift(clean).findings, drift(clean).unread) == ([], [])
    (clean / "papers" / "new.md").write_text("It was <!--t:cite draft as=survived-->so.\n")
    assert drift(clean).findings == []


def test_an_import_that_is_evidence_is_clean(clean: Path) -> None:
    draft = clean / "studies" / "draft"
    edit(clean / "tollens.toml", '"survived:cited"', '"reading:arc >= 0.4"')
    source = clean / "results_x.json"
    source.write_text(json.dumps(RESULT))
    import_result(source, ImportQuestion(Wanted(task="arc", metric="acc"), name="arc"), draft)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    with open(draft / "claim.toml", "a") as text:
        text.write(PROPOSAL + f'\n[[evidence]]\nconstraint = "care"\nimported = "{sha256}"\n')
    assert drift(clean).findings == []
    assert lock(draft).constraints[0].state == "met"
    assert (drift(clean).findings, drift(clean).exit_code) == ([], 0)
    source.unlink()
    assert drift(clean).findings == []


def test_a_source_that_was_overwritten_is_a_defect_until_it_is_moved_away(imported: Path) -> None:
    source = imported / "results" / "results_x.json"
    source.write_text(json.dumps({**RESULT, "date": 1800000000.0}))
    found = [f for f in drift(imported).findings if f.code == "D01"]
    assert [f.fix for f in found] == ["restore it, or move it away: its copy in the study is what was recorded"]
    source.rename(source.with_name("results_y.json"))
    assert [f.code for f in drift(imported).findings] == ["D03"]
    (imported / "studies" / "draft" / "accuracy_diff.imported.json").write_text("{}\n")
    source.write_text("{}\n")
    assert [f.fix for f in drift(imported).findings if f.code == "D01"] == ["restore it"] * 2


@pytest.mark.parametrize(
    ("study", "word", "found"),
    [
        ("twice", "", [("D05", "cited as survived, and its verdict is EXPLORATORY")]),
        ("twice", " as=survived", [("D05", "cited as survived, and its verdict is EXPLORATORY")]),
        ("twice", " as=live", [("D05", "cited as survived, and its verdict is EXPLORATORY")]),
        ("twice", " as=exploratory", []),
        ("gate", " as=exploratory", [("D05", "cited as exploratory, and its verdict is SURVIVED")]),
        ("unsure", " as=exploratory", [("D05", "cited as exploratory, and its verdict is UNDETERMINED")]),
        ("dead", " as=exploratory", [("D07", "cited as live, and it was KILLED")]),
    ],
)
def test_what_is_exploratory_is_cited_as_such(clean: Path, study: str, word: str, found: list[tuple[str, str]]) -> None:
    (clean / "papers" / "new.md").write_text(f"It was <!--t:cite {study}{word}-->so.\n")
    report = drift(clean)
    assert [(f.code, f.what) for f in report.findings] == found
    if study == "twice":
        assert [f.fix for f in report.findings] == ["write t:cite twice as=exploratory, or take it out"] * len(found)


def test_a_killed_exploratory_claim_is_cited_as_killed(clean: Path) -> None:
    (clean / "tollens.toml").unlink()
    dead = clean / "studies" / "dead"
    edit(dead / "claim.toml", "[claim]", "# Looked at again.\n[claim]")
    amend(dead, "it was looked at", "results seen")
    decision = climb(dead)
    assert (decision.verdict, decision.exploratory) == ("KILLED", True)
    paper = clean / "papers" / "new.md"
    paper.write_text("It was <!--t:cite dead as=killed-->so.\n")
    assert drift(clean).findings == []
    paper.write_text("It was <!--t:cite dead as=exploratory-->so.\n")
    assert [f.code for f in drift(clean).findings] == ["D07"]
