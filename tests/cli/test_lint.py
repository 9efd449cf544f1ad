from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tollens import demo

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "reference" / "schema"
CORPUS = demo.path("claims.toml")
REPORT = """# Cost

| stage | cost (USD) |
|-------|-----------:|
| parse |      12.40 |
| rank  |       7.35 |
| Total |      20.75 |

The judges preferred ours in 71% of 10 cases.
"""


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    path = tmp_path / "paper.md"
    path.write_text(REPORT)
    return path


def test_the_corpus_on_a_terminal(inside: Any) -> None:
    done = inside("lint", CORPUS, env={"COLUMNS": "80"})
    assert done.returncode == 1
    assert done.stdout.startswith("FINDINGS  10 claims: 9 refuted, 1 undetermined\n")
    assert "REFUTED impossible" in done.stdout
    assert done.stdout.rstrip().endswith(f"tollens lint --explain {CORPUS}")
    assert "expected refuted" not in done.stdout  # no claim of the corpus comes out otherwise than it says
    assert done.stderr == ""


@pytest.mark.parametrize("columns", ["40", "80", "120"])
def test_no_line_is_wider_than_the_terminal(inside: Any, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CORPUS.parent)
    done = inside("lint", "--explain", "claims.toml", env={"COLUMNS": columns})
    assert max(len(line) for line in done.stdout.split("\n")) <= int(columns)


def test_json_keeps_its_schema_and_repeats_byte_by_byte(inside: Any) -> None:
    done = inside("lint", CORPUS, "--json")
    jsonschema.validate(json.loads(done.stdout), json.loads((SCHEMA / "tollens.lint-1.json").read_text()))
    assert inside("lint", CORPUS, "--json").stdout == done.stdout


def test_explain_shows_inputs_derivation_and_reference(inside: Any) -> None:
    done = inside("lint", CORPUS, "--explain", env={"COLUMNS": "120"})
    for text in ("i_ty = 2.2 bit", "reference: Cover", "holds under: arrivals in the window only"):
        assert text in done.stdout


def test_an_untagged_text_is_never_clean_and_says_what_to_do(inside: Any, paper: Path) -> None:
    done = inside("lint", paper)
    assert done.returncode == 11
    assert "found 0 tagged of 5 numbers; try --draft" in done.stdout
    assert f"tollens lint --draft {paper}" in done.stdout.replace("\n", " ")


def test_a_draft_finds_what_does_not_add_up(inside: Any, paper: Path, tmp_path: Path) -> None:
    done = inside("lint", "--draft", "--save", tmp_path / "claims.toml", paper, env={"COLUMNS": "100"})
    assert done.returncode == 1
    assert done.stdout.count("draft reading") == 2
    assert "paper.md:7" in done.stdout
    assert "paper.md:9" in done.stdout
    assert f"next  correct {tmp_path / 'claims.toml'}, then tollens lint" in done.stdout.replace("\n", " ")
    again = inside("lint", tmp_path / "claims.toml")
    assert again.returncode == 1


def test_what_is_saved_never_replaces_a_file(inside: Any, paper: Path, tmp_path: Path) -> None:
    (tmp_path / "kept.toml").write_text("kept")
    done = inside("lint", "--draft", "--save", tmp_path / "kept.toml", paper)
    assert done.returncode == 2
    assert "output_unwritable" in done.stderr
    assert (tmp_path / "kept.toml").read_text() == "kept"


def test_strict_refuses_what_could_not_be_checked(inside: Any, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        '[[claim]]\nid = "a"\nkind = "queue.batch"\n[claim.fields]\nrate = { value = "80", unit = "1/s" }\n'
        '[[claim]]\nid = "b"\nkind = "queue.batch"\n[claim.fields]\nrate = { value = "80", unit = "1/s" }\n'
        'window = { value = "0.05", unit = "s" }\nbatch = { value = "4", unit = "count" }\n'
    )
    assert inside("lint", path).returncode == 0
    assert inside("lint", "--strict", path).returncode == 1


def test_the_list_names_every_law_and_its_fields(inside: Any) -> None:
    done = inside("lint", "--list", env={"COLUMNS": "80"})
    assert done.returncode == 0
    assert "stat.grim  (impossible)" in done.stdout
    assert max(len(line) for line in done.stdout.split("\n")) <= 80
    listed = json.loads(inside("lint", "--list", "--json").stdout)
    jsonschema.validate(listed, json.loads((SCHEMA / "tollens.lint-list-1.json").read_text()))


@pytest.mark.parametrize(
    "arguments", [(), ("--save", "x.toml", "a.md"), ("--draft", "--save", "x.toml", "a.md", "b.md")]
)
def test_options_that_make_no_sense(inside: Any, arguments: tuple[str, ...]) -> None:
    done = inside("lint", *arguments)
    assert done.returncode == 2
    assert "bad_option" in done.stderr


def test_more_findings_than_fit_are_counted(inside: Any, tmp_path: Path) -> None:
    claim = (
        '[[claim]]\nid = "c{0}"\nkind = "queue.batch"\n[claim.fields]\nrate = {{ value = "80", unit = "1/s" }}\n'
        'window = {{ value = "0.05", unit = "s" }}\nbatch = {{ value = "{1}", unit = "count" }}\n'
    )
    path = tmp_path / "many.toml"
    path.write_text("".join(claim.format(k, 16 if k == 7 else 4) for k in range(60)))
    done = inside("lint", path)
    assert done.stdout.count("queue.batch") == 1
    assert "59 more findings; --all prints them." in done.stdout
    assert inside("lint", "--all", path).stdout.count("queue.batch") == 60


def test_names_from_a_file_cannot_forge_a_line(inside: Any, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        '[[claim]]\nid = "a\\u001b[2K\\nCLEAN"\ntext = "x\\u001b[31m"\nkind = "queue.batch"\n[claim.fields]\n'
        'rate = { value = "80", unit = "1/s" }\nwindow = { value = "0.05", unit = "s" }\n'
        'batch = { value = "16", unit = "count" }\n'
    )
    done = inside("lint", path)
    assert "\x1b" not in done.stdout
    assert not any(line.startswith("CLEAN") for line in done.stdout.split("\n"))
