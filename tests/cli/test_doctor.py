"""`tollens doctor` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import tollens as product
from tollens.publish.schema import schema_text
from tollens.run.cache import store
from tollens.run.certificate import Answer, Certificate
from tollens.run.machine import this_machine


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOLLENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def keep(passed: bool) -> None:
    answer = Answer(
        kind="instrument", name="tail", title="of a law", expected=2.0, got=2.0, tolerance=0.1, passed=passed,
        seconds=0.0, derivation="none",
    )  # fmt: skip
    store(
        Certificate(
            passed=passed, headline="", machine=this_machine(), threads=1, started="then", seconds=0.0, answers=[answer]
        )
    )


def test_an_uncertified_machine(inside, cache: Path) -> None:
    run = inside("doctor", env={"COLUMNS": "80"})
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("UNCERTIFIED  ")
    assert f"tollens  {product.__version__}" in run.stdout
    for row in ("python", "machine", "BLAS", "threads", "extra", "plugin", "cache"):
        assert f"\n{row} " in run.stdout
    assert "".join(str(cache).split()) in "".join(run.stdout.split())
    assert run.stdout.endswith("next  tollens selftest\n")
    assert not cache.exists()


@pytest.mark.parametrize(("passed", "code", "verdict"), [(True, 0, "CERTIFIED"), (False, 12, "VOID")])
def test_a_certified_machine_and_one_that_fails(inside, passed: bool, code: int, verdict: str) -> None:
    keep(passed)
    run = inside("doctor")
    assert run.returncode == code
    assert run.stdout.startswith(f"{verdict}  ")
    assert ("tail: of a law" in run.stdout) is not passed


def test_the_json_obeys_its_schema(inside) -> None:
    keep(True)
    found = json.loads(inside("doctor", "--json").stdout)
    jsonschema.validate(found, json.loads(schema_text("tollens.doctor-1")))
    assert found["certificate"]["state"] == "valid"


def test_a_broken_plugin_is_named(tollens, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "plug_broken.py").write_text("raise RuntimeError('no licence')")
    info = tmp_path / "plug_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug_broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tollens.plugins]\nplug_broken = plug_broken\n")
    environment = {"PYTHONPATH": str(tmp_path), "TOLLENS_CACHE": str(cache), "COLUMNS": "120"}
    run = tollens("doctor", env=environment)
    assert run.returncode == 0
    assert "plug_broken (plug_broken): RuntimeError: no licence" in run.stdout
    run = tollens("selftest", "--only", "queue.batch", env=environment)
    assert run.returncode == 0
    assert "note  plugin plug_broken was skipped: RuntimeError: no licence" in run.stdout
