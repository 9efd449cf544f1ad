"""What the pictures claim: counts that add up, marks where the numbers are, nothing for what is undefined."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

pytest.importorskip("altair", reason="the report extra is not installed")
pytest.importorskip("vl_convert", reason="the report extra is not installed")

from tollens.publish.depth_chart import CEILING, GROUPS, cut, depth_svg, group_of, rows_of
from tollens.publish.spectrum_chart import SpectrumPicture, picture_of, spectrum_svg, trap_count
from tollens.run.result import Histogram, LayerReport, ScanReport


def layer(**fields: object) -> LayerReport:
    return LayerReport(
        name="w", tensor="w", order=0, role="q", view="stored", M=200, N=400, Q=2.0, source_dtype="F32",
        precision="f32", **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_tail_line_counts_what_the_power_law_predicts() -> None:
    """1000 points of alpha = 3 from 1 on put 1000 (a^-2 - b^-2) of them between a and b."""
    counts = [1] * 200
    drawn = SpectrumPicture(Histogram(-1.0, 2.0, counts), layer(alpha=3.0, xmin=1.0, n_tail=1000, lambda_max=100.0))
    (begin, end) = drawn.tail()
    slope = math.log10(end["y"] / begin["y"]) / (end["x"] - begin["x"])
    assert slope == pytest.approx(1.0 - 3.0)
    for left in (0.0, 0.3, 0.9):
        expected = 1000 * (10 ** (-2 * left) - 10 ** (-2 * (left + drawn.step)))
        middle = begin["y"] * 10 ** (slope * (left + drawn.step / 2))
        assert middle == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("spikes", [0, 5])
def test_the_bulk_curve_holds_all_eigenvalues_but_the_outliers(spikes: int) -> None:
    drawn = SpectrumPicture(Histogram(0.0, 4.0, [1] * 40), layer(mp_sigma2=1.0, n_outliers=spikes))
    x, y = (np.array([row[k] for row in drawn.bulk()]) for k in "xy")
    assert np.trapezoid(y, x) / drawn.step == pytest.approx(200 - spikes, rel=0.01)
    edge = (math.sqrt(400 - spikes) + math.sqrt(200 - spikes)) ** 2
    assert 10 ** x[-1] == pytest.approx(edge, rel=1e-3)


def test_bars_hold_the_histogram() -> None:
    drawn = SpectrumPicture(Histogram(-2.0, 2.0, [0, 3, 0, 1]), layer())
    assert [(b["x"], b["x2"], b["y"]) for b in drawn.bars()] == [(-1.0, 0.0, 3), (1.0, 2.0, 1)]


def test_a_spectrum_of_one_value_has_a_bar_of_finite_width() -> None:
    drawn = SpectrumPicture(Histogram(0.0, 0.0, [0, 0, 48, 0]), layer())
    assert drawn.step == 0.25
    assert "NaN" not in spectrum_svg(drawn, "k")


def test_localised_outliers_have_a_mark_of_their_own() -> None:
    drawn = SpectrumPicture(
        Histogram(0.0, 2.0, [5] * 20),
        layer(
            outliers=[{"lambda": 100.0}, {"lambda": 30.0}],
            localisation=[{"s": 10.0, "label": "localised"}, {"s": 30.0**0.5, "label": "delocalised"}],
        ),
    )
    spread, localised = drawn.outliers()
    assert [m["x"] for m in spread] == pytest.approx([1.45])
    assert [m["x"] for m in localised] == pytest.approx([1.95])


def test_what_has_no_spectrum_has_no_picture() -> None:
    assert picture_of(layer()) is None
    assert picture_of(layer(histogram=Histogram(0.0, 1.0, [0, 0]))) is None


def test_a_trap_is_drawn_at_the_edge_of_shuffled_matrices(report: ScanReport) -> None:
    trapped = next(one for one in report.layers if trap_count(one) == 1 and "spectral2" in one.null)
    drawn = picture_of(trapped)
    assert drawn is not None
    at = {name: x for name, x, _, _ in drawn.rules()}
    assert at["1 trap beyond here"] == pytest.approx(math.log10(trapped.null["spectral2"].high))
    assert "1 trap beyond here" in spectrum_svg(drawn, "k")


def test_every_picture_passes_the_check_of_its_own_grammar(report: ScanReport) -> None:
    """altair checks each part against the Vega-Lite schema here; the page leaves that out for speed."""
    for one in report.layers:
        drawn = picture_of(one)
        if drawn is not None:
            svg = spectrum_svg(drawn, "k")
            assert svg.count("<path") > len(drawn.bars())
            assert one.name not in svg
    for tall in (False, True):
        assert "6 convention" in depth_svg(report, tall=tall, key="k")


def test_depth_keeps_file_order_and_draws_no_undefined_alpha(report: ScanReport) -> None:
    rows = rows_of(report)
    layers = sorted(report.layers, key=lambda one: one.order)
    assert [row["place"] for row in rows] == list(range(1, len(layers) + 1))
    for row, one in zip(rows, layers, strict=True):
        assert ("alpha" in row) == (one.alpha is not None)
        assert ("finding" in row) == any(f.layer == one.name for f in report.findings)
    assert any("alpha" not in row for row in rows)


def test_an_interval_beyond_the_frame_is_cut_and_counted(report: ScanReport) -> None:
    wide = next(one for one in report.layers if one.alpha_interval is not None)
    assert wide.alpha_interval is not None
    far = msgspec.structs.replace(
        wide, alpha_interval=msgspec.structs.replace(wide.alpha_interval, high=400.0), alpha_null=None
    )
    changed = msgspec.structs.replace(report, layers=[far])
    assert rows_of(changed)[0]["high"] == CEILING
    assert cut(changed) == 1


@pytest.mark.parametrize(
    ("role", "group"),
    [
        ("q", "attention"), ("gate_up", "mlp"), ("head", "embedding or head"), ("conv", "convolution"),
        ("unmatched", "other"),
    ],
)  # fmt: skip
def test_roles_have_a_shape(role: str, group: str) -> None:
    assert group_of(role) == group
    assert len({shape for shape, _ in GROUPS.values()}) == len({c for _, c in GROUPS.values()}) == len(GROUPS)
