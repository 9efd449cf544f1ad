"""Makes the result files in this folder with the tools themselves: `python testsWORK/code.py [FOLDER]`.

Offline, tiny, deterministic; needs the `bench` extra. What is written is what the tools write, apart from this: paths
of the machine, host, user and git state become fixed words; of inspect's samples only what says how they were scored is
kept (`GONE` is not), because its transcripts take 300 kB a log, and of `CUT` only the summaries; of the data base only
the tables that a run is read from. `expected.json` repeats what each tool itself reports of a run.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
QUESTIONS = [("two and two", 1), ("three and one", 0), ("six less one", 0), ("ten by five", 1), ("one and one", 0)]
CHOICE = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{label}}}}"
doc_to_choice: ["no", "yes indeed"]
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
metadata: {{version: {version}}}
"""
ANSWER = """
task: tiny_answer
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n"]}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
filter_list:
  - {{name: strict-match, filter: [{{function: regex, regex_pattern: "#### (\\\\d+)"}}, {{function: take_first}}]}}
  - {{name: flexible-extract, filter: [{{function: regex, regex_pattern: "(\\\\d+)"}}, {{function: take_first}}]}}
metadata: {{version: 3.0}}
"""
GROUP = """
group: tiny
task: [tiny_choice, tiny_other]
aggregate_metric_list: [{metric: acc, weight_by_size: true}]
metadata: {version: 1.0}
"""


def lm_eval_files(work: Path, out: Path) -> dict[str, Any]:
    """Two tasks, their group, a task with two filters; once with standard errors and samples, once without."""
    import lm_eval
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    class Fixed(LM):
        """Always prefers the longer choice; answers with a number, marked as final every second time."""

        def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
            return [(-1.0 / len(r.args[1]), False) for r in requests]

        def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
            return [-1.0 for _ in requests]

        def generate_until(self, requests: list[Instance]) -> list[str]:
            return [f"{'#### ' if place % 2 else ''}{place}" for place, _ in enumerate(requests)]

    tasks = work / "tasks"
    tasks.mkdir()
    for name, version_, rows in (("tiny_choice", "1.0", QUESTIONS), ("tiny_other", "2.0", QUESTIONS[:3])):
        data = tasks / f"{name}.jsonl"
        data.write_text("".join(json.dumps({"question": q, "label": a}) + "\n" for q, a in rows))
        (tasks / f"{name}.yaml").write_text(CHOICE.format(name=name, data=data, version=version_))
    data = tasks / "tiny_answer.jsonl"
    data.write_text("".join(json.dumps({"question": q, "answer": str(i)}) + "\n" for i, (q, _) in enumerate(QUESTIONS)))
    (tasks / "tiny_answer.yaml").write_text(ANSWER.format(data=data))
    (tasks / "tiny.yaml").write_text(GROUP)
    told: dict[str, Any] = {}
    for name, names, iterations in (
        ("full", ["tiny", "tiny_answer"], 100), ("no_error", ["tiny_choice"], 0),
    ):  # fmt: skip
        tracker = EvaluationTracker(output_path=str(work / name))
        found = lm_eval.simple_evaluate(
            model=Fixed(), tasks=names, bootstrap_iters=iterations, log_samples=True, evaluation_tracker=tracker,
            task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        )  # fmt: skip
        samples = found.pop("samples")
        tracker.save_results_aggregated(results=found, samples=samples)
        for task in found["configs"]:
            tracker.save_results_samples(task_name=task, samples=samples[task])
        told[name] = {task: {k: v for k, v in row.items() if "," in k} for task, row in found["results"].items()}
        target = out / "lm_eval" / name
        target.mkdir(parents=True)
        for path in sorted((work / name).rglob("*.json*")):
            kind = re.sub(r"_\d{4}-.*", "", path.name)
            (target / f"{kind}{path.suffix}").write_text(path.read_text())
    return told


def inspect_files(work: Path, out: Path) -> dict[str, Any]:
    """One log in both formats; reducers; samples without a score; runs that failed and were ended."""
    from inspect_ai import Epochs, Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.log import EvalLog, read_eval_log, write_eval_log
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import NOANSWER, Score, Target, accuracy, mean, scorer, stderr
    from inspect_ai.solver import Generate, TaskState, solver

    @scorer(metrics=[accuracy(), stderr()])
    def right() -> Any:
        async def score(state: TaskState, target: Target) -> Score:
            return Score(value="C" if target.text in state.output.completion else "I", answer=NOANSWER)

        return score

    @scorer(metrics=[accuracy(), stderr()])
    def by_turn() -> Any:
        """Right at the first attempt and wrong at the second, whatever the model says."""

        async def score(state: TaskState, target: Target) -> Score:
            return Score(value=1.0 if state.epoch == 1 else 0.0)

        return score

    @scorer(metrics=[mean()])
    def overconfidence() -> Any:
        """Confidence minus correctness of one attempt: sure and wrong first, then unsure and right."""

        async def score(state: TaskState, target: Target) -> Score:
            return Score(value=1.0 if state.epoch == 1 else -1.0)

        return score

    @scorer(metrics=[mean(), stderr()])
    def sometimes() -> Any:
        """No score for the second item, not a number for the third."""

        async def score(state: TaskState, target: Target) -> Score | None:
            if state.sample_id == 2:
                return None
            return Score(value=float("nan") if state.sample_id == 3 else 1.0)

        return score

    @solver
    def failing(which: int | None) -> Any:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            if which is not None and state.sample_id == which:
                raise ValueError("the second item fails")
            return await generate(state)

        return solve

    def run(name: str, items: int, score: Any, fmt: str = "json", epochs: Any = None, **more: Any) -> EvalLog:
        dataset = [Sample(id=i + 1, input=f"item {i + 1}", target="yes") for i in range(items)]
        texts = ["yes" if i % 3 else "no" for i in range(items * 2)]
        outputs = [ModelOutput.from_content("mockllm/model", t) for t in texts]
        for output in outputs:  # or inspect would fetch a tokenizer to count with
            output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        model = get_model("mockllm/model", custom_outputs=outputs, memoize=False)
        fails = more.pop("fails", None)
        task = Task(dataset=dataset, solver=failing(fails), scorer=score, epochs=epochs, name=name)
        log = eval(
            task, model=model, log_dir=str(work / "logs"), log_format=fmt, display="none", max_samples=1,
            max_connections=1, **more,
        )[0]  # fmt: skip
        (out / "inspect").mkdir(exist_ok=True)
        shutil.copy(re.sub(r"^file://", "", log.location), out / "inspect" / f"{name}.{fmt}")
        return log

    logs = {
        "plain": run("plain", 4, right()),
        "archive": run("archive", 4, right(), "eval"),
        "reducers": run("reducers", 4, by_turn(), epochs=Epochs(2, ["mean", "pass_at_2", "max"])),
        "calibration": run("calibration", 100, overconfidence(), "eval", epochs=Epochs(2, ["mean"])),
        "replaced": run("replaced", 4, by_turn(), epochs=Epochs(2, ["mean"])),
        "unscored": run("unscored", 4, sometimes()),
        "errored": run("errored", 4, right(), fails=2, fail_on_error=False),
        "failed": run("failed", 3, right(), fails=2),
    }
    shutil.copy(out / "inspect" / "archive.eval", work / "same.eval")
    write_eval_log(read_eval_log(str(work / "same.eval")), str(out / "inspect" / "archive.json"))
    ended = json.loads((out / "inspect" / "plain.json").read_text())
    ended["status"] = "cancelled"  # what inspect writes when a person ends a run; a signal cannot be timed
    (out / "inspect" / "cancelled.json").write_text(json.dumps(ended))
    return {
        name: [
            {"scorer": s.name, "reducer": s.reducer, "scored": s.scored_samples, "unscored": s.unscored_samples,
             "metrics": {m.name: None if m.value != m.value else m.value for m in s.metrics.values()}}
            for s in (log.results.scores if log.results else [])
        ]
        for name, log in logs.items()
    }  # fmt: skip


def mlflow_files(work: Path, out: Path) -> dict[str, Any]:
    """The same run in a folder and in a data base."""
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    os.environ["GIT_PYTHON_REFRESH"] = "quiet"
    import mlflow
    from mlflow.tracking import MlflowClient

    target = out / "mlflow"
    target.mkdir()
    told: dict[str, Any] = {}
    for name, uri in (("folder", (work / "mlruns").as_uri()), ("database", f"sqlite:///{work}/mlflow.db")):
        mlflow.set_tracking_uri(uri)
        client = MlflowClient(uri)
        experiment = client.create_experiment("tiny", artifact_location="artifacts")
        run = client.create_run(experiment, run_name="first", tags={"mlflow.user": "somebody"})
        id_ = run.info.run_id
        client.log_param(id_, "n_test", "1000")
        client.log_param(id_, "seed", "7")
        for step, value in ((1, 0.5), (2, 0.75), (3, 0.625)):
            client.log_metric(id_, "accuracy", value, timestamp=1_700_000_000_000 + step, step=step)
        client.log_metric(id_, "once", 0.25, timestamp=1_700_000_000_000, step=0)
        client.log_metric(id_, "broken", float("nan"), timestamp=1_700_000_000_000, step=0)
        client.log_metric(id_, "endless", float("inf"), timestamp=1_700_000_000_000, step=0)
        client.log_metric(id_, "twice", 0.1, timestamp=1_700_000_000_000, step=1)
        client.log_metric(id_, "twice", 0.2, timestamp=1_700_000_000_009, step=1)
        client.set_terminated(id_)
        told[name] = {
            "run": id_,
            "metrics": {
                key: [[m.step, m.value, m.timestamp] for m in client.get_metric_history(id_, key)]
                for key in ("accuracy", "once", "twice")
            },
        }
    shutil.copytree(work / "mlruns", target / "mlruns")
    for empty in ("models", ".trash", "0"):
        shutil.rmtree(target / "mlruns" / empty, ignore_errors=True)
    base = sqlite3.connect(work / "mlflow.db")
    with base:
        base.execute("update runs set artifact_uri='WORK/artifacts'")
        base.execute("update experiments set artifact_location='WORK'")
    with base:  # the tables that a run is read from: the others are empty and take 600 kB
        kept = {"experiments", "runs", "metrics", "params", "tags", "latest_metrics", "alembic_version"}
        names = [row[0] for row in base.execute("select name from sqlite_master where type='table'")]
        base.execute("pragma foreign_keys=off")
        for name in names:
            if name not in kept and not name.startswith("sqlite_"):
                base.execute(f'drop table "{name}"')
        for (name,) in list(base.execute("select name from sqlite_master where type='index' and sql is not null")):
            base.execute(f'drop index "{name}"')
    base.execute("pragma page_size=1024")
    base.execute("vacuum")
    base.close()
    shutil.copy(work / "mlflow.db", target / "mlflow.db")
    return told


CUT = {"calibration.eval"}
GONE = ("messages", "output", "events", "timelines", "attachments", "store", "model_usage", "role_usage", "events_data")


def short(log: Any) -> Any:
    """The log without the answers that the generator gave the model, and without coloured tracebacks."""
    if isinstance(log, dict):
        gone = {"traceback", "traceback_ansi", "custom_outputs"}
        return {k: "scrubbed" if k in gone else short(v) for k, v in log.items()}
    return [short(v) for v in log] if isinstance(log, list) else log


def cut(sample: Any) -> Any:
    return {k: v for k, v in sample.items() if k not in GONE} if isinstance(sample, dict) else sample


def scrubbed(text: str, work: Path) -> str:
    """The text without what tells one machine from another."""
    text = text.replace(str(work), "WORK").replace(str(Path.cwd()), "WORK")
    text = re.sub(r"(file://)?/(?:[\w.@+-]+/)+[\w.@+-]+\.py", "WORK/code.py", text)
    for name in ("pretty_env_info", "upper_git_hash", "git_hash", "transformers_version", "lm_eval_version_path"):
        text = re.sub(rf'("{name}":\s*)("(?:[^"\\]|\\.)*"|null)', r'\1"scrubbed"', text)
    return text


def scrub(folder: Path, work: Path) -> None:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.suffix == ".eval":
            made = io.BytesIO()
            with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
                for info in old.infolist():
                    text = scrubbed(old.read(info).decode(), work)
                    log = short(json.loads(text))
                    if info.filename.startswith("samples/"):
                        log = cut(log)
                    text = json.dumps(log)
                    if path.name in CUT and info.filename.startswith(("_journal", "samples/")):
                        continue
                    new.writestr(info.filename, text, info.compress_type)
            path.write_bytes(made.getvalue())
        elif path.suffix == ".json" and path.parent.name == "inspect":
            log = short(json.loads(scrubbed(path.read_text(), work)))
            log["samples"] = [cut(s) for s in log.get("samples") or []]
            path.write_text(json.dumps(log) + "\n")
        elif path.suffix != ".db":
            path.write_text(scrubbed(path.read_text(), work))


def make(out: Path) -> None:
    """Every file, into an empty folder."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ |= {"HF_HOME": f"{work}/hf", "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}
        os.environ |= {"INSPECT_LOG_DIR": f"{work}/logs", "XDG_DATA_HOME": f"{work}/share"}
        here = Path.cwd()
        os.chdir(work)
        told = {
            "versions": {p: version(p) for p in ("lm-eval", "inspect-ai", "mlflow-skinny")},
            "lm_eval": lm_eval_files(work, out), "inspect": inspect_files(work, out), "mlflow": mlflow_files(work, out),
        }  # fmt: skip
        scrub(out, work)
        os.chdir(here)
    (out / "expected.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


def folders() -> Iterator[str]:
    yield from ("lm_eval", "inspect", "mlflow")


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else HERE
    for folder in folders():
        shutil.rmtree(target / folder, ignore_errors=True)
    target.mkdir(parents=True, exist_ok=True)
    make(target)
    print(
        subprocess.run(["du", "-sk", str(target)], capture_output=True, text=True, check=True).stdout.split()[0], "kB"
    )
