"""Where the studies of a folder lie, and which tollens.toml holds for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tollens.core.errors import TollensError
from tollens.run.laboratory import laboratory_of, studies_under, unbound_note

RULE = """
[[constraint]]
id = "{id}"
trigger = "touches in {{kv}}"
mechanism = "m"
require = ["reading:x >= 1"]
"""


def place(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_every_file_up_to_the_top_of_the_repository_holds(tmp_path: Path) -> None:
    place(tmp_path / "tollens.toml", RULE.format(id="outside"))
    place(tmp_path / "lab" / ".git" / "HEAD", "ref: refs/heads/main")
    place(tmp_path / "lab" / "tollens.toml", RULE.format(id="top"))
    place(tmp_path / "lab" / "a" / "s" / "tollens.toml", RULE.format(id="own"))
    found = laboratory_of(tmp_path / "lab" / "a" / "s")
    assert [lab.constraint[0].id for _, _, lab in found.files] == ["own", "top"]
    assert found.root == tmp_path / "lab"
    assert found.beyond == tmp_path / "tollens.toml"
    assert unbound_note(tmp_path / "lab") == [
        f"{tmp_path / 'tollens.toml'} lies above the top of this repository and does not hold"
    ]
    assert laboratory_of(tmp_path / "lab" / "a").files[0][2].constraint[0].id == "top"


def test_an_empty_folder_named_git_frees_nothing(tmp_path: Path) -> None:
    place(tmp_path / "tollens.toml", RULE.format(id="top"))
    (tmp_path / "s" / ".git").mkdir(parents=True)
    assert laboratory_of(tmp_path / "s").root == tmp_path
    assert unbound_note(tmp_path / "s") == []


def test_a_link_into_the_laboratory_is_bound_as_what_it_leads_to_is(tmp_path: Path) -> None:
    place(tmp_path / "lab" / "tollens.toml", RULE.format(id="lab"))
    place(tmp_path / "out" / "tollens.toml", RULE.format(id="out"))
    (tmp_path / "out" / "s").mkdir()
    (tmp_path / "lab" / "s").symlink_to(tmp_path / "out" / "s")
    found = laboratory_of(tmp_path / "lab" / "s")
    assert sorted(lab.constraint[0].id for _, _, lab in found.files) == ["lab", "out"]


def test_a_crlf_checkout_has_the_same_digest(tmp_path: Path) -> None:
    text = RULE.format(id="x")
    place(tmp_path / "a" / "tollens.toml", text)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "tollens.toml").write_bytes(text.replace("\n", "\r\n").encode())
    assert laboratory_of(tmp_path / "a").files[0][1] == laboratory_of(tmp_path / "b").files[0][1]


@pytest.mark.parametrize("text", ["a = ", "[drift]\npaper = []", RULE.format(id="x") * 2, "[[rate]]\nid = 1"])
def test_what_cannot_be_read_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    place(tmp_path / "tollens.toml", text)
    with pytest.raises(TollensError) as refused:
        laboratory_of(tmp_path)
    assert refused.value.code == "laboratory_syntax"
    assert str(tmp_path) in refused.value.subject


def test_a_link_to_nothing_and_a_folder_set_nothing_free(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "tollens.toml").symlink_to("gone.toml")
    with pytest.raises(TollensError, match="path_missing"):
        laboratory_of(tmp_path / "s")
    (tmp_path / "tollens.toml").unlink()
    (tmp_path / "tollens.toml").mkdir()
    with pytest.raises(TollensError, match="path_not_a_file"):
        laboratory_of(tmp_path / "s")


def test_studies_are_found_at_any_depth_and_hidden_folders_are_not(tmp_path: Path) -> None:
    for name in ("b/claim.toml", "a/deep/ledger.jsonl", ".git/x/claim.toml", "venv/claim.toml", "b/inner/claim.toml"):
        place(tmp_path / name)
    assert [p.relative_to(tmp_path).as_posix() for p in studies_under(tmp_path)] == ["a/deep", "b", "b/inner"]
