"""The page in a real browser: opened from disk, without network and without its scripts, at two widths."""

from __future__ import annotations

import html as markup
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("altair", reason="the report extra is not installed")
pytest.importorskip("vl_convert", reason="the report extra is not installed")

from tollens.publish.report import write_report
from tollens.publish.spectrum_chart import picture_of
from tollens.run.result import ScanReport

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: nobody looked at the page")

OFFLINE = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9",
)  # fmt: skip

# The page stands in a frame of the wanted width, because a window cannot be made as narrow as a phone.
MEASURE = """
const frame = document.querySelector('iframe'), out = document.querySelector('pre');
frame.onload = () => {
  const page = frame.contentDocument, root = page.documentElement, shown = e => e.getClientRects().length > 0;
  const size = e => parseFloat(frame.contentWindow.getComputedStyle(e).fontSize);
  const direct = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  const texts = [...page.body.querySelectorAll('*:not(svg *)')].filter(e => shown(e) && direct(e));
  const labels = [...page.querySelectorAll('svg[role=img] text')].filter(shown);
  const scale = e => e.ownerSVGElement.clientWidth / e.ownerSVGElement.viewBox.baseVal.width;
  const first = page.querySelector('details.card[open] svg[role=img]');
  const bars = [...first.querySelectorAll('.mark-rect path')].map(e => e.getBoundingClientRect());
  out.textContent = JSON.stringify({
    owned: page.body.id, scroll: root.scrollWidth, width: root.clientWidth,
    beyond: [...page.body.querySelectorAll('*')].filter(e => shown(e) && !e.closest('.scroll, svg')
      && e.getBoundingClientRect().right > root.clientWidth + 0.5).map(e => e.outerHTML.slice(0, 80)),
    text: Math.min(...texts.map(size)), label: Math.min(...labels.map(e => size(e) * scale(e))),
    name: page.querySelector('details.card .name').textContent, picture: first.getBoundingClientRect().width,
    bars: bars.filter(b => b.height > 0 && b.width > 0).length,
    depths: [...page.querySelectorAll('#depth ~ figure')].slice(0, 1).flatMap(f =>
      [...f.querySelectorAll('svg[role=img]')].filter(shown)).length,
    cut: labels.filter(e => { const a = e.getBoundingClientRect(), b = e.ownerSVGElement.getBoundingClientRect();
      return a.left < b.left - 1 || a.right > b.right + 1; }).map(e => e.textContent),
  });
};
"""


def dom(path: Path, profile: Path, width: int = 1440) -> str:
    """What the browser has made of a file when nothing of the world can be reached."""
    assert CHROMIUM is not None
    window = (f"--user-data-dir={profile}", f"--window-size={width},900")
    command = [CHROMIUM, *OFFLINE, *window, "--dump-dom", path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def measured(page: str, folder: Path, width: int) -> dict[str, Any]:
    wrapper = folder / f"frame-{width}.html"
    wrapper.write_text(
        f'<!doctype html><body><pre></pre><iframe style="border:0;width:{width}px;height:900px" '
        f'srcdoc="{markup.escape(page)}"></iframe><script>{MEASURE}</script>',
        encoding="utf-8",
    )
    found = re.search(r"<pre>(.*?)</pre>", dom(wrapper, folder / "profile", width), re.S)
    assert found is not None
    assert found[1], "the frame did not load"
    measures: dict[str, Any] = json.loads(markup.unescape(found[1]))
    return measures


@pytest.fixture(scope="module")
def written(report: ScanReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(report, path)
    return path


def test_the_browser_shows_the_worst_layer_and_its_spectrum(written: Path, report: ScanReport) -> None:
    worst = next(layer for layer in report.layers if layer.histogram is not None)
    seen = dom(written, written.parent / "profile")
    card = next(c for c in seen.split('<details class="card"') if worst.sentence in markup.unescape(c))
    assert worst.name in markup.unescape(re.sub(r"<[^>]*>", "", card))
    assert card.count("<svg") > 1
    assert "mark-rect" in card
    assert "Tracy–Widom edge" in card


@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_fits_and_can_be_read(width: int, written: Path, report: ScanReport) -> None:
    seen = measured(written.read_text(encoding="utf-8"), written.parent, width)
    first = next(filter(None, map(picture_of, report.layers)))
    assert seen["name"] == report.layers[0].name
    assert seen["bars"] == len(first.bars())
    assert seen["picture"] > 280
    assert seen["depths"] == 1
    assert seen["scroll"] <= seen["width"] <= width
    assert seen["beyond"] == []
    assert seen["cut"] == []
    assert seen["text"] >= 14
    assert seen["label"] >= 11
    assert seen["owned"] == ""


def test_no_name_runs_even_where_the_policy_is_gone(written: Path) -> None:
    page = written.read_text(encoding="utf-8")
    open_page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert open_page != page
    assert measured(open_page, written.parent, 800)["owned"] == ""


def test_the_measures_fire(written: Path) -> None:
    page = written.read_text(encoding="utf-8")
    spoiled = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page).replace(
        "<main>", "<main><p style='width:900px;font-size:9px'>x</p><script>document.body.id='owned'</script>"
    )
    seen = measured(spoiled, written.parent, 390)
    assert seen["scroll"] > seen["width"]
    assert seen["beyond"] != []
    assert seen["text"] == 9
    assert seen["owned"] == "owned"


def test_the_policy_stops_a_script_that_got_in(written: Path) -> None:
    page = written.read_text(encoding="utf-8")
    spoiled = page.replace("<main>", "<main><script>document.body.id='owned'</script>")
    assert measured(spoiled, written.parent, 390)["owned"] == ""
