"""The page of a series: what it says, that nothing of a stranger's runs in it, and how it looks at two widths."""

from __future__ import annotations

import html as markup
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.publish.series_chart import Across, Along, Panel, panels_of, series_svg
from tollens.publish.series_page import series_html, write_series
from tollens.run.series import series
from tollens.run.series_result import SeriesReport
from tollens.run.settings import ScanSettings

HOSTILE = "<script>document.body.id='owned'</script>"
STEPS = (0, 100, 200, 300, 400, 500, 600, 700)


def matrix(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((32, 48)).astype(np.float32)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> SeriesReport:
    """A trap that appears, a checkpoint that is lost for one matrix, a name with markup, a best step, a forecast."""
    folder = tmp_path_factory.mktemp("run")
    for step in STEPS:
        broken = matrix(2)
        if step == 300:
            broken[1, 1] = np.nan
        tensors = {"a.weight": matrix(1) + np.float32(step >= 400), HOSTILE: matrix(3) * np.float32(1 + step / 100)}
        save_file(tensors | {"broken": broken, "counter": np.array([step])}, folder / f"step-{step}.safetensors")
    made = series([folder / f"step-{step}.safetensors" for step in STEPS], ScanSettings(bootstrap=20, null_draws=20))
    best = msgspec.structs.replace(made.best, low=100, guess=200, high=400, sure="likely", reason="so it was planted")
    return msgspec.structs.replace(made, best=best)


def test_the_answer_comes_first(report: SeriesReport) -> None:
    page = series_html(report)
    places = [page.index(words) for words in ("FINDINGS", "between steps 100 and 400", 'id="picture"', 'id="changes"')]
    assert places == sorted(places)
    assert "Guess: step 200 (likely)." in page
    unsure = msgspec.structs.replace(report.best, low=None, guess=None, high=None, sure="undetermined", reason="why")
    text = series_html(msgspec.structs.replace(report, best=unsure))
    assert "is undetermined" in text
    assert "Why." in text
    assert "probably is, and the guess" not in text


def test_every_change_and_every_step_is_told(report: SeriesReport) -> None:
    page = series_html(report)
    for change in report.changes:
        assert markup.escape(change.sentence) in page
    for member in report.members:
        assert member.digest[:23] in page
    assert "not a weight" not in page  # there is no forecast here
    assert "has elements that are not finite from step 300 on" in page


def test_names_are_shown_and_never_run(report: SeriesReport) -> None:
    page = series_html(report)
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=[\"'](?!#)", page)


@pytest.mark.parametrize("columns", [1, 2])
def test_the_picture_is_an_image_with_words(report: SeriesReport, columns: int) -> None:
    svg = series_svg(report, columns=columns)
    root = ET.fromstring(svg)
    label = root.attrib["aria-label"]
    assert "Six panels over 8 checkpoints from step 0 to 700" in label
    assert "between 100 and 400" in label
    assert "nan" not in svg.lower()
    x0, y0, width, height = map(float, root.attrib["viewBox"].split())
    for group in root:
        dx, dy = map(float, re.findall(r"[\d.]+", group.attrib["transform"]))
        for mark in group.iter():
            x, y = (mark.attrib.get("cx", mark.attrib.get("x")), mark.attrib.get("cy", mark.attrib.get("y")))
            if x is not None and y is not None:
                assert x0 <= dx + float(x) <= width
                assert y0 <= dy + float(y) <= height


def test_the_panels_hold_the_numbers_of_the_steps(report: SeriesReport) -> None:
    panels = {panel.title: panel for panel in panels_of(report)}
    assert list(panels["alpha"].lines[0].values) == [s.alpha for s in report.steps]
    assert list(panels["distance from the first"].lines[0].values) == [s.distance for s in report.steps]
    causes = {line.name: list(line.values) for line in panels["traps by cause"].lines}
    assert causes["mean"] == [s.traps_mean for s in report.steps]
    assert panels["traps by cause"].flags == (300, 400)
    assert panels["rank of what was added"].lines[0].values[0] is None


def test_steps_lie_where_they_belong() -> None:
    along = Along.over([100, 200, 500], 520)
    assert not along.log
    assert along.at(100) == along.left
    assert along.at(500) == along.right
    assert along.at(300) == pytest.approx((along.left + along.right) / 2.0)
    assert along.ticks() == [100, 200, 300, 400, 500]
    doubling = Along.over([0, 1, 2, 4, 512, 1_000, 143_000], 520)
    assert doubling.log
    assert doubling.at(0) == doubling.left
    assert doubling.left < doubling.at(1) < doubling.at(2) < doubling.at(512) < doubling.at(143_000)
    assert all(0 <= tick <= 143_000 for tick in doubling.ticks())
    late = [*(2**k for k in range(10)), *range(1_000, 21_000, 1_000)]
    assert not Along.over(late, 520).log  # most steps are spread evenly, and the first few may crowd
    assert Along.over([7, 8], 520).ticks() == [7, 8]
    assert len(Along.over([2**53 - 9, 2**53 - 1], 520).ticks()) >= 2


@pytest.mark.parametrize(
    ("values", "whole", "low", "high"),
    [
        ([1.0, 10.0], False, 0.0, 10.0), ([3.0, 3.2], False, None, None), ([0.0, 0.0], True, 0.0, 1.0),
        ([5.0, 5.0], False, None, None), ([None, None], False, None, None), ([1e-12, 2e-12], False, None, None),
        ([-3.0, 2.0], False, None, None), ([1e300, 2e300], False, None, None),
    ],
)  # fmt: skip
def test_axes_hold_their_values(values, whole: bool, low: float | None, high: float | None) -> None:
    from tollens.publish.series_chart import Line

    across = Across.over(Panel("x", "", (Line("x", values, "#000"),), whole=whole))
    assert across.low < across.high
    assert 2 <= len(across.ticks) <= 8
    for value in values:
        assert value is None or across.low <= value <= across.high
    if low is not None:
        assert (across.low, across.high) == (low, high)


def test_what_was_not_measured_has_no_axis(report: SeriesReport) -> None:
    steps = [msgspec.structs.replace(s, stable_rank=None, traps_mean=None, traps_entry=None, traps_residual=None)
             for s in report.steps]  # fmt: skip
    svg = series_svg(msgspec.structs.replace(report, steps=steps), columns=2)
    groups = {next(text.text for text in g.iter() if text.text): list(g.iter()) for g in ET.fromstring(svg)}
    for title in ("stable rank", "traps by cause"):
        texts = [e.text for e in groups[title] if e.text]
        assert texts == [title, "not measured"]
    assert "not measured" not in [e.text for e in groups["alpha"]]


def test_a_change_below_what_matters_is_drawn_flat() -> None:
    from tollens.publish.series_chart import Line

    across = Across.over(Panel("x", "", (Line("x", [1.0, 1.0000001], "#000"),)))
    assert across.high - across.low >= 0.02
    assert len(set(across.ticks)) == len(across.ticks) == len({f"{tick:.3g}" for tick in across.ticks})


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OFFLINE = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9",
)  # fmt: skip
MEASURE = """
const frame = document.querySelector('iframe'), out = document.querySelector('pre');
frame.onload = () => {
  const page = frame.contentDocument, root = page.documentElement, shown = e => e.getClientRects().length > 0;
  const size = e => parseFloat(frame.contentWindow.getComputedStyle(e).fontSize);
  const labels = [...page.querySelectorAll('svg[role=img] text')].filter(shown);
  const scale = e => e.ownerSVGElement.clientWidth / e.ownerSVGElement.viewBox.baseVal.width;
  out.textContent = JSON.stringify({
    owned: page.body.id, scroll: root.scrollWidth, width: root.clientWidth,
    beyond: [...page.body.querySelectorAll('*')].filter(e => shown(e) && !e.closest('.scroll, svg')
      && e.getBoundingClientRect().right > root.clientWidth + 0.5).map(e => e.outerHTML.slice(0, 80)),
    label: Math.min(...labels.map(e => size(e) * scale(e))), labels: labels.length,
    pictures: [...page.querySelectorAll('svg[role=img]')].filter(shown).length,
    cut: labels.filter(e => { const a = e.getBoundingClientRect(), b = e.ownerSVGElement.getBoundingClientRect();
      return a.left < b.left - 1 || a.right > b.right + 1; }).map(e => e.textContent),
    crossed: labels.flatMap((a, i) => labels.slice(i + 1).filter(b => { const p = a.getBoundingClientRect(),
      q = b.getBoundingClientRect(); return p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 2
      && q.top < p.bottom - 2; }).map(b => a.textContent + ' / ' + b.textContent)),
  });
};
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: nobody looked at the page")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_can_be_read(width: int, report: SeriesReport, tmp_path: Path) -> None:
    write_series(report, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    wrapper = tmp_path / "frame.html"
    wrapper.write_text(
        f'<!doctype html><body><pre></pre><iframe style="border:0;width:{width}px;height:900px" '
        f'srcdoc="{markup.escape(page)}"></iframe><script>{MEASURE}</script>',
        encoding="utf-8",
    )
    assert CHROMIUM is not None
    window = (f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,900")
    command = [CHROMIUM, *OFFLINE, *window, "--dump-dom", wrapper.as_uri()]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"<pre>(.*?)</pre>", seen, re.S)
    assert found is not None
    measured = json.loads(markup.unescape(found[1]))
    assert measured["scroll"] <= measured["width"] <= width
    assert measured["beyond"] == []
    assert measured["cut"] == []
    assert measured["crossed"] == []
    assert measured["label"] >= 11
    assert measured["labels"] > 40
    assert measured["pictures"] == 1
    assert measured["owned"] == ""
