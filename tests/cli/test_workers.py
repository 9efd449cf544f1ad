"""--jobs, --workers and --threads at the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pytest
from safetensors.numpy import save_file
from tests.dask_cluster import ROOT, DaskCluster, dask_cluster, happens

from tollens.cli import workers as module
from tollens.cli.workers import threads_each

REPLACED = """
import sys
from tests.cli import test_workers
from tollens.cli.main import main
from tollens.run import scan
scan.measure_any = test_workers.{task}
main(sys.argv[1:])
"""


def die_at_b(task: Any) -> Any:
    """`measure_any` on a machine whose memory is too small for one matrix."""
    from tollens.run.factor_layer import measure_any

    if task.view.name == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    return measure_any(task)


def wait_long(task: Any) -> Any:
    import time

    Path(task.view.source.folder, "begun").touch()
    time.sleep(30)


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path_factory.mktemp("dask"), "--nworkers", "2", "--nthreads", "1") as made:
        yield made


@pytest.fixture
def several(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    path = tmp_path / "several.safetensors"
    save_file({name: rng.standard_normal((16, 24)).astype(np.float32) for name in "abcd"}, path)
    return path


def test_a_cluster_answers_as_one_process_does(tollens, dask: DaskCluster, several: Path) -> None:
    alone = tollens("scan", several.name, "--json", "--threads", "1", "--only", "tail", cwd=several.parent)
    together = tollens("scan", several.name, "--json", "--only", "tail", "--workers", dask.file, cwd=several.parent)
    assert (alone.returncode, together.returncode) == (0, 0)
    assert (together.stdout, together.stderr) == (alone.stdout, "")


@pytest.mark.parametrize("where", ["jobs", "workers"])
def test_a_layer_that_ends_every_worker_has_failed_and_the_others_stand(
    tollens, dask: DaskCluster, several: Path, where: str
) -> None:
    option = ("--jobs", "2") if where == "jobs" else ("--workers", dask.address)
    asked = ("scan", several, "--json", "--threads", "1", "--only", "tail")
    run = tollens(*asked, *option, code=REPLACED.format(task="die_at_b"), env={"PYTHONPATH": str(ROOT)})
    assert (run.returncode, run.stderr) == (0, "")
    found, expected = json.loads(run.stdout), json.loads(tollens(*asked).stdout)
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert layers["b"]["status"] == "FAILED"
    assert set(layers["b"]["undefined"].values()) == {"worker_died"}
    assert [v for v in found["layers"] if v["name"] != "b"] == [v for v in expected["layers"] if v["name"] != "b"]
    assert found["summary"]["not_judgeable"] == {"worker_died": 1}
    notes = {note["code"]: note for note in found["notes"]}
    assert notes["worker_died"]["layers"] == ["b"]
    assert notes["task_repeated"]["sentence"] == "1 task was repeated because a worker died."


def test_an_interrupt_is_quiet_and_cancels(dask: DaskCluster, several: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", REPLACED.format(task="wait_long"), "scan", several, "--workers", dask.file],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        happens((several.parent / "begun").exists)
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=20) == ("", "\ninterrupted\n")
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == 130
    with distributed.Client(dask.address, set_as_default=False) as client:
        happens(lambda: client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)) == 0)


def test_jobs_and_workers_exclude_each_other(inside, several: Path) -> None:
    run = inside("scan", several, "--jobs", "2", "--workers", "tcp://127.0.0.1:1")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("bad_option: --jobs starts workers and --workers uses those that run")


def test_an_address_that_is_none_is_bad_input(inside, several: Path) -> None:
    run = inside("scan", several, "--workers", "host")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("workers_unreachable: --workers host")


def test_threads_are_the_share_of_the_cores_and_one_on_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: set(range(12)))
    assert [threads_each(None, jobs, None) for jobs in (1, 4, 24)] == [12, 3, 1]
    assert threads_each(None, 1, "tcp://x:1") == 1
    assert threads_each(5, 4, None) == threads_each(5, 1, "tcp://x:1") == 5
