"""An imported result in a study: what the ledger keeps of it, what it makes of the claim, what a verdict says of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.subject.results.test_fixtures import HERE

from tollens.core.errors import TollensError
from tollens.protocol.study import plain, read_study
from tollens.record.bearing import bears
from tollens.record.ledger import parse_ledger, read_ledger
from tollens.run.climb import climb
from tollens.run.imports import ImportedData, ImportQuestion, ImportReport, import_result
from tollens.run.lock import amend, floor_of, lock
from tollens.run.new import new
from tollens.run.status import status
from tollens.run.study import claim_text, sealed
from tollens.subject.results.imported import Wanted

PASS_AT_2 = ImportQuestion(Wanted(reducer="pass_at_2"), name="turns")
CHOICE = ImportQuestion(Wanted(task="tiny_choice", metric="acc"), name="choice")
LM_EVAL = HERE / "lm_eval/full/results.json"
REDUCERS = HERE / "inspect/reducers.json"
METRIC = """
def imported_mean():
    import json

    with open("choice.imported.json") as handle:
        scores = [sample["value"] for sample in json.load(handle)["result"]["samples"]]
    return sum(scores) / len(scores)
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A draft of one seed beside the files that are imported."""
    folder = tmp_path / "claim"
    new(folder)
    edit(folder, {"seeds = [1, 2, 3]": "seeds = [1]", "axes = { seed = 3 }": "axes = { seed = 1 }"})
    shutil.copytree(HERE, tmp_path / "results")
    return folder


def edit(folder: Path, changes: dict[str, str]) -> None:
    text = (folder / "claim.toml").read_text()
    for old, made in changes.items():
        assert old in text
        text = text.replace(old, made)
    (folder / "claim.toml").write_text(text)


def with_data(folder: Path, *names: str) -> None:
    files = "".join(f', "{name}"' for name in names)
    edit(folder, {'"digits_test.npz"]': f'"digits_test.npz"{files}]'})


def take(study: Path, question: ImportQuestion = CHOICE, path: str = "lm_eval/full/results.json") -> ImportReport:
    return import_result(study.parent / "results" / path, question, study)


def refused(call: Any, *arguments: Any) -> TollensError:
    with pytest.raises(TollensError) as caught:
        call(*arguments)
    return caught.value


def test_an_import_is_a_record_with_digest_and_path_and_a_file_for_the_metric(study: Path) -> None:
    samples = study.parent / "results/lm_eval/full/samples_tiny_choice.jsonl"
    report = import_result(
        study.parent / "results/lm_eval/full/results.json",
        ImportQuestion(CHOICE.wanted, samples=str(samples), name="choice"), study,
    )  # fmt: skip
    (record,) = read_ledger(study / "ledger.jsonl").of("import")
    body = record.body
    assert body["path"] == "../results/lm_eval/full/results.json"
    assert (body["name"], body["value"], body["n"], body["readings"]) == ("choice", 0.4, 5, {"choice": 0.4})
    import hashlib

    assert body["sha256"] == hashlib.sha256(LM_EVAL.read_bytes()).hexdigest() == report.sha256
    assert body["samples"] == hashlib.sha256(samples.read_bytes()).hexdigest()
    data = (study / "choice.imported.json").read_bytes()
    assert body["data"] == hashlib.sha256(data).hexdigest()
    kept = msgspec.json.decode(data, type=ImportedData)
    assert kept.schema == "tollens.imported/1"
    assert [sample.value for sample in kept.result.samples] == [1.0, 0.0, 0.0, 1.0, 0.0]
    assert report.recorded


def test_the_same_import_again_says_so_and_appends_nothing(study: Path) -> None:
    take(study)
    before = (study / "ledger.jsonl").read_bytes()
    report = take(study)
    assert not report.recorded
    assert any("nothing was appended" in note for note in report.notes)
    assert (study / "ledger.jsonl").read_bytes() == before
    (study / "choice.imported.json").unlink()
    take(study)
    assert (study / "choice.imported.json").is_file(), "the copy is made again"


def test_another_file_under_the_same_name_is_refused(study: Path) -> None:
    take(study)
    other = ImportQuestion(Wanted(task="tiny_other", metric="acc"), name="choice")
    error = refused(take, study, other)
    assert error.code == "import_exists"
    assert "results.json" in error.expected
    (study / "free.imported.json").write_text("{}")
    assert refused(take, study, ImportQuestion(CHOICE.wanted, name="free")).code == "import_exists"
    assert len(read_ledger(study / "ledger.jsonl").of("import")) == 1


def test_an_import_without_a_digest_is_no_record(study: Path) -> None:
    take(study)
    line = (study / "ledger.jsonl").read_text()
    from tollens.core.canonical import canonical, digest

    tree = json.loads(line)
    del tree["body"]["sha256"], tree["hash"]
    forged = canonical({**tree, "hash": digest(tree)}) + b"\n"
    error = refused(parse_ledger, forged)
    assert (error.code, int(error.exit_code)) == ("ledger_broken", 20)
    assert "sha256" in error.found


def floor(study: Path) -> str:
    return floor_of(read_ledger(study / "ledger.jsonl"), sealed(study).study)


def test_an_import_is_a_result_that_was_seen(study: Path) -> None:
    lock(study)
    assert floor(study) == "nothing run"
    take(study)
    assert floor(study) == "results seen"
    assert not sealed(study).exploratory, "the result came after the seal and is no part of it"
    edit(study, {"[-100, 100]": "[-100, 99]"})
    error = refused(amend, study, "narrower", "nothing run")
    assert error.code == "access_understated"
    assert amend(study, "narrower", "results seen").exploratory


def test_a_claim_sealed_after_an_import_is_exploratory(study: Path) -> None:
    take(study)
    report = lock(study)
    assert report.exploratory
    assert "imported before the seal: choice" in report.notes
    assert sealed(study).exploratory
    decision = climb(study)
    assert decision.exploratory
    assert any(note.startswith("result older than its seal") for note in decision.notes)


def test_evidence_for_a_constraint_is_no_result_of_the_claim(study: Path) -> None:
    (study.parent / "tollens.toml").write_text(
        '[[constraint]]\nid = "choice"\ntrigger = "touches in {kv}"\nmechanism = "m"\n'
        'require = ["reading:choice >= 0"]\n'
    )
    take(study)
    (record,) = read_ledger(study / "ledger.jsonl").of("import")
    text = (study / "claim.toml").read_text()
    (study / "claim.toml").write_text(
        f'{text}\n[proposal]\ntouches = ["kv"]\n'
        f'[[evidence]]\nconstraint = "choice"\nimported = "{record.body["sha256"]}"\n'
    )
    assert not lock(study).exploratory
    assert not sealed(study).exploratory
    assert floor(study) == "nothing run"
    edit(study, {"accuracy_diff": "choice"})
    assert bears(record, plain(read_study(claim_text(study))), ())


def test_a_result_that_is_part_of_the_seal_is_older_than_it_whenever_it_is_recorded(study: Path) -> None:
    take(study)
    (study / "ledger.jsonl").unlink()
    with_data(study, "choice.imported.json")
    assert not lock(study).exploratory, "the ledger knows of no import yet"
    take(study)
    assert sealed(study).exploratory


def test_a_verdict_on_imports_says_that_no_runner_produced_them(study: Path) -> None:
    take(study)
    with_data(study, "choice.imported.json")
    lock(study)
    said = f"values not produced by the runner: choice (lm-eval 0.4.13, sha256 {sha(LM_EVAL)})"
    assert said in status(study).notes
    decision = climb(study)
    assert said in decision.notes
    assert said in json.loads((study / "decision.json").read_text())["notes"]
    found = status(study).decision
    assert found is not None
    assert said in found.notes


def test_a_metric_reads_what_was_imported(study: Path) -> None:
    import_result(
        study.parent / "results/lm_eval/full/results.json",
        ImportQuestion(
            CHOICE.wanted, samples=str(study.parent / "results/lm_eval/full/samples_tiny_choice.jsonl"), name="choice"
        ),
        study,
    )  # fmt: skip
    with_data(study, "choice.imported.json")
    text = (study / "metric.py").read_text()
    text = text.replace(
        '    """Run one arm and the reference',
        '    assert imported_mean() == 0.4\n    """Run one arm and the reference',
    )
    (study / "metric.py").write_text(METRIC + text)
    lock(study)
    assert climb(study).verdict == "SURVIVED"
    assert "assert imported_mean() == 0.4" in (study / "metric.py").read_text()


def sha(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def test_a_sealed_import_of_unknown_origin_is_not_climbed(study: Path) -> None:
    take(study)
    shutil.copy(study / "choice.imported.json", study / "mine.json")
    (study / "choice.imported.json").unlink()
    text = (study / "mine.json").read_text().replace('"value": 0.4', '"value": 0.9', 1)
    (study / "mine.json").write_text(text)
    with_data(study, "mine.json")
    lock(study)
    error = refused(climb, study)
    assert (error.code, int(error.exit_code)) == ("import_unrecorded", 13)
    assert any("import_unrecorded" in note for note in status(study).notes)
    assert not read_ledger(study / "ledger.jsonl").of("run.started")


def test_the_sealed_reducer_binds_the_import_and_the_climb(study: Path) -> None:
    edit(study, {'tolerance = "0.1"': 'tolerance = "0.1"\nreducer = "pass_at_2"'})
    replaced = "inspect/replaced.json"
    error = refused(take, study, ImportQuestion(name="turns"), replaced)
    assert (error.code, error.expected, error.found) == ("import_reducer", "reducer pass_at_2", "reducer mean")
    asked = ImportQuestion(Wanted(reducer="mean"), name="turns")
    assert refused(take, study, asked, "inspect/reducers.json").code == "import_reducer"
    assert not (study / "ledger.jsonl").exists()
    assert take(study, PASS_AT_2, "inspect/reducers.json").result.value == 1.0


def test_a_reducer_declared_after_the_import_binds_the_climb(study: Path) -> None:
    take(study, ImportQuestion(Wanted(reducer="max"), name="turns"), "inspect/reducers.json")
    with_data(study, "turns.imported.json")
    edit(study, {'tolerance = "0.1"': 'tolerance = "0.1"\nreducer = "mean"'})
    lock(study)
    error = refused(climb, study)
    assert (error.code, error.expected, error.found) == ("import_reducer", "reducer mean", "reducer max")
    assert int(error.exit_code) == 13


def test_a_changed_copy_is_tampering(study: Path) -> None:
    take(study)
    with_data(study, "choice.imported.json")
    lock(study)
    text = (study / "choice.imported.json").read_text()
    (study / "choice.imported.json").write_text(text.replace('"value": 0.4', '"value": 0.9', 1))
    assert refused(climb, study).code == "tampered"


def test_names_that_no_reading_can_have_and_an_n_that_is_none(study: Path) -> None:
    for name in ("../x", "", "A", "x" * 70, "a\x1b[2J"):
        assert refused(take, study, ImportQuestion(CHOICE.wanted, name=name)).code == "import_absent"
    for wanted in (Wanted(n=0), Wanted(n=-3), Wanted(n=1, n_from="n_test")):
        assert refused(take, study, ImportQuestion(wanted), "mlflow/mlruns").code == "import_n"
    assert not list(study.parent.glob("x.imported.json"))


def test_two_imports_at_once_do_not_write_over_each_other(study: Path) -> None:
    from tollens.run.study import alone

    with alone(study):
        assert refused(take, study).code == "study_busy"


def test_the_command_line_says_the_number_first_and_the_next_command_works(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import shlex

    from tollens.cli.main import run

    monkeypatch.chdir(study.parent)
    monkeypatch.setenv("COLUMNS", "120")
    ask = ["record", "import", "results/lm_eval/full/results.json", "--task", "tiny_choice", "--metric", "acc"]
    assert run(ask) == 0
    out = capsys.readouterr().out
    head = f"IMPORTED  tiny_choice acc,none = 0.4 ± 0.2449 (stderr), n = 5  lm-eval 0.4.13  sha256:{sha(LM_EVAL)}\n"
    assert out.startswith(head)
    assert "values not produced by the runner" in out
    following = out.split("next     ")[1].replace("\n", " ").split()
    assert following[-1] == "STUDY"
    assert run(shlex.split(" ".join([*following[1:-1], "claim"]))) == 0
    capsys.readouterr()
    assert run([*ask, "--study", "claim", "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    import jsonschema

    from tollens.publish.schema import schema_text

    jsonschema.validate(tree, json.loads(schema_text("tollens.record.import-1")))
    written = json.loads((study / "tiny_choice_acc.imported.json").read_text())
    jsonschema.validate(written, json.loads(schema_text("tollens.imported-1")))
    assert tree["schema"] == "tollens.record.import/1"
    assert not tree["recorded"]
    assert run(["lock", "claim"]) == 0
    assert "EXPLORATORY (result older than the seal)" in capsys.readouterr().out
    assert run(["status", "claim", "--quiet"]) == 0
    assert "EXPLORATORY (result older than the seal)" in capsys.readouterr().out
