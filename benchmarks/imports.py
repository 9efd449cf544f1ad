"""The three tools run again, and every number imported from what they write now: python -m benchmarks.imports

What stands in tests/golden/imports was written by the same script, so a number that is another one says that a tool
writes another form or another value than the one whose reading is tested.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tollens.core.errors import TollensError
from tollens.subject.results.imported import Imported, Wanted
from tollens.subject.results.source import imported

HERE = Path(__file__).resolve().parent.parent / "tests" / "golden" / "imports"


def numbers(folder: Path) -> Iterator[tuple[str, tuple[Any, ...], float | None]]:
    """Every result of a set of fixtures: its name, what was imported, and the value that the tool itself reports."""
    told = json.loads((folder / "expected.json").read_text())

    def one(path: str, **wanted: Any) -> tuple[Any, ...]:
        try:
            return shown(imported(folder / path, Wanted(**wanted))[0])
        except TollensError as error:
            return (error.code,)

    for run, tasks in told["lm_eval"].items():
        for task, row in tasks.items():
            for key in (key for key in row if "_stderr" not in key):
                metric, filter_ = key.split(",")
                yield (
                    f"lm-eval {run} {task} {key}",
                    one(f"lm_eval/{run}/results.json", task=task, metric=metric, filter=filter_),
                    row[key],
                )
    for name, rows in told["inspect"].items():
        form = "eval" if name in ("archive", "calibration") else "json"
        for row in rows or [{"metrics": {}, "reducer": None}]:
            metric = next((m for m in row["metrics"] if m != "stderr"), None)
            found = one(f"inspect/{name}.{form}", metric=metric, reducer=row["reducer"])
            yield f"inspect {name} {row['reducer']}", found, row["metrics"].get(metric)
    for form, store in (("folder", "mlruns"), ("database", "mlflow.db")):
        for key, points in told["mlflow"][form]["metrics"].items():
            for step, value, _ in points:
                yield (
                    f"mlflow {form} {key} {step}",
                    one(f"mlflow/{store}", metric=key, step=str(step), n_from="n_test"),
                    None if key == "twice" else value,
                )


def shown(result: Imported) -> tuple[Any, ...]:
    return result.value, result.stderr, result.n, result.scored, result.unscored, result.reducer, result.filter


def timed(work: Callable[[], Any]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def main() -> int:
    for tool in ("lm-eval", "inspect-ai", "mlflow-skinny"):
        try:
            version(tool)
        except PackageNotFoundError:
            print(f"{tool} is not installed: pip install -e '.[bench]'")
            return 1
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        done = subprocess.run([sys.executable, HERE / "make.py", name], capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr[-2000:])
            return 1
        kept, again = [*numbers(HERE)], [*numbers(made)]
        other = [(k[0], k[1], a[1]) for k, a in zip(kept, again, strict=True) if k[:2] != a[:2]]
        wrong = [(name_, found, told) for name_, found, told in again if told is not None and found[0] != told]
        versions = json.loads((made / "expected.json").read_text())["versions"]
        seconds = min(timed(lambda: [*numbers(made)]) for _ in range(3))
    print("## Imports\n")
    print(f"{', '.join(f'{tool} {version}' for tool, version in versions.items())}, run again: {len(again)} results;")
    print(f"{len(other)} differ from the fixtures, {len(wrong)} from what the tool itself reports;")
    print(f"{1000 * seconds / len(again):.2f} ms a result.")
    for row in (*other, *wrong):
        print("differs:", *row)
    return 1 if other or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
