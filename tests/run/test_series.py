from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

import tollens
from tollens.core.errors import TollensError
from tollens.instrument.turning_point import turning_point
from tollens.publish.schema import schema_text
from tollens.run.extrapolate import MADE_BY
from tollens.run.layer import measure_layer, measure_shape
from tollens.run.path import measure_path
from tollens.run.scan import scan
from tollens.run.series import series
from tollens.run.series_result import SeriesReport, SeriesRow
from tollens.run.settings import ScanSettings
from tollens.subject.checkpoint import Checkpoint

FAST = ScanSettings(bootstrap=20, null_draws=20)
STEPS = (0, 100, 200, 400, 500, 600)
Tensors = dict[str, np.ndarray]


def start(seed: int, rows: int = 40, cols: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, cols)).astype(np.float32)


def trained(step: int) -> Tensors:
    """`a` moves along one direction; `b` stands still and gains a mean from step 200 on: one trap."""
    u, v = np.random.default_rng(7).standard_normal(40), np.random.default_rng(8).standard_normal(60)
    return {
        "a.weight": start(1) + (1e-5 * step * np.outer(u, v)).astype(np.float32),
        "b.weight": start(2) + np.float32(1.0 if step >= 200 else 0.0), "bias": np.full(4, float(step), np.float32),
    }  # fmt: skip


def run_of(folder: Path, make: Callable[[int], Tensors] = trained, steps: Sequence[int] = STEPS) -> list[Path]:
    paths = []
    for step in steps:
        path = folder / f"checkpoint-{step}"
        path.mkdir(parents=True)
        save_file(make(step), path / "model.safetensors")
        paths.append(path)
    return paths


def path_of(report: SeriesReport, matrix: str) -> list[SeriesRow]:
    return [row for row in report.rows if row.matrix == matrix]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run_of(folder)
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> SeriesReport:
    return series([folder], FAST)


def test_each_row_is_what_a_scan_of_that_checkpoint_says(folder: Path, report: SeriesReport) -> None:
    for step in (0, 400):
        alone = scan(folder / f"checkpoint-{step}", FAST)
        for layer in alone.layers:
            row = next(r for r in path_of(report, layer.name) if r.step == step)
            for name in (
                "alpha",
                "alpha_interval",
                "erg_gap",
                "n_outliers",
                "mp_sigma2",
                "stable_rank",
                "fro2",
                "digest",
            ):
                assert getattr(row, name) == getattr(layer, name)
            assert row.stable_rank_null == layer.null["stable_rank"]
            assert row.traps_all == np.median(layer.traps_all)
            assert row.traps_mean == np.median(layer.traps_mean)
            assert row.spectral_excess == max(layer.lambda_max - layer.mp_edge, 0.0) / layer.mp_edge
            assert row.theta == (layer.outliers[0]["theta"] if layer.outliers else None)
        member = next(m for m in report.members if m.step == step)
        assert member.digest == alone.subject.digest


def test_the_order_of_the_paths_does_not_matter(folder: Path, report: SeriesReport) -> None:
    shuffled = [folder / f"checkpoint-{step}" for step in (500, 0, 400, 100, 600, 200)]
    found = series(shuffled, FAST)
    assert found.paths == list(map(str, shuffled))
    assert msgspec.structs.replace(found, paths=report.paths) == report


def test_what_a_matrix_has_gone_through_is_known(report: SeriesReport) -> None:
    """theta_t = theta_0 + t*d with d = 1e-5 u v': distance t*|d|, speed the difference, rank one."""
    u, v = np.random.default_rng(7).standard_normal(40), np.random.default_rng(8).standard_normal(60)
    length = 1e-5 * float(np.linalg.norm(u) * np.linalg.norm(v))
    rows = path_of(report, "a.weight")
    assert rows[0].distance == 0.0
    assert rows[0].undefined["speed"] == rows[0].undefined["delta_stable_rank"] == "first_checkpoint"
    for before, row in pairwise(rows):
        assert row.distance == pytest.approx(row.step * length, rel=1e-3)
        assert row.speed == pytest.approx((row.step - before.step) * length, rel=2e-3)
        assert row.delta_stable_rank == pytest.approx(1.0, abs=1e-4)
    still = path_of(report, "b.weight")[1]
    assert (still.distance, still.speed) == (0.0, 0.0)
    assert still.undefined["delta_stable_rank"] == "no_movement"


def test_a_trap_that_appears_is_found_with_its_step_and_cause(report: SeriesReport) -> None:
    assert report.verdict == "FINDINGS"
    change = report.changes[0]
    assert (change.matrix, change.quantity, change.from_step, change.to_step) == ("b.weight", "traps_mean", 100, 200)
    assert change.finding
    assert [s.traps_mean for s in report.steps] == [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    assert "1 finding" in report.headline


def test_noise_of_one_run_changes_nothing(tmp_path: Path) -> None:
    quiet = series(run_of(tmp_path, lambda step: {"w": start(1) * np.float32(1.0 + 1e-6 * step)}), FAST)
    assert quiet.verdict == "CLEAN"
    assert quiet.changes == []
    assert quiet.compared == sum(row.alpha_interval is not None for row in quiet.rows[1:])
    assert quiet.by_chance == pytest.approx(0.02 * quiet.compared, rel=1e-3)


def test_the_null_of_a_shape_is_drawn_once_for_the_whole_series(folder: Path, report: SeriesReport) -> None:
    asked: list[tuple[Any, int]] = []

    def counting(function: Callable[[Any], Any], tasks: Iterable[Any], lost: object = None) -> Iterator[Any]:
        tasks = list(tasks)
        asked.append((function, len(tasks)))
        if function is measure_layer:  # the edge of a matrix allows for the two that one scan judges together
            assert {(task.matrices, task.settings) for task in tasks} == {(2, FAST)}
        return map(function, tasks)

    told: list[tuple[int, int, str]] = []
    assert series([folder], FAST, map_fn=counting, progress=lambda *t: told.append(t)) == report
    assert asked == [(measure_shape, 1), (measure_layer, 12), (measure_path, 2)]
    assert [done for done, _, _ in told] == list(range(1, 16))
    assert {total for _, total, _ in told} == {15}


def test_what_workers_take_with_them_is_named_and_the_rest_stands(folder: Path, report: SeriesReport) -> None:
    """A map whose workers die at one matrix of one checkpoint, at all paths, and at the null."""

    def dying(function: Callable[[Any], Any], tasks: Iterable[Any], lost: Callable[[Any], Any]) -> Iterator[Any]:
        for place, task in enumerate(tasks):
            died = function is not measure_layer or place == 2
            yield lost(task) if died else function(task)

    found = series([folder], FAST, map_fn=dying)
    rows = path_of(found, "a.weight")
    assert rows[2].status == "FAILED"
    assert rows[2].undefined["alpha"] == rows[2].undefined["distance"] == "worker_died"
    assert rows[1].undefined["stable_rank_null"] == "no_null"
    assert rows[1].stable_rank == path_of(report, "a.weight")[1].stable_rank
    assert not any(change.kind == "nonfinite" for change in found.changes)
    assert [note.code for note in found.notes] == ["worker_died"]


def test_a_checkpoint_with_nan_in_the_middle_fails_alone(tmp_path: Path) -> None:
    def make(step: int) -> Tensors:
        made = trained(step)
        if step == 200:
            made["a.weight"][3, 4] = np.nan
        return made

    report = series(run_of(tmp_path, make), FAST)
    rows = path_of(report, "a.weight")
    assert [row.status for row in rows] == ["OK", "OK", "FAILED", "OK", "OK", "OK"]
    assert rows[2].undefined["alpha"] == rows[2].undefined["distance"] == rows[2].undefined["speed"] == "nonfinite"
    assert rows[3].undefined["speed"] == "nonfinite"
    assert rows[3].distance == pytest.approx(path_of(series([tmp_path], FAST), "a.weight")[3].distance)
    lost = next(change for change in report.changes if change.kind == "nonfinite")
    assert (lost.matrix, lost.from_step, lost.to_step, lost.held) == ("a.weight", 100, 200, 1)
    assert report.verdict == "FINDINGS"
    assert [s.failed for s in report.steps] == [0, 0, 1, 0, 0, 0]
    json.dumps(msgspec.to_builtins(report), allow_nan=False)


def test_nan_in_the_first_checkpoint_leaves_no_distance(tmp_path: Path) -> None:
    def make(step: int) -> Tensors:
        return {"w": start(1) * np.float32(np.nan if step == 0 else 1.0)}

    rows = path_of(series(run_of(tmp_path, make), FAST), "w")
    assert all(row.undefined["distance"] == "nonfinite" for row in rows)
    assert [row.speed for row in rows] == [None, None, 0.0, 0.0, 0.0, 0.0]


DOUBLING = (0, *(2**k for k in range(12)))


def turning(step: int) -> Tensors:
    """The distance |theta_t - theta_0| = (1 - exp(-t/10)) + t/400 in one unit: it slows down towards step 40 and speeds
    up again beyond, as its two parts of unit length are orthogonal or nearly so."""
    made = {}
    for seed in (1, 2, 3):
        learned, memorised = np.random.default_rng(seed + 10).standard_normal((2, 40, 60)) / np.sqrt(2_400.0)
        moved = (1.0 - np.exp(-step / 10.0)) * learned + step / 400.0 * memorised
        made[f"{seed}.weight"] = (start(seed) + moved).astype(np.float64)
    return made


def test_the_best_step_is_asked_of_the_way_that_was_gone(tmp_path: Path) -> None:
    report = series(run_of(tmp_path, turning, DOUBLING), FAST)
    rows = [path_of(report, f"{seed}.weight") for seed in (1, 2, 3)]
    asked = {name: np.array([[getattr(r, name) for r in path] for path in rows]) for name in ("distance", "fro2")}
    turn = turning_point(np.array(DOUBLING), asked)
    best = report.best
    assert (best.low, best.high, best.guess, best.sure, best.reason) == (
        turn.low, turn.high, turn.guess, "likely", turn.reason,
    )  # fmt: skip
    assert best.low <= 64 <= best.high
    assert (best.matrices, best.steps) == (3, 13)
    assert f"between steps {best.low} and {best.high} (guess {best.guess}; sure: likely)" in report.headline


def test_a_checkpoint_that_is_lost_as_a_whole_is_left_out_of_that(tmp_path: Path) -> None:
    def make(step: int) -> Tensors:
        return {name: w * (np.nan if step == 16 else 1.0) for name, w in turning(step).items()}

    report = series(run_of(tmp_path, make, DOUBLING), FAST)
    assert (report.best.matrices, report.best.steps) == (3, 12)
    assert report.best.low <= 64 <= report.best.high


def test_a_matrix_that_is_lost_once_is_left_out_of_that(tmp_path: Path) -> None:
    def make(step: int) -> Tensors:
        made = turning(step)
        if step == 16:
            made["2.weight"][0, 0] = np.inf
        return made

    report = series(run_of(tmp_path, make, DOUBLING), FAST)
    assert (report.best.matrices, report.best.steps, report.best.sure) == (2, 13, "likely")


def test_few_checkpoints_determine_nothing(tmp_path: Path) -> None:
    report = series(run_of(tmp_path, steps=[1, 2, 3, 4]), FAST)
    assert report.best.sure == "undetermined"
    assert (report.best.low, report.best.guess, report.best.high) == (None, None, None)
    assert "too few: 4 checkpoints" in report.best.reason
    assert "undetermined (too few" in report.headline


def test_matrices_that_are_not_in_all_are_listed(tmp_path: Path) -> None:
    def make(step: int) -> Tensors:
        made = trained(step)
        made["head.weight"] = start(3, 8 + step // 100, 9)
        if step:
            made["late.weight"] = start(4)
        return made

    report = series(run_of(tmp_path, make, [0, 100, 200]), FAST)
    assert {row.matrix for row in report.rows} == {"a.weight", "b.weight"}
    listed = {u.name: (u.steps, u.shapes) for u in report.unmatched}
    assert listed == {
        "head.weight": ([0, 100, 200], [[8, 9], [9, 9], [10, 9]]), "late.weight": ([100, 200], [[40, 60]]),
    }  # fmt: skip
    assert [note.code for note in report.notes] == ["not_in_all"]


def test_factors_of_an_adapter_are_not_passed_over_in_silence(tmp_path: Path) -> None:
    """Alone they are refused, and beside whole matrices there is a note."""
    for whole in (False, True):
        for step in (1, 2):
            folder = tmp_path / f"{whole}" / f"checkpoint-{step}"
            folder.mkdir(parents=True)
            module = "base_model.model.layers.0.self_attn.q_proj"
            made = {f"{module}.lora_A.weight": start(1, 4, 60), f"{module}.lora_B.weight": start(2, 40, 4)}
            if whole:
                made["base_model.model.score.modules_to_save.default.weight"] = start(3)
            save_file(made, folder / "adapter_model.safetensors")
            settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "modules_to_save": ["score"]}
            (folder / "adapter_config.json").write_text(json.dumps(settings))
    report = series([tmp_path / "True"], FAST)
    assert len(report.rows) == 2
    assert any(note.code == "factors_not_followed" and "1 pair" in note.sentence for note in report.notes)
    with pytest.raises(TollensError) as caught:
        series([tmp_path / "False"], FAST)
    assert caught.value.code == "series_unlike"
    assert "low-rank factors" in caught.value.found


def test_a_series_may_lie_at_urls(folder: Path, report: SeriesReport) -> None:
    """In a bucket, here one of memory: the folder is expanded, the notes of the trainer are read, the rows are the
    same; the digest is of what was read."""
    fsspec = pytest.importorskip("fsspec", reason="the remote extra is not installed")
    bucket = fsspec.filesystem("memory")
    bucket.put(f"{folder}/", "/series-of-tests/run/", recursive=True)
    for step in STEPS:
        bucket.pipe(f"/series-of-tests/run/checkpoint-{step}/trainer_state.json", b'{"global_step": %d}' % step)
    try:
        found = series(["memory://series-of-tests/run"], FAST)
    finally:
        bucket.rm("/series-of-tests", recursive=True)
    assert found.rows == report.rows
    assert found.paths == ["memory://series-of-tests/run"]
    assert {member.step_from for member in found.members} == {"trainer_state"}
    assert all(member.digest.startswith("sha256-tensors:") for member in found.members)
    assert msgspec.structs.replace(series([folder.as_uri()], FAST), paths=report.paths) == report


def test_a_pattern_chooses_among_what_is_in_all(folder: Path) -> None:
    assert {row.matrix for row in series([folder], msgspec.structs.replace(FAST, layers="b*")).rows} == {"b.weight"}
    with pytest.raises(TollensError) as caught:
        series([folder], msgspec.structs.replace(FAST, layers="x*"))
    assert caught.value.code == "no_such_layer"


def test_only_the_tail_leaves_the_rest_unasked(folder: Path) -> None:
    report = series([folder], ScanSettings(only="tail"))
    row = path_of(report, "a.weight")[1]
    assert row.undefined["traps_all"] == row.undefined["spectral_excess"] == row.undefined["theta"] == "not_requested"
    assert row.distance is not None
    assert report.steps[0].traps_mean is None  # not counted is not none found
    assert report.compared == 0
    assert report.by_chance == 0.0


def test_every_null_field_has_its_reason(report: SeriesReport) -> None:
    for row in report.rows:
        plain = msgspec.to_builtins(row)
        assert [name for name, value in plain.items() if value is None and name not in row.undefined] == []


@pytest.mark.parametrize(
    ("few", "out", "code"), [(False, "forecast.bin", "bad_option"), (True, "new.safetensors", "series_too_short")]
)
def test_a_forecast_is_refused_before_any_file_is_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: bool, out: str, code: str
) -> None:
    def read(checkpoint: Checkpoint) -> str:
        raise AssertionError(f"{checkpoint.path} was hashed")

    paths = run_of(tmp_path, steps=STEPS[:2] if few else STEPS)
    monkeypatch.setattr(Checkpoint, "digest", read)
    with pytest.raises(TollensError) as caught:
        series(paths, FAST, extrapolate=700, out=tmp_path / out)
    assert caught.value.code == code


def test_a_forecast_in_a_series_is_named(tmp_path: Path) -> None:
    run_of(tmp_path)
    save_file(trained(900), tmp_path / "checkpoint-600" / "model.safetensors", metadata={"made_by": MADE_BY})
    report = series([tmp_path], FAST)
    assert any(note.code == "extrapolated" and "600" in note.sentence for note in report.notes)


def test_the_contract_is_obeyed_and_the_name_is_public(folder: Path, tmp_path: Path) -> None:
    report = tollens.series([folder], FAST, extrapolate=700, out=tmp_path / "out.safetensors")
    plain = json.loads(msgspec.json.encode(report))
    schema = json.loads(schema_text("tollens.series-1"))
    jsonschema.validate(plain, schema)
    assert plain["schema"] == "tollens.series/1"
    plain["rows"][0]["alpha"] = "three"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain, schema)
