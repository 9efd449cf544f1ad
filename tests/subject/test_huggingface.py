from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.huggingface import integer, read_config, scopes

CONFIG = {"model_type": "llama", "hidden_size": 8, "tie_word_embeddings": False}


@pytest.mark.parametrize("whole", [True, False])
def test_the_configuration_beside_the_weights_is_read(tmp_path: Path, whole: bool) -> None:
    save_file({"w": np.ones((2, 2))}, tmp_path / "model.safetensors")
    assert open_checkpoint(tmp_path).config is None
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert open_checkpoint(tmp_path if whole else tmp_path / "model.safetensors").config == CONFIG


def test_constants_that_are_no_json_do_not_make_a_model_unreadable(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"time_step_limit": [0.0, Infinity]}')
    assert read_config(tmp_path) == {"time_step_limit": [0.0, "Infinity"]}


def test_scopes_are_the_outermost_first_and_only_objects() -> None:
    text = {"hidden_size": 4}
    assert scopes({"text_config": text, "vision_config": "none", "other": {}}) == [
        {"text_config": text, "vision_config": "none", "other": {}}, text,
    ]  # fmt: skip
    assert scopes(None) == []


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "8", None, 2**31, [8]])
def test_only_positive_integers_count(value: object) -> None:
    assert integer({"a": value, "b": 8}, "a", "b") == 8
    assert integer({"a": value}, "a") is None
