"""`tollens selftest` on the command line: exit codes, the numbers of what failed, and its forms."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from tollens.instrument.registry import INSTRUMENTS
from tollens.lint.law import Example
from tollens.lint.registry import INVARIANTS
from tollens.publish.schema import schema_text
from tollens.run.registries import registered
from tollens.stats.registry import STATISTICS, Known


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TOLLENS_CACHE", str(tmp_path / "cache"))
    list(registered())
    kept = [(r, dict(r)) for r in (INSTRUMENTS, INVARIANTS, STATISTICS)]
    yield
    for registry, entries in kept:
        registry.clear()
        registry.update(entries)  # type: ignore[arg-type]


def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole selftest of three entries."""
    some = [entry for entry in registered() if entry[1] in ("norms", "queue.batch", "wilson")]
    monkeypatch.setattr("tollens.run.selftest.registered", lambda: some)


def spoil(kind: str) -> str:
    """One deliberately wrong answer; the name of the entry that has it."""
    if kind == "instrument":
        made = INSTRUMENTS["norms"]
        [right] = [a for a in made.known_answers if a.quantity == "entropy_rank"]
        INSTRUMENTS["norms"] = dataclasses.replace(made, known_answers=(dataclasses.replace(right, value=3.25),))
        return "norms"
    if kind == "statistic":
        wrong = Known("made up", lambda f: 1.5, 3.25, "none", 0.125)
        STATISTICS["wilson"] = dataclasses.replace(STATISTICS["wilson"], known=(wrong,))
        return "wilson"
    example = Example({"rate": "80", "window": "0.05", "batch": "16"}, "refuted/contradicted", {"computed": 3.25})
    INVARIANTS["queue.batch"] = dataclasses.replace(INVARIANTS["queue.batch"], known=(example,))
    return "queue.batch"


@pytest.mark.parametrize(
    ("kind", "got", "within"),
    [("instrument", "2.828", "1e-12"), ("statistic", "1.5", "0.125"), ("invariant", "computed 4.0", "1e-06")],
)
def test_one_wrong_answer_of_any_kind_is_void_with_its_numbers(inside, kind: str, got: str, within: str) -> None:
    name = spoil(kind)
    run = inside("selftest", "--only", name, env={"COLUMNS": "120"})
    assert (run.returncode, run.stderr) == (12, "")
    assert run.stdout.startswith("VOID  ")
    assert f"{kind} {name}" in run.stdout
    assert "3.25" in run.stdout
    assert f"within {within}" in run.stdout
    assert got in run.stdout.partition("got")[2].splitlines()[0]
    assert f"next  tollens selftest --only {name} --json" in run.stdout
    answer = json.loads(inside("selftest", "--only", name, "--json").stdout)
    assert not answer["passed"]
    assert inside("selftest", "--only", name, "--quiet").stdout.startswith("VOID  ")


@pytest.mark.parametrize("columns", ["80", "120"])
def test_a_certificate_on_a_terminal(inside, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, columns: str) -> None:
    few(monkeypatch)
    run = inside("selftest", env={"COLUMNS": columns})
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("CERTIFIED  ")
    assert run.stdout.endswith("next  tollens scan YOUR_MODEL.safetensors\n")
    assert f"kept  {tmp_path / 'cache'}" in run.stdout
    lines = [line for line in run.stdout.splitlines() if not line.startswith("kept")]
    assert max(map(len, lines)) <= int(columns)
    for kind in ("instruments", "invariants", "statistics"):
        assert f"\n{kind} " in run.stdout


def test_the_certificate_obeys_its_schema(inside, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch)
    found = json.loads(inside("selftest", "--json").stdout)
    jsonschema.validate(found, json.loads(schema_text("tollens.selftest-1")))
    assert found["schema"] == "tollens.selftest/1"
    for answer in found["answers"]:
        assert {"expected", "got", "tolerance", "derivation", "passed"} <= answer.keys()
    assert {"tollens", "digest", "blas", "cpu"} <= found["machine"].keys()


def test_a_cache_that_cannot_be_written_is_said_and_not_fatal(
    inside, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    few(monkeypatch)
    (tmp_path / "file").write_text("")
    run = inside("selftest", env={"TOLLENS_CACHE": str(tmp_path / "file")})
    assert run.returncode == 0
    assert "note  not kept: " in run.stdout


def test_wrong_formulas_are_shown_with_their_place(inside) -> None:
    run = inside("selftest", "--only", "queue.batch", "--prove-red", env={"COLUMNS": "120"})
    assert run.returncode == 0
    assert "1 of 1 proved to go red" in run.stdout
    assert "invariants/queues.py:" in run.stdout
    assert "->" in run.stdout
    found = json.loads(inside("selftest", "--only", "queue.batch", "--prove-red", "--json").stdout)
    jsonschema.validate(found, json.loads(schema_text("tollens.selftest-1")))
    [proof] = found["proofs"]
    assert proof["proved"]
    assert len(proof["mutants"]) >= 3


def test_what_cannot_be_proved_red_is_void(inside, monkeypatch: pytest.MonkeyPatch) -> None:
    from tollens.run import mutation
    from tollens.run.certificate import Proof

    unproved = Proof(kind="statistic", name="wilson", proved=False, mutants=[], why="it has no Python source to change")
    monkeypatch.setattr(mutation, "prove_red", lambda entries, progress=None: [unproved])
    run = inside("selftest", "--only", "wilson", "--prove-red")
    assert run.returncode == 12
    assert run.stdout.startswith("VOID  ")
    assert "it has no Python source to change" in run.stdout
    assert "next  tollens selftest --only wilson --prove-red --json" in run.stdout


def test_an_unknown_part_is_bad_usage(inside) -> None:
    run = inside("selftest", "--only", "wilsn")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("selftest_unknown: 'wilsn'")
    assert "Nearest: wilson" in run.stderr
