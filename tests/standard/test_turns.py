"""Outcomes of the turn on series whose best checkpoint is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from tollens.standard import turns
from tollens.standard.noisy import STANDARD, Trained, noisy_series
from tollens.standard.turns import BASELINES, clean, drawn, outcome, overfit

EXPONENTS = (1.0, 0.8, 0.5, 0.3, 0.5, 0.7, 0.9, 0.6, 0.2, 0.1)


def written(folder: Path, test: list[float], exponents: tuple[float, ...] = EXPONENTS) -> Trained:
    """Twelve checkpoints whose four matrices move at right angles to their start with the given exponents."""
    steps = [0, *(10 * 2**k for k in range(11))]
    sizes = [0.0, *(0.1 * 2.0**total for total in np.concatenate([[0.0], np.cumsum(exponents)]))]
    paths = []
    for step, size in zip(steps, sizes, strict=True):
        matrix = np.array([[10.0, 0.0], [0.0, size]], dtype=np.float32)
        names = ("layers.0", "layers.1", "layers.2", "head")
        path = folder / f"{step}.safetensors"
        path.write_bytes(save({f"{name}.weight": matrix for name in names}))
        paths.append(path)
    return Trained(tuple(paths), tuple(steps), tuple(test), tuple(test), 400)


def accuracies(best: int) -> list[float]:
    return [0.9 - 0.05 * abs(k - best) for k in range(12)]


def test_a_best_checkpoint_in_the_interval_is_a_hit(tmp_path: Path) -> None:
    found = outcome(written(tmp_path, accuracies(5)))
    assert (found.turn.low, found.turn.high) == (80, 640)  # places 4 to 7
    assert found.hit
    assert found.tied
    assert found.best == 160
    assert found.width == pytest.approx(4 / 12)
    # starts 0 to 8 of 4 places in 12; those with 5 in them begin at 2, 3, 4, 5
    assert found.chance == pytest.approx(4 / 9)
    # around the last: 8 to 11; around the first, of the smallest norm: 0 to 3; around place 6: 4 to 7
    assert found.baselines == dict(zip(BASELINES, (False, False, True), strict=True))


def test_a_best_checkpoint_outside_is_a_miss_and_a_tie_is_told_apart(tmp_path: Path) -> None:
    test = accuracies(9)
    found = outcome(written(tmp_path, test))
    assert found.claimed
    assert not found.hit
    assert not found.tied
    assert found.baselines["last checkpoint"]
    test[6] = 0.89  # sqrt(0.9*0.1/400) = 0.015 below the best of 0.9 still counts as equal
    tied = outcome(written(tmp_path, test))
    assert not tied.hit
    assert tied.tied


def test_no_claim_is_neither_hit_nor_baseline(tmp_path: Path) -> None:
    found = outcome(written(tmp_path, accuracies(5), tuple(sorted(EXPONENTS, reverse=True))))
    assert not found.claimed
    assert not found.hit
    assert not any(found.baselines.values())
    assert found.width == 0.0


def test_only_series_that_lose_accuracy_count_as_overfit(tmp_path: Path) -> None:
    fallen = outcome(written(tmp_path, accuracies(5)))
    kept = outcome(written(tmp_path, accuracies(11)))
    assert overfit([fallen, kept]) == [fallen]


def test_settings_are_drawn_within_their_ranges() -> None:
    settings = [drawn(seed) for seed in range(50)]
    assert len({setting.width for setting in settings}) > 20
    assert all(0.2 <= setting.wrong_labels <= 0.5 and 1200 <= setting.total <= 6000 for setting in settings)
    assert drawn(3) == settings[3]
    assert clean(settings[3]).wrong_labels == 0.0
    assert clean(settings[3]).width == settings[3].width


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_weights_alone_find_where_the_best_checkpoint_lies(seed: int, tmp_path: Path) -> None:
    found = turns.outcome(noisy_series(seed, tmp_path / "noisy"))
    assert found.drop > 0.05
    assert found.hit, found
    assert found.width <= 0.35
    assert not found.baselines["last checkpoint"]
    control = turns.outcome(noisy_series(seed, tmp_path / "clean", clean(STANDARD)))
    assert not control.claimed, control
