from __future__ import annotations

import hashlib
import io
import os
import sys
from pathlib import Path

import pytest

import tollens
from tollens import demo
from tollens.core.errors import TollensError
from tollens.run.lint import catalogue, drafted, lint_files

CLAIM = """
[[claim]]
id = "dpi"
text = "layer 4"
kind = "info.dpi"
[claim.fields]
i_xt = {{ value = "{0}", unit = "nat" }}
i_ty = {{ value = "2.2", unit = "nat" }}
"""


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_demonstration_corpus_gives_exactly_its_verdicts() -> None:
    report = lint_files([demo.path("claims.toml")])
    by_id: dict[str, list[str]] = {}
    for f in report.findings:
        by_id.setdefault(f.id, []).append(f"{f.outcome}/{f.subtype}")
    expected = {f.id: f.expect for f in report.findings}
    assert len(expected) == 10
    assert {name: expect for name, expect in expected.items() if expect not in by_id[name]} == {}
    assert report.outcomes == {"refuted": 9, "undetermined": 1, "supported": 0, "unchecked": 0}


@pytest.mark.parametrize(
    ("name", "witness"),
    [
        ("ab-power", ("29.8", "4,659", "4,662", "3,839", "3,841")),
        ("el-never-fires", ("28,648",)),
        ("latency-sum", ("1,430", "680", "380")),
        ("batch-window", ("[1.5, 4]", "320", "4.9")),
        ("mi-rare-label", ("any unit", "0.098", "0.141")),
        ("layer4-mi", ("2.2", "1.2", "at most one")),
        ("degree-100", ("0.0265", "0.058")),
        ("ns5-orthogonal", ("0.00455", "0.144")),
        ("ema-10x", ("28,746", "28,919", "2,690")),
        ("ppr-reach", ("0", "trial")),
    ],
)
def test_the_demonstration_corpus_shows_its_witnesses(name: str, witness: tuple[str, ...]) -> None:
    report = lint_files([demo.path("claims.toml")])
    told = " ".join(f"{f.witness} {f.settle or ''}" for f in report.findings if f.id == name)
    assert [part for part in witness if part not in told] == [], told


def test_a_refuted_number_is_a_finding_and_a_possible_one_is_none(tmp_path: Path) -> None:
    bad, good = write(tmp_path, "bad.toml", CLAIM.format("1.2")), write(tmp_path, "good.toml", CLAIM.format("2.6"))
    assert lint_files([bad]).verdict == "FINDINGS"
    assert lint_files([good]).verdict == "CLEAN"
    both = lint_files([good, bad])
    assert (both.verdict, both.outcomes["refuted"], both.outcomes["undetermined"]) == ("FINDINGS", 1, 1)
    assert [f.claims for f in both.files] == [1, 1]
    assert both == lint_files([good, bad])


def test_what_cannot_be_judged_is_not_clean(tmp_path: Path) -> None:
    text = write(tmp_path, "paper.md", "Accuracy rose from 71.2 to 74.9 in 3 runs.\n")
    report = lint_files([text])
    assert report.verdict == "UNDETERMINED"
    assert report.headline == "found 0 tagged of 3 numbers; try --draft"
    unchecked = write(tmp_path, "c.toml", CLAIM.format("1.2").replace(', unit = "nat"', ""))
    assert lint_files([unchecked]).verdict in ("UNDETERMINED", "FINDINGS")


def test_a_pointer_reads_a_result_file_beside_the_claims_and_keeps_its_digest(tmp_path: Path) -> None:
    write(tmp_path, "results.json", '{"mi": {"ty": "2.2"}}')
    pointed = CLAIM.format("1.2").replace('value = "2.2"', 'from = "results.json#/mi/ty"')
    report = lint_files([write(tmp_path, "c.toml", pointed)])
    assert report.verdict == "FINDINGS"
    digest = hashlib.sha256((tmp_path / "results.json").read_bytes()).hexdigest()
    assert [(f.path, f.digest) for f in report.files[1:]] == [(str(tmp_path / "results.json"), f"sha256:{digest}")]


@pytest.mark.parametrize("target", ["../secret.json", "/etc/hostname", "link.json", "none.json", "pipe"])
def test_a_pointer_never_leaves_the_folder_of_the_claims(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "claims"
    folder.mkdir()
    write(tmp_path, "secret.json", '"2.2"')
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    os.mkfifo(folder / "pipe")
    text = CLAIM.format("1.2").replace('value = "2.2"', f'from = "{target}#"')
    with pytest.raises(TollensError) as caught:
        lint_files([write(folder, "c.toml", text)])
    assert caught.value.code in ("lint_pointer", "path_missing", "path_not_a_file")


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.toml", b"", "empty_file"),
        ("a.md", b" \n\n", "empty_file"),
        ("a.toml", b"\xff\xfe[[claim]]", "lint_syntax"),
        ("a.toml", b"[[claim]\n", "lint_syntax"),
        ("a.pdf", b"%PDF-1.4", "lint_syntax"),
        ("a.toml", CLAIM.format("x").encode(), "lint_number"),
        ("a.toml", CLAIM.format("1.2").replace('"1.2"', "1.2").encode(), "lint_float"),
        ("a.toml", CLAIM.format("1.2").replace("i_xt", "i_xz").encode(), "lint_unknown_field"),
        ("a.toml", CLAIM.format("1.2").replace("info.dpi", "info.dip").encode(), "lint_unknown_kind"),
        ("a.toml", CLAIM.format("1.2").replace("nat", "nats").encode(), "lint_unit"),
        ("a.toml", 2 * CLAIM.format("1.2").encode(), "lint_duplicate"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, data: bytes, code: str) -> None:
    with pytest.raises(TollensError) as caught:
        lint_files([write(tmp_path, name, data)])
    assert caught.value.code == code
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("start", "kind"), [(b"%PDF-1.7", "a PDF"), (b"PK\x03\x04", "an archive"), (b"", "byte 0")])
def test_a_file_that_is_no_text_is_called_what_it_is(tmp_path: Path, start: bytes, kind: str) -> None:
    with pytest.raises(TollensError) as caught:
        lint_files([write(tmp_path, "paper.md", start + b"\xff\xfe")])
    assert kind in caught.value.found
    assert "source of the document" in caught.value.fix


def test_a_missing_file_a_folder_and_a_device_are_named(tmp_path: Path) -> None:
    for path, code in (
        (tmp_path / "none.md", "path_missing"),
        (tmp_path, "path_not_a_file"),
        ("/dev/zero", "path_not_a_file"),
    ):
        with pytest.raises(TollensError) as caught:
            lint_files([path])
        assert caught.value.code == code


def test_standard_input_is_read_as_what_it_looks_like(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, verdict in (
        (CLAIM.format("1.2"), "FINDINGS"),
        ("no numbers\n", "UNDETERMINED"),
        (r"\begin{a} 1", "UNDETERMINED"),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert lint_files(["-"]).verdict == verdict


def test_a_draft_can_be_saved_and_linted_again_with_the_same_outcome(tmp_path: Path) -> None:
    text = "| stage | ms |\n|---|---|\n| parse | 12.0 |\n| rank | 30.5 |\n| Total | 52.5 |\n"
    path = write(tmp_path, "report.md", text)
    report = lint_files([path], draft=True)
    saved = write(tmp_path, "claims.toml", drafted(path))
    again = lint_files([saved])
    assert [f.outcome for f in again.findings] == [f.outcome for f in report.findings]
    assert all(f.draft for f in report.findings)


def test_the_catalogue_lists_every_law_with_its_fields() -> None:
    laws = catalogue().invariants
    assert len(laws) >= 35
    assert all(law.formula and law.reference and law.derivation and len(law.examples) >= 2 for law in laws)


def test_it_is_public() -> None:
    assert tollens.lint_files([demo.path("claims.toml")]).verdict == "FINDINGS"


def test_an_untagged_text_is_told_what_a_draft_reading_would_find(tmp_path: Path) -> None:
    text = "| stage | cost (USD) |\n|---|---|\n| a | 12.0 |\n| b | 30.5 |\n| Total | 52.5 |\n"
    report = lint_files([write(tmp_path, "report.md", text)])
    assert (report.verdict, report.findings) == ("UNDETERMINED", [])
    assert report.notes == ["a draft reading recognises 1 claim and refutes 1"]
    assert lint_files([write(tmp_path, "plain.md", "Nothing but 3 words.\n")]).notes == []
