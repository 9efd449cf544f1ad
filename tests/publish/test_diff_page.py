"""The page of a diff: everything that was compared is on it, nothing of a checkpoint is markup."""

from __future__ import annotations

import re

import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.publish.diff_chart import CHANGE, LEFT, by_depth_svg, log_ticks, rows_of
from tollens.publish.diff_page import diff_html
from tollens.run.diff import diff
from tollens.run.diff_result import DiffReport
from tollens.run.diff_settings import DiffSettings

HOSTILE = "layers.1.<script>alert(1)</script>.weight"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> DiffReport:
    folder = tmp_path_factory.mktemp("diff")
    rng = np.random.default_rng(0)
    base = {f"layers.{i}.weight": rng.standard_normal((24, 32)).astype(np.float32) for i in range(3)}
    base |= {HOSTILE: rng.standard_normal((16, 16)).astype(np.float32), "norm.bias": np.ones(8, np.float32)}
    derived = {name: array.copy() for name, array in base.items()}
    derived["layers.1.weight"] += 0.1 * np.outer(rng.standard_normal(24), rng.standard_normal(32)).astype(np.float32)
    derived[HOSTILE] += 0.01
    derived["extra.weight"] = np.zeros((9, 9), np.float32)
    save_file(base, folder / "base.safetensors")
    save_file(derived, folder / "derived.safetensors")
    return diff(folder / "base.safetensors", folder / "derived.safetensors", DiffSettings(expect="identical"))


def test_everything_that_was_compared_is_on_the_page(report: DiffReport) -> None:
    page = diff_html(report)
    assert page.count("<tr") - page.count("<thead><tr") > len(report.layers)
    for layer in report.layers:
        place = next(row for row in (re.findall(r'id="layer-(\d+)"', page)) if int(row) == layer.order + 1)
        assert page.count(f'id="layer-{place}"') == 1, layer.name
    for name in ("extra.<wbr>weight", "norm.<wbr>bias"):
        assert name in page
    assert "KILLED" in page
    assert "DERIVED is identical" in page


def test_no_text_of_a_checkpoint_is_markup(report: DiffReport) -> None:
    page = diff_html(report)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_ids_are_one_each_and_every_link_leads_somewhere(report: DiffReport) -> None:
    page = diff_html(report)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_an_equal_layer_has_no_place_on_a_logarithmic_axis(report: DiffReport) -> None:
    rows = rows_of(report, CHANGE)
    by_name = {layer.name: rows[layer.order] for layer in report.layers}
    assert by_name["layers.0.weight"]["absent"] == "identical"
    assert "value" not in by_name["layers.0.weight"]
    assert by_name["layers.1.weight"]["value"] == pytest.approx(report.layers[0].relative_change)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (-7.2, -5.9, ["10⁻⁷", "10⁻⁶"]),  # both kinds of number that a plain format mixes
        (-9.5, 4.5, ["10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "10⁰", "10²", "10⁴"]),
        (-2.4, -1.5, ["5 × 10⁻³", "10⁻²", "2 × 10⁻²"]),
    ],
)
def test_a_logarithmic_axis_has_one_style_of_labels(low: float, high: float, labels: list[str]) -> None:
    ticks = log_ticks(low, high)
    assert list(ticks.values()) == labels
    assert list(ticks) == sorted(ticks)
    assert 10.0**low <= min(ticks) < max(ticks) <= 10.0**high


def test_the_labels_are_those_that_are_drawn(report: DiffReport) -> None:
    drawn = set(re.findall(r">([^<>]*10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)</text>", by_depth_svg(report, CHANGE, tall=False, key="x")))
    assert len(drawn) >= 2


def test_the_band_of_chance_is_the_reports_own(report: DiffReport) -> None:
    moved = next(layer for layer in report.layers if layer.name == "layers.1.weight")
    row = rows_of(report, LEFT)[moved.order]
    assert moved.overlap_left is not None
    assert (row["low"], row["high"]) == (moved.overlap_left.null.low, moved.overlap_left.null.high)
