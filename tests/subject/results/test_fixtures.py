"""Numbers read out of files that the tools wrote, against what each tool itself said of the same run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tollens.core.errors import TollensError
from tollens.subject.results.imported import Imported, Wanted
from tollens.subject.results.source import imported

HERE = Path(__file__).resolve().parents[2] / "golden" / "imports"
TOLD: dict[str, Any] = json.loads((HERE / "expected.json").read_text())


def read(path: str, samples: str | None = None, **wanted: Any) -> Imported:
    return imported(HERE / path, Wanted(**wanted), None, HERE / samples if samples else None)[0]


def refusal(path: str, samples: str | None = None, **wanted: Any) -> TollensError:
    with pytest.raises(TollensError) as caught:
        read(path, samples, **wanted)
    return caught.value


LM_EVAL = [
    (run, task, *key.split(","))
    for run, tasks in TOLD["lm_eval"].items()
    for task, row in tasks.items()
    for key in row
    if "_stderr" not in key
]


@pytest.mark.parametrize(("run", "task", "metric", "filter_"), LM_EVAL)
def test_every_number_of_lm_eval(run: str, task: str, metric: str, filter_: str) -> None:
    told = TOLD["lm_eval"][run][task]
    samples = f"lm_eval/{run}/samples_{task}.jsonl" if task != "tiny" else None
    found = read(f"lm_eval/{run}/results.json", samples, task=task, metric=metric, filter=filter_)
    error = told[f"{metric}_stderr,{filter_}"]
    assert found.value == told[f"{metric},{filter_}"]
    assert found.stderr == (None if error == "N/A" else error)
    assert (found.no_stderr == "the tool wrote 'N/A'") == (error == "N/A")
    n = {"tiny": 8, "tiny_choice": 5, "tiny_other": 3, "tiny_answer": 5}[task]
    assert (found.n, found.scored, found.unscored) == (n, n, 0)
    assert found.version == TOLD["versions"]["lm-eval"]
    assert found.task_version == {"tiny": "1.0", "tiny_choice": "1.0", "tiny_other": "2.0", "tiny_answer": "3.0"}[task]
    assert len(found.samples) == (n if samples else 0)
    assert found.made is not None
    assert found.made.startswith("2026-")


INSPECT = [
    (name, row) for name, rows in TOLD["inspect"].items() for row in rows
]  # fmt: skip


@pytest.mark.parametrize(("name", "told"), INSPECT, ids=[f"{n}-{r['reducer']}" for n, r in INSPECT])
def test_every_number_of_inspect(name: str, told: dict[str, Any]) -> None:
    form = "eval" if name in ("archive", "calibration") else "json"
    metric = next(m for m in told["metrics"] if m != "stderr")
    found = read(f"inspect/{name}.{form}", metric=metric, reducer=told["reducer"])
    assert found.value == told["metrics"][metric]
    assert found.stderr == told["metrics"].get("stderr")
    assert (found.n, found.reducer) == (told["scored"], told["reducer"])
    assert found.version == TOLD["versions"]["inspect-ai"]


def test_an_archive_and_its_json_twin_give_the_same() -> None:
    assert read("inspect/archive.eval") == read("inspect/archive.json")
    assert len(read("inspect/archive.eval").samples) == 4


@pytest.mark.parametrize("form", ["mlruns", "mlflow.db"])
def test_every_number_of_mlflow(form: str) -> None:
    told = TOLD["mlflow"]["folder" if form == "mlruns" else "database"]
    for key in ("accuracy", "once"):
        for step, value, time in told["metrics"][key]:
            found = read(f"mlflow/{form}", metric=key, step=str(step), n_from="n_test")
            assert (found.value, found.step, found.n, found.run) == (value, step, 1000, told["run"])
            assert found.n_from == "parameter n_test"
            assert found.made == "2023-11-14T22:13:20Z", time
    assert read(f"mlflow/{form}", metric="accuracy", step="last", n=3).step == 3
    assert read(f"mlflow/{form}", metric="once", n=3).n_from == "stated by hand"


def test_items_without_a_score_are_counted_whatever_the_tool_counts() -> None:
    """Item 2 got no score and item 3 a NaN. inspect_ai counts one of them as unscored, and takes the mean of two."""
    found = read("inspect/unscored.json")
    assert TOLD["inspect"]["unscored"][0]["unscored"] == 1
    assert (found.value, found.n, found.scored, found.unscored) == (1.0, 2, 2, 2)
    assert [s.why for s in found.samples] == [None, "no score", "the score is no finite number", None]
    found = read("inspect/errored.json")
    assert (found.n, found.unscored) == (3, 1)
    assert found.samples[1].why == "the sample ended with an error"


def test_n_is_items_after_reducing_and_attempts_are_told_beside_it() -> None:
    found = read("inspect/reducers.json", reducer="pass_at_2")
    assert (found.n, found.attempts, found.value) == (4, 8, 1.0)


def test_a_calibration_error_of_averaged_attempts_is_none_and_of_single_attempts_is_one() -> None:
    """100 items x 2 attempts, sure and wrong, then unsure and right: the mean over attempts hides every error."""
    found = read("inspect/calibration.eval")
    assert (found.value, found.reducer, found.n, found.attempts) == (0.0, "mean", 100, 200)
    by_item: dict[str, list[float]] = {}
    for sample in found.samples:
        assert sample.value is not None
        by_item.setdefault(sample.id, []).append(sample.value)
    averaged = sum(abs(sum(values) / 2) for values in by_item.values()) / 100
    single = sum(abs(value) for values in by_item.values() for value in values) / 200
    assert (averaged, single) == (0.0, 1.0)
    assert refusal("inspect/calibration.eval", reducer="max").code == "import_reducer"


def test_an_epochs_option_that_replaced_the_reducer_is_refused_by_both_names() -> None:
    error = refusal("inspect/replaced.json", reducer="pass_at_2")
    assert (error.code, error.expected, error.found) == ("import_reducer", "reducer pass_at_2", "reducer mean")
    assert refusal("inspect/plain.json", reducer="mean").found == "reducer none"


REFUSALS = [
    ("lm_eval/full/results.json", {}, "import_ambiguous", "tiny_choice, tiny_other, tiny_answer, tiny"),
    ("lm_eval/full/results.json", {"task": "tiny_choice"}, "import_ambiguous", "acc, acc_norm"),
    ("lm_eval/full/results.json", {"task": "tiny_answer"}, "import_ambiguous", "strict-match, flexible-extract"),
    ("lm_eval/full/results.json", {"task": "arc"}, "import_absent", "tiny_choice"),
    ("lm_eval/full/results.json", {"task": "tiny", "metric": "f1"}, "import_absent", "acc"),
    ("lm_eval/full/results.json", {"task": "tiny", "filter": "strict-match"}, "import_absent", "none"),
    ("inspect/reducers.json", {}, "import_ambiguous", "mean, pass_at_2, max"),
    ("inspect/plain.json", {"metric": "f1"}, "import_absent", "right/accuracy"),
    ("inspect/plain.json", {"task": "other"}, "import_absent", "plain"),
    ("inspect/failed.json", {}, "import_status", "status error"),
    ("inspect/cancelled.json", {}, "import_status", "status cancelled"),
    ("mlflow/mlruns", {"metric": "accuracy", "n": 1}, "import_step", "1, 2, 3"),
    ("mlflow/mlflow.db", {"metric": "accuracy", "n": 1}, "import_step", "1, 2, 3"),
    ("mlflow/mlflow.db", {"metric": "accuracy", "n": 1, "step": "7"}, "import_absent", "1, 2, 3"),
    ("mlflow/mlflow.db", {"metric": "accuracy", "n": 1, "step": "1.5"}, "import_step", "'1.5'"),
    ("mlflow/mlruns", {"metric": "twice", "n": 1}, "import_step", "2 values: 0.1, 0.2"),
    ("mlflow/mlflow.db", {"metric": "twice", "n": 1}, "import_step", "2 values: 0.1, 0.2"),
    ("mlflow/mlruns", {"metric": "once"}, "import_n", "n_test, seed"),
    ("mlflow/mlflow.db", {"metric": "once", "n_from": "size"}, "import_absent", "n_test, once, seed"),
    ("mlflow/mlflow.db", {"metric": "once", "run": "x"}, "import_absent", TOLD["mlflow"]["database"]["run"]),
    ("mlflow/mlruns", {"n": 1}, "import_ambiguous", "accuracy, broken, endless, once, twice"),
]


@pytest.mark.parametrize(("path", "wanted", "code", "found"), REFUSALS)
def test_what_leaves_a_choice_is_refused_with_the_choices(
    path: str, wanted: dict[str, Any], code: str, found: str
) -> None:
    error = refusal(path, **wanted)
    assert error.code == code
    assert found in error.found


@pytest.mark.parametrize("form", ["mlruns", "mlflow.db"])
@pytest.mark.parametrize("metric", ["broken", "endless"])
def test_a_metric_that_is_no_number_is_not_scorable(form: str, metric: str) -> None:
    error = refusal(f"mlflow/{form}", metric=metric, n=5)
    assert (error.code, int(error.exit_code)) == ("not_scorable", 22)
    assert metric in error.subject


def edited(tmp_path: Path, path: str, change: Any, name: str = "edited.json") -> Path:
    tree = json.loads((HERE / path).read_text())
    change(tree)
    target = tmp_path / name
    target.write_text(json.dumps(tree))
    return target


def code_of(path: Path, samples: Path | None = None, **wanted: Any) -> str:
    with pytest.raises(TollensError) as caught:
        imported(path, Wanted(**wanted), None, samples)
    return f"{caught.value.code} {caught.value.expected} {caught.value.found}"


def test_a_result_that_its_samples_do_not_give_is_refused_with_both_numbers(tmp_path: Path) -> None:
    samples = HERE / "lm_eval/full/samples_tiny_choice.jsonl"
    ask = {"task": "tiny_choice", "metric": "acc"}

    def better(tree: Any) -> None:
        tree["results"]["tiny_choice"]["acc,none"] = 0.6

    said = code_of(edited(tmp_path, "lm_eval/full/results.json", better), samples, **ask)
    assert said == "import_differs mean 0.6, as the results say 0.4 from the samples"
    fewer = tmp_path / "samples.jsonl"
    fewer.write_text("".join(samples.read_text().splitlines(keepends=True)[:4]))
    said = code_of(HERE / "lm_eval/full/results.json", fewer, **ask)
    assert said == "import_differs n = 5, as the results say 4 from the samples"
    fewer.write_text(samples.read_text() + samples.read_text().splitlines(keepends=True)[0])
    assert code_of(HERE / "lm_eval/full/results.json", fewer, **ask).endswith("0 twice")

    def best(tree: Any) -> None:
        tree["results"]["scores"][0]["metrics"]["accuracy"]["value"] = 0.75

    said = code_of(edited(tmp_path, "inspect/plain.json", best))
    assert said == "import_differs accuracy (one epoch) 0.75, as the results say 0.5 from the samples"

    def more(tree: Any) -> None:
        tree["results"]["scores"][0]["scored_samples"] = 5

    assert code_of(edited(tmp_path, "inspect/plain.json", more)).startswith("import_differs scored_samples 5")


def test_a_result_without_what_must_be_there_is_refused(tmp_path: Path) -> None:
    ask = {"task": "tiny_choice", "metric": "acc"}
    full = "lm_eval/full/results.json"

    def without(*keys: str) -> Any:
        def change(tree: Any) -> None:
            for key in keys[:-1]:
                tree = tree[key]
            del tree[keys[-1]]

        return change

    assert code_of(edited(tmp_path, full, without("versions", "tiny_choice")), **ask).startswith("import_absent")
    assert code_of(edited(tmp_path, full, without("n-samples", "tiny_choice")), **ask).startswith("import_n")
    scores = edited(tmp_path, "inspect/plain.json", lambda t: t["results"]["scores"][0].pop("scored_samples"))
    assert code_of(scores).startswith("import_n")
    group = edited(tmp_path, full, without("results", "tiny", "sample_count"))
    assert imported(group, Wanted(task="tiny"))[0].n == 8


def test_a_nan_that_nobody_asks_for_is_no_matter_and_one_asked_for_is_refused(tmp_path: Path) -> None:
    def broken(tree: Any) -> None:
        tree["results"]["tiny_choice"]["acc,none"] = math.nan

    path = edited(tmp_path, "lm_eval/full/results.json", broken)
    assert "NaN" in path.read_text()
    assert imported(path, Wanted(task="tiny_choice", metric="acc_norm"))[0].value == 0.4
    assert code_of(path, task="tiny_choice", metric="acc").startswith("not_scorable")


@pytest.mark.parametrize("value", ["1e999", "-Infinity", "true", '"0.4"', "[0.4]", "null", "1" + "0" * 400, "{}"])
def test_a_value_that_is_no_finite_number_is_named(tmp_path: Path, value: str) -> None:
    text = (HERE / "lm_eval/no_error/results.json").read_text().replace('"acc,none": 0.4', f'"acc,none": {value}')
    path = tmp_path / "results.json"
    path.write_text(text)
    assert code_of(path, metric="acc").startswith("not_scorable")


def test_the_digest_of_a_folder_is_of_the_files_that_were_read(tmp_path: Path) -> None:
    import shutil

    shutil.copytree(HERE / "mlflow" / "mlruns", tmp_path / "mlruns")
    run = TOLD["mlflow"]["folder"]["run"]
    (folder,) = (tmp_path / "mlruns").glob(f"*/{run}")
    ask = Wanted(metric="once", n_from="n_test")
    before = imported(tmp_path / "mlruns", ask)[1]
    (folder / "metrics" / "accuracy").write_text("1 0.9 1\n")
    assert imported(tmp_path / "mlruns", ask)[1] == before, "not read"
    assert imported(folder, ask)[1] == before, "the run alone"
    (folder / "metrics" / "once").write_text("1700000000000 0.26 0\n")
    assert imported(tmp_path / "mlruns", ask)[1] != before
    (folder / "meta.yaml").write_text("run_id: another\n")
    assert code_of(tmp_path / "mlruns", metric="once", n=1).startswith("import_syntax")


def test_a_data_base_with_a_write_ahead_log_is_not_half_read(tmp_path: Path) -> None:
    import shutil
    import sqlite3

    path = tmp_path / "mlflow.db"
    shutil.copy(HERE / "mlflow" / "mlflow.db", path)
    base = sqlite3.connect(path)
    base.execute("pragma journal_mode=wal")
    base.execute("update metrics set value = 0.26 where key = 'once'")
    base.commit()
    assert code_of(path, metric="once", n=1).startswith("import_syntax a data base that nobody writes to")
    base.close()  # which folds the log into the data base
    assert imported(path, Wanted(metric="once", n=1))[0].value == 0.26


def test_no_fixture_tells_the_machine_it_was_made_on() -> None:
    import re

    files = [p for p in HERE.rglob("*") if p.is_file() and p.suffix not in (".py", ".eval")]
    assert len(files) >= 20
    assert [p.name for p in files if re.search(rb"/(tmp|home|usr|root|opt|work)/", p.read_bytes())] == []
    assert sum(p.stat().st_size for p in HERE.rglob("*") if p.is_file()) < 200_000
