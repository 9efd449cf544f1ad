"""The noisy-label series: it overfits, its files say their step, and the same seed gives the same series."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from tollens.standard import digits
from tollens.standard.noisy import STANDARD, Setting, Trained, followed, main, noisy_series, write

SMALL = Setting(width=96, rate=0.05, images=500, total=700, checkpoints=12)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return noisy_series(5, tmp_path_factory.mktemp("noisy"), SMALL)


def test_the_series_overfits(made: Trained) -> None:
    assert 0 < made.best < len(made.steps) - 1
    assert made.test_accuracy[made.best] > 0.8
    assert made.drop > 0.05  # binomial standard error of 599 images: below 0.02
    assert made.train_accuracy[-1] > 0.9  # of labels two fifths of which are redrawn: memorised
    assert made.train_accuracy[made.best] < 0.8


def test_true_labels_do_not_overfit(tmp_path: Path) -> None:
    clean = noisy_series(5, tmp_path, replace(SMALL, wrong_labels=0.0))
    assert clean.drop < 0.03
    assert clean.test_accuracy[-1] > 0.9


def test_files_hold_the_weights_and_their_step(made: Trained) -> None:
    # 700 (k/11)^2 rounded
    assert made.steps == (0, 6, 23, 52, 93, 145, 208, 283, 370, 469, 579, 700)
    test_set = digits.split()[1]
    for path, step, said in zip(made.paths, made.steps, made.test_accuracy, strict=True):
        with safe_open(path, framework="numpy") as stored:
            assert stored.metadata() == {"step": str(step)}
        assert digits.accuracy(digits.read_weights(path), test_set.inputs(), test_set.labels) == said
    assert digits.read_weights(made.paths[0])["layers.1.weight"].shape == (96, 96)


def test_followed_are_the_norms_of_the_matrices(made: Trained) -> None:
    first, last = (digits.read_weights(made.paths[k])["head.weight"].astype(float) for k in (0, -1))
    found = followed(made)
    assert found["distance"].shape == found["fro2"].shape == (4, 12)
    assert np.all(found["distance"][:, 0] == 0.0)
    assert found["distance"][3, -1] == pytest.approx(np.sqrt(((last - first) ** 2).sum()))
    assert found["fro2"][3, -1] == pytest.approx((last**2).sum())


def test_ties_lie_within_a_standard_error_of_the_best() -> None:
    # sqrt(0.9*0.1/400) = 0.015
    made = Trained((), (0, 1, 2, 3), (0.88, 0.886, 0.9, 0.89), (0.0, 0.0, 0.0, 0.0), 400)
    assert made.best == 2
    assert made.ties() == [1, 2, 3]
    assert made.drop == pytest.approx(0.01)


def test_the_script_writes_a_series_and_its_manifest(tmp_path: Path) -> None:
    made = write(tmp_path, 6, replace(SMALL, total=60, checkpoints=4))
    said = json.loads((tmp_path / "noisy.json").read_text())
    assert said["seed"] == 6
    assert said["setting"]["total"] == 60
    assert [entry["step"] for entry in said["checkpoints"]] == list(made.steps) == [0, 7, 27, 60]
    assert all((tmp_path / entry["file"]).is_file() for entry in said["checkpoints"])
    again = noisy_series(6, tmp_path / "again", replace(SMALL, total=60, checkpoints=4))
    assert [path.read_bytes() for path in again.paths] == [path.read_bytes() for path in made.paths]


@pytest.mark.parametrize("arguments", [["noisy"], ["noisy", "out", "seed"], ["noisy", "out", "1", "2"]])
def test_wrong_arguments_are_exit_2(arguments: list[str]) -> None:
    assert main(arguments) == 2


def test_steps_are_distinct_and_end_at_the_total() -> None:
    assert STANDARD.steps()[:4] == [0, 11, 44, 100]  # 4000 (k/19)^2
    assert STANDARD.steps()[-1] == 4000
    assert replace(STANDARD, total=5).steps() == [0, 1, 2, 3, 4, 5]
