"""The page of a scan: complete, self-contained, and deaf to what a checkpoint calls its tensors."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

pytest.importorskip("altair", reason="the report extra is not installed")
pytest.importorskip("vl_convert", reason="the report extra is not installed")

from tollens.core.errors import TollensError
from tollens.protocol.answer import ClaimAnswer, UndeterminedValue
from tollens.publish import card, page
from tollens.publish.report import report_html, write_report
from tollens.publish.text import foreign, number
from tollens.run.result import AliasedTensor, ScanReport
from tollens.run.scan import scan
from tollens.run.settings import ScanSettings

FORBIDDEN = {"script", "img", "iframe", "object", "embed", "link", "base", "form", "foreignobject", "image", "use"}


class Page(HTMLParser):
    """Elements, attributes and text, as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.cells: list[str] = []
        self.pieces: list[str] = []
        self.feed(html)
        self.text = "".join(self.pieces)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)
        self.cells.append(data.strip())

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


def live(html: str) -> list[str]:
    """What could run or load something."""
    seen = Page(html)
    found = sorted(FORBIDDEN & seen.elements.keys())
    found += [name for name, _ in seen.attributes if name.startswith("on") or name in ("src", "srcset", "action")]
    found += [v for v in seen.values("href") + seen.values("xlink:href") if not v.startswith("#")]
    found += re.findall(r"@import|url\((?!#)", html)
    return found + re.findall(r"(?:https?:|[\"'(])//[^\"'\s]*", re.sub(r'xmlns(:\w+)?="[^"]*"', "", html))


@pytest.fixture(scope="module")
def html(report: ScanReport) -> str:
    return report_html(report)


def test_every_layer_and_every_skipped_tensor_is_named(html: str, report: ScanReport) -> None:
    text = Page(html).text
    assert len(report.layers) == 8
    assert {s.name for s in report.skipped} == {"model.norm.weight", "<b>bias</b>"}
    for layer in report.layers:
        assert text.count(layer.name) >= 2, layer.name  # its card and its line in the table
        assert text.count(layer.sentence) >= 2
    for skipped in report.skipped:
        assert skipped.name in text
        assert skipped.reason in text


def test_the_verdict_the_claim_and_the_findings_come_before_the_layers(html: str, report: ScanReport) -> None:
    text = Page(html).text
    claim = report.claim
    assert isinstance(claim, ClaimAnswer)
    assert claim.witness is not None
    order = [report.verdict, report.headline, claim.text, str(claim.witness.layer), claim.found, report.subject.digest]
    places = [text.index(part, text.index("Tollens · scan")) for part in order]
    assert places == sorted(places)
    assert {f.code for f in report.findings} >= {"trap", "dead", "nonfinite"}
    for finding in report.findings:
        assert finding.sentence in text


def test_nothing_on_the_page_can_run_or_load(html: str) -> None:
    assert live(html) == []


@pytest.mark.parametrize(
    "bad",
    [
        "<script>1</script>", "<img src=x>", '<a href="http://a.b">', '<p onclick="x">', "<style>@import 'a'</style>",
        "<p style='background:url(//a.b/c)'>", '<a href="javascript:1">', "<p>https://a.b</p>",
    ],
)  # fmt: skip
def test_the_check_for_live_parts_fires(bad: str) -> None:
    assert live(bad) != []


def test_without_escaping_a_name_would_run(report: ScanReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card, "breakable", lambda name: name)
    assert "script" in live(report_html(report))


def test_no_number_is_missing_in_disguise(html: str) -> None:
    seen = Page(html)
    assert not {"nan", "NaN", "inf", "-inf", "Infinity", "None", "null"} & set(seen.cells)
    found = re.search(r".{30}\b(nan|inf|None)\b.{9}", seen.text)
    assert found is None, found
    assert not [v for name, v in seen.attributes if name in ("d", "transform", "points") and "NaN" in v]


def test_ids_are_distinct_and_every_link_has_a_target(html: str) -> None:
    seen = Page(html)
    ids = Counter(seen.values("id"))
    assert [i for i, n in ids.items() if n > 1] == []
    assert {v[1:] for v in seen.values("href")} <= ids.keys()
    assert set(re.findall(r"url\(#([^)]*)\)", html)) <= ids.keys()


def test_a_picture_says_in_words_what_it_shows(html: str) -> None:
    labels = [v for v in Page(html).values("aria-label") if v.startswith("Spectrum")]
    assert len(labels) == 6  # all but the layer of zeros and the one with a NaN
    assert any("1 of a shuffled matrix beyond the edge" in label for label in labels)


def test_a_report_without_layers(report: ScanReport) -> None:
    empty = msgspec.structs.replace(
        report, layers=[], findings=[], notes=[], skipped=[], claim=msgspec.UNSET, verdict="UNDETERMINED"
    )
    html = report_html(empty)
    assert live(html) == []
    assert "There is no layer to draw" in html


def test_layers_without_interval_and_null_are_drawn(report: ScanReport) -> None:
    bare = [
        msgspec.structs.replace(
            layer, alpha_interval=None, alpha_null=None, null={}, traps_all=None, traps_mean=None, traps_entry=None,
            traps_residual=None, tw_edge=None, outliers=None, n_outliers=None, mp_sigma2=None, localisation=None,
        )
        for layer in report.layers
    ]  # fmt: skip
    html = report_html(msgspec.structs.replace(report, layers=bare))
    assert "NaN" not in re.sub(r">[^<]*<", "><", html)
    assert "nothing here is told from chance" in html
    assert "Gaussian matrices of the same shape" not in html, "neither in the key nor in the description"


def test_aliases_and_open_questions_are_listed(report: ScanReport) -> None:
    gaps = [UndeterminedValue("<i>x</i>", "alpha", "tail_too_short")] * 30
    claim = ClaimAnswer("all(alpha < 6)", report.claim.verdict, "e", "f", None, gaps)  # type: ignore[union-attr]
    changed = msgspec.structs.replace(report, aliased=[AliasedTensor("lm_head", "embed")], claim=claim)
    text = Page(report_html(changed)).text
    assert "lm_head is the same tensor as embed" in text
    assert "and 10 more" in text
    assert "<i>x</i>" in text


def test_what_a_plugin_measured_is_told_and_not_obeyed(report: ScanReport) -> None:
    told = msgspec.structs.replace(report.layers[-1], plugins={"kurtosis<i>": 3.25, "rows": ["<script>"]})
    html = report_html(msgspec.structs.replace(report, layers=[told], findings=[], claim=msgspec.UNSET))
    assert live(html) == []
    assert "kurtosis<i> = 3.25, by a plugin" in Page(html).text


def enlarged(report: ScanReport, count: int) -> ScanReport:
    layers = [
        msgspec.structs.replace(report.layers[i % len(report.layers)], name=f"block.{i}.weight", order=i)
        for i in range(count)
    ]
    return msgspec.structs.replace(report, layers=layers)


def test_many_layers_are_all_in_the_table(report: ScanReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "DRAWN", 2)
    html = report_html(enlarged(report, 300))
    assert html.count('<figure class="spectrum">') <= 2
    assert "298 more layers without a picture" in html
    assert all(f"block.{i}.weight" in Page(html).text for i in (0, 1, 150, 299))
    assert live(html) == []


@pytest.mark.slow
def test_three_hundred_layers_make_a_small_page_soon(report: ScanReport) -> None:
    start = time.process_time()
    size = len(report_html(enlarged(report, 300)).encode())
    assert size < 8e6
    assert time.process_time() - start < 30.0


def test_the_file_appears_whole(report: ScanReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = msgspec.structs.replace(report, layers=[], findings=[])
    target = tmp_path / "report.html"
    target.write_text("old")
    write_report(empty, target)
    assert target.read_text(encoding="utf-8").endswith("</html>\n")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]

    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(13, "no")

    monkeypatch.setattr(Path, "replace", refuse)
    before = target.read_bytes()
    with pytest.raises(TollensError, match="output_unwritable"):
        write_report(empty, target)
    assert target.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_missing_folder_is_named(report: ScanReport, tmp_path: Path) -> None:
    empty = msgspec.structs.replace(report, layers=[], findings=[])
    with pytest.raises(TollensError, match="output_unwritable"):
        write_report(empty, tmp_path / "nowhere" / "report.html")
    with pytest.raises(TollensError, match="output_unwritable"):
        write_report(empty, tmp_path)


@pytest.mark.parametrize("module", ["altair", "vl_convert"])
def test_a_missing_extra_names_its_command(module: str, report: ScanReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(TollensError, match=re.escape("pip install 'tollens[report]'")):
        report_html(report)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a<b>&\"'", "a&lt;b&gt;&amp;&quot;&#x27;"),
        ("a\x00\n", "a\\u{0}\\u{a}"),
        ("safe\u202egnp", "safe\\u{202e}gnp"),
        ("\ud800", "\\u{d800}"),
        ("Schicht.ü.重み", "Schicht.ü.重み"),
    ],
)
def test_names_are_shown_as_they_are_and_never_obeyed(name: str, shown: str) -> None:
    assert foreign(name) == shown
    foreign(name).encode("utf-8")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"), (0.0, "0"), (384, "384"), (12345, "12,345"), (3.2997, "3.30"), (0.0347, "0.0347"), (1541.2, "1,541"),
        (99.96, "100"), (1.5463e-5, "1.55 × 10⁻⁵"), (-2.5, "-2.50"), (3e300, "3.00 × 10³⁰⁰"),
    ],
)  # fmt: skip
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert number(value).replace("100.0", "100") == shown


def test_an_adapter_has_no_chart_of_alpha_and_says_why(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {"q.lora_A.weight": rng.standard_normal((4, 64)), "q.lora_B.weight": rng.standard_normal((32, 4))}
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text('{"r": 4, "lora_alpha": 8}')
    report = scan(tmp_path, ScanSettings(null_draws=20))
    shown = Page(report_html(report))
    null = report.layers[0].null["stable_rank"]
    assert shown.text.count(f"{number(null.low)} – {number(null.high)}") >= 2  # on its card and in the table
    assert "Products of two factors have no tail, and so no alpha." in shown.text
    assert "No spectrum to draw: measured from its factors (factored)." in shown.text
    assert "of at most 4" in shown.text
