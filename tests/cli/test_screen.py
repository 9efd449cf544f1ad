"""A scan on the screen: the verdict first, inside the width, and no stranger's text takes control."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.cells import cell_len
from safetensors.numpy import save_file

from tollens.cli.screen import ROWS, scan_text
from tollens.publish.report import report_html
from tollens.run.diff import diff
from tollens.run.result import ScanReport
from tollens.run.scan import scan
from tollens.run.settings import ScanSettings

FAST = ScanSettings(bootstrap=20, null_draws=20)


def gaussian(seed: int, rows: int = 16, cols: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, cols)).astype(np.float32)


def scanned(folder: Path, tensors: dict[str, np.ndarray], **options: Any) -> ScanReport:
    save_file(tensors, folder / "m.safetensors")
    return scan(folder / "m.safetensors", FAST, **options)


@pytest.fixture
def rich_report(tmp_path: Path) -> ScanReport:
    broken = gaussian(2)
    broken[0, 0] = np.nan
    heavy = np.random.default_rng(5).standard_t(2.5, (64, 96)).astype(np.float32)
    tensors = {
        "model.layers.0.self_attn.some_very_long_projection_name.q_proj.weight": heavy, "bias": gaussian(0)[0],
        "offset": gaussian(1, 64, 96) + 2, "broken": broken, "zero": np.zeros((16, 32), np.float32),
        "small": gaussian(3, 3, 4), "层" * 70: gaussian(4),
    }  # fmt: skip
    return scanned(tmp_path, tensors, claim="all(stable_rank >= 8)")


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("show_all", [False, True])
def test_no_line_is_wider_than_the_terminal(monkeypatch, rich_report: ScanReport, width: int, show_all: bool) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = scan_text(rich_report, html=None, show_all=show_all).splitlines()
    assert lines[0].startswith(rich_report.verdict)
    too_long = [line for line in lines if cell_len(line) > width]
    assert too_long == []


def test_the_verdict_the_witness_and_the_next_command(monkeypatch, rich_report: ScanReport) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    text = scan_text(rich_report, html=None, show_all=False)
    assert text.startswith("KILLED  ")
    places = [
        text.index(word) for word in ("claim  ", "witness  ", "expected  ", "found  ", "nonfinite  broken", "next  ")
    ]
    assert places == sorted(places)
    assert "7 tensors = 6 analysed + 1 skipped (1 not_a_matrix) + 0 aliased" in text


def test_only_the_first_rows_are_shown_unless_all_are_asked_for(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    report = scanned(tmp_path, {f"w{i:03}": gaussian(i, 8, 9) for i in range(ROWS + 5)})
    short, whole = (scan_text(report, html=None, show_all=show) for show in (False, True))
    assert "5 more layers; --all prints them." in short
    assert "more layers" not in whole
    assert len(set(re.findall(r"w0\d\d", short))) == ROWS
    assert len(set(re.findall(r"w0\d\d", whole))) == ROWS + 5


@pytest.mark.parametrize("name", ["[bold]x[/bold]", "[/]", "[red]", "[link=http://a]b[/link]", ":smile:", "a\\[b"])
def test_markup_in_a_name_is_shown_as_it_is(monkeypatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    text = scan_text(scanned(tmp_path, {name: gaussian(0) + np.float32(2)}), html=None, show_all=True)
    assert text.count(name) >= 3  # its finding, its row, its sentence


ATTACK = "a\x1b[2J\x1b]0;owned\x07\r\nCLEAN  forged\u202e\x9b31m"


def test_control_characters_reach_no_terminal_from_any_field(monkeypatch, rich_report: ScanReport) -> None:
    """The readers refuse such names; the screen does not rely on it."""
    monkeypatch.setenv("COLUMNS", "100")

    def poisoned(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: poisoned(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [poisoned(v, key) for v in value]
        free = key in ("name", "path", "layer", "sentence", "text", "expected", "found", "layers")
        return ATTACK if isinstance(value, str) and free else value

    report = msgspec.convert(poisoned(msgspec.to_builtins(rich_report)), ScanReport)
    text = scan_text(report, html=None, show_all=True)
    assert {c for c in text if not c.isprintable()} == {"\n"}
    assert not any(line.startswith("CLEAN  forged") for line in text.splitlines())


def test_the_next_command_is_safe_to_paste(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    folder = tmp_path / "a b; echo $(date)"
    folder.mkdir()
    text = scan_text(scanned(folder, {"w": gaussian(0)}), html=None, show_all=False)
    assert f"tollens scan '{folder}/m.safetensors' --html report.html" in text.replace("\n", " ")


@pytest.fixture
def adapter_report(tmp_path: Path) -> ScanReport:
    """An adapter of rank 4 with one module stored whole, a pair that is still zero and half a pair."""
    tensors: dict[str, Any] = {"base_model.model.lm_head.weight": gaussian(0)}
    for i in range(3):
        module = f"base_model.model.model.layers.{i}.self_attn.q_proj"
        tensors[f"{module}.lora_A.weight"] = gaussian(i, 4, 64)
        tensors[f"{module}.lora_B.weight"] = gaussian(i, 96, 4) * np.float32(i > 0)
    tensors["x.lora_A.weight"] = gaussian(0, 4, 8)
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    text = '{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "modules_to_save": ["lm_head"]}'
    (tmp_path / "adapter_config.json").write_text(text)
    return scan(tmp_path, FAST)


@pytest.mark.parametrize("width", [80, 120])
def test_products_have_a_table_of_their_own(monkeypatch, adapter_report: ScanReport, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = scan_text(adapter_report, html=None, show_all=True)
    lines = text.splitlines()
    assert [line for line in lines if cell_len(line) > width] == []
    heads = [line.split()[0] for line in lines if line.startswith(("adapter ", "layer "))]
    assert heads == ["adapter", "layer"]
    rows = {line.split()[0][-20:]: line.split()[1:] for line in lines if " 64x96 " in line}
    for layer in adapter_report.layers:
        if layer.rank == 4:
            assert layer.fro2 is not None
            assert rows[layer.name[-20:]][:2] == ["64x96", "4"]
            assert rows[layer.name[-20:]][-1] == f"{layer.fro2**0.5:.3g}"
    assert len(rows) == 3
    assert "8 tensors = 7 analysed + 1 skipped (1 lora_unpaired) + 0 aliased" in text
    assert "the adapter leaves this matrix as it is" in text


def test_an_adapter_alone_is_told_without_a_tail(monkeypatch, adapter_report: ScanReport) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    products = [layer for layer in adapter_report.layers if "factored" in layer.flags]
    alone = msgspec.structs.replace(adapter_report, layers=products, findings=[])
    text = scan_text(alone, html="r.html", show_all=False)
    assert "alpha" not in text.partition("note")[0]
    assert "the singular values of a product are taken in float64" in text
    assert "--claim 'all(stable_rank >= 2)'" in text


def test_one_part_of_several_is_named_on_the_screen_in_the_page_and_in_json(tmp_path: Path) -> None:
    path = tmp_path / "model-00001-of-00003.safetensors"
    save_file({"w": gaussian(0)}, path)
    settings = ScanSettings(only="tail")
    report = scan(path, settings)
    [note] = [note for note in report.notes if note.code == "part_of_several"]
    assert "part 1 of 3: the other parts are not read; name the folder or the index." in note.sentence
    shown = "the other parts are not read"
    assert shown in " ".join(scan_text(report, html=None, show_all=False).split())
    assert shown in report_html(report)
    assert shown.encode() in msgspec.json.encode(report)
    assert [n.code for n in diff(path, path).notes if n.code == "part_of_several"] == ["part_of_several"] * 2
