"""A million mutations each of the formats of numpy, of safetensors and of an adapter's configuration."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from safetensors.numpy import save
from tests.attacks.memory import reading
from tests.attacks.mutation import Survey, survives

from tollens.subject import document
from tollens.subject.adapter import parsed

RNG = np.random.default_rng(0)
ARRAYS = {
    "h.0.attn.c_attn.weight": RNG.standard_normal((4, 12)).astype(np.float16),
    "conv1.weight": RNG.standard_normal((2, 3, 3)),
    "step": np.array(3),
}
CONFIG = {
    "peft_type": "LORA",
    "r": 8,
    "lora_alpha": 16.0,
    "use_rslora": False,
    "fan_in_fan_out": False,
    "rank_pattern": {"q_proj": 4, "^layers.1": 2, "(k|v)_proj": 3},
    "alpha_pattern": {"layers\\.\\d+\\.q_proj": 1e-3},
    "modules_to_save": ["lm_head"],
    "target_modules": "all-linear",
    "init_lora_weights": True,
}


def archive(save_array: Callable[..., None], order: str = "C") -> bytes:
    buffer = io.BytesIO()
    save_array(buffer, **{name: np.asarray(array, order=order) for name, array in ARRAYS.items()})
    return buffer.getvalue()


SEEDS = {
    "m.safetensors": [save(ARRAYS), save(ARRAYS, metadata={"step": "3"})],
    "m.npz": [archive(np.savez), archive(np.savez_compressed), archive(np.savez, order="F")],
    "adapter_config.json": [json.dumps(CONFIG, allow_nan=False).encode()],
}
TOKENS = {
    "m.safetensors": (b'"BF16"', b'"F4"', b'"shape":[', b'"data_offsets":[0,0]', b"9223372036854775807", b"[[["),
    "m.npz": (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"\x93NUMPY", b"'|O'", b"(2, 3)", b"True", b".npy"),
    "adapter_config.json": (b"1e999", b"NaN", b"-1", b"null", b"[[", b'{"', b".*", b"(a+)+$", b"\\\\", b"{9999}"),
}


def configured(content: bytes) -> None:
    parsed(document.parse(content, "adapter", "adapter_config_invalid", constants=True), "adapter")


def survey(name: str, count: int, measured: int, seed: int) -> Survey:
    if name == "adapter_config.json":
        return survives(SEEDS[name], configured, count, seed, TOKENS[name])
    with reading(name, measured=measured) as read:
        return survives(SEEDS[name], read, count, seed, TOKENS[name])


@pytest.mark.parametrize("name", SEEDS)
def test_some_mutants(name: str) -> None:
    found = survey(name, 800, 20, seed=1)
    assert found.accepted > 20  # what only changed numbers is still read
    assert len(found.refusals) >= {"m.safetensors": 8, "m.npz": 4, "adapter_config.json": 3}[name]  # of many kinds


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_a_million_mutants(name: str) -> None:
    found = survey(name, 1_000_000, 1_000, seed=2)
    print(f"{name}: {found}")
    assert found.count == 1_000_000
