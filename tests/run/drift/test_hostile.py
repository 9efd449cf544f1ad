from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.attacks.seal.study import apart, manifest_hash, records
from tests.run.drift.planted import Twins, digest, edit, rewritten

from tollens.cli.main import run
from tollens.core.canonical import canonical
from tollens.core.errors import Exit, TollensError
from tollens.run.drift.check import drift

Bytes = Callable[[Path], dict[str, bytes]]


def test_a_check_reads_only_and_says_the_same_twice(planted: Path, snapshot: Bytes) -> None:
    before, stamps = snapshot(planted), [p.stat().st_mtime_ns for p in sorted(planted.rglob("*"))]
    assert drift(planted) == drift(planted)
    assert snapshot(planted) == before
    assert [p.stat().st_mtime_ns for p in sorted(planted.rglob("*"))] == stamps


def said(root: Path, base: Path) -> str:
    """The findings, with the folder that the commands in them name left out."""
    return msgspec.json.encode(drift(root).findings).decode().replace(str(base), "")


def test_the_order_of_files_on_disk_changes_nothing(twins: Twins, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for path in sorted(twins.planted.rglob("*"), reverse=True):
        if path.is_file():
            place = other / path.relative_to(twins.planted)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    assert said(other, other) == said(twins.planted, twins.planted)


def test_no_ledger_is_not_clean(tmp_path: Path) -> None:
    assert drift(tmp_path).exit_code == Exit.NOT_SEALED
    (tmp_path / "claim.toml").write_text('[claim]\nid = "a"\n')
    (tmp_path / "ledger.jsonl").write_bytes(b"")
    report = drift(tmp_path)
    assert (report.exit_code, report.studies, report.ledgers) == (Exit.NOT_SEALED, 1, 0)


@pytest.mark.parametrize("name", ["claim.toml", "ledger.jsonl", "decision.json", "seal.json", "tollens.toml"])
def test_a_folder_in_place_of_a_file_is_listed_and_is_never_a_pass(clean: Path, name: str) -> None:
    (clean / "studies" / "new" / name).mkdir(parents=True)
    report = drift(clean)
    assert [one.path for one in report.unread] == [f"studies/new/{name}"]
    assert report.exit_code == Exit.BAD_INPUT


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("studies/draft/claim.toml", b"[claim\n"),
        ("studies/draft/claim.toml", b"\xff\xfe"),
        ("studies/draft/claim.toml", b"x = " + b"[" * 5000),
        ("studies/gate/decision.json", b"{"),
        ("studies/gate/decision.json", b"[]"),
        ("studies/gate/decision.json", b"[" * 100_000),
        ("studies/gate/postmortem.toml", b"= 1"),
        ("tollens.toml", b"[drift]\npapers = 3\n"),
        ("papers/bad.md", b"5<!--t:x.y unit=furlong-->"),
        ("papers/bad.md", b"<!--t:cite-->"),
        ("papers/bad.md", b"5<!--t:x.y"),
        ("papers/bad.md", b"\xff 5<!--t:x.y-->"),
        ("papers/bad.md", b"<!--t:x.y-->" + b" " * 1_000_001),
        ("papers/bad.tex", b"\\tnum{a.b}{5}"),
        ("papers/bad.tex", b"% t:nothing"),
        ("papers/bad.tex", b"\\tnum[from=a b]{a.b}{5}{s}"),
    ],
)
def test_what_cannot_be_read_is_listed(clean: Path, name: str, data: bytes) -> None:
    (clean / name).write_bytes(data)
    report = drift(clean)
    assert name in [one.path for one in report.unread]
    assert report.exit_code == Exit.BAD_INPUT


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"", b"no tag <!-- t -->\n" * 10, b"x" * 2_000_000])
def test_a_text_without_tags_is_never_judged(clean: Path, data: bytes) -> None:
    (clean / "papers" / "other.md").write_bytes(data)
    report = drift(clean)
    assert (report.papers, report.exit_code) == (1, Exit.CLEAN)


def test_a_huge_paper_with_tags_is_listed(clean: Path) -> None:
    with open(clean / "papers" / "huge.md", "wb") as text:
        text.write(b"5<!--t:cited.cells-->\n")
        text.truncate((1 << 24) + 1)
    assert [one.path for one in drift(clean).unread] == ["papers/huge.md"]


def test_a_sealed_claim_that_is_broken_is_tampering_and_not_unreadable(clean: Path) -> None:
    (clean / "studies" / "gate" / "claim.toml").write_bytes(b"[claim\n")
    report = drift(clean)
    assert [(f.path, f.code) for f in report.findings] == [("studies/gate/claim.toml", "D01")]
    assert report.unread == []


def test_loops_of_links_end(clean: Path) -> None:
    os.symlink(clean, clean / "studies" / "again")
    os.symlink("loop.md", clean / "papers" / "loop.md")
    os.symlink("/nowhere/at/all", clean / "papers" / "lost.md")
    report = drift(clean)
    assert report.findings == []
    assert report.studies == 8


def test_a_pipe_is_not_waited_for(clean: Path) -> None:
    os.mkfifo(clean / "studies" / "draft" / "decision.json")
    os.mkfifo(clean / "papers" / "pipe.md")
    assert [one.path for one in drift(clean).unread] == ["papers/pipe.md", "studies/draft/decision.json"]


def test_a_sealed_path_that_leads_outside_is_never_read(clean: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key\n")
    text = (clean / "papers" / "good.md").read_text()
    (clean / "papers" / "good.md").write_text(text + "\n<!--t:figure loss.svg data=../../secret from=0123456789ab-->\n")
    (found,) = drift(clean).findings
    assert (found.code, "not there" in found.what) == ("D11", True)


def test_a_sealed_entry_outside_of_its_folder_is_never_read(clean: Path) -> None:
    folder = clean / "studies" / "open"
    (clean / "secret").write_text("key\n")
    (sealed,) = records(folder)
    manifest = sealed["body"]["manifest"]
    entry = {"role": "data", "mode": "text", "bytes": 4, "sha256": digest(clean / "secret", 64)}
    manifest["entries"] += [{**entry, "path": path} for path in ("../../secret", str(clean / "secret"))]
    sealed["body"]["seal"] = manifest_hash(manifest)
    rewritten(folder, [sealed])
    (folder / "seal.json").write_bytes(canonical(manifest) + b"\n")
    assert [(f.code, "found no file" in f.what) for f in drift(clean).findings] == [("D01", True)] * 2


def test_names_cannot_write_to_the_terminal(clean: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    name = "a\x1b[2Jb\nc"
    (clean / "studies" / name).mkdir()
    (clean / "studies" / name / "seal.tsr").write_bytes(b"")
    assert run(["drift", str(clean)]) == 1
    out = capsysbinary.readouterr().out
    assert b"\x1b" not in out
    assert b"a\\x1b[2Jb\\nc/seal.tsr:1 D06" in out


def test_a_ledger_that_was_not_ours_is_broken_and_its_study_judged_no_further(clean: Path) -> None:
    (clean / "studies" / "gate" / "ledger.jsonl").write_bytes(b"{}\n")
    report = drift(clean)
    assert [(f.path, f.code) for f in report.findings] == [("studies/gate/ledger.jsonl", "D01")]


def test_a_torn_last_line_is_no_defect(clean: Path) -> None:
    with open(clean / "studies" / "gate" / "ledger.jsonl", "ab") as ledger:
        ledger.write(b'{"v":1')
    assert drift(clean).exit_code == Exit.CLEAN


@pytest.mark.parametrize("path", ["nowhere", "tollens.toml"])
def test_no_folder(clean: Path, path: str) -> None:
    with pytest.raises(TollensError) as caught:
        drift(clean / path)
    assert caught.value.code == "path_missing"


def test_a_study_as_the_folder_itself(clean: Path) -> None:
    report = drift(clean / "studies" / "gate")
    assert (report.studies, report.exit_code, report.findings) == (1, 0, [])
    (clean / "studies" / "gate" / "items.csv").unlink()
    (found,) = drift(clean / "studies" / "gate").findings
    assert (found.path, found.code) == ("items.csv", "D01")


def test_patterns_name_the_papers(clean: Path) -> None:
    (clean / "other.md").write_text("5<!--t:cited.cells unit=count-->\n")
    assert [f.path for f in drift(clean).findings] == ["other.md"]
    with open(clean / "tollens.toml", "a") as text:
        text.write('\n[drift]\npapers = ["papers/**/*.md"]\n')
    report = drift(clean)
    assert (report.findings, report.papers) == ([], 1)
    (clean / "papers" / "deep" / "er").mkdir(parents=True)
    shutil.copy(clean / "other.md", clean / "papers" / "deep" / "er" / "new.md")
    assert [f.path for f in drift(clean).findings] == ["papers/deep/er/new.md"]
    assert [*drift(clean / "papers" / "deep").findings] == []  # the patterns above it hold, and bind no study there


def test_hidden_folders_and_those_of_packages_are_passed_by(clean: Path) -> None:
    for name in (".hidden", "node_modules", "venv"):
        (clean / name).mkdir()
        (clean / name / "new.md").write_text("5<!--t:cited.cells unit=count-->\n")
    assert drift(clean).findings == []


def test_a_process_of_its_own_says_the_same(twins: Twins) -> None:
    said = apart("drift", twins.planted, "--quiet")
    assert said.exit == 1
    assert said.out.startswith(f"DRIFTED  {len(twins.expected)} defects")


def test_a_name_that_is_no_utf8_is_listed_and_prints(clean: Path) -> None:
    (Path(os.fsdecode(os.fsencode(clean) + b"/papers/x\xff.md"))).write_text("1.5<!--t:cited.accuracy_diff-->\n")
    Path(os.fsdecode(os.fsencode(clean) + b"/studies/\xff")).mkdir()
    Path(os.fsdecode(os.fsencode(clean) + b"/studies/\xff.bin")).write_bytes(b"")
    report = drift(clean)
    assert [one.path for one in report.unread] == ["papers/x\\xff.md", "studies/\\xff"]
    assert report.exit_code == 2
    assert msgspec.json.encode(report)


FORGED: dict[str, Callable[[dict[str, Any]], object]] = {
    "no tables": lambda study: study.clear(),
    "no null": lambda study: study.pop("null"),
    "a claim that is none": lambda study: study.update(claim=1),
    "a value that is none": lambda study: study["claim"].update(value="abc"),
    "a quantity that is a list": lambda study: study["claim"].update(quantity=[1]),
    "an aggregate that is none": lambda study: study["claim"].update(aggregate="zzz"),
    "a metric that is a number": lambda study: study.update(metric=1),
    "evidence that is a number": lambda study: study.update(evidence=[1]),
}


@pytest.mark.parametrize("case", [*FORGED])
def test_a_manifest_that_no_lock_wrote_is_one_defect_and_the_rest_is_checked(clean: Path, case: str) -> None:
    rows = records(clean / "studies" / "cited")
    FORGED[case](rows[0]["body"]["manifest"]["study"])
    rewritten(clean / "studies" / "cited", rows)
    edit(clean / "studies" / "gate" / "items.csv", "1,1", "1,0")
    found = [(f.path, f.code) for f in drift(clean).findings if not f.path.startswith("papers/")]
    assert found == [("studies/cited/ledger.jsonl", "D01"), ("studies/gate/items.csv", "D01")]
