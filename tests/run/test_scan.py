"""The scan end to end on small checkpoints: its contract, its findings and what must not change them."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tollens.core.codes import CODES
from tollens.core.errors import TollensError
from tollens.core.work import serial
from tollens.instrument.registry import INSTRUMENTS
from tollens.instrument.tail import TailFit
from tollens.instrument.traps import NONE
from tollens.pool.local import processes
from tollens.run import refusal
from tollens.run.cache import store
from tollens.run.certificate import Answer, Certificate
from tollens.run.layer import AFTER_TAIL, ShapeTask
from tollens.run.machine import this_machine
from tollens.run.result import LayerReport, ScanReport
from tollens.run.scan import scan
from tollens.run.settings import ScanSettings

Array = NDArray[Any]
FAST = ScanSettings(bootstrap=20, null_draws=20)
TABLE = {
    "M", "N", "Q", "role", "view", "source_dtype", "lambda_max", "lambda_min_visible", "blind_floor", "alpha",
    "alpha_interval", "sigma", "xmin", "n_tail", "D", "p_gof", "alternatives", "alpha_null", "fro2", "spectral2",
    "log10_fro2", "log10_spectral2", "log10_alpha_norm", "alpha_hat", "stable_rank", "entropy_rank",
    "participation_rank", "numerical_rank", "mp_sigma2", "mp_edge", "tw_edge", "n_outliers", "mp_distance",
    "traps_all", "traps_mean", "traps_entry", "traps_residual", "erg_count", "erg_gap", "seed", "shuffles",
    "permutation_id",
}  # fmt: skip


def gaussian(rows: int, cols: int, seed: int = 0, dtype: Any = np.float32) -> Array:
    return np.random.default_rng(seed).standard_normal((rows, cols)).astype(dtype)


def low_rank(rank: int, rows: int = 64, cols: int = 96, dtype: Any = np.float32) -> Array:
    rng = np.random.default_rng(3)
    return (rng.standard_normal((rows, rank)) @ rng.standard_normal((rank, cols))).astype(dtype)


def conditioned(smallest: float, dtype: Any = np.float32) -> Array:
    """64 x 96 with singular values falling evenly in decades from 1 to `smallest`."""
    left, right = np.linalg.qr(gaussian(64, 64, 1, float))[0], np.linalg.qr(gaussian(96, 64, 2, float))[0]
    return ((left * np.logspace(0, math.log10(smallest), 64)) @ right.T).astype(dtype)


def heavy(rows: int = 64, cols: int = 96) -> Array:
    return np.random.default_rng(5).standard_t(2.5, (rows, cols)).astype(np.float32)


@pytest.fixture
def scanned(tmp_path: Path) -> Callable[..., ScanReport]:
    def run(tensors: Mapping[str, Array] | Array, settings: ScanSettings = FAST, **options: Any) -> ScanReport:
        path = tmp_path / "m.safetensors"
        save_file(dict(tensors) if isinstance(tensors, Mapping) else {"w": tensors}, path)
        return scan(path, settings, **options)

    return run


def only_layer(report: ScanReport) -> LayerReport:
    [layer] = report.layers
    return layer


def found(report: ScanReport) -> list[tuple[str, str, str | None]]:
    return [(f.code, f.layer, f.cause) for f in report.findings]


def decoded(report: ScanReport) -> dict[str, Any]:
    def refuse(token: str) -> None:
        raise AssertionError(f"{token} in JSON")

    plain: dict[str, Any] = json.loads(msgspec.json.encode(report), parse_constant=refuse)
    return plain


def assert_finite(value: Any, where: str = "") -> None:
    """msgspec writes NaN as null, so the objects are searched and not the text."""
    if isinstance(value, float):
        assert math.isfinite(value), where
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        assert_finite(inner, f"{where}.{key}")


HOSTILE: dict[str, Array] = {
    "zero": np.zeros((16, 32), np.float32),
    "constant": np.full((16, 32), 0.1, np.float32),
    "nan": np.where(np.eye(16, 32) > 0, np.nan, 1.0).astype(np.float32),
    "inf": np.where(np.eye(16, 32) > 0, -np.inf, 1.0).astype(np.float32),
    "rank_one": low_rank(1, 16, 32),
    "rank_two": low_rank(2, 16, 32),
    "row": gaussian(1, 20),
    "column": gaussian(20, 1),
    "single": np.ones((1, 1), np.float32),
    "two": gaussian(2, 2),
    "orthogonal": np.linalg.qr(gaussian(16, 16, 0, float))[0].astype(np.float32),
    "identity": np.eye(16, dtype=np.float32),
    "subnormal": (gaussian(16, 32) * 1e-40).astype(np.float32),
    "largest": np.full((16, 32), np.finfo(np.float32).max, np.float32) * np.sign(gaussian(16, 32)),
    "huge": gaussian(16, 32, 0, np.float64) * 1e300,
    "tiny": gaussian(16, 32, 0, np.float64) * 1e-300,
    "one_element": np.eye(16, 32, dtype=np.float32) * (np.arange(16)[:, None] == 3),
    "signs": np.sign(gaussian(16, 32)),
    "heavy": heavy(16, 32) ** 5,
    "empty": np.zeros((0, 16), np.float32),
    "vector": gaussian(1, 16)[0],
}


def test_the_contract_of_the_json(scanned) -> None:
    offset = gaussian(64, 96) + np.float32(2.0)
    report = decoded(scanned({"a.weight": offset, "a.bias": gaussian(1, 8)[0]}, claim="all(stable_rank >= 1)"))
    assert report["schema"] == "tollens.scan/1"
    assert set(report["subject"]) == {"path", "digest", "format", "parameters", "tensors"}
    assert report["subject"]["parameters"] == 64 * 96 + 8
    assert report["subject"]["tensors"] == 2
    assert report["subject"]["digest"].startswith("sha256:")
    assert report["settings"] == msgspec.to_builtins(FAST)
    assert {"layers", "skipped", "summary", "verdict", "findings", "claim"} <= set(report)
    [layer] = report["layers"]
    assert {"name", "band", "undefined", "status", "sentence"} | TABLE <= set(layer)
    assert report["skipped"] == [{"name": "a.bias", "shape": [8], "dtype": "F32", "reason": "not_a_matrix"}]
    [finding] = report["findings"]
    assert set(finding) == {"code", "layer", "cause", "value", "null", "sentence"}
    assert (finding["code"], finding["layer"], finding["cause"]) == ("trap", "a.weight", "mean")
    assert "ww" not in layer


def test_no_field_is_null_without_a_reason_and_no_number_without_a_value(scanned) -> None:
    report = scanned(HOSTILE)
    plain = msgspec.to_builtins(report)
    assert_finite(plain)
    assert decoded(report) == plain  # what is written is what was measured: no NaN became null on the way
    assert {layer.name for layer in report.layers} == set(HOSTILE) - {"empty", "vector"}
    for layer in plain["layers"]:
        missing = {q for q in TABLE if layer[q] is None}
        assert missing <= set(layer["undefined"]), layer["name"]
        assert not {q for q in layer["undefined"] if layer.get(q) is not None}, layer["name"]
        assert set(layer["undefined"].values()) - {"absent"} <= set(CODES)
        assert "absent" not in layer["undefined"].values()
    assert [layer["status"] for layer in plain["layers"]].count("FAILED") == 4  # nan, inf, huge, tiny
    assert {s["name"]: s["reason"] for s in plain["skipped"]} == {"empty": "empty_tensor", "vector": "not_a_matrix"}


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_the_compatible_columns_hold_no_nan_either(scanned, precision: str) -> None:
    settings = msgspec.structs.replace(FAST, columns="weightwatcher", precision=precision, gof=20)
    report = scanned(HOSTILE, settings)
    plain = msgspec.to_builtins(report)
    assert_finite(plain)
    assert decoded(report) == plain
    fine = next(layer for layer in plain["layers"] if layer["name"] == "signs")
    assert {"alpha", "D", "xmin", "stable_rank", "norm"} <= set(fine["ww"])


@pytest.mark.parametrize(("bad", "at"), [(np.nan, (3, 5)), (np.inf, (0, 0)), (-np.inf, (63, 95))])
def test_nonfinite_weights(scanned, bad: float, at: tuple[int, int]) -> None:
    matrix = gaussian(64, 96)
    assert found(scanned(matrix)) == []
    matrix[at] = bad
    matrix[63, 95] = bad
    report = scanned({"a": gaussian(16, 32), "b": matrix})
    assert found(report) == [("nonfinite", "b", None)]
    broken = report.layers[0]
    assert (broken.name, broken.status) == ("b", "FAILED")
    assert broken.nonfinite == {"count": 1 if at == (63, 95) else 2, "first_index": list(at)}
    assert report.layers[1].status == "OK"  # the other went on
    assert report.findings[0].value == broken.nonfinite["count"]


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -3e-5])
@pytest.mark.parametrize("only", [None, "tail"])
def test_a_constant_matrix_is_dead_and_one_that_varies_in_one_element_is_not(scanned, value: float, only) -> None:
    settings = msgspec.structs.replace(FAST, only=only)
    matrix = np.full((64, 96), value, np.float32)
    assert found(scanned(matrix, settings)) == [("dead", "w", None)]
    matrix[5, 7] += np.float32(1.0)
    assert "dead" not in [code for code, _, _ in found(scanned(matrix, settings))]


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_rank_two_of_64_is_collapsed_and_full_rank_is_not(scanned, precision: str, dtype: Any) -> None:
    settings = msgspec.structs.replace(FAST, precision=precision)
    report = scanned(low_rank(2, dtype=dtype), settings)
    assert [code for code, _, _ in found(report)] == ["rank_collapsed"]
    rank = only_layer(report).numerical_rank
    assert rank is not None
    assert 2 <= rank <= (2 if dtype in (np.float32, np.float64) else 4)  # rounding to 8 or 11 bits adds a direction
    assert (report.findings[0].value, report.findings[0].null) == (float(rank), 64.0)
    assert found(scanned(gaussian(64, 96, dtype=dtype), settings)) == []


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize(("smallest", "dtype"), [(1e-4, np.float32), (1e-6, np.float32), (1e-7, np.float64)])
def test_an_ill_conditioned_matrix_of_full_rank_is_not_collapsed(scanned, precision, smallest, dtype) -> None:
    """The eigenvalues span twice the decades of the weights: 12 for 1e-6, of which f32 sees 6."""
    report = scanned(conditioned(smallest, dtype), msgspec.structs.replace(FAST, precision=precision))
    assert "rank_collapsed" not in [code for code, _, _ in found(report)]
    assert only_layer(report).numerical_rank == 64


def test_the_rank_boundary(scanned) -> None:
    assert [code for code, _, _ in found(scanned(low_rank(31)))] == ["rank_collapsed"]
    assert found(scanned(low_rank(32))) == []


def test_traps_by_cause_and_their_clean_twin(scanned) -> None:
    """In units of sigma an element stands out from (NM)^(1/4) = 8.9 on, a mean offset from 1/8.9 on."""
    clean, planted, shifted = (gaussian(64, 96, 11) for _ in range(3))
    planted[10, 20] = 3.0 * (64 * 96) ** 0.25
    shifted += np.float32(3.0 * (64 * 96) ** -0.25)
    report = scanned({"clean": clean, "entry": planted, "mean": shifted})
    assert found(report) == [("trap", "entry", "entry"), ("trap", "mean", "mean")]
    by_name = {layer.name: layer for layer in report.layers}
    assert by_name["clean"].traps_all == [0] * 5
    assert by_name["entry"].traps_entry == [1] * 5
    assert by_name["mean"].traps_mean == [1] * 5
    assert report.summary["causes"] == {"entry": 1, "mean": 1}
    assert (report.verdict, report.headline) == ("FINDINGS", "3 layers judged, 2 findings, 0 not judgeable")


def test_no_power_law_is_a_finding_only_of_a_claim_on_the_tail(scanned) -> None:
    matrix = gaussian(64, 96, 2)
    assert "no_power_law" in only_layer(scanned(matrix)).flags
    assert found(scanned(matrix)) == []
    assert found(scanned(matrix, claim="all(stable_rank > 0)")) == []
    assert found(scanned(matrix, claim="all(alpha > 0)")) == [("no_power_law", "w", None)]


def test_a_claim_gives_the_verdict_and_the_findings_stay(scanned) -> None:
    shifted = {"w": gaussian(64, 96) + np.float32(2.0)}
    report = scanned(shifted, claim="all(stable_rank >= 1)")
    assert (report.verdict, found(report)) == ("SURVIVED", [("trap", "w", "mean")])
    killed = scanned(shifted, claim="all(stable_rank >= 1000)")
    assert killed.verdict == "KILLED"
    assert not isinstance(killed.claim, msgspec.UnsetType)
    assert killed.claim.witness is not None
    assert killed.claim.witness.layer == "w"
    assert scanned({"w": gaussian(4, 4)}, claim="all(traps_all == 0)").verdict == "UNDETERMINED"


@pytest.mark.parametrize(
    ("tensors", "headline"),
    [
        ({"b": gaussian(1, 8)[0]}, "0 layers judged, 0 findings, 0 not judgeable"),
        (
            {"a": gaussian(4, 9), "b": gaussian(7, 9, 1)},
            "0 layers judged, 0 findings, 2 not judgeable (2 too_small)",
        ),
    ],
)
def test_nothing_judged_is_undetermined(scanned, tensors: dict[str, Array], headline: str) -> None:
    report = scanned(tensors)
    assert (report.verdict, report.headline) == ("UNDETERMINED", headline)


def test_clean_counts_what_was_too_small(scanned) -> None:
    report = scanned({"a": gaussian(64, 96), "b": gaussian(4, 9)})
    assert (report.verdict, report.headline) == ("CLEAN", "1 layer judged, 0 findings, 1 not judgeable (1 too_small)")


def by_name(report: ScanReport) -> dict[str, bytes]:
    """Each layer as JSON without its place in the file."""
    return {layer.name: msgspec.json.encode(msgspec.structs.replace(layer, order=0)) for layer in report.layers}


SEVERAL = {"a": gaussian(16, 32), "b": heavy(), "c": gaussian(64, 96, 4), "d": gaussian(32, 16) + np.float32(1)}


def test_neither_workers_nor_the_order_in_the_file_change_a_layer(scanned, tmp_path: Path) -> None:
    report = scanned(SEVERAL)
    with processes(2) as mapped:
        parallel = scan(tmp_path / "m.safetensors", FAST, map_fn=mapped)
    assert msgspec.json.encode(parallel) == msgspec.json.encode(report)
    # Names decide the order in a file, so another order takes another container.
    np.savez(tmp_path / "m.npz", **dict(reversed(SEVERAL.items())))
    turned = scan(tmp_path / "m.npz", FAST)
    assert [v.order for v in sorted(turned.layers, key=lambda v: v.name)] == [3, 2, 1, 0]
    plain = {name: json.loads(text) | {"source_dtype": ""} for name, text in by_name(turned).items()}
    assert plain == {name: json.loads(text) | {"source_dtype": ""} for name, text in by_name(report).items()}


def test_one_layer_alone_reads_as_it_does_among_others_but_for_the_level_of_its_edge(scanned) -> None:
    alone, among = only_layer(scanned({"b": SEVERAL["b"]})), scanned(SEVERAL)
    beside = next(layer for layer in among.layers if layer.name == "b")
    for field in ("alpha", "alpha_interval", "alpha_null", "stable_rank", "permutation_id", "mp_sigma2"):
        assert getattr(alone, field) == getattr(beside, field)


def test_another_seed_draws_anew_and_the_same_seed_repeats(scanned) -> None:
    first, again = scanned(SEVERAL), scanned(SEVERAL)
    assert by_name(first) == by_name(again)
    other = scanned(SEVERAL, msgspec.structs.replace(FAST, seed=1))
    a, b = (next(v for v in r.layers if v.name == "b") for r in (first, other))
    assert a.alpha == b.alpha
    assert a.alpha_interval != b.alpha_interval
    assert a.alpha_null != b.alpha_null
    assert a.permutation_id != b.permutation_id


@pytest.mark.parametrize("matrix", [heavy(), gaussian(64, 96), gaussian(96, 64, 8) + np.float32(0.5)])
def test_single_and_double_precision_agree(scanned, matrix: Array) -> None:
    single = only_layer(scanned(matrix))
    double = only_layer(scanned(matrix, msgspec.structs.replace(FAST, precision="f64")))
    assert (single.precision, double.precision) == ("f32", "f64")
    for field in ("fro2", "spectral2", "stable_rank", "entropy_rank", "participation_rank", "mp_sigma2"):
        assert getattr(single, field) == pytest.approx(getattr(double, field), rel=1e-5), field
    assert single.n_tail == double.n_tail  # the same start of the tail
    assert single.alpha == pytest.approx(double.alpha, abs=1e-3)


def test_only_tail_measures_the_tail_and_says_what_it_left_out(scanned) -> None:
    layer = only_layer(scanned(heavy(), msgspec.structs.replace(FAST, only="tail")))
    told = {"alpha", "sigma", "xmin", "n_tail", "D", "lambda_max", "lambda_min_visible", "blind_floor"}
    assert all(getattr(layer, field) is not None for field in told)
    left = TABLE - told - {"M", "N", "Q", "role", "view", "source_dtype", "seed", "shuffles"}
    assert {q: layer.undefined[q] for q in left} == dict.fromkeys(left, "not_requested")
    assert (layer.band, layer.null) == (None, {})
    full = only_layer(scanned(heavy()))
    assert (full.alpha, full.xmin, full.D) == (layer.alpha, layer.xmin, layer.D)
    assert full.shuffles == 5
    assert {"alpha", "stable_rank", "entropy_rank", "D", "n_tail", "spectral2", "fro2", "mp_distance"} <= set(full.null)


def test_draws_that_were_not_asked_for_are_named_so(scanned) -> None:
    layer = only_layer(scanned(heavy(), ScanSettings(bootstrap=0, null_draws=0)))
    assert layer.undefined["alpha_interval"] == layer.undefined["alpha_null"] == "not_requested"
    assert layer.band is None
    assert {name.partition("_")[0] for name in layer.null} <= {"traps"}  # no draws are needed to expect none


def test_a_null_band_holds_most_gaussian_matrices(scanned) -> None:
    report = scanned({f"w{i}": gaussian(32, 48, 100 + i) for i in range(10)}, ScanSettings(null_draws=100, bootstrap=0))
    for quantity in ("stable_rank", "entropy_rank", "fro2", "spectral2"):
        inside = sum(v.null[quantity].low <= getattr(v, quantity) <= v.null[quantity].high for v in report.layers)
        assert inside >= 6, quantity  # 10 draws at 0.9: fewer than 6 inside has a chance of 1.5e-4


def test_layers_are_chosen_by_pattern(scanned) -> None:
    chosen = scanned(SEVERAL, msgspec.structs.replace(FAST, layers="[bd]"))
    assert {layer.name for layer in chosen.layers} == {"b", "d"}
    with pytest.raises(TollensError) as caught:
        scanned(SEVERAL, msgspec.structs.replace(FAST, layers="x*"))
    assert caught.value.code == "no_such_layer"


def test_every_tensor_is_accounted_for(tmp_path: Path) -> None:
    tied = gaussian(32, 16)
    tensors = {
        "model.embed_tokens.weight": tied, "lm_head.weight": tied.copy(), "model.norm.weight": gaussian(1, 16)[0],
        "steps": np.arange(3), "model.layers.0.mlp.up_proj.weight": gaussian(32, 16, 1),
    }  # fmt: skip
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    report = scan(tmp_path, FAST)
    assert report.summary["tensors"] == {"in_file": 5, "analysed": 2, "skipped": 2, "aliased": 1}
    [alias] = report.aliased
    assert {alias.name, alias.analysed_as} == {"lm_head.weight", "model.embed_tokens.weight"}


SCALE_FREE = (
    "alpha", "alpha_interval", "alpha_null", "sigma", "n_tail", "D", "stable_rank", "entropy_rank",
    "participation_rank", "numerical_rank", "mp_distance", "n_outliers", "traps_all", "traps_mean", "traps_entry",
    "traps_residual", "erg_count", "erg_gap", "band", "flags", "permutation_id", "trap_removed_share",
    "trap_clustering_p", "Q", "null_distance", "sentence",
)  # fmt: skip


@pytest.mark.parametrize("matrix", [heavy(), gaussian(64, 96) + np.float32(1.0)])
@pytest.mark.parametrize("power", [-40, 3, 30])
def test_a_power_of_two_changes_no_reading_that_is_free_of_scale(scanned, matrix: Array, power: int) -> None:
    plain, scaled = only_layer(scanned(matrix)), only_layer(scanned(matrix * np.float32(2.0**power)))
    for field in SCALE_FREE:
        assert getattr(scaled, field) == getattr(plain, field), field
    assert scaled.lambda_max == plain.lambda_max * 4.0**power
    assert scaled.log10_fro2 == pytest.approx(plain.log10_fro2 + 2 * power * math.log10(2), abs=1e-12)


@pytest.mark.parametrize("scale", [1e150, 1e-150])
def test_huge_and_tiny_weights_are_measured(scanned, scale: float) -> None:
    plain = only_layer(scanned(gaussian(16, 32, 0, np.float64)))
    scaled = only_layer(scanned(gaussian(16, 32, 0, np.float64) * scale))
    assert (scaled.status, scaled.traps_all) == ("OK", plain.traps_all)
    assert scaled.stable_rank == pytest.approx(plain.stable_rank, rel=1e-12)


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_weights_whose_squares_leave_float64_fail_alone(scanned, scale: float) -> None:
    report = scanned({"a": gaussian(64, 96), "b": gaussian(16, 32, 0, np.float64) * scale})
    states = {layer.name: (layer.status, layer.undefined.get("alpha")) for layer in report.layers}
    assert states == {"a": ("OK", None), "b": ("FAILED", "scale_out_of_range")}
    assert report.headline == "1 layer judged, 0 findings, 1 not judgeable (1 scale_out_of_range)"


@pytest.mark.parametrize(("dtype", "name"), [(np.float16, "F16"), (ml_dtypes.bfloat16, "BF16"), (np.float64, "F64")])
def test_narrow_and_wide_types_read_as_the_numbers_they_hold(scanned, dtype: Any, name: str) -> None:
    narrow = gaussian(64, 96, 6).astype(dtype)
    layer, same = only_layer(scanned(narrow)), only_layer(scanned(narrow.astype(np.float32)))
    assert (layer.source_dtype, layer.precision) == (name, "f64" if name == "F64" else "f32")
    tolerance = 1e-5 if name == "F64" else 0.0
    assert layer.stable_rank == pytest.approx(same.stable_rank, rel=tolerance, abs=0.0)
    assert layer.alpha == pytest.approx(same.alpha, abs=1e-3 if tolerance else 0.0)


def test_progress_is_told_of_every_task(scanned) -> None:
    told: list[tuple[int, int, str]] = []
    scanned(SEVERAL, progress=lambda done, total, name: told.append((done, total, name)))
    assert [done for done, _, _ in told] == list(range(1, len(told) + 1))
    assert {total for _, total, _ in told} == {len(told)}
    assert {"a", "b", "c", "d", "null 64x96", "null 16x32"} == {name for _, _, name in told}


def test_the_worst_layer_stands_first(scanned) -> None:
    broken = gaussian(16, 32)
    broken[0, 0] = np.nan
    low = {"a": gaussian(64, 96), "b": low_rank(2), "c": gaussian(64, 96) + np.float32(2), "d": broken}
    assert [layer.name for layer in scanned(low).layers][:3] == ["d", "b", "c"]


@pytest.fixture
def uncertified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, and nothing asked before in this process."""
    monkeypatch.setenv("TOLLENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(refusal, "_asked", {})
    return tmp_path / "cache"


def keep(*answers: Answer) -> None:
    here = this_machine()
    store(
        Certificate(
            passed=all(a.passed for a in answers), headline="", machine=here, threads=1, started="2020-01-01T00:00:00Z",
            seconds=0.0, answers=list(answers),
        )
    )  # fmt: skip


def certified(*failing: str) -> list[Answer]:
    """An answer of every instrument, wrong for those named."""
    return [
        Answer(
            kind="instrument", name=name, title="a known answer", expected=1.0, got=2.0 if name in failing else 1.0,
            tolerance=0.1, passed=name not in failing, seconds=0.0, derivation="none",
        )
        for name in INSTRUMENTS
    ]  # fmt: skip


def spoil(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A wrong formula in a built-in instrument, wherever it is asked."""
    module, function, wrong = {
        "norms": ("norms", "numerical_rank", lambda *given: 1),
        "traps": ("traps", "count_shuffled", lambda *given: NONE),
        "tail": ("tail", "_tail_fit", lambda x, index, alpha, D: TailFit(9.0, 1.0, float(x[0]), 0, x.size, 0.0)),
    }[name]
    monkeypatch.setattr(importlib.import_module(f"tollens.instrument.{module}"), function, wrong)


@pytest.mark.parametrize(
    ("name", "quantity", "also"),
    [
        ("norms", "numerical_rank", "stable_rank"), ("traps", "traps_all", "traps_mean"), ("tail", "alpha", "erg_gap"),
        ("tail", "alpha", "alpha_hat"),
    ],
)  # fmt: skip
def test_an_instrument_whose_answers_fail_here_is_refused(
    scanned, uncertified: Path, monkeypatch: pytest.MonkeyPatch, name: str, quantity: str, also: str
) -> None:
    matrix = gaussian(64, 96) + np.float32(2.0)
    before = scanned(matrix)
    assert "answers_fail" not in {note.code for note in before.notes}
    monkeypatch.setattr(refusal, "_asked", {})
    spoil(monkeypatch, name)
    report = scanned(matrix)
    layer = only_layer(report)
    assert getattr(layer, quantity) is None
    assert layer.undefined[quantity] == layer.undefined[also] == "answers_fail"
    [note] = [n for n in report.notes if n.code == "answers_fail" and n.sentence.startswith(f"{name} was refused")]
    assert note.layers == ["w"]
    assert "is known to be" in note.sentence
    assert not uncertified.exists()  # a scan asks and writes nothing


def test_a_clean_verdict_is_not_given_on_a_refused_instrument(scanned, uncertified: Path) -> None:
    assert scanned(gaussian(64, 96)).verdict == "CLEAN"
    keep(*certified("traps"))
    report = scanned(gaussian(64, 96))
    assert report.verdict == "UNDETERMINED"
    assert report.summary["not_judgeable"] == {"answers_fail": 1}
    assert scanned(gaussian(64, 96), claim="all(traps_all == 0)").verdict == "UNDETERMINED"
    assert scanned(gaussian(64, 96), claim="all(stable_rank >= 1)").verdict == "SURVIVED"
    assert scanned(low_rank(5)).verdict == "FINDINGS"  # by the ranks, which hold


@pytest.mark.parametrize(
    ("name", "with_it"),
    [
        ("spectrum", {"spectrum", "tail", "norms", "alpha_norms", "erg", "bulk", "edge", "localisation"}),
        ("tail", {"tail", "alpha_norms", "erg"}), ("bulk", {"bulk", "edge", "localisation"}), ("edge", {"edge"}),
    ],
)  # fmt: skip
def test_what_rests_on_a_refused_instrument_is_refused_with_it(
    scanned, uncertified: Path, name: str, with_it: set[str]
) -> None:
    keep(*certified(name))
    report = scanned(heavy())
    refused = {note.sentence.partition(" ")[0] for note in report.notes if note.code == "answers_fail"}
    assert refused == with_it
    layer = only_layer(report)
    for instrument in with_it:
        assert {layer.undefined[quantity] for quantity in INSTRUMENTS[instrument].quantities} == {"answers_fail"}
    measured = [made for made in AFTER_TAIL if made.name not in {*with_it, "goodness", "alternatives"}]
    assert all(layer.undefined.get(q) != "answers_fail" for made in measured for q in made.quantities)


def test_a_certificate_is_reused_and_nothing_is_asked(
    scanned, uncertified: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(*certified())
    monkeypatch.setattr(refusal, "_quick", lambda made: pytest.fail(f"{made.name} was asked"))
    assert scanned(gaussian(32, 48)).verdict == "CLEAN"


def test_a_null_that_is_lost_leaves_its_layers_without_one_and_is_named(tmp_path: Path) -> None:
    def losing(function: Any, tasks: Any, /, lost: Any = None) -> Any:
        return (lost(t) if isinstance(t, ShapeTask) and t.M == 64 else function(t) for t in tasks)

    save_file(SEVERAL, tmp_path / "m.safetensors")
    report, whole = (scan(tmp_path / "m.safetensors", FAST, map_fn=m) for m in (losing, serial))
    without = {layer.name for layer in report.layers if layer.M == 64}
    assert without == {"b", "c"}
    named = (sorted(found.layers, key=lambda layer: layer.name) for found in (report, whole))
    for layer, had in zip(*named, strict=True):
        assert (layer == had) == (layer.name not in without)
        assert layer.alpha == had.alpha
        if layer.name in without:
            assert layer.undefined["alpha_null"] == layer.undefined.get("alpha", "no_null")
            assert set(layer.null) < set(had.null)
    (note,) = (note for note in report.notes if note not in whole.notes)
    assert (note.code, note.sentence) == ("no_null", "No null of shape 64x96: every worker died at it.")


def test_an_instrument_that_the_certificate_does_not_hold_is_asked(
    scanned, uncertified: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(*(answer for answer in certified() if answer.name != "erg"))
    asked = []
    monkeypatch.setattr(refusal, "_quick", lambda made: asked.append(made.name) or [])
    scanned(gaussian(32, 48))
    assert asked == ["erg"]


def test_certified_or_not_in_one_process_or_two_the_answer_is_the_same(tmp_path: Path, uncertified: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"w": heavy(), "v": gaussian(48, 64)}, path)
    asked = msgspec.json.encode(scan(path, FAST))
    keep(*certified())
    assert msgspec.json.encode(scan(path, FAST)) == asked
    with processes(2) as map_fn:
        assert msgspec.json.encode(scan(path, FAST, map_fn=map_fn)) == asked
    keep(*certified("bulk", "norms"))
    refused = msgspec.json.encode(scan(path, FAST))
    assert refused != asked
    with processes(2) as map_fn:
        assert msgspec.json.encode(scan(path, FAST, map_fn=map_fn)) == refused


def test_refused_columns_of_weightwatcher_are_left_out(scanned, uncertified: Path) -> None:
    keep(*certified("compatible"))
    layer = only_layer(scanned(gaussian(32, 48), ScanSettings(columns="weightwatcher", bootstrap=20, null_draws=20)))
    assert isinstance(layer.ww, msgspec.UnsetType)
    assert layer.undefined["ww.norm"] == "answers_fail"


def test_a_refused_tail_is_no_finding_against_a_power_law(scanned, uncertified: Path) -> None:
    assert "no_power_law" in {f.code for f in scanned(gaussian(64, 96), claim="all(alpha > 1)").findings}
    keep(*certified("tail"))
    report = scanned(gaussian(64, 96), claim="all(alpha > 1)")
    assert report.findings == []
    assert report.verdict == "UNDETERMINED"
