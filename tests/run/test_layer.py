"""One matrix through all instruments: degenerate shapes, failures that stay local, and what a setting reaches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tollens.core.errors import TollensError
from tollens.instrument import spectrum
from tollens.run import layer as layer_module
from tollens.run.layer import LayerTask, ShapeTask, Weights, measure_layer, measure_shape, nonfinite
from tollens.run.result import LayerReport
from tollens.run.scan import scan
from tollens.run.settings import ScanSettings
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.matrices import MatrixView, matrices

FAST = ScanSettings(bootstrap=20, null_draws=20, precision="f64")
RANKS = ("stable_rank", "entropy_rank", "participation_rank")
BULK = ("mp_sigma2", "mp_edge", "mp_distance", "tw_edge", "n_outliers", "traps_all", "traps_mean", "traps_entry")
TAIL = ("alpha", "sigma", "xmin", "n_tail", "D", "alpha_hat", "log10_alpha_norm", "alpha_interval", "alpha_null")


def view_of(folder: Path, matrix: NDArray[Any]) -> MatrixView:
    save_file({"w": matrix}, folder / "m.safetensors")
    [view] = matrices(open_checkpoint(folder / "m.safetensors")).matrices
    return view


def measured(folder: Path, matrix: NDArray[Any], settings: ScanSettings = FAST) -> LayerReport:
    view = view_of(folder, matrix)
    M, N = sorted(view.shape)
    return measure_layer(LayerTask(view, 0, settings, 1, measure_shape(ShapeTask(M, N, settings))))


def reasons(layer: LayerReport, names: tuple[str, ...]) -> set[str | None]:
    assert all(getattr(layer, name) is None for name in names)
    return {layer.undefined.get(name) for name in names}


def gaussian(rows: int, cols: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((rows, cols))


def test_zero(tmp_path: Path) -> None:
    layer = measured(tmp_path, np.zeros((16, 32)))
    assert (layer.status, layer.fro2, layer.spectral2, layer.numerical_rank) == ("OK", 0.0, 0.0, 0)
    assert reasons(layer, ("log10_fro2", "log10_spectral2", *RANKS, *TAIL, *BULK)) == {"zero_matrix"}


def test_constant(tmp_path: Path) -> None:
    """a = 0.5 everywhere: rank 1 and lambda_max = a^2 N M."""
    layer = measured(tmp_path, np.full((16, 32), 0.5))
    assert layer.lambda_max == pytest.approx(0.25 * 16 * 32, rel=1e-12)
    assert layer.numerical_rank == 1
    assert reasons(layer, BULK) == {"no_variance"}
    assert reasons(layer, TAIL) == {"rank_one"}
    assert "no_variance" in layer.flags


def test_rank_one(tmp_path: Path) -> None:
    layer = measured(tmp_path, np.outer(np.arange(1.0, 17.0), np.arange(1.0, 33.0)))
    for rank in RANKS:
        assert getattr(layer, rank) == pytest.approx(1.0, abs=1e-12)
    assert layer.numerical_rank == 1
    assert reasons(layer, TAIL) == {"rank_one"}
    assert "no_variance" not in layer.flags


@pytest.mark.parametrize("shape", [(1, 40), (40, 1)])
def test_a_row_has_a_spectrum_only(tmp_path: Path, shape: tuple[int, int]) -> None:
    row = gaussian(*shape)
    layer = measured(tmp_path, row)
    assert layer.lambda_max == pytest.approx(float((row**2).sum()), rel=1e-12)  # the one eigenvalue is |w|^2
    assert (layer.M, layer.N, layer.stable_rank) == (1, 40, 1.0)
    assert reasons(layer, (*TAIL, *BULK)) == {"too_small"}


def test_two_by_two(tmp_path: Path) -> None:
    """lambda = (f +- sqrt(f^2 - 4 d^2))/2 with f = |W|_F^2 = 30 and d = det W = -2."""
    layer = measured(tmp_path, np.array([[1.0, 2.0], [3.0, 4.0]]))
    root = math.sqrt(30.0**2 - 4 * 2.0**2)
    assert layer.lambda_max == pytest.approx((30.0 + root) / 2, rel=1e-14)
    assert layer.lambda_min_visible == pytest.approx((30.0 - root) / 2, rel=1e-12)
    assert reasons(layer, (*TAIL, *BULK)) == {"too_small"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_eigenvalues_equal(tmp_path: Path, dtype: Any) -> None:
    """An orthogonal matrix rounded to the stored type has a spread that is the rounding's own."""
    layer = measured(tmp_path, np.linalg.qr(gaussian(32, 32))[0].astype(dtype))
    assert layer.stable_rank == pytest.approx(32.0, rel=1e-5)
    assert reasons(layer, TAIL) == {"no_spread"}
    assert layer.erg_gap is None


def test_a_tail_that_is_too_short_gives_no_exponent_by_any_name(tmp_path: Path) -> None:
    layer = measured(tmp_path, gaussian(16, 32))
    assert reasons(layer, ("alpha", "sigma", "alpha_hat", "log10_alpha_norm", "alpha_interval")) == {"tail_too_short"}
    assert layer.n_tail is not None
    assert layer.n_tail < 20
    assert layer.D is not None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nonfinite(tmp_path: Path, bad: float) -> None:
    matrix = gaussian(16, 32)
    matrix[2, 3] = matrix[9, 1] = bad
    layer = measured(tmp_path, matrix)
    assert (layer.status, layer.nonfinite) == ("FAILED", {"count": 2, "first_index": [2, 3]})
    assert reasons(layer, (*TAIL, *BULK, *RANKS, "lambda_max", "histogram")) == {"nonfinite"}


def test_infinities_of_both_signs_and_nan_are_all_seen() -> None:
    assert nonfinite(np.array([[1.0, 2.0]])) is None
    assert nonfinite(np.empty((0, 3))) is None
    mixed = np.array([[1.0, -np.inf, 3.0], [np.inf, np.nan, 0.0]])
    assert nonfinite(mixed) == {"count": 3, "first_index": [0, 1]}


def test_a_layer_whose_solver_fails_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = spectrum.reduce

    def fails_for_24(lower: NDArray[Any], *rest: Any) -> Any:
        if lower.shape == (24, 24):
            raise TollensError("eigensolver_failed", "x", expected="a", found="b", fix="c")
        return real(lower, *rest)

    monkeypatch.setattr(spectrum, "reduce", fails_for_24)
    save_file({"a": gaussian(16, 32), "b": gaussian(24, 32), "c": gaussian(32, 32)}, tmp_path / "m.safetensors")
    report = scan(tmp_path / "m.safetensors", FAST)
    assert {v.name: v.status for v in report.layers} == {"a": "OK", "b": "FAILED", "c": "OK"}
    failed = next(v for v in report.layers if v.name == "b")
    assert reasons(failed, (*TAIL, *BULK)) == {"eigensolver_failed"}
    assert failed.sentence == "not measured: eigensolver_failed."
    assert report.headline == "2 layers judged, 0 findings, 1 not judgeable (1 eigensolver_failed)"


@pytest.mark.parametrize("code", ["eigensolver_failed", "changed_while_reading"])
def test_after_the_spectrum_a_failed_measurement_stays_local_and_a_changed_file_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise TollensError(code, "x", expected="a", found="b", fix="c")

    monkeypatch.setattr(layer_module.localisation.__class__, "measure", fails)
    if code == "eigensolver_failed":
        assert measured(tmp_path, gaussian(16, 32)).undefined["alpha"] == code
    else:
        with pytest.raises(TollensError, match=code):
            measured(tmp_path, gaussian(16, 32))


def test_a_file_that_changes_under_the_scan_stops_it(tmp_path: Path) -> None:
    view = view_of(tmp_path, gaussian(16, 32))
    (tmp_path / "m.safetensors").write_bytes(b"")
    with pytest.raises(TollensError) as caught:
        measure_layer(LayerTask(view, 0, FAST, 1, None))
    assert caught.value.code == "changed_while_reading"


def test_the_least_side_reaches_every_instrument(tmp_path: Path) -> None:
    matrix = gaussian(16, 32)
    assert measured(tmp_path, matrix).traps_all == [0] * 5
    higher = measured(tmp_path, matrix, ScanSettings(min_side=17, bootstrap=20, null_draws=20, gof=5))
    assert reasons(higher, (*TAIL, *BULK, "localisation", "p_gof", "alternatives")) == {"too_small"}
    lower = measured(tmp_path, gaussian(6, 32), ScanSettings(min_side=4, bootstrap=20, null_draws=20))
    assert "too_small" not in lower.undefined.values()


def test_goodness_and_alternatives_come_on_request(tmp_path: Path) -> None:
    heavy = np.random.default_rng(5).standard_t(2.5, (64, 96))
    assert reasons(measured(tmp_path, heavy), ("p_gof", "alternatives")) == {"not_requested"}
    asked = measured(tmp_path, heavy, ScanSettings(bootstrap=20, null_draws=20, gof=20))
    assert asked.p_gof is not None
    assert 0.0 <= asked.p_gof <= 1.0
    assert asked.alternatives


def test_the_histogram_counts_every_visible_eigenvalue(tmp_path: Path) -> None:
    layer = measured(tmp_path, gaussian(24, 32))
    assert layer.histogram is not None
    assert sum(layer.histogram.counts) == 24
    assert 10**layer.histogram.log10_high == pytest.approx(layer.lambda_max)
    single = measured(tmp_path, gaussian(1, 32))
    assert single.histogram is not None
    assert sum(single.histogram.counts) == 1
    assert single.histogram.log10_low < single.histogram.log10_high


def test_a_shape_has_one_null_whoever_draws_it(tmp_path: Path) -> None:
    first, again = (measure_shape(ShapeTask(16, 32, FAST)) for _ in range(2))
    assert first.band("alpha") == again.band("alpha")
    other = measure_shape(ShapeTask(16, 32, ScanSettings(seed=1, null_draws=20)))
    assert first.band("stable_rank") != other.band("stable_rank")
    assert first.draws == 20


def test_weights_are_read_once_until_somebody_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at is shared, what is taken is the taker's own."""
    save_file({"a": gaussian(16, 32)}, tmp_path / "m.safetensors")
    (view,) = matrices(open_checkpoint(tmp_path / "m.safetensors")).matrices
    weights = Weights(view)
    seen = weights.look()
    assert weights.look() is seen
    with pytest.raises(ValueError, match="read-only"):
        seen[0, 0] = 1.0
    taken = weights.take()
    assert taken is seen
    taken[:] = 0.0
    np.testing.assert_array_equal(weights.look(), gaussian(16, 32))
