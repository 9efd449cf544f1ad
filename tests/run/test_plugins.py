"""Instruments from other packages: found, measured, named in claims, and harmless when broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.core.reading import Reading, Status, reading
from tollens.instrument.registry import INSTRUMENTS
from tollens.lint.registry import INVARIANTS
from tollens.run import layer, plugins
from tollens.run.plugins import GROUP, PluginReport, import_ours, load_plugins, plain
from tollens.stats.registry import STATISTICS

GOOD = """
from tollens.core.reading import Cost, Undefined, reading
from tollens.instrument.registry import instrument

@instrument(
    name="{name}", version="1", quantities={{"{quantity}": "{unit}"}}, cost=lambda shape: Cost(0, shape[0] * shape[1]),
    needs=("moments",), references=("none",),
)
def {name}(part, params, rng):
    {body}
"""


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    assert layer.FIELDS  # our own instruments are registered by then
    import_ours()
    kept, modules = [(r, dict(r)) for r in (INSTRUMENTS, INVARIANTS, STATISTICS)], set(sys.modules)
    yield
    for registry, entries in kept:
        registry.clear()
        registry.update(entries)  # type: ignore[arg-type]
    for name in set(sys.modules) - modules:
        if name.startswith("plug_"):
            del sys.modules[name]


def source(name: str, quantity: str, unit: str = "1", body: str = "return []") -> str:
    return GOOD.format(name=name, quantity=quantity, unit=unit, body=body)


def load(folder: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> dict[str, PluginReport]:
    monkeypatch.syspath_prepend(str(folder))
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    points = [EntryPoint(name, name, GROUP) for name in modules]
    return {report.name: report for report in load_plugins(points + points)}


def test_a_plugin_brings_its_instruments_and_is_imported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = load(tmp_path, monkeypatch, plug_good=source("twist", "twist_angle"))
    assert reports == {"plug_good": PluginReport("plug_good", "plug_good", ("twist",))}
    assert INSTRUMENTS["twist"].quantities == {"twist_angle": "1"}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import no_such_module_anywhere", "ModuleNotFoundError"),
        ("def f(:", "SyntaxError"),
        (source("tail", "tail_thing"), "'tail' is registered already"),
        (source("mine", "alpha"), "'alpha'"),
        (source("mine", "role"), "'role'"),
        (source("mine", "my quantity"), "no claim can name"),
        (source("mine", "mean"), "no claim can name"),
        (source("mine", "my_speed", "furlong"), "furlong"),
        (source("first", "same") + source("second", "same"), "'same'"),
        (source("left_over", "left_over_1") + "raise KeyError('late')", "KeyError"),
    ],
)
def test_a_broken_plugin_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, error: str
) -> None:
    before = dict(INSTRUMENTS)
    reports = load(tmp_path, monkeypatch, plug_bad=text, plug_good=source("twist", "twist_angle"))
    assert error in str(reports["plug_bad"].error)
    assert reports["plug_bad"].instruments == ()
    assert reports["plug_good"].error is None
    assert {n for n in INSTRUMENTS if n not in before} == {"twist"}
    assert all(INSTRUMENTS[n] is made for n, made in before.items())


INVARIANT = """
from tollens.lint.check import Subtype, at_most
from tollens.lint.law import Example
from tollens.lint.registry import invariant

@invariant(
    id="{id}", formula="part <= whole", needs={{"part": "count", "whole": "count"}}, violation=Subtype.IMPOSSIBLE,
    reference="arithmetic",
    known=(
        Example({{"part": "{part}", "whole": "4"}}, "{outcome}"),
        Example({{"part": "3", "whole": "4"}}, "undetermined/consistent"),
        Example({{"part": "4"}}, "unchecked"),
    ),
)
def part_of_whole(f):
    \"\"\"A part is no larger than the whole.\"\"\"
    return at_most(f.part, f.whole, ("part", "whole"), unit="count")
"""
STATISTIC = """
from tollens.stats.registry import Known, statistic

@statistic(guarantee="exact", references=("arithmetic",), known=(Known("of 2", lambda f: f(2), 4, "2*2"),))
def {name}(x):
    return x * x
"""


def law(id: str = "share.part", part: str = "5", outcome: str = "refuted/impossible") -> str:
    return INVARIANT.format(id=id, part=part, outcome=outcome)


def test_a_plugin_may_bring_invariants_and_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = law() + STATISTIC.format(name="squared") + source("twist", "twist_angle")
    [report] = load(tmp_path, monkeypatch, plug_good=text).values()
    assert report == PluginReport("plug_good", "plug_good", ("twist",), ("share.part",), ("squared",))
    assert "share.part" in INVARIANTS
    assert "squared" in STATISTICS


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (law(part="2", outcome="undetermined/consistent"), "no known answer is refuted: a check that cannot go red"),
        (law(part="2"), "known to be refuted/impossible"),
        (law(id="queue.batch"), "registered already"),
        (STATISTIC.format(name="wilson"), "a statistic named 'wilson' is registered already"),
        (law() + STATISTIC.format(name="squared") + "raise KeyError('late')", "KeyError: 'late'"),
        (law() + STATISTIC.format(name="squared") + source("mine", "alpha"), "'alpha'"),
    ],
)
def test_a_plugin_with_a_bad_law_is_named_and_what_it_brought_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, error: str
) -> None:
    before = dict(INVARIANTS), dict(STATISTICS), dict(INSTRUMENTS)
    [report] = load(tmp_path, monkeypatch, plug_bad=text).values()
    assert error in str(report.error)
    assert (report.instruments, report.invariants, report.statistics) == ((), (), ())
    assert (dict(INVARIANTS), dict(STATISTICS), dict(INSTRUMENTS)) == before


def test_without_plugins_nothing_but_the_instruments_is_imported() -> None:
    code = (
        "import sys\nfrom tollens.run.plugins import installed\ninstalled()\n"
        "print([m for m in sys.modules if m.startswith(('tollens.lint', 'tollens.stats.beta'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_second_plugin_of_one_name_or_module_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "plug_a.py").write_text(source("twist", "twist_angle"))
    (tmp_path / "plug_b.py").write_text(source("bend", "bend_angle"))
    pairs = [("one", "plug_a"), ("one", "plug_b"), ("two", "plug_a")]
    points = [EntryPoint(name, module, GROUP) for name, module in pairs]
    errors = [(r.name, r.module, r.error) for r in load_plugins(points)]
    assert errors[0] == ("one", "plug_a", None)
    assert all("one of module plug_a" in str(error) for _, _, error in errors[1:])


@pytest.mark.parametrize(
    "value", [float("nan"), [1.0, float("inf")], np.float32(1.5), {"a": np.float64("nan")}, {1, 2}]
)
def test_values_that_json_cannot_hold_are_refused(value: object) -> None:
    class Loose:  # a Reading refuses most of these itself; what slips through must not reach a report
        quantity, status = "q", Status.OK

    loose = Loose()
    loose.value = value  # type: ignore[attr-defined]
    with pytest.raises((ValueError, TypeError)):
        plain(loose)  # type: ignore[arg-type]


def test_plain_values_pass_unchanged() -> None:
    found: Reading = reading("q", [{"a": 1, "b": 2.5}])
    assert plain(found) == found


def install(folder: Path, name: str, text: str) -> None:
    """What pip would leave behind: a module and a dist-info folder with an entry point."""
    (folder / f"{name}.py").write_text(text)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {name}\n")


def scan(site: Path, checkpoint: Path, *options: str) -> tuple[int, dict[str, object]]:
    command = [sys.executable, "-m", "tollens.cli.main", "scan", str(checkpoint), "--json", "--quiet", *options]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_installed_plugin_is_scanned_and_claimed(tmp_path: Path, jobs: str) -> None:
    """The reading is the number of non-zero elements; one layer has 16 * 24 - 24 of them, the other all."""
    site = tmp_path / "site"
    site.mkdir()
    body = (
        "if part.name == 'b.weight':\n        return [reading('nonzeros', Undefined('zero_matrix'))]\n"
        "    return [reading('nonzeros', part.moments.nonzero)]"
    )
    install(site, "plug_count", source("counter", "nonzeros", "count", body))
    install(site, "plug_import", "raise RuntimeError('no licence')")
    install(site, "plug_late", source("late", "lateness", "s", "raise ZeroDivisionError('late')"))
    install(site, "plug_write", source("writer", "written", "1", "part.spectrum.eigenvalues[:] = 0"))
    rng = np.random.default_rng(5)
    weights = {n: rng.standard_normal((16, 24)).astype(np.float32) for n in ("a.weight", "b.weight")}
    weights["a.weight"][0] = 0.0
    save_file(weights, tmp_path / "w.safetensors")

    code, report = scan(site, tmp_path / "w.safetensors", "--jobs", jobs, "--claim", "all(nonzeros > 400)")
    layers = {layer["name"]: layer for layer in report["layers"]}  # type: ignore[attr-defined]
    assert layers["a.weight"]["plugins"] == {"nonzeros": 360}
    assert layers["b.weight"]["plugins"] == {}
    for found in layers.values():
        assert found["undefined"]["lateness"] == found["undefined"]["written"] == "plugin_failed"
        assert found["lambda_max"] > 0.0
    assert layers["b.weight"]["undefined"]["nonzeros"] == "zero_matrix"
    notes = {note["code"]: note for note in report["notes"]}  # type: ignore[attr-defined]
    assert "plug_import" in notes["plugin_skipped"]["sentence"]
    assert "no licence" in notes["plugin_skipped"]["sentence"]
    assert len(notes["plugin_failed"]["layers"]) == 2
    assert code == 10
    assert report["claim"]["witness"]["layer"] == "a.weight"  # type: ignore[index]
    assert report["findings"] == []  # a plugin's word does not make a layer dead


def test_without_plugins_the_group_is_empty() -> None:
    assert plugins.installed() == ()
