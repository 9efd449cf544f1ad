"""What cannot be sealed, and the smallest thing that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tollens.core.errors import TollensError
from tollens.run import lock as locks
from tollens.run.lock import lock
from tollens.run.new import new
from tollens.run.study import DECISION, sealed

SEQUENTIAL = {
    'rule = "fixed_n"': 'rule = "e_value"\nlevel = "0.05"',
    "min over seed": "mean over seed",
    'finding = "min(': 'finding = "mean(',
}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example") / "claim"
    new(folder)
    return folder


def draft(example: Path, tmp_path: Path, changes: dict[str, str]) -> Path:
    import shutil

    folder = tmp_path / "claim"
    shutil.copytree(example, folder)
    text = (folder / "claim.toml").read_text()
    for old, changed in changes.items():
        assert old in text
        text = text.replace(old, changed)
    (folder / "claim.toml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({'arm = "random_codes"': 'arm = "int8"'}, "study_field", "trap[0].arm"),
        ({'arm = "random_codes"': 'arm = "identity"'}, "study_field", "trap[0].must"),
        ({'must = "survive"': 'must = "survive"\nrung = "numbers"'}, "trap_missing", ""),
        ({'est_seconds = 0.02 ': 'traps = ["identity"]\nest_seconds = 0.02 '}, "trap_missing", "accuracy"),
        ({'relation = ">="': 'relation = "<="'}, "sign_reversed", "claim.relation"),
        ({"draws = 19": "draws = 18"}, "null_few_draws", "null.draws"),
        ({"draws = 19": "draws = 999999999"}, "study_field", "null.draws"),
        ({'numbers = "numbers.toml"\n': ""}, "study_missing", "numbers"),
        ({'files = ["good': 'files = ["ledger.jsonl", "good'}, "study_field", "data.files"),
        ({'kind = "cpu"': 'kind = "cpu"\nrequires = ["accuracy"]'}, "ladder_cycle", ""),
        ({"< -0.5 pp": "< -200 pp"}, "rule_unreachable", "kill"),
        ({"finding = \"min(": 'finding = "mean('}, "finding_weaker", ""),
        ({"< -0.5 pp": "< 10 pp"}, "rules_overlap", ""),
        ({'est_seconds = 0.02 ': 'cells = ["seed=1"]\nest_seconds = 0.02 '}, "study_missing", "[[rung]]"),
        ({**SEQUENTIAL, 'kill = "mean(': 'kill = "max('}, "stopping_field", "rules.kill"),
        ({**SEQUENTIAL, "est_seconds": 'hardest = ["seed=3"]\nest_seconds'}, "stopping_field", "accuracy"),
    ],
)  # fmt: skip
def test_it_is_refused_by_name(example: Path, tmp_path: Path, changes: dict[str, str], code: str, said: str) -> None:
    folder = draft(example, tmp_path, changes)
    with pytest.raises(TollensError) as caught:
        lock(folder)
    assert (caught.value.code, caught.value.exit_code) == (code, 3)
    assert said in caught.value.subject
    assert not (folder / "seal.json").exists()
    assert not (folder / "ledger.jsonl").exists()


PARTIAL = """
[[rung]]
id = "first"
kind = "cpu"
cells = ["seed=1"]
kill_probability = { value = 0.5 }
"""


@pytest.mark.parametrize(
    ("kill", "sealed_"),
    [
        ("max(accuracy_diff) < -60 pp", False),
        ("any(accuracy_diff < -60 pp)", True),
        ("mean(accuracy_diff) < -60 pp", False),
    ],
)
def test_a_rung_of_some_cells_must_be_able_to_kill(example: Path, tmp_path: Path, kill: str, sealed_: bool) -> None:
    folder = draft(example, tmp_path, {'kill = "mean(accuracy_diff) < -0.5 pp"': f'kill = "{kill}"'})
    path = folder / "claim.toml"
    path.write_text(path.read_text() + PARTIAL)
    if sealed_:
        assert lock(folder).verdict == "SEALED"
        return
    with pytest.raises(TollensError, match="first") as caught:
        lock(folder)
    assert caught.value.code == "rung_cannot_kill"


def test_a_table_of_numbers_that_cannot_be_read_does_not_wait_for_the_climb(example: Path, tmp_path: Path) -> None:
    folder = draft(example, tmp_path, {})
    (folder / "numbers.toml").write_text("[[claim]\n")
    with pytest.raises(TollensError) as caught:
        lock(folder)
    assert caught.value.exit_code == 3


def test_a_file_that_changes_while_it_is_sealed_is_noticed(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = draft(example, tmp_path, {})
    real = locks.entries_of

    def swapped(*given: object) -> object:
        found = real(*given)  # type: ignore[arg-type]
        (folder / "metric.py").write_text((folder / "metric.py").read_text() + "# another\n")
        return found

    monkeypatch.setattr(locks, "entries_of", swapped)
    with pytest.raises(TollensError) as caught:
        lock(folder)
    assert (caught.value.code, caught.value.exit_code) == ("seal_changed", 3)


def test_lines_of_gitattributes_that_are_there_stay_whole(example: Path, tmp_path: Path) -> None:
    folder = draft(example, tmp_path, {})
    (folder / ".gitattributes").write_bytes(b"*.bin filter=lfs\xff")
    lock(folder)
    assert (folder / ".gitattributes").read_bytes() == b"*.bin filter=lfs\xff\n* -text\n"


def test_a_decision_without_its_verdict_means_that_the_ledger_lost_its_end(example: Path, tmp_path: Path) -> None:
    folder = draft(example, tmp_path, {})
    seal = lock(folder).seal
    (folder / DECISION).write_text(f'{{"seal": "{seal}"}}')
    with pytest.raises(TollensError, match="TAMPERED"):
        sealed(folder)
    (folder / DECISION).write_text('{"seal": "of another study"}')
    assert sealed(folder).hash == seal
