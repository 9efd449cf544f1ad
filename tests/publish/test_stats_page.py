"""The small pages of statistical answers: every number and every name of the answer, no script, harmless names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("altair", reason="the report extra is not installed")
pytest.importorskip("vl_convert", reason="the report extra is not installed")

from tollens.core.seeding import generator
from tollens.publish.stats_page import ab_html, compare_html, power_html
from tollens.run.ab import AbQuestion, AbReport, ab
from tollens.run.compare import CompareQuestion, compare
from tollens.run.power import PowerQuestion, power

OWNED = "<script>alert(1)</script>"


def labels(page: str) -> list[str]:
    return re.findall(r'role="img" aria-label="([^"]+)"', page)


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> AbReport:
    rng = generator(0, "page", "ab")
    rows = [f"{('A', OWNED)[k % 2]},{int(rng.random() < (0.1, 0.3)[k % 2])}" for k in range(800)]
    path = tmp_path_factory.mktemp("ab") / "o.csv"
    path.write_text("arm,outcome\n" + "\n".join(rows))
    return ab(path, AbQuestion(rate=0.1, better=0.3, epsilon=0.005, cap=400, runs=100))


def test_the_page_of_a_decision_draws_posterior_path_and_boundary(decided: AbReport) -> None:
    page = ab_html(decided)
    drawn = labels(page)
    assert len(drawn) == 3
    assert "stops below 0.005" in drawn[1]
    assert "rejects above 20" in drawn[2]
    assert "(A/A)" in page
    assert "<script" not in page
    assert decided.digest in page


def test_the_page_of_a_comparison_draws_interval_and_margin(tmp_path: Path) -> None:
    rng = generator(0, "page", "compare")
    base = rng.random(300)
    for name, rate in (("a", 0.6), ("b", 0.7)):
        rows = [f"{OWNED}{k},{int(x < rate)}" for k, x in enumerate(base)]
        (tmp_path / f"{name}.csv").write_text("id,score\n" + "\n".join(rows))
    report = compare(tmp_path / "a.csv", tmp_path / "b.csv", CompareQuestion(margin=0.05))
    page = compare_html(report)
    assert "margin of 0.05" in labels(page)[0]
    assert len(labels(page)) == 2
    assert "<script" not in page


def test_a_refused_comparison_has_a_page_without_a_picture_of_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,score\n" + "\n".join(f"{k},1" for k in range(30)))
    page = compare_html(compare(tmp_path / "a.csv", tmp_path / "a.csv"))
    assert "refused" in page
    assert len(labels(page)) == 1  # the items, all of which differ by nothing


def test_the_page_of_a_power_holds_every_point() -> None:
    report = power(PowerQuestion(design="paired", effect=0.5, power=0.8))
    page = power_html(report)
    assert report.headline in labels(page)[0]
    assert all(f"{point.n:,.0f}" in page for point in report.curve)


def test_every_label_has_11_pixels_on_a_phone(decided: AbReport, tmp_path: Path) -> None:
    """390 pixels less the margins are 358, labels are 13 units of the width of their picture."""
    paths = [tmp_path / f"{name}.csv" for name in "ab"]
    for path, shift in zip(paths, (0, 3), strict=True):
        path.write_text("id,score\n" + "\n".join(f"{k},{(k * 7 + shift * k * k) % 10 / 10}" for k in range(40)))
    pages = (
        ab_html(decided),
        compare_html(compare(*paths, CompareQuestion(margin=0.5, alpha=0.001))),
        power_html(power(PowerQuestion(design="paired", effect=0.5, power=0.8))),
    )
    widths = [float(width) for page in pages for width in re.findall(r'viewBox="0 0 ([\d.]+) [\d.]+" style', page)]
    assert len(widths) == 6
    assert max(widths) <= 358 * 13 / 11
