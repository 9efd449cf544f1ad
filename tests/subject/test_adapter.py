"""The configuration of an adapter: the scaling of each module as PEFT takes it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.core.errors import TollensError
from tollens.subject.adapter import AdapterConfig, parsed, read_adapter
from tollens.subject.checkpoint import open_checkpoint

BASE: dict[str, Any] = {"peft_type": "LORA", "r": 8, "lora_alpha": 16}


def config(**fields: Any) -> AdapterConfig:
    return parsed(BASE | fields, "adapter_config.json")


def test_gamma_is_alpha_over_the_rank_or_over_its_root() -> None:
    """Hu et al. 2021: alpha/r = 16/8; Kalajdzievski 2023: alpha/sqrt(r) = 16/sqrt(8)."""
    assert config().gamma("q_proj", 8) == 2.0
    assert config(use_rslora=True).gamma("q_proj", 8) == 16.0 / math.sqrt(8.0)


def test_the_first_pattern_that_a_name_ends_with_decides() -> None:
    made = config(rank_pattern={"q_proj": 4, r"layers\.1\..*": 2}, alpha_pattern={"^layers.0.q_proj": 3, ".*mlp.*": 5})
    assert [made.rank(name) for name in ("layers.1.q_proj", "layers.1.k_proj", "layers.0.k_proj")] == [4, 2, 8]
    assert made.gamma("layers.0.q_proj", 4) == 3 / 4
    assert made.gamma("x.layers.0.q_proj", 4) == 16 / 4  # ^ is the beginning of the whole name
    assert made.gamma("layers.7.mlp.up", 8) == 5 / 8


def test_what_is_absent_is_not_guessed() -> None:
    made = parsed({}, "x")
    assert (made.r, made.alpha, made.gamma("q", 4), made.rank("q")) == (None, None, None, None)
    assert (made.lora, made.rslora, made.transposed, made.variant, made.from_base) == (True, False, False, None, None)
    assert parsed(BASE | {"rank_pattern": None, "modules_to_save": None, "use_rslora": None}, "x") == config()


@pytest.mark.parametrize(
    ("fields", "variant"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"use_dora": False}, None),
        ({"use_qalora": True}, "use_qalora"),
        ({"target_parameters": ["mlp.experts.gate_up_proj"]}, "target_parameters"),
        ({"peft_type": "ADALORA", "rank_pattern": {"q_proj": [True, False]}}, "ADALORA"),
        ({"peft_type": "OFT", "r": 0}, "OFT"),
        ({"peft_type": "PROMPT_TUNING"}, "PROMPT_TUNING"),
    ],
)
def test_variants_are_named(fields: dict[str, Any], variant: str | None) -> None:
    assert config(**fields).variant == variant


@pytest.mark.parametrize(
    ("start", "found"),
    [("pissa_niter_4", "pissa"), ("olora", "olora"), (True, None), ("gaussian", None), ("eva", None)],
)
def test_an_initialisation_that_changes_the_base_is_seen(start: Any, found: str | None) -> None:
    assert config(init_lora_weights=start).from_base == found


def test_it_is_read_beside_the_weights_of_an_adapter_only(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps(BASE, allow_nan=False))
    assert read_adapter(tmp_path, ("model.safetensors",)) is None
    assert read_adapter(tmp_path, ("adapter_model.safetensors",)) == config()
    assert read_adapter(tmp_path, ("adapter_model.bin",)) == config()
    (tmp_path / "adapter_config.json").unlink()
    assert read_adapter(tmp_path, ("adapter_model.safetensors",)) is None


def test_a_folder_with_a_configuration_is_its_adapter_and_the_digest_covers_both(tmp_path: Path) -> None:
    pair = {"q.lora_A.weight": np.ones((2, 4), np.float32), "q.lora_B.weight": np.ones((4, 2), np.float32)}
    save_file(pair, tmp_path / "adapter_model.safetensors")
    save_file({"w": np.ones((4, 4), np.float32)}, tmp_path / "optimizer.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps(BASE, allow_nan=False))
    opened = open_checkpoint(tmp_path)
    assert opened.files == ("adapter_model.safetensors", "adapter_config.json")
    assert opened.ignored == ("optimizer.safetensors",)
    assert opened.adapter == config()
    assert open_checkpoint(tmp_path / "adapter_model.safetensors").adapter == config()
    before = opened.digest()
    (tmp_path / "adapter_config.json").write_text(json.dumps(BASE | {"lora_alpha": 17}, allow_nan=False))
    assert open_checkpoint(tmp_path).digest() != before
    assert open_checkpoint(tmp_path / "adapter_model.safetensors").digest() == open_checkpoint(tmp_path).digest()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"r": 0}, "r"),
        ({"r": True}, "r"),
        ({"r": 8.0}, "r"),
        ({"r": [8]}, "r"),
        ({"r": -3}, "r"),
        ({"r": 10**12}, "r"),
        ({"lora_alpha": "16"}, "lora_alpha"),
        ({"lora_alpha": [16]}, "lora_alpha"),
        ({"lora_alpha": 10**400}, "lora_alpha"),
        ({"use_rslora": 1}, "use_rslora"),
        ({"fan_in_fan_out": "no"}, "fan_in_fan_out"),
        ({"rank_pattern": ["q"]}, "rank_pattern"),
        ({"rank_pattern": {"q": 0}}, "rank_pattern"),
        ({"rank_pattern": {"q": [1]}}, "rank_pattern"),
        ({"alpha_pattern": {"q": "1"}}, "alpha_pattern"),
        ({"alpha_pattern": {str(i): 1 for i in range(5_000)}}, "alpha_pattern"),
        ({"alpha_pattern": {f"{'a*' * 200}{i:04}": 1 for i in range(41)}}, "alpha_pattern"),  # 41 of 404 characters
        ({"modules_to_save": "classifier"}, "modules_to_save"),
        ({"modules_to_save": [1]}, "modules_to_save"),
        ({"peft_type": 3}, "peft_type"),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(TollensError) as caught:
        config(**fields)
    assert caught.value.code == "adapter_config_invalid"
    assert f": {named}" in caught.value.subject
    assert len(str(caught.value)) < 400
