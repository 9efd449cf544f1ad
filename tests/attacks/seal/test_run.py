"""Attacks while the claim is climbed: on the files, on the record, on the memory between two cells, on the lock."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.attacks.seal.study import METRIC, Cli, edit, make, records

from tollens.run.lock import lock

Study = Callable[[str], Path]
PRODUCE = "def produce(arm, cell, rng):\n"


def _metric(first: str, head: str = "") -> str:
    """The metric with statements in front of those of `produce`."""
    return head + METRIC.replace(PRODUCE, PRODUCE + "".join(f"    {line}\n" for line in first.splitlines()))


def _sealed(folder: Path, metric: str, lost: int = 1) -> Path:
    lock(make(folder, metric=metric, lost=lost))
    return folder


def _verdicts(folder: Path) -> list[str]:
    return [r["body"]["verdict"] for r in records(folder) if r["type"] == "verdict"]


def _during(folder: Path, change: Callable[[], object]) -> tuple[int, str]:
    """Climb in a process of its own, and change something as soon as the third cell is at work."""
    with subprocess.Popen(
        [sys.executable, "-m", "tollens.cli.main", "climb", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as climbing:  # fmt: skip
        deadline = time.monotonic() + 60
        while (folder / "ledger.jsonl").read_text().count('"cell.started"') < 3 and time.monotonic() < deadline:
            assert climbing.poll() is None
            time.sleep(0.005)
        change()
        out, err = climbing.communicate(timeout=100)
    return climbing.returncode, " ".join((out + err).split())


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose subject takes 0.3 s a cell, so that there is a time in which it is climbed."""
    return _sealed(
        tmp_path_factory.mktemp("slow") / "s", _metric("time.sleep(0.3 if arm == 'gated' else 0)", "import time\n")
    )


@pytest.fixture
def climbing(slow: Path, tmp_path: Path) -> Path:
    import shutil

    shutil.copytree(slow, tmp_path / "s")
    return tmp_path / "s"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("metric.py", "100 * float", "99 * float"),
        ("items.csv", "gated\n1,0", "gated\n1,1"),
        ("claim.toml", '"-10"', '"-60"'),
    ],
)
def test_an_edit_during_the_run_is_named_and_nothing_of_the_run_is_judged(
    name: str, old: str, new: str, climbing: Path, cli: Cli
) -> None:
    code, text = _during(climbing, lambda: edit(climbing / name, old, new))
    assert (code, "inputs changed during run" in text, name in text) == (20, True, True), text
    assert _verdicts(climbing) == []
    edit(climbing / name, new, old)
    assert cli("climb", climbing).exit == 0
    assert _verdicts(climbing) == ["SURVIVED"]


def test_an_edit_that_is_undone_before_the_run_ends_changes_nothing_of_it(climbing: Path) -> None:
    """What runs is the private copy: the edited code was never executed."""

    def there_and_back() -> None:
        edit(climbing / "metric.py", "100 * float", "-100 * float")
        edit(climbing / "metric.py", "-100 * float", "100 * float")

    code, text = _during(climbing, there_and_back)
    assert (code, text.split()[0]) == (0, "SURVIVED"), text


def test_two_climbs_at_once_give_one_verdict(climbing: Path, cli: Cli) -> None:
    seen = []
    code, _ = _during(climbing, lambda: seen.append(cli("climb", climbing)))
    assert (seen[0].exit, "study_busy" in seen[0].err, code) == (2, True, 0)
    assert _verdicts(climbing) == ["SURVIVED"]
    assert sum(r["type"] == "cell.finished" for r in records(climbing)) == 44


def test_a_study_is_neither_sealed_nor_amended_while_it_is_climbed(climbing: Path, cli: Cli) -> None:
    seen = []

    def both() -> None:
        seen.append(cli("lock", climbing))
        seen.append(cli("amend", climbing, "--reason", "now", "--access", "results seen"))

    code, _ = _during(climbing, both)
    assert [said.exit for said in seen] == [2, 2]
    assert code == 0


TAKES = "if arm == 'gated':\n    home = os.environ['ATTACKED']\n    "
WRITES = {
    "claim.toml": "open(home + '/claim.toml', 'a').write('# seen')",
    "metric.py": "open(home + '/metric.py', 'a').write('# seen')",
    "its own copy": "os.chmod('items.csv', 0o644); open('items.csv', 'w').write('base,gated\\n' + '1,1\\n' * 40)",
    "its own code": "os.chmod('metric.py', 0o644); open('metric.py', 'a').write('# seen')",
}


@pytest.mark.parametrize("name", WRITES)
def test_a_metric_that_edits_the_study_while_it_runs_is_named(
    name: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _sealed(tmp_path / "s", _metric(TAKES + WRITES[name], "import os\n"), lost=20)
    monkeypatch.setenv("ATTACKED", str(folder))
    said = cli("climb", folder)
    assert (said.exit, "inputs changed during run" in said.text) == (20, True), said
    assert _verdicts(folder) == []


LEDGERS = {
    "a line that is no record": "open(home + '/ledger.jsonl', 'a').write('{}\\n')",
    "the record cut to the seal": (
        "lines = open(home + '/ledger.jsonl').readlines(); open(home + '/ledger.jsonl', 'w').writelines(lines[:1])"
    ),
    "the record removed": "os.path.exists(home + '/ledger.jsonl') and os.remove(home + '/ledger.jsonl')",
    "the first line edited": (
        "text = open(home + '/ledger.jsonl').read().replace('\"actor\":\"', '\"actor\":\"x', 1);"
        " open(home + '/ledger.jsonl', 'w').write(text)"
    ),
    "a record of its own, its chain valid": (
        "import json, hashlib; last = json.loads(open(home + '/ledger.jsonl').readlines()[-1]);"
        " last.update(seq=last['seq'] + 1, prev=last.pop('hash'), body={'note': 'mine'}, type='anchor');"
        " from tollens.core.canonical import canonical, digest; last['hash'] = digest(last);"
        " open(home + '/ledger.jsonl', 'ab').write(canonical(last) + b'\\n')"
    ),
}


@pytest.mark.parametrize("name", LEDGERS)
def test_a_metric_that_writes_to_the_record_gets_no_verdict(
    name: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _sealed(tmp_path / "s", _metric(TAKES + LEDGERS[name], "import os\n"))
    monkeypatch.setenv("ATTACKED", str(folder))
    said = cli("climb", folder)
    assert (said.exit, "ledger" in said.text) == (20, True), said
    assert '"type":"verdict"' not in (folder / "ledger.jsonl").read_text()


def test_what_a_metric_remembers_in_its_process_is_forgotten_with_every_cell(tmp_path: Path, cli: Cli) -> None:
    """A false claim whose metric is honest when first asked and flatters from the second time on."""
    metric = METRIC.replace(
        PRODUCE, "CALLS = []\n\n\n" + PRODUCE + "    CALLS.append(1)\n    arm = 'base' if len(CALLS) > 1 else arm\n"
    )
    said = cli("climb", _sealed(tmp_path / "s", metric, lost=20))
    assert (said.exit, said.out.split()[0]) == (10, "KILLED")


def test_a_file_that_a_metric_leaves_in_its_folder_for_the_next_cell_is_named(tmp_path: Path, cli: Cli) -> None:
    """The same with the memory in a file of the private copy."""
    first = "arm = 'base' if os.path.exists('asked') and arm == 'gated' else arm\nopen('asked', 'a').write('x')"
    said = cli("climb", _sealed(tmp_path / "s", _metric(first, "import os\n"), lost=20))
    assert said.exit == 20, said
    assert "inputs changed during run" in said.text
    assert "asked" in said.text


def test_a_file_beside_the_study_is_not_there_when_the_metric_runs(sealed: Path, tmp_path: Path, cli: Cli) -> None:
    """Not sealed by name, so not in the copy: the metric cannot read it by its name."""
    folder = make(tmp_path / "s", metric=_metric("open('hints.txt').read()"))
    (folder / "hints.txt").write_text("1", encoding="utf-8")
    assert cli("lock", folder).exit == 0
    said = cli("climb", folder)
    assert said.exit == 2, said
    assert "hints.txt" in said.text
