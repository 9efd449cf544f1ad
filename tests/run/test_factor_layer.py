"""An adapter through a scan: one layer a pair, with what a product has and why the rest is not there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tollens.core.codes import explain
from tollens.core.errors import TollensError
from tollens.instrument.factored import factored
from tollens.instrument.spectrum import singular_values
from tollens.publish.table import csv_text
from tollens.run import factor_layer as layer_module
from tollens.run.factor_layer import FactorTask, lost_any, measure_factors
from tollens.run.layer import MEASURED
from tollens.run.result import LayerReport, ScanReport
from tollens.run.scan import scan
from tollens.run.settings import ScanSettings
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.matrices import matrices

FAST = ScanSettings(bootstrap=20, null_draws=20)
CONFIG: dict[str, Any] = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}
NAMES = ("layers.0.q", "layers.0.v", "layers.1.q")
KEPT = {"lambda_max", "lambda_min_visible", "blind_floor", "fro2", "spectral2", "log10_fro2", "log10_spectral2",
        "stable_rank", "entropy_rank", "participation_rank", "numerical_rank", "rank_tolerance", "digest"}  # fmt: skip


def block(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def adapter(**changed: NDArray[Any]) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for i, name in enumerate(NAMES):
        found[f"base_model.model.{name}.lora_A.weight"] = block(4, 20, seed=2 * i)
        found[f"base_model.model.{name}.lora_B.weight"] = block(30, 4, seed=2 * i + 1)
    return found | {f"base_model.model.{name}.weight": value for name, value in changed.items()}


def written(folder: Path, tensors: dict[str, NDArray[Any]], config: dict[str, Any] | None = CONFIG) -> Path:
    save_file(tensors, folder / "adapter_model.safetensors")
    if config is not None:
        (folder / "adapter_config.json").write_text(json.dumps(config, allow_nan=False))
    return folder


def scanned(folder: Path, tensors: dict[str, NDArray[Any]], config: dict[str, Any] | None = CONFIG) -> ScanReport:
    return scan(written(folder, tensors, config), FAST)


def by_name(report: ScanReport) -> dict[str, LayerReport]:
    return {layer.name: layer for layer in report.layers}


def test_every_pair_is_a_layer_with_the_norms_of_its_product(tmp_path: Path) -> None:
    """gamma = 8/4 = 2; the norms are those of 2 * B @ A formed and decomposed in float64."""
    tensors = adapter()
    report = scanned(tmp_path, tensors)
    assert (report.verdict, report.headline) == ("CLEAN", "3 layers judged, 0 findings, 0 not judgeable")
    assert report.summary["tensors"] == {"in_file": 6, "analysed": 6, "skipped": 0, "aliased": 0}
    found = by_name(report)
    assert sorted(found) == sorted(NAMES)
    assert sorted(layer.order for layer in report.layers) == [0, 1, 2]
    for name in NAMES:
        a, b = (tensors[f"base_model.model.{name}.lora_{half}.weight"] for half in "AB")
        s = singular_values(2.0 * b.astype(np.float64) @ a.astype(np.float64))
        layer = found[name]
        assert layer.singular_values == pytest.approx(s[:4].tolist(), rel=1e-12)
        assert layer.fro2 == pytest.approx(float((s**2).sum()), rel=1e-12)
        assert layer.stable_rank == pytest.approx(float((s**2).sum() / s[0] ** 2), rel=1e-12)
        assert (layer.M, layer.N, layer.role, layer.view, layer.precision) == (20, 30, "lora", "factored", "f64")
        assert (layer.rank, layer.gamma, layer.target) == (4, 2.0, f"{name}.weight")
        assert layer.factors == [f"base_model.model.{name}.lora_{half}.weight" for half in "BA"]
        assert layer.flags == ["factored", "rank:4"]
        assert layer.null.keys() == {"stable_rank", "entropy_rank", "participation_rank"}


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float32, np.float64])
def test_factors_of_any_stored_type(tmp_path: Path, dtype: Any) -> None:
    tensors = {name: value.astype(dtype) for name, value in adapter().items()}
    layer = by_name(scanned(tmp_path, tensors))["layers.0.q"]
    a, b = (tensors[f"base_model.model.layers.0.q.lora_{half}.weight"].astype(np.float64) for half in "AB")
    assert layer.singular_values == pytest.approx(singular_values(2.0 * b @ a)[:4].tolist(), rel=1e-12)
    assert layer.numerical_rank == 4


def test_what_needs_a_bulk_or_a_tail_says_why_it_is_not_there(tmp_path: Path) -> None:
    [layer] = [v for v in scanned(tmp_path, adapter()).layers if v.name == "layers.1.q"]
    missing = {name for name in MEASURED if getattr(layer, name) is None}
    assert missing == set(MEASURED) - KEPT
    assert {layer.undefined[name] for name in missing} == {"factored"}
    assert set(layer.undefined) == missing
    for code in (*layer.flags, *layer.undefined.values()):
        assert explain(code).meaning


def test_low_rank_by_construction_is_no_finding_and_the_note_says_so(tmp_path: Path) -> None:
    report = scanned(tmp_path, adapter())
    assert report.findings == []  # rank 4 of 20 would be a collapse in a stored matrix
    [note] = [note for note in report.notes if note.code == "factored"]
    assert "compare the stable rank with r" in note.sentence


def test_an_adapter_that_does_nothing_is_a_finding(tmp_path: Path) -> None:
    tensors = adapter()
    tensors["base_model.model.layers.0.q.lora_B.weight"][:] = 0.0
    report = scanned(tmp_path, tensors)
    [finding] = report.findings
    assert (report.verdict, finding.code, finding.layer, finding.value) == ("FINDINGS", "dead", "layers.0.q", 0.0)
    assert "one of its factors, or their product, is 0" in finding.sentence
    layer = by_name(report)["layers.0.q"]
    assert layer.sentence == "the product of its factors is 0: the adapter changes nothing here."
    assert (layer.fro2, layer.numerical_rank, layer.undefined["stable_rank"]) == (0.0, 0, "zero_matrix")


def test_a_scaling_of_zero_is_named(tmp_path: Path) -> None:
    report = scanned(tmp_path, adapter(), CONFIG | {"lora_alpha": 0})
    assert {finding.sentence for finding in report.findings} == {
        "the adapter leaves this matrix as it is: its scaling is 0."
    }


def test_a_number_that_is_none_fails_the_pair_and_no_other(tmp_path: Path) -> None:
    tensors = adapter()
    tensors["base_model.model.layers.0.q.lora_A.weight"][2, 3] = np.nan
    tensors["base_model.model.layers.0.q.lora_B.weight"][5, 1] = np.inf
    report = scanned(tmp_path, tensors)
    layer = by_name(report)["layers.0.q"]
    tensor = "base_model.model.layers.0.q.lora_B.weight"
    assert (layer.status, layer.nonfinite) == ("FAILED", {"count": 2, "first_index": [5, 1], "tensor": tensor})
    assert set(layer.undefined.values()) == {"nonfinite"}
    assert [finding.code for finding in report.findings] == ["nonfinite"]
    assert report.headline == "3 layers judged, 1 finding, 0 not judgeable"


def test_without_a_configuration_the_ranks_are_given(tmp_path: Path) -> None:
    report = scanned(tmp_path, adapter(), None)
    assert report.verdict == "CLEAN"
    for layer in report.layers:
        assert layer.stable_rank is not None
        assert {layer.undefined[name] for name in ("gamma", "fro2", "lambda_max", "singular_values")} == {
            "scaling_unknown"
        }
        assert "scaling_unknown" in layer.flags
    assert "scaling_unknown" in [note.code for note in report.notes]


def test_few_directions_are_a_sentence_and_chance_is_another(tmp_path: Path) -> None:
    tensors = adapter()
    tensors["base_model.model.layers.0.q.lora_B.weight"] *= np.array([100.0, 1.0, 1.0, 1.0], np.float32)
    found = by_name(scanned(tmp_path, tensors))
    law = "of products of Gaussian factors of its shape"
    few = found["layers.0.q"]
    assert few.stable_rank == pytest.approx(1.0, abs=0.01)
    assert few.sentence.startswith("stable rank 1 of at most 4 lies below the ")
    assert few.sentence.endswith(f"{law}: energy gathers in few directions.")
    assert few.null_distance is not None
    assert few.null_distance > 1.0
    assert f"{law}: chance" in found["layers.0.v"].sentence


def test_the_null_of_one_shape_is_one_null(tmp_path: Path) -> None:
    bands = {json.dumps(str(layer.null["stable_rank"])) for layer in scanned(tmp_path, adapter()).layers}
    assert len(bands) == 1
    assert scan(tmp_path, ScanSettings(null_draws=0, bootstrap=20)).layers[0].null == {}


def test_the_digest_is_of_both_factors(tmp_path: Path) -> None:
    tensors = adapter()
    layer = by_name(scanned(tmp_path, tensors))["layers.0.q"]
    parts = [tensors[f"base_model.model.layers.0.q.lora_{half}.weight"].tobytes() for half in "BA"]
    assert layer.digest == "sha256:" + hashlib.sha256(b"".join(parts)).hexdigest()


def test_stored_matrices_stand_beside_the_pairs(tmp_path: Path) -> None:
    """In the order of their tensors in the file: by name, as safetensors stores tensors of one type."""
    tensors = adapter(head=block(40, 30), tail=block(40, 30, seed=1))
    report = scanned(tmp_path, tensors, CONFIG | {"modules_to_save": ["head", "tail"]})
    found = by_name(report)
    ordered = sorted(found, key=lambda name: found[name].order)
    assert ordered == ["base_model.model.head.weight", *NAMES, "base_model.model.tail.weight"]
    assert found["base_model.model.head.weight"].traps_all is not None


@pytest.mark.parametrize("pattern", ["layers.0.*", "*layers.0.*.lora_A.weight"])
def test_layers_are_chosen_by_their_name_or_by_that_of_a_factor(tmp_path: Path, pattern: str) -> None:
    written(tmp_path, adapter())
    settings = ScanSettings(bootstrap=20, null_draws=20, layers=pattern)
    assert sorted(by_name(scan(tmp_path, settings))) == ["layers.0.q", "layers.0.v"]


def test_a_claim_speaks_of_a_product_as_of_any_matrix(tmp_path: Path) -> None:
    written(tmp_path, adapter())
    answers = {claim: scan(tmp_path, FAST, claim=claim).verdict for claim in (
        "all(rank == 4)", "all(stable_rank >= 4.5)", "max(gamma) <= 2", "all(alpha >= 2)",
    )}  # fmt: skip
    assert list(answers.values()) == ["SURVIVED", "KILLED", "SURVIVED", "UNDETERMINED"]


def test_the_compatible_columns_have_no_value(tmp_path: Path) -> None:
    written(tmp_path, adapter())
    report = scan(tmp_path, ScanSettings(bootstrap=20, null_draws=20, columns="weightwatcher"))
    assert report.layers[0].undefined["ww.alpha"] == "factored"


def test_the_rows_name_rank_scaling_and_target(tmp_path: Path) -> None:
    head, first, *_ = csv_text(scanned(tmp_path, adapter())).splitlines()
    row = dict(zip(head.split(","), first.split(","), strict=False))
    assert (row["rank"], row["gamma"], row["role"]) == ("4", "2.0", "lora")
    assert row["target"] == f"{row['name']}.weight"


def test_an_instrument_whose_answers_fail_is_not_believed(tmp_path: Path) -> None:
    written(tmp_path, adapter())
    view = matrices(open_checkpoint(tmp_path)).factors[0]
    layer = measure_factors(FactorTask(view, 0, FAST, frozenset({"factored"})))
    assert layer.stable_rank is None
    assert {layer.undefined[quantity] for quantity in factored.quantities} == {"answers_fail"}
    assert layer.null == {}


def test_a_solver_that_fails_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = layer_module.factored.__class__.measure

    def fails(made: Any, part: Any, *rest: Any, **named: Any) -> Any:
        if part.name == "layers.0.v":
            raise TollensError("eigensolver_failed", "x", expected="a", found="b", fix="c")
        return real(made, part, *rest, **named)

    monkeypatch.setattr(layer_module.factored.__class__, "measure", fails)
    report = scanned(tmp_path, adapter())
    assert {layer.name: layer.status for layer in report.layers}["layers.0.v"] == "FAILED"
    assert report.headline == "2 layers judged, 0 findings, 1 not judgeable (1 eigensolver_failed)"


def test_a_base_that_was_altered_is_noted(tmp_path: Path) -> None:
    report = scanned(tmp_path, adapter(), CONFIG | {"init_lora_weights": "pissa"})
    [note] = [note for note in report.notes if note.code == "base_altered"]
    assert note.sentence.startswith("3 of 3 layers: the base was altered")


def test_a_pair_whose_workers_died_is_there_and_failed(tmp_path: Path) -> None:
    view = matrices(open_checkpoint(written(tmp_path, adapter()))).factors[0]
    layer = lost_any(FactorTask(view, 0, FAST))
    assert (layer.status, layer.digest, set(layer.undefined.values())) == ("FAILED", None, {"worker_died"})
    assert layer.sentence == "not measured: worker_died."
