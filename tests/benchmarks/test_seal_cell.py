"""What the table of attacks makes of an exit code and of words. The tools themselves are not needed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

cell = pytest.importorskip("benchmarks.seal_cell", reason="the benchmarks are not part of the installed package")
Said, Case = cell.Said, cell.Case
CLEAN = Said(0, "unchanged plan")
NAMES = r"tampered|\bchanged\b|owed"


@pytest.mark.parametrize(
    ("attacked", "control", "kind"),
    [
        (Said(20, "TAMPERED claim"), CLEAN, "refused"),
        (Said(10, "FAIL observed=nan"), CLEAN, "unnamed"),
        (Said(0, "PASS, though the plan\n  was changed"), CLEAN, "named"),
        (Said(0, "timestamp owed"), Said(0, "timestamp owed"), "warns"),
        (Said(0, "unchanged"), CLEAN, "passes"),  # the word within another is none
        (Said(20, "TAMPERED claim"), Said(1, "Traceback"), "no control"),
        (Said(0, "fine"), Said(3, "TAMPERED"), "no control"),
    ],
)
def test_each_class_is_told_apart(attacked, control, kind):
    assert cell.classify(attacked, control, NAMES) == kind


def test_a_word_broken_over_lines_is_found():
    assert cell.classify(Said(1, "inputs changed\n   during run"), CLEAN, "changed during run") == "refused"


def test_every_class_has_a_meaning():
    assert set(cell.MEANING) | {"n/a"} == set(cell.KINDS)


def test_steps_stop_at_the_first_that_fails(tmp_path: Path):
    """Exit 7 of the second is the answer, and the third never runs."""
    python = sys.executable
    steps = (
        (python, "-c", "print('one')"),
        (python, "-c", "import sys; print('two'); sys.exit(7)"),
        (python, "-c", "open('third', 'w')"),
    )
    said = cell.perform(tmp_path, steps, {})
    assert (said.exit, said.words) == (7, "one two")
    assert not (tmp_path / "third").exists()


def test_the_control_is_the_steps_without_what_attacks():
    def attack(folder: Path) -> None:
        raise AssertionError(folder)

    case = Case("sealed", (attack, ("tool", "check")))
    assert case.without_attack() == Case("sealed", (("tool", "check"),))
    assert Case("sealed", (attack,), (("tool", "seal"),), "fresh").without_attack() == Case(
        "fresh", (("tool", "seal"),)
    )


def test_an_edit_that_edits_nothing_is_an_error(tmp_path: Path):
    """An attack that silently changed nothing would read as `passes`."""
    (tmp_path / "plan").write_text("threshold: 1\n")
    cell.replace("plan", "threshold: 1", "threshold: 2")(tmp_path)
    assert (tmp_path / "plan").read_text() == "threshold: 2\n"
    with pytest.raises(ValueError, match="threshold: 1"):
        cell.replace("plan", "threshold: 1", "threshold: 2")(tmp_path)


def test_a_preparation_that_fails_is_an_error(tmp_path: Path):
    with pytest.raises(RuntimeError, match="left 3"):
        cell.sure(tmp_path, [sys.executable, "-c", "raise SystemExit(3)"])


def test_a_checkout_with_crlf_has_them_unless_attributes_forbid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for key, value in cell.quiet_environment(str(tmp_path)).items():
        monkeypatch.setenv(key, value)
    (tmp_path / "free.txt").write_bytes(b"a\n")
    (tmp_path / "kept.txt").write_bytes(b"a\n")
    (tmp_path / ".gitattributes").write_bytes(b"kept.txt -text\n")
    cell.new_history(tmp_path)
    cell.with_crlf(tmp_path)
    assert (tmp_path / "free.txt").read_bytes() == b"a\r\n"
    assert (tmp_path / "kept.txt").read_bytes() == b"a\n"
