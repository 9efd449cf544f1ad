"""The diff end to end on small checkpoints: what changed, what is rounding, who is kin, what has no partner."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import ml_dtypes
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

import tollens
from tollens.core.codes import CODES
from tollens.core.errors import TollensError
from tollens.instrument.spectrum import spectrum_of
from tollens.pool.local import processes
from tollens.run.diff import diff
from tollens.run.diff_result import DiffReport, LayerDelta, TensorDelta
from tollens.run.diff_settings import DiffSettings
from tollens.run.settings import ScanSettings

Array = NDArray[Any]
Tensors = Mapping[str, Array]
Diffed = Callable[..., DiffReport]
BF16 = ml_dtypes.bfloat16
FAST = DiffSettings(draws=199)


def gaussian(rows: int, cols: int, seed: int = 0, scale: float = 0.05) -> Array:
    return (np.random.default_rng(seed).standard_normal((rows, cols)) * scale).astype(np.float32)


def network(seed: int, dtype: Any = np.float32) -> dict[str, Array]:
    """Four matrices of two shapes, a norm and a bias."""
    made = {f"layers.{i}.up.weight": gaussian(96, 64, 10 * seed + i) for i in range(2)}
    made |= {f"layers.{i}.down.weight": gaussian(64, 96, 10 * seed + 5 + i) for i in range(2)}
    made |= {"norm.weight": 1.0 + gaussian(1, 64, 10 * seed + 8)[0], "up.bias": gaussian(1, 96, 10 * seed + 9)[0]}
    return {name: w.astype(dtype) for name, w in made.items()}


def moved(base: Tensors, name: str, by: Array) -> dict[str, Array]:
    changed = base[name].astype(np.float32) + by.astype(np.float32)
    return {**base, name: changed.astype(base[name].dtype)}


@pytest.fixture
def diffed(tmp_path: Path) -> Diffed:
    def run(base: Tensors, derived: Tensors, settings: DiffSettings = FAST, **options: Any) -> DiffReport:
        for name, tensors in (("base", base), ("derived", derived)):
            save_file(dict(tensors), tmp_path / f"{name}.safetensors")
        return diff(tmp_path / "base.safetensors", tmp_path / "derived.safetensors", settings, **options)

    return run


def layer(report: DiffReport, name: str) -> LayerDelta:
    [found] = [one for one in report.layers if one.name == name]
    return found


def other(report: DiffReport, name: str) -> TensorDelta:
    [found] = [one for one in report.others if one.name == name]
    return found


def states(report: DiffReport) -> dict[str, str]:
    return {one.name: one.state for one in (*report.layers, *report.others)}


def test_the_same_network_twice(diffed: Diffed) -> None:
    report = diffed(network(1), network(1))
    assert report.verdict == "IDENTICAL"
    assert set(states(report).values()) == {"identical"}
    assert report.witness is None
    assert report.kinship.answer == "yes"
    assert report.summary["states"] == {"identical": 4, "rounded": 0, "moved": 0, "unknown": 0}
    assert report.base.digest == report.derived.digest
    assert all(one.equal_share == 1.0 and one.relative_change == 0.0 and one.fro2 == 0.0 for one in report.layers)


def test_one_low_rank_step_is_found_where_it_was_made(diffed: Diffed) -> None:
    base, name = network(1), "layers.1.up.weight"
    step = np.outer(gaussian(96, 1, 50), gaussian(1, 64, 51)) * 2.0
    report = diffed(base, moved(base, name, step))
    assert (report.verdict, report.witness, report.layers[0].name) == ("MOVED", name, name)
    found = layer(report, name)
    delta = base[name].astype(np.float32) + step.astype(np.float32) - base[name]
    assert found.fro2 == pytest.approx(float((delta**2).sum()), rel=1e-5)
    assert found.relative_change == pytest.approx(float(np.linalg.norm(delta) / np.linalg.norm(base[name])), rel=1e-5)
    assert found.stable_rank == pytest.approx(1.0, abs=1e-3)
    assert found.top is not None
    assert found.top[0] == pytest.approx(float(np.linalg.norm(delta, 2)), rel=1e-5)
    assert found.shuffled is not None
    assert found.shuffled.above == 1
    assert [one.state for one in report.layers[1:]] == ["identical"] * 3
    assert "1 of 4 matrices moved, 3 identical" in report.headline


@pytest.mark.parametrize(("first", "second"), [(BF16, np.float16), (np.float16, BF16)])
def test_a_cast_between_the_two_sixteen_bit_types_is_rounding(diffed: Diffed, first: Any, second: Any) -> None:
    """Neither type holds the other. Elements below 2^-16 lose digits on the way to float16, which ends at 2^-24, though
    bfloat16 is the coarser of the two elsewhere.
    """
    base = {
        "layers.0.up.weight": gaussian(96, 64, 1, 2.0**-16).astype(first),
        "up.bias": gaussian(1, 96, 2, 2.0**-16)[0].astype(first),
    }
    cast = {name: w.astype(np.float32).astype(second) for name, w in base.items()}
    for report in (diffed(base, cast), diffed(cast, base)):
        assert [report.layers[0].state, report.others[0].state, report.verdict] == ["rounded", "rounded", "ROUNDED"]
    name = "F16" if second is np.float16 else "BF16"
    assert f"rounded to {name}, every element" in diffed(base, cast).layers[0].sentence


@pytest.mark.parametrize("stored", [np.float32, np.float16])
def test_a_cast_is_seen_whatever_it_was_stored_in_afterwards(diffed: Diffed, stored: Any) -> None:
    """float32 weights that went through bfloat16 and were written as float32 again, or as float16."""
    base = network(0)
    through = {name: w.astype(BF16).astype(np.float32).astype(stored) for name, w in base.items()}
    report = diffed(base, through)
    assert report.verdict == "ROUNDED"
    assert {one.sentence for one in [*report.layers, *report.others]} == {
        "a cast: DERIVED is BASE rounded to BF16, every element"
    }
    through["layers.0.up.weight"][50, 5] *= 1.5
    assert layer(diffed(base, through), "layers.0.up.weight").state == "moved"


def test_small_weights_that_were_wiped_are_no_cast(diffed: Diffed) -> None:
    """float16 would round 1e-9 to zero, and yet zeros in a float32 file did not pass through it."""
    tiny = {name: w * np.float32(1e-8) for name, w in network(0).items()}
    report = diffed(tiny, {name: np.zeros_like(w) for name, w in tiny.items()})
    assert {one.state for one in [*report.layers, *report.others] if one.name != "norm.weight"} == {"moved"}


def test_what_the_arithmetic_cannot_see_does_not_stand_above_rounding(diffed: Diffed) -> None:
    """A change of rank 4 to a float32 checkpoint: the other 60 eigenvalues of Delta'Delta are rounding of the Gram
    matrix, 1e-7 of the largest, where the edge of float32 is 1e-13 of it.
    """
    base = network(0)
    factors = gaussian(96, 4, 41).astype(np.float64) @ gaussian(4, 64, 42).astype(np.float64)
    changed = moved(base, "layers.0.up.weight", 10.0 * factors)
    found = layer(diffed(base, changed), "layers.0.up.weight")
    assert found.floor is not None
    assert found.floor.above == 4
    assert (found.blind_floor or 0.0) > found.floor.edge
    assert "; at least 4 directions above rounding" in found.sentence
    exact = layer(diffed(base, changed, DiffSettings(draws=9, precision="f64")), "layers.0.up.weight")
    assert exact.floor is not None
    assert exact.floor.above == 4


def test_a_bf16_fine_tune_stands_above_its_rounding(diffed: Diffed) -> None:
    base, name = network(1, BF16), "layers.0.up.weight"
    step = np.outer(gaussian(96, 1, 50), gaussian(1, 64, 51)) * 3.0
    found = layer(diffed(base, moved(base, name, step)), name)
    assert found.floor is not None
    assert (found.state, found.floor.dtype, found.floor.above) == ("moved", "BF16", 1)
    assert found.floor.energy_above > 0.99
    assert found.rank_delta == 1
    assert found.base_dtype == "BF16"


def test_flips_by_one_step_are_rounding(diffed: Diffed) -> None:
    """One element in fifty moves to the next number of bf16, up or down: what another order of a sum does."""
    base, name = network(1, BF16), "layers.0.up.weight"
    rng = np.random.default_rng(3)
    bits = base[name].view(np.int16).copy()
    bits += (rng.random(bits.shape) < 0.02) * rng.choice([-1, 1], bits.shape).astype(np.int16)
    report = diffed(base, {**base, name: bits.view(BF16)})
    found = layer(report, name)
    assert (report.verdict, found.state) == ("ROUNDED", "rounded")
    assert found.max_ulps == 1.0
    assert found.changed_share == pytest.approx(0.02, abs=0.01)
    assert found.undefined["overlap_left"] == "only_rounding"


def test_one_small_element_moved_by_many_steps_is_not(diffed: Diffed) -> None:
    """Far below the edge of rounding, which the large elements set, and yet no rounding moves an element so far."""
    base, name = network(1, BF16), "layers.0.up.weight"
    base[name][3, 4] = 1e-5
    derived = {**base, name: base[name].copy()}
    derived[name][3, 4] = 2e-5
    found = layer(diffed(base, derived), name)
    assert found.floor is not None
    assert found.floor.above == 0
    assert found.max_ulps is not None
    assert found.max_ulps > 10.0
    assert found.state == "moved"


def test_all_elements_flipped_by_one_step_are_not(diffed: Diffed) -> None:
    """Nothing moved by more than a step, but so many did that no rounding makes it: the guard behind `rounded`."""
    base, name = network(1, BF16), "layers.0.up.weight"
    bits = base[name].view(np.int16) + np.random.default_rng(3).choice([-1, 1], (96, 64)).astype(np.int16)
    found = layer(diffed(base, {**base, name: bits.astype(np.int16).view(BF16)}), name)
    assert found.max_ulps == 1.0
    assert found.floor is not None
    assert found.floor.above > 0
    assert found.state == "moved"


@pytest.mark.parametrize("kind", [BF16, np.float16, ml_dtypes.float8_e4m3fn])
def test_a_cast_is_called_one(diffed: Diffed, kind: Any) -> None:
    base = network(1)
    report = diffed(base, {name: w.astype(kind) for name, w in base.items()})
    assert report.verdict == "ROUNDED"
    assert all(one.state == "rounded" and "a cast" in one.sentence for one in (*report.layers, *report.others))
    assert report.summary["casts"] == 4
    back = diffed({name: w.astype(kind) for name, w in base.items()}, base)
    assert back.verdict == "ROUNDED"
    assert "BASE is DERIVED rounded" in back.layers[0].sentence


def test_one_element_off_is_no_cast(diffed: Diffed) -> None:
    base = network(1)
    derived = {name: w.astype(BF16) for name, w in base.items()}
    derived["layers.0.up.weight"][3, 4] *= 4
    found = layer(diffed(base, derived), "layers.0.up.weight")
    assert "a cast" not in found.sentence
    assert found.state == "moved"


def test_a_cast_to_more_digits_loses_nothing(diffed: Diffed) -> None:
    base = network(1, BF16)
    report = diffed(base, {name: w.astype(np.float32) for name, w in base.items()})
    assert report.verdict == "ROUNDED"
    assert "lost nothing" in report.layers[0].sentence


def test_float64_keeps_its_digits(diffed: Diffed) -> None:
    base, name = network(1, np.float64), "layers.0.up.weight"
    derived = {**base, name: base[name] + 1e-12 * gaussian(96, 64, 9)}
    found = layer(diffed(base, derived), name)
    assert found.state == "moved"
    assert found.fro2 == pytest.approx(float(((derived[name] - base[name]) ** 2).sum()), rel=1e-6)


def test_norms_and_biases_are_compared(diffed: Diffed) -> None:
    base = network(1)
    report = diffed(base, {**base, "norm.weight": base["norm.weight"] * np.float32(1.5)})
    assert report.verdict == "MOVED"
    assert other(report, "norm.weight").relative_change == pytest.approx(0.5)
    assert other(report, "up.bias").state == "identical"
    assert report.summary["other_states"] == {"identical": 1, "rounded": 0, "moved": 1, "unknown": 0}


KIN = {
    "fine-tune": lambda b: moved(b, "layers.0.up.weight", np.outer(gaussian(96, 1, 60), gaussian(1, 64, 61))),
    "cast": lambda b: {name: w.astype(BF16) for name, w in b.items()},
    "pruned": lambda b: {name: np.where(np.abs(w) > 0.03, w, 0).astype(np.float32) for name, w in b.items()},
    "merged": lambda b: {name: ((w + network(2)[name]) / 2).astype(np.float32) for name, w in b.items()},
}


@pytest.mark.parametrize("name", KIN)
def test_kin(diffed: Diffed, name: str) -> None:
    base = network(1)
    report = diffed(base, KIN[name](base), DiffSettings(draws=199, expect="related"))
    assert report.kinship.answer == "yes"
    assert report.verdict == "SURVIVED"


def test_two_seeds_are_no_kin(diffed: Diffed) -> None:
    """Two random networks that share a mean: what every network of a recipe does."""
    shared = {name: w + np.float32(0.1) for name, w in network(1).items()}
    report = diffed(
        shared, {name: w + np.float32(0.1) for name, w in network(2).items()}, DiffSettings(expect="related")
    )
    assert report.kinship.answer == "no"
    assert report.verdict == "KILLED"
    assert report.layers[0].cosine is not None
    assert report.layers[0].cosine > 0.5  # which the means alone make
    assert "no trace" in report.headline


def test_two_networks_that_began_as_an_identity_leave_kinship_open(diffed: Diffed) -> None:
    """Trained each on its own: independent noise on the same diagonal, which is above every order of the rows."""
    base, derived = (
        {f"layers.{i}.weight": np.eye(96, dtype=np.float32) + gaussian(96, 96, 80 + 10 * side + i) for i in range(4)}
        for side in range(2)
    )
    report = diffed(base, derived, DiffSettings(draws=199, expect="related"))
    assert report.kinship.above == 4
    assert (report.kinship.answer, report.verdict) == ("undetermined", "UNDETERMINED")
    tuned = {name: w + 0.1 * gaussian(96, 96, 99) for name, w in base.items()}
    assert diffed(base, tuned, DiffSettings(draws=199)).kinship.answer == "yes"  # the noise is the same too


def test_neurons_in_another_order_are_found_by_their_norms(diffed: Diffed) -> None:
    """A hidden layer permuted in both of its matrices computes the same function."""
    base = network(1)
    order = np.random.default_rng(0).permutation(96)
    derived = dict(base)
    for i in range(2):
        derived[f"layers.{i}.up.weight"] = base[f"layers.{i}.up.weight"][order]
        derived[f"layers.{i}.down.weight"] = np.ascontiguousarray(base[f"layers.{i}.down.weight"][:, order])
    report = diffed(base, derived, DiffSettings(expect="related"))
    assert report.kinship.answer == "permuted"
    assert report.verdict == "SURVIVED"
    assert report.kinship.permuted_layers == 4


def test_small_matrices_leave_kinship_open(diffed: Diffed) -> None:
    base = {"w": gaussian(8, 8)}
    report = diffed(base, {"w": gaussian(8, 8, 1)}, DiffSettings(expect="related"))
    assert report.verdict == "UNDETERMINED"
    assert report.kinship.settle is not None
    assert report.layers[0].undefined["kinship"] == "too_small"


def test_embeddings_are_compared_and_not_asked_for_kinship(diffed: Diffed) -> None:
    """Rows of an embedding mean one token each, in whatever network."""
    base = {"model.embed_tokens.weight": gaussian(200, 64), "lm_head.weight": gaussian(200, 64, 1)}
    base |= {f"model.layers.0.self_attn.{p}_proj.weight": gaussian(64, 64, i) for i, p in enumerate("qkvo")}
    report = diffed(base, base)
    embedding = layer(report, "model.embed_tokens.weight").kinship
    assert embedding is not None
    assert embedding.above
    assert not embedding.tested
    assert report.kinship.layers == 4


def test_what_has_no_partner_is_listed_and_nothing_is_broadcast(diffed: Diffed) -> None:
    base = {
        **network(1),
        "only.weight": gaussian(40, 40),
        "grown.weight": gaussian(40, 40),
        "row.weight": gaussian(1, 40),
    }
    derived = {
        **network(1),
        "new.weight": gaussian(40, 40),
        "grown.weight": gaussian(48, 40),
        "row.weight": gaussian(40, 1),
    }
    report = diffed(base, derived)
    listed = {u.name: (u.reason, u.base_shape, u.derived_shape) for u in report.unmatched}
    assert listed == {
        "only.weight": ("only_in_base", [40, 40], None),
        "new.weight": ("only_in_derived", None, [40, 40]),
        "grown.weight": ("shape_differs", [40, 40], [48, 40]),
        "row.weight": ("shape_differs", [1, 40], [40, 1]),
    }
    assert report.verdict == "IDENTICAL"
    assert "4 tensors without a partner" in report.headline


@pytest.mark.parametrize("prefix", ["model.", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("side", ["base", "derived"])
def test_a_prefix_is_left_out_and_said(diffed: Diffed, prefix: str, side: str) -> None:
    plain, wrapped = network(1), {prefix + name: w for name, w in network(1).items()}
    report = diffed(wrapped, plain) if side == "base" else diffed(plain, wrapped)
    assert report.unmatched == []
    assert report.renamed is not None
    assert (report.renamed.base_prefix, report.renamed.derived_prefix) == (
        (prefix, "") if side == "base" else ("", prefix)
    )
    assert report.renamed.gained == 6
    assert [n.code for n in report.notes] == ["prefix_left_out"]
    assert report.layers[0].derived_name != report.layers[0].name


def test_a_prefix_stays_where_names_would_no_longer_be_unique(diffed: Diffed) -> None:
    w = gaussian(40, 40)
    report = diffed({"a.weight": w, "b.weight": w}, {"model.a.weight": w, "a.weight": w, "model.b.weight": w})
    assert report.renamed is None
    assert {u.name for u in report.unmatched} == {"b.weight", "model.a.weight", "model.b.weight"}


def test_a_prefix_stays_where_nothing_is_gained(diffed: Diffed) -> None:
    base = {"model.a.weight": gaussian(40, 40)}
    assert diffed(base, base).renamed is None


@pytest.mark.parametrize(
    ("expect", "change", "verdict"),
    [
        ("identical", None, "SURVIVED"),
        ("identical", "cast", "KILLED"),
        ("identical", "step", "KILLED"),
        ("rounded", None, "SURVIVED"),
        ("rounded", "cast", "SURVIVED"),
        ("rounded", "step", "KILLED"),
        ("rounded", "missing", "KILLED"),
        ("identical", "missing buffer", "SURVIVED"),
        ("rounded", "nan", "UNDETERMINED"),
        ("identical", "nothing in common", "UNDETERMINED"),
    ],
)
def test_an_expectation_is_a_gate(diffed: Diffed, expect: Any, change: str | None, verdict: str) -> None:
    base = network(1)
    derived: dict[str, Array] = dict(base)
    if change == "cast":
        derived = {name: w.astype(BF16) for name, w in base.items()}
    elif change == "step":
        derived = moved(base, "layers.1.down.weight", gaussian(64, 96, 70))
    elif change == "missing":
        del derived["norm.weight"]
    elif change == "missing buffer":
        base = {**base, "position_ids": np.arange(9)}
    elif change == "nan":
        derived["layers.0.up.weight"] = np.full((96, 64), np.nan, np.float32)
    elif change == "nothing in common":
        derived, base = {"i": np.arange(3)}, {"i": np.arange(3)}
    report = diffed(base, derived, DiffSettings(draws=99, expect=expect))
    assert report.verdict == verdict
    assert isinstance(report.expectation, msgspec.Struct)
    if verdict == "KILLED":
        assert report.expectation.witness == {"step": "layers.1.down.weight", "missing": "norm.weight"}.get(
            change or "", report.expectation.witness
        )
        assert report.expectation.witness is not None
    assert (report.expectation.settle is not None) == (verdict == "UNDETERMINED")


def test_packed_weights_leave_an_expectation_open(diffed: Diffed) -> None:
    """Integers that hold weights are not compared, and must not pass as equal."""
    base = {**network(1), "q.qweight": np.arange(64, dtype=np.int32).reshape(8, 8)}
    report = diffed(base, {**base, "q.qweight": base["q.qweight"] + 1}, DiffSettings(draws=99, expect="identical"))
    assert report.verdict == "UNDETERMINED"


def test_only_the_chosen_layers(diffed: Diffed) -> None:
    base = network(1)
    report = diffed(base, base, DiffSettings(draws=99, layers="*.up.weight"))
    assert {one.name for one in report.layers} == {"layers.0.up.weight", "layers.1.up.weight"}
    assert report.others == []
    with pytest.raises(TollensError) as caught:
        diffed(base, base, DiffSettings(layers="nothing*"))
    assert caught.value.code == "no_such_layer"


def test_overlap_tells_growth_along_old_directions_from_new_ones(diffed: Diffed) -> None:
    rng = np.random.default_rng(0)
    u, v = np.linalg.qr(rng.standard_normal((96, 96)))[0], np.linalg.qr(rng.standard_normal((64, 64)))[0]
    base = {"w": ((u[:, :64] * np.geomspace(10, 0.1, 64)) @ v.T).astype(np.float32)}
    along = {"w": base["w"] + ((u[:, :4] * 0.5) @ v[:, :4].T).astype(np.float32)}
    aside = {"w": base["w"] + ((u[:, 40:44] * 0.5) @ v[:, 40:44].T).astype(np.float32)}
    settings = DiffSettings(draws=99, rank=4)
    for derived, low, high in ((along, 0.99, 1.0), (aside, 0.0, 0.01)):
        found = layer(diffed(base, derived, settings), "w")
        for overlap, side in ((found.overlap_left, 96), (found.overlap_right, 64)):
            assert overlap is not None
            assert low <= overlap.value <= high
            assert overlap.side == side
            assert overlap.expected == pytest.approx(4 / side)
            assert overlap.null.low < overlap.null.median < overlap.null.high


def test_every_absent_value_has_an_explained_reason(diffed: Diffed) -> None:
    base = {**network(1), "tiny.weight": gaussian(2, 3), "zero.weight": np.zeros((40, 40), np.float32)}
    derived = {**moved(base, "layers.0.up.weight", gaussian(96, 64, 3)), "tiny.weight": gaussian(2, 3, 1)}
    derived["zero.weight"] = gaussian(40, 40)
    derived["layers.1.up.weight"] = np.where(np.eye(96, 64) == 1, np.inf, base["layers.1.up.weight"]).astype(np.float32)
    report = diffed(base, derived)
    for one in (*report.layers, *report.others):
        plain = msgspec.to_builtins(one)
        absent = {name for name, value in plain.items() if value is None}
        assert absent == set(one.undefined)
        assert set(one.undefined.values()) <= CODES.keys()
    assert layer(report, "layers.1.up.weight").nonfinite["derived"] == {"count": 64, "first_index": [0, 0]}
    assert layer(report, "zero.weight").undefined["relative_change"] == "zero_matrix"
    assert report.layers[0].state == "unknown"
    json.dumps(msgspec.to_builtins(report), allow_nan=False)


def test_workers_and_order_change_nothing(diffed: Diffed) -> None:
    base, derived = network(1), network(2)
    serial = diffed(base, derived)
    with processes(2) as map_fn:
        spread = diffed(base, derived, map_fn=map_fn)
    assert msgspec.json.encode(serial) == msgspec.json.encode(spread)


def test_progress_is_told_of_every_tensor(diffed: Diffed) -> None:
    seen: list[tuple[int, int, str]] = []
    diffed(network(1), network(2), progress=lambda *told: seen.append(told))
    assert [done for done, _, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert {total for _, total, _ in seen} == {6}


def test_it_is_public() -> None:
    assert tollens.diff is diff
    assert tollens.DiffSettings is DiffSettings


def test_the_spectrum_is_that_of_the_difference(diffed: Diffed) -> None:
    base, derived = network(1), network(2)
    name = "layers.0.up.weight"
    found = layer(diffed(base, derived), name)
    expected = spectrum_of(derived[name] - base[name])
    assert found.spectral2 == pytest.approx(expected.lambda_max)
    assert found.top == pytest.approx([math.sqrt(v) for v in expected.eigenvalues[::-1][:8]])
    assert found.histogram is not None
    assert sum(found.histogram.counts) == expected.visible.size


def test_unrelated_noise_has_no_arrangement(diffed: Diffed) -> None:
    """The difference of two Gaussian matrices is one more: nothing of it lies beyond its own shuffle."""
    report = diffed(network(1), network(2))
    assert [one.shuffled.above for one in report.layers if one.shuffled is not None] == [0, 0, 0, 0]


def test_a_sparse_change_is_held_against_its_own_permutations(diffed: Diffed) -> None:
    """Thirty large elements in random places have an edge of their own, far above that of their variance."""
    base, name = network(1), "layers.0.up.weight"
    rng = np.random.default_rng(5)
    step = np.zeros(96 * 64, np.float32)
    step[rng.permutation(step.size)[:30]] = 1.0
    found = layer(diffed(base, moved(base, name, step.reshape(96, 64))), name)
    assert found.shuffled is not None
    assert found.shuffled.draws > 0
    assert found.shuffled.above <= 1
    lined_up = np.zeros((96, 64), np.float32)
    lined_up[7, :30] = 1.0
    in_one_row = layer(diffed(base, moved(base, name, lined_up)), name)
    assert in_one_row.shuffled is not None
    assert in_one_row.shuffled.above == 1
    assert in_one_row.shuffled.energy_above > 0.99


def test_a_quantised_copy_has_no_grid_and_says_so(tmp_path: Path) -> None:
    """float16 against eight bits with a scale for every 32: all elements move by up to half of a step that the format
    hides, and the change has no arrangement.
    """
    w = gaussian(64, 96, scale=1.0)
    for name, kind in (("base", gguf.GGMLQuantizationType.F16), ("derived", gguf.GGMLQuantizationType.Q8_0)):
        writer = gguf.GGUFWriter(tmp_path / f"{name}.gguf", "llama")
        data = w.astype(np.float16) if name == "base" else gguf.quants.quantize(w, kind)
        writer.add_tensor("blk.0.ffn_up.weight", data, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    report = diff(tmp_path / "base.gguf", tmp_path / "derived.gguf")
    [found] = report.layers
    assert found.flags[0] == "dequantised:q8_0"
    assert (found.floor, found.undefined["floor"], found.undefined["max_ulps"]) == (
        None,
        "no_common_grid",
        "no_common_grid",
    )
    assert found.state == "moved"
    assert found.relative_change is not None
    assert 0.001 < found.relative_change < 0.01
    assert found.shuffled is not None
    assert found.shuffled.above == 0
    assert report.kinship.answer == "yes"
    assert "no_common_grid" in [n.code for n in report.notes]


def test_eight_bits_with_a_scale_have_no_grid(diffed: Diffed) -> None:
    """The steps of float8 are not those of the weights, which are multiplied by a stored factor."""
    w = gaussian(64, 64)
    codes = {
        "x.weight": (w / 0.01).astype(ml_dtypes.float8_e4m3fn),
        "x.weight_scale_inv": np.full((1,), 0.01, np.float32),
    }
    found = layer(diffed({"x.weight": w}, codes), "x.weight")
    assert "dequantised:fp8" in found.flags
    assert found.undefined["floor"] == "no_common_grid"
    assert found.relative_change is not None
    assert found.relative_change < 0.1


def test_each_matrix_has_the_digest_that_a_scan_gives_it(diffed: Diffed, tmp_path: Path) -> None:
    report = diffed(network(1), network(2))
    for side in ("base", "derived"):
        scanned = tollens.scan(tmp_path / f"{side}.safetensors", ScanSettings(only="tail"))
        expected = {one.name: one.digest for one in scanned.layers}
        assert {one.name: getattr(one, f"{side}_digest") for one in report.layers} == expected
        assert getattr(report, side).digest == scanned.subject.digest


def test_a_remote_side_has_the_digest_of_what_was_read(diffed: Diffed, tmp_path: Path) -> None:
    diffed(network(1), network(2))
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://tollens-diff/derived.safetensors", "wb") as file:
        file.write((tmp_path / "derived.safetensors").read_bytes())
    url = "memory://tollens-diff/derived.safetensors"
    report = diff(tmp_path / "base.safetensors", url, FAST)
    assert report.derived.digest.startswith("sha256-tensors:")
    assert report.derived.digest == tollens.scan(url, ScanSettings(only="tail")).subject.digest
    assert report.derived.path == url
    assert report.base.digest.startswith("sha256:")


def test_a_pair_whose_workers_died_is_named(diffed: Diffed) -> None:
    """A map that loses every task it is given: nothing passes for equal."""

    def losing(function: Any, tasks: Any, /, lost: Any = None) -> Any:
        return map(lost, tasks)

    report = diffed(network(1), network(1), DiffSettings(draws=99, expect="identical"), map_fn=losing)
    assert set(states(report).values()) == {"unknown"}
    assert report.verdict == "UNDETERMINED"
    assert [(n.code, len(n.layers)) for n in report.notes] == [("worker_died", 6)]
