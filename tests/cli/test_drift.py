from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from tests.attacks.seal.study import Said, make, record, records, rewrite

import tollens
from tollens.cli.main import run
from tollens.record.ledger import FILE, Writer
from tollens.run.lock import lock

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "reference" / "schema" / "tollens.drift-1.json"
Cli = Callable[..., Said]
IMPORT = {
    "source": "mlflow", "path": "/elsewhere/run.json", "sha256": "ab" * 32, "name": "accuracy_diff", "task": "t",
    "file": "items.csv", "metric": "accuracy_diff", "value": -1.0, "n": 40, "scored": 40, "unscored": 0,
    "readings": {"accuracy_diff": -1.0},
}  # fmt: skip


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def called(*arguments: str | Path) -> Said:
        capsys.readouterr()
        code = run([str(a) for a in arguments])
        return Said(code, *capsys.readouterr())

    return called


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drift")
    lock(make(root / "gate"))
    return root


@pytest.fixture
def root(sealed: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(sealed, tmp_path / "root"))


def test_clean(cli: Cli, root: Path) -> None:
    said = cli("drift", root)
    assert (said.exit, said.err) == (0, "")
    assert said.out == "CLEAN  0 defects in 1 study, 0 papers with 0 numbers\n"


def test_a_defect_is_one_line_with_its_count_and_what_to_do(cli: Cli, root: Path) -> None:
    (root / "gate" / "items.csv").unlink()
    said = cli("drift", root)
    assert said.exit == 1
    first, line, count, after = said.out.splitlines()
    assert first == "DRIFTED  1 defect in 1 study, 0 papers with 0 numbers"
    assert line.startswith("gate/items.csv:1 D01 sealed data expected ")
    amend = f'tollens amend {root / "gate"} --reason "..." --access "nothing run"'
    assert line.endswith(f" found no file -> restore it, or register the change: {amend}")
    assert count == "  D01 seal broken  gate  1"
    assert after == "next  tollens explain D01"
    assert cli("explain", "D01").out.startswith("D01: seal broken")


def test_quiet_is_the_first_line(cli: Cli, root: Path) -> None:
    assert cli("drift", root, "--quiet").out == cli("drift", root).out.splitlines()[0] + "\n"


def test_json_is_what_the_function_gives_and_what_the_schema_says(cli: Cli, root: Path) -> None:
    (root / "gate" / "items.csv").unlink()
    said = json.loads(cli("drift", root, "--json").out)
    jsonschema.validate(said, json.loads(SCHEMA.read_text()))
    assert said["schema"] == "tollens.drift/1"
    assert (said["exit_code"], said["findings"][0]["code"]) == (1, "D01")
    assert [*map(vars_of, tollens.drift(root).findings)] == said["findings"]


def vars_of(found: object) -> dict[str, object]:
    return {name: getattr(found, name) for name in ("path", "line", "code", "subject", "what", "fix")}


def test_what_cannot_be_read_is_never_a_pass(cli: Cli, root: Path) -> None:
    (root / "gate" / "decision.json").mkdir()
    said = cli("drift", root)
    assert said.exit == 2
    assert said.out.splitlines()[:2] == [
        "UNREADABLE  0 defects in 1 study, 0 papers with 0 numbers, 1 not read",
        "gate/decision.json not read: a folder, not a file",
    ]


def test_no_ledger(cli: Cli, tmp_path: Path) -> None:
    assert cli("drift", tmp_path).out.splitlines() == [
        "NO LEDGER  0 defects in 0 studies, 0 papers with 0 numbers",
        "next  tollens new my-claim",
    ]
    assert cli("drift", tmp_path).exit == 21


def test_a_folder_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    said = cli("drift", tmp_path / "none")
    assert said.exit == 2
    assert said.err.startswith("path_missing")


@pytest.mark.parametrize("older", ["recorded", "made", "sealed"])
def test_a_result_that_is_older_than_its_seal_is_exploratory(cli: Cli, root: Path, older: str) -> None:
    folder = root / "gate"
    data = next(e["sha256"] for e in records(folder)[0]["body"]["manifest"]["entries"] if e["path"] == "items.csv")
    body = {**IMPORT, "data": data if older == "sealed" else "cd" * 32, "made": "2099-01-01T00:00:00Z"}
    if older != "sealed":
        body["file"] = "gone/elsewhere.json"
    if older == "recorded":
        rewrite(folder, [record("import", body), *records(folder)])
    else:
        Writer(folder / FILE).append("import", {**body, "made": "2001-01-01T00:00:00Z" if older == "made" else None})
    said = cli("drift", root)
    assert said.exit == 1
    assert " D03 EXPLORATORY: " in said.out
    assert [line.split()[1] for line in said.out.splitlines() if line.startswith("gate/")] == ["D03"]
