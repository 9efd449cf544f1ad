"""Kinds of rung on real files: arithmetic, weights, and one that a plugin brings."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tollens import demo
from tollens.core.errors import TollensError
from tollens.protocol.rung import RUNGS
from tollens.run import plugins
from tollens.run.climb import climb, plan
from tollens.run.lock import lock
from tollens.run.new import new
from tollens.run.plugins import GROUP, load_plugins

WEIGHTS = """
[claim]
id = "{id}"
text = "{id}"
quantity = "stable_rank"
subject = "model"
aggregate = "max over layer, seed"
relation = "<="
value = "{value}"
unit = "count"
direction = "lower_is_better"
support = [1, 192]
[rules]
finding = "max(stable_rank) <= {value}"
kill = "any(stable_rank > {kill})"
[metric]
instrument = "norms"
checkpoint = "model.safetensors"
layers = "layers.*"
seeds = [1]
axes = {{ layer = 3, seed = 1 }}
[null]
generator = "gaussian"
draws = 19
order = "min"
level = "0.05"
statistic = "stable_rank"
[[rung]]
id = "weights"
kind = "weights"
kill_probability = {{ value = 0.5 }}
[stopping]
rule = "fixed_n"
[reducer]
order = ["layer", "seed"]
"""


def weights_study(folder: Path, value: float, kill: float) -> Path:
    folder.mkdir()
    shutil.copyfile(demo.path("good.safetensors"), folder / "model.safetensors")
    (folder / "claim.toml").write_text(WEIGHTS.format(id=folder.name, value=value, kill=kill))
    return folder


def test_a_true_claim_about_weights_survives_its_built_in_controls(tmp_path: Path) -> None:
    """The trained matrices have stable ranks of 25 to 36; noise of their shapes has 27 to 49."""
    folder = weights_study(tmp_path / "compact", 38, 44)
    lock(folder)
    made = climb(folder)
    assert made.verdict == "SURVIVED", made.found
    assert {(t.arm, t.must, t.fired) for t in made.traps} == {("identity", "survive", True), ("permuted", "die", True)}
    assert made.null is not None
    assert made.null.p == pytest.approx(1 / 20)
    assert made.rungs[0].requests <= made.rungs[0].requests_of == 3 + 1 + 3 + 57


def test_a_false_claim_about_weights_dies_at_its_first_matrix(tmp_path: Path) -> None:
    folder = weights_study(tmp_path / "too-compact", 20, 22)
    lock(folder)
    made = climb(folder)
    assert (made.verdict, made.rung, made.rungs[0].cells) == ("KILLED", "weights", 1)
    assert made.unspent


def test_the_price_comes_from_shapes(tmp_path: Path) -> None:
    folder = weights_study(tmp_path / "priced", 38, 44)
    price = plan(folder).rungs[0]
    assert price.priced_by == "the largest matrix, 192x192"
    assert price.seconds == pytest.approx(price.requests * price.seconds_each)


@pytest.mark.parametrize(
    ("old", "new_", "code"),
    [
        ("layer = 3", "layer = 4", "study_field"),
        ('quantity = "stable_rank"', 'quantity = "stable_rang"', "claim_unknown_name"),
        ('unit = "count"', 'unit = "weight"', "claim_unit_mismatch"),
        ('generator = "gaussian"', 'generator = "noise"', "study_field"),
        ('instrument = "norms"', 'instrument = "tail"', "study_field"),
        ('kind = "weights"', 'kind = "cpu"', "study_field"),
        ('kind = "weights"', 'kind = "quantum"', "unknown_rung"),
        ('checkpoint = "model.safetensors"', 'checkpoint = "../model.safetensors"', "path_outside"),
        ('checkpoint = "model.safetensors"', 'checkpoint = "gone.safetensors"', "data_unreadable"),
    ],
)
def test_what_an_instrument_cannot_read_refuses_the_seal(tmp_path: Path, old: str, new_: str, code: str) -> None:
    folder = weights_study(tmp_path / "wrong", 38, 44)
    text = (folder / "claim.toml").read_text()
    assert old in text
    (folder / "claim.toml").write_text(text.replace(old, new_, 1))
    with pytest.raises(TollensError) as caught:
        lock(folder)
    assert (caught.value.code, caught.value.exit_code) == (code, 3)


PLUGIN = """
from contextlib import contextmanager
from tollens.protocol.rung import VIOLATIONS, Measured, Request, RungKind, rung_kind
from tollens.protocol.study import Trap

@contextmanager
def opened(opening):
    limit = opening.rung.settings["limit"]
    text = opening.registration.study.claim.text
    def measure(arm, cell):
        length = {"long": limit + 1, "short": limit}.get(arm.name, len(text))
        return Measured({VIOLATIONS: int(length > limit)}, f"{length} characters, at most {limit}")
    yield measure

rung_kind(RungKind(
    name="brevity", version="1", judges="itself", open=opened, request=lambda opening: Request(0.0, "a length"),
    traps=(Trap(arm="long", must="die"), Trap(arm="short", must="survive")), arms=frozenset({"long", "short"}),
))
"""


@pytest.fixture
def brevity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    plugins.import_ours()
    before = dict(RUNGS)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "plug_brevity.py").write_text(PLUGIN)
    (report,) = load_plugins([EntryPoint("brevity", "plug_brevity", GROUP)])
    assert (report.rungs, report.error) == (("brevity",), None)
    yield
    RUNGS.clear()
    RUNGS.update(before)
    sys.modules.pop("plug_brevity", None)


RUNG = """
[[rung]]
id = "brevity"
kind = "brevity"
kill_probability = {{ value = 0.9 }}
settings = {{ limit = {limit} }}
"""


@pytest.mark.usefixtures("brevity")
@pytest.mark.parametrize(("limit", "verdict", "rung"), [(20, "KILLED", "brevity"), (200, "SURVIVED", "accuracy")])
def test_a_plugin_brings_a_rung_and_is_climbed_in_its_place(
    tmp_path: Path, limit: int, verdict: str, rung: str
) -> None:
    new(tmp_path / "claim")
    path = tmp_path / "claim" / "claim.toml"
    text = path.read_text().replace("seeds = [1, 2, 3]", "seeds = [1]").replace("seed = 3 }", "seed = 1 }")
    path.write_text(text + RUNG.format(limit=limit))
    lock(tmp_path / "claim")
    made = climb(tmp_path / "claim")
    assert (made.verdict, made.rung) == (verdict, rung)
    assert made.rungs[0].id == "brevity"  # free and likely to kill: it goes first
    assert json.loads((tmp_path / "claim" / "trap_results.json").read_text())["traps"][0]["arm"] == "short"


def test_a_rung_that_judges_itself_without_both_controls_is_no_rung(tmp_path: Path) -> None:
    plugins.import_ours()
    (tmp_path / "plug_lenient.py").write_text(
        PLUGIN.replace('Trap(arm="long", must="die")', 'Trap(arm="long", must="survive")')
    )
    sys.path.insert(0, str(tmp_path))
    try:
        (report,) = load_plugins([EntryPoint("lenient", "plug_lenient", GROUP)])
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("plug_lenient", None)
    assert "brings no trap of each fate" in str(report.error)
    assert "brevity" not in RUNGS
