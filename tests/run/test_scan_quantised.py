"""The scan of numbers that were quantised: what is read of them, what cannot be, and what is said of both."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.run.result import LayerReport, ScanReport
from tollens.run.scan import scan
from tollens.run.settings import ScanSettings

FAST = ScanSettings(bootstrap=20, null_draws=20)
Q8_0 = gguf.GGMLQuantizationType.Q8_0


def weights(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((64, 96)).astype("<f4")


def written(path: Path) -> dict[str, bytes]:
    """Queries in blocks and keys in float32; the stored bytes of both."""
    stored = {"blk.0.attn_q.weight": gguf.quants.quantize(weights(1), Q8_0), "blk.0.attn_k.weight": weights(2)}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("blk.0.attn_q.weight", stored["blk.0.attn_q.weight"], raw_dtype=Q8_0)
    writer.add_tensor("blk.0.attn_k.weight", stored["blk.0.attn_k.weight"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {name: data.tobytes() for name, data in stored.items()}


def layer(report: ScanReport, name: str) -> LayerReport:
    return next(found for found in report.layers if found.name == name)


def notes(report: ScanReport) -> dict[str, str]:
    return {note.code: note.sentence for note in report.notes}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf") / "m.gguf"


def test_blocks_are_measured_and_have_no_numerical_rank(path: Path) -> None:
    stored = written(path)
    report = scan(path, FAST)
    assert report.subject.format == "gguf"
    q, k = layer(report, "blk.0.attn_q.weight"), layer(report, "blk.0.attn_k.weight")
    assert (q.status, q.source_dtype, q.role) == ("OK", "Q8_0", "q")
    assert "dequantised:q8_0" in q.flags
    assert "dequantised:q8_0" not in k.flags
    assert (q.numerical_rank, q.rank_tolerance) == (None, None)
    assert q.undefined["numerical_rank"] == q.undefined["rank_tolerance"] == "no_rounding_step"
    assert (k.numerical_rank, "numerical_rank" in k.undefined) == (64, False)
    assert q.null is not None
    assert "numerical_rank" not in q.null
    expanded = gguf.quants.dequantize(gguf.quants.quantize(weights(1), Q8_0), Q8_0).astype(float)
    assert q.fro2 == pytest.approx(float((expanded**2).sum()), rel=1e-5)
    for found in (q, k):
        assert found.digest == "sha256:" + hashlib.sha256(stored[found.name]).hexdigest()
    assert notes(report)["dequantised"].startswith("1 of 2 layers: stored quantised")


def test_what_the_extra_would_have_read_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(path)
    monkeypatch.setitem(sys.modules, "gguf", None)
    report = scan(path, FAST)
    assert [found.name for found in report.layers] == ["blk.0.attn_k.weight"]
    assert [(s.name, s.reason) for s in report.skipped] == [("blk.0.attn_q.weight", "gguf_extra_missing")]
    assert "pip install 'tollens[gguf]'" in notes(report)["gguf_extra_missing"]
    assert "dequantised" not in notes(report)


def test_a_float_of_unknown_eps_is_measured_too(tmp_path: Path) -> None:
    small = np.sign(weights(3)) * (1.0 + np.abs(weights(3)))  # no minus zero: in this type it is NaN
    save_file({"w.weight": small.astype(ml_dtypes.float8_e4m3fn)}, tmp_path / "m.safetensors")
    header = (tmp_path / "m.safetensors").read_bytes().replace(b'"F8_E4M3"', b'"F8_E4M3FNUZ"')
    length = int.from_bytes(header[:8], "little") + 4
    (tmp_path / "m.safetensors").write_bytes(length.to_bytes(8, "little") + header[8:])
    [found] = scan(tmp_path / "m.safetensors", FAST).layers
    assert found.status == "OK"
    assert found.undefined["numerical_rank"] == "no_rounding_step"
