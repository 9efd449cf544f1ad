"""Hostile adapters: each makes one guard fire, by its own name, and nothing else comes out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tollens.core.codes import CODES
from tollens.core.errors import Exit, TollensError
from tollens.run.scan import scan
from tollens.run.settings import ScanSettings

FAST = ScanSettings(bootstrap=5, null_draws=5)
FINE: dict[str, Any] = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}


def block(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def adapter(folder: Path, config: bytes | dict[str, Any], **tensors: NDArray[Any]) -> Path:
    stored = tensors or {
        "base_model.model.q.lora_A.weight": block(2, 9),
        "base_model.model.q.lora_B.weight": block(8, 2),
    }
    save_file(stored, folder / "adapter_model.safetensors")
    data = config if isinstance(config, bytes) else json.dumps(config).encode()  # allow_nan=True: as attackers do
    (folder / "adapter_config.json").write_bytes(data)
    return folder


REFUSED: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "r = 0": (FINE | {"r": 0}, "adapter_config_invalid"),
    "r = -1": (FINE | {"r": -1}, "adapter_config_invalid"),
    "r beyond every rank": (FINE | {"r": 2**40}, "adapter_config_invalid"),
    "r a list": (FINE | {"r": [2]}, "adapter_config_invalid"),
    "r true": (FINE | {"r": True}, "adapter_config_invalid"),
    "r text": (FINE | {"r": "2"}, "adapter_config_invalid"),
    "alpha NaN": (b'{"r": 2, "lora_alpha": NaN}', "adapter_config_invalid"),
    "alpha infinite": (b'{"r": 2, "lora_alpha": -Infinity}', "adapter_config_invalid"),
    "alpha past float64": (b'{"r": 2, "lora_alpha": 1e999}', "adapter_config_invalid"),
    "alpha of 400 digits": (b'{"r": 2, "lora_alpha": ' + b"9" * 400 + b"}", "adapter_config_invalid"),
    "alpha of 9,000 digits": (b'{"r": 2, "lora_alpha": ' + b"9" * 9_000 + b"}", "adapter_config_invalid"),
    "alpha an object": (FINE | {"lora_alpha": {"a": 1}}, "adapter_config_invalid"),
    "no JSON": (b"\x80\x04pickle", "adapter_config_invalid"),
    "a list": (b"[]", "adapter_config_invalid"),
    "empty": (b"", "adapter_config_invalid"),
    "twice the same key": (b'{"r": 2, "r": 3}', "duplicate_key"),
    "deep": (b'{"r":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "header_too_deep"),
    "too long": (b'{"r": 2, "x": "' + b"x" * 10_000_000 + b'"}', "adapter_config_invalid"),
    "too long and well formed": (b'{"r": 2}' + b" " * 10_000_000, "adapter_config_invalid"),
    "a counted repeat": (FINE | {"alpha_pattern": {"q{1000}": 2}}, "adapter_pattern_unsupported"),
    "a look-ahead": (FINE | {"rank_pattern": {"(?=q)q": 2}}, "adapter_pattern_unsupported"),
    "an open group": (FINE | {"rank_pattern": {"a)|(b": 2}}, "adapter_pattern_unsupported"),
    "a long pattern": (FINE | {"rank_pattern": {"q" * 100_000: 2}}, "adapter_pattern_unsupported"),
    "a deep pattern": (FINE | {"rank_pattern": {"(" * 200 + "q" + ")" * 200: 2}}, "adapter_pattern_unsupported"),
    "100,000 patterns": (FINE | {"alpha_pattern": {f"q{i}": 2 for i in range(100_000)}}, "adapter_config_invalid"),
    "modules by number": (FINE | {"modules_to_save": [1]}, "adapter_config_invalid"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_configuration_is_refused_by_name(tmp_path: Path, case: str) -> None:
    config, code = REFUSED[case]
    with pytest.raises(TollensError) as caught:
        scan(adapter(tmp_path, config), FAST)
    assert (caught.value.code, caught.value.exit_code) == (code, Exit.BAD_INPUT)
    assert code in CODES
    assert len(str(caught.value)) < 700
    assert str(caught.value).isprintable()


def test_a_sparse_configuration_of_100_megabytes_is_not_read_whole(tmp_path: Path) -> None:
    adapter(tmp_path, FINE)
    with (tmp_path / "adapter_config.json").open("r+b") as config:
        config.truncate(100_000_000)
    begin = time.perf_counter()
    with pytest.raises(TollensError, match="adapter_config_invalid"):
        scan(tmp_path, FAST)
    assert time.perf_counter() - begin < 5.0


def test_a_configuration_that_is_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    adapter(folder, FINE)
    (tmp_path / "secret.json").write_text("{}")
    (folder / "adapter_config.json").unlink()
    (folder / "adapter_config.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(TollensError, match="index_escapes"):
        scan(folder, FAST)


@pytest.mark.parametrize(
    "pattern", ["(a*)*b", "(.*)*(.*)*x", "(a|a|a)*$", ".*.*.*.*.*.*.*.*.*x", "(a?){0}", "a?" * 255]
)
def test_a_pattern_that_never_ends_elsewhere_ends_here(tmp_path: Path, pattern: str) -> None:
    name = "a" * 900
    tensors = {f"{name}.lora_A.weight": block(2, 9), f"{name}.lora_B.weight": block(8, 2)}
    begin = time.perf_counter()
    try:
        found = scan(adapter(tmp_path, FINE | {"alpha_pattern": {pattern: 3}}, **tensors), FAST)
        assert len(found.layers) == 1
    except TollensError as error:
        assert error.code == "adapter_pattern_unsupported"  # noqa: PT017 -- either answer will do, none takes for ever
    assert time.perf_counter() - begin < 10.0


@pytest.mark.parametrize("alpha", [1e308, -1e308, 1e-320, -3.0, 0])
def test_a_scaling_beyond_reason_gives_no_infinity(tmp_path: Path, alpha: float) -> None:
    report = scan(adapter(tmp_path, FINE | {"lora_alpha": alpha}), FAST)
    [layer] = report.layers
    assert layer.status == "OK"
    assert layer.numerical_rank == (2 if alpha else 0)
    if abs(alpha) in (1e308, 1e-320):
        assert layer.undefined["fro2"] == "scale_out_of_range"


def test_a_rank_of_a_billion_is_declared_and_not_allocated(tmp_path: Path) -> None:
    report = scan(adapter(tmp_path, FINE | {"r": 10**9}), FAST)
    assert report.verdict == "UNDETERMINED"
    assert {skipped.reason for skipped in report.skipped} == {"lora_rank_differs:1000000000/2"}


def test_no_key_is_needed(tmp_path: Path) -> None:
    report = scan(adapter(tmp_path, {}), FAST)
    [layer] = report.layers
    assert layer.undefined["gamma"] == "scaling_unknown"


PAIRS: dict[str, tuple[dict[str, NDArray[Any]], set[str]]] = {
    "ranks that differ": ({"q.lora_A.weight": block(2, 9), "q.lora_B.weight": block(8, 3)}, {"lora_shapes_differ"}),
    "no rank": ({"q.lora_A.weight": block(0, 9), "q.lora_B.weight": block(8, 0)}, {"empty_tensor"}),
    "a vector": ({"q.lora_A.weight": block(9), "q.lora_B.weight": block(8, 2)}, {"not_a_matrix", "lora_unpaired"}),
    "two left halves": ({"q.lora_B.weight": block(8, 2), "q.lora_B": block(8, 2)}, {"lora_unpaired"}),
    "sides that no kernel has": (
        {"q.lora_A.weight": block(2, 3, 3, 3), "q.lora_B.weight": block(8, 2, 1, 2)}, {"lora_shapes_differ"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PAIRS)
def test_factors_that_make_no_product_are_listed(tmp_path: Path, case: str) -> None:
    tensors, reasons = PAIRS[case]
    report = scan(adapter(tmp_path, FINE, **tensors), FAST)
    assert (report.layers, {skipped.reason for skipped in report.skipped}) == ([], reasons)
    assert report.summary["tensors"]["skipped"] == len(tensors)


def test_pairs_that_share_a_module_stay_apart(tmp_path: Path) -> None:
    tensors = {}
    for style in (".lora_A.weight", ".lora_A.default.weight", ".lora_A", "_lora_A.weight", ".lora_a.weight"):
        tensors["q" + style] = block(2, 9)
        tensors["q" + style.replace("_A", "_B").replace("_a", "_b")] = block(8, 2)
    report = scan(adapter(tmp_path, FINE, **tensors), FAST)
    names = [layer.name for layer in report.layers]
    assert len(names) == len(set(names)) == 5
    assert report.summary["tensors"] == {"in_file": 10, "analysed": 10, "skipped": 0, "aliased": 0}


def test_a_name_of_control_characters_is_refused_by_the_reader(tmp_path: Path) -> None:
    name = "q\x1b[2J.lora_A.weight"
    with pytest.raises(TollensError, match="tensor_name_invalid"):
        scan(adapter(tmp_path, FINE, **{name: block(2, 9)}), FAST)


def test_a_pattern_of_control_characters_reaches_no_terminal(tmp_path: Path) -> None:
    with pytest.raises(TollensError) as caught:
        scan(adapter(tmp_path, FINE | {"rank_pattern": {"q\x1b[2J{": 2}}), FAST)
    assert str(caught.value).isprintable()
