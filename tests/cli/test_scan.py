"""`tollens scan`: exit codes, answers in every form, and errors that name themselves."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

import tollens as product
from tollens.core.codes import CODES
from tollens.publish.table import COLUMNS


@pytest.mark.parametrize(
    ("which", "claim", "code", "verdict"),
    [
        ("checkpoint", None, 1, "FINDINGS"),
        ("clean", None, 0, "CLEAN"),
        ("small", None, 11, "UNDETERMINED"),
        ("checkpoint", "all(stable_rank >= 1)", 0, "SURVIVED"),
        ("checkpoint", "all(stable_rank >= 8)", 10, "KILLED"),
        ("small", "all(traps_all == 0)", 11, "UNDETERMINED"),
    ],
)
def test_the_verdict_is_the_exit_code(
    tollens, inside, request, which: str, claim: str | None, code: int, verdict: str
) -> None:
    path = request.getfixturevalue(which)
    run = (inside if claim is None else tollens)("scan", path, *(["--claim", claim] if claim else []))
    assert run.returncode == code
    assert run.stdout.startswith(f"{verdict}  ")
    assert run.stderr == ""


def raw(header: bytes, data: bytes = bytes(16), length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def described(*entries: tuple[str, list[int], list[int]], data: bytes = bytes(16)) -> bytes:
    return raw(json.dumps({n: {"dtype": "F32", "shape": s, "data_offsets": o} for n, s, o in entries}).encode(), data)


ONE = ("w", [2, 2], [0, 16])
INDEX = json.dumps({"weight_map": {"w": "a.safetensors"}}).encode()
ESCAPE = json.dumps({"weight_map": {"w": "../a.safetensors"}}).encode()
HOSTILE: dict[str, tuple[str, bytes | None, str]] = {
    "truncated": ("m.safetensors", described(ONE)[:-4], "tensor_out_of_bounds"),
    "cut in the header": ("m.safetensors", described(ONE)[:20], "header_truncated"),
    "overlapping": ("m.safetensors", described(("a", [3], [0, 12]), ("b", [2], [8, 16])), "tensor_overlap"),
    "hole": ("m.safetensors", described(("a", [2], [0, 8]), ("b", [1], [12, 16])), "tensor_hole"),
    "trailing bytes": ("m.safetensors", described(ONE) + b"!", "trailing_bytes"),
    "duplicate key": ("m.safetensors", raw(described(ONE)[8:-17] + b"," + described(ONE)[9:-16]), "duplicate_key"),
    "absurd length": ("m.safetensors", raw(b"{}", length=2**62), "header_too_long"),
    "deep JSON": ("m.safetensors", raw(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "header_too_deep"),
    "no tensors": ("m.safetensors", raw(b"{}", b""), "no_tensors"),
    "a name with an escape sequence": ("m.safetensors", described(("\x1b[2J", [2, 2], [0, 16])), "tensor_name_invalid"),
    "a name of two lines": ("m.safetensors", described(("a\nCLEAN", [2, 2], [0, 16])), "tensor_name_invalid"),
    "an empty file": ("m.safetensors", b"", "empty_file"),
    "a pickle": ("m.bin", pickle.dumps([1, 2, 3]), "pickle_refused"),
    "a pickle under another name": ("m.safetensors", pickle.dumps([1.0] * 99, 4), "pickle_refused"),
    "a text file": ("m.txt", b"hello, world, this is no checkpoint", "format_unknown"),
    "a missing shard": ("model.safetensors.index.json", INDEX, "index_shard_missing"),
    "a shard outside": ("model.safetensors.index.json", ESCAPE, "index_escapes"),
    "a folder without weights": ("readme.md", b"hello", "no_checkpoint"),
    "nothing": ("", None, "path_missing"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_is_a_named_error(tollens, inside, tmp_path: Path, name: str) -> None:
    file, content, code = HOSTILE[name]
    path = tmp_path / (file or "nothing-here.safetensors")
    if content is not None:
        path.write_bytes(content)
    whole = name in ("truncated", "deep JSON", "a pickle")  # these in a process of their own
    run = (tollens if whole else inside)("scan", tmp_path if "folder" in name else path)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"{code}: ")
    assert "Traceback" not in run.stderr
    assert [line[:12] for line in run.stderr.splitlines()[1:]] == [
        "  expected  ", "  found     ", "  do        ", "  more      ",
    ]  # fmt: skip
    assert code in CODES


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--bogus"], "bad_option"),
        (["--json", "--csv"], "bad_option"),
        (["--precision", "f16"], "bad_option"),
        (["--seed", "-1"], "bad_option"),
        (["--seed", str(2**63)], "bad_option"),
        (["--jobs", "0"], "bad_option"),
        (["--shuffles", "0"], "bad_option"),
        (["--claim", "all(stable_rank >= "], "claim_syntax"),
        (["--claim", "all(stable_rang >= 8)"], "claim_unknown_name"),
        (["--layers", "nothing*"], "no_such_layer"),
        (["--html", "/nowhere/at/all/report.html"], "path_missing"),
        (["--html", "."], "output_unwritable"),
    ],
)
def test_a_bad_request_is_a_named_error(inside, clean: Path, arguments: list[str], code: str) -> None:
    run = inside("scan", clean, *arguments)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"{code}: ")
    assert "Traceback" not in run.stderr


def test_a_path_in_bytes_that_are_no_text(inside, clean: Path, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\x1b[2J.safetensors"
    with open(path, "wb") as file:
        file.write(clean.read_bytes())
    for form in ("--json", "--csv", "--quiet", "--all"):
        run = inside("scan", os.fsdecode(path), form)
        assert (run.returncode, run.stderr) == (0, ""), form
        assert "\x1b" not in run.stdout
    assert json.loads(inside("scan", os.fsdecode(path), "--json").stdout)["subject"]["path"].endswith(
        "\\xff\x1b[2J.safetensors"
    )
    missing = inside("scan", os.fsdecode(path) + "x")
    assert missing.returncode == 2
    assert "\\udcff\\x1b[2J" in missing.stderr  # said as text; click alone would drop the sequence in silence


def test_json_is_the_object_that_the_library_returns(tollens, checkpoint: Path) -> None:
    claim = "all(stable_rank >= 1)"
    run = tollens("scan", checkpoint, "--json", "--claim", claim, "--seed", "3", "--threads", "1", "--shuffles", "7")
    assert run.stdout.count("\n") == 1
    report = product.scan(checkpoint, product.ScanSettings(seed=3, threads=1, shuffles=7), claim=claim)
    assert json.loads(run.stdout) == json.loads(msgspec.json.encode(report))
    assert run.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ([], {}),
        (["--only", "tail", "--precision", "f64"], {"only": "tail", "precision": "f64"}),
        (["--columns", "weightwatcher", "--gof", "5"], {"columns": "weightwatcher", "gof": 5}),
        (["--layers", "a*"], {"layers": "a*"}),
        (["--jobs", "2"], {}),
    ],
)
def test_every_option_reaches_the_scan(inside, checkpoint: Path, arguments: list[str], settings: dict) -> None:
    told = json.loads(inside("scan", checkpoint, "--json", "--threads", "1", *arguments).stdout)
    report = product.scan(checkpoint, product.ScanSettings(threads=1, **settings))
    assert told == json.loads(msgspec.json.encode(report))


def test_csv_has_one_row_a_layer(inside, checkpoint: Path) -> None:
    run = inside("scan", checkpoint, "--csv", "--columns", "weightwatcher", "--threads", "1")
    assert run.returncode == 1
    rows = list(csv.DictReader(io.StringIO(run.stdout)))
    report = product.scan(checkpoint, product.ScanSettings(threads=1, columns="weightwatcher"))
    assert [row["name"] for row in rows] == [layer.name for layer in report.layers]
    for row, layer in zip(rows, report.layers, strict=True):
        assert None not in row
        assert set(COLUMNS) <= set(row)
        assert float(row["stable_rank"]) == layer.stable_rank
        assert row["alpha"] == ("" if layer.alpha is None else str(layer.alpha))
        assert row["traps_all"] == " ".join(map(str, layer.traps_all or []))
    assert any(column.startswith("ww.") for column in rows[0])


def test_quiet_is_one_line(inside, checkpoint: Path) -> None:
    run = inside("scan", checkpoint, "--quiet")
    assert run.stdout == "FINDINGS  2 layers judged, 1 finding, 1 not judgeable (1 too_small)\n"
    assert (run.returncode, run.stderr) == (1, "")


def test_colour_only_where_it_is_wanted(inside, checkpoint: Path) -> None:
    assert "\x1b[" not in inside("scan", checkpoint).stdout
    forced = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    assert "\x1b[" in inside("scan", checkpoint, env=forced).stdout
    plain = inside("scan", checkpoint, env={**forced, "NO_COLOR": "1"}).stdout
    assert "\x1b[3" not in plain  # no colour; bold is none


@pytest.mark.parametrize("form", ["--json", "--all"])
def test_a_reader_that_leaves_changes_neither_the_exit_code_nor_stderr(checkpoint: Path, form: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)  # nobody reads: the first write fails, whatever its size
    run = subprocess.run(
        [sys.executable, "-m", "tollens.cli.main", "scan", str(checkpoint), form], stdout=writer,
        stderr=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (run.returncode, run.stderr) == (1, "")


def test_a_terminal_of_another_encoding_is_no_reason_to_fail(tollens, tmp_path: Path) -> None:
    save_file(
        {"层" * 60: np.random.default_rng(0).standard_normal((16, 32)).astype(np.float32)}, tmp_path / "m.safetensors"
    )
    run = tollens("scan", tmp_path / "m.safetensors", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert (run.returncode, run.stderr) == (0, "")


WITHOUT_EXTRA = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("altair", "vl_convert"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
import tollens.run.scan
def never(*_, **__): raise AssertionError("the scan was begun")
tollens.run.scan.scan = never
from tollens.cli.main import main
main(sys.argv[1:])
"""


def test_without_the_report_extra_its_command_is_named_before_any_work(tollens, clean: Path, tmp_path: Path) -> None:
    run = tollens("scan", clean, "--html", tmp_path / "r.html", code=WITHOUT_EXTRA)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("extra_missing: ")
    assert "pip install 'tollens[report]'" in run.stderr
    begun = tollens("scan", clean, code=WITHOUT_EXTRA)  # the trap itself works
    assert (begun.returncode, begun.stderr.startswith("internal: AssertionError: the scan was begun")) == (70, True)


def test_a_report_that_cannot_be_written_is_refused_before_any_work(inside, monkeypatch, clean: Path, tmp_path) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the scan was begun")

    monkeypatch.setattr("tollens.run.scan.scan", never)
    run = inside("scan", clean, "--html", tmp_path)
    assert (run.returncode, run.stderr.split(":")[0]) == (2, "output_unwritable")


def test_a_report_that_could_be_written_and_then_cannot(inside, monkeypatch, clean: Path, tmp_path: Path) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    run = inside("scan", clean, "--html", tmp_path / "r.html")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("output_unwritable: ")
    assert "No space left on device" in run.stderr


def test_where_every_worker_is_ended_nothing_is_judged_and_the_reason_is_named(tollens, checkpoint: Path) -> None:
    killer = """
import os, signal, sys
import tollens.run.scan, tollens.run.layer
from tests_worker import die
tollens.run.scan.measure_any = die
from tollens.cli.main import main
main(sys.argv[1:])
"""
    folder = checkpoint.parent / "modules"
    folder.mkdir(exist_ok=True)
    (folder / "tests_worker.py").write_text("import os, signal\ndef die(task): os.kill(os.getpid(), signal.SIGKILL)\n")
    asked = ("scan", checkpoint, "--jobs", "2", "--json", "--layers", "a*")
    run = tollens(*asked, code=killer, env={"PYTHONPATH": str(folder)})
    assert (run.returncode, run.stderr) == (11, "")
    found = json.loads(run.stdout)
    assert found["verdict"] == "UNDETERMINED"
    assert list(found["summary"]["not_judgeable"]) == ["worker_died"]


@pytest.mark.parametrize(
    ("options", "loaded"),
    [
        ([], set()),
        (["--jobs", "2"], {"tollens.pool"}),
        (["--claim", "all(alpha > 2)"], {"tollens.core.expression.parser"}),
    ],
)
def test_what_few_scans_need_is_loaded_by_those_that_need_it(
    tollens, small: Path, options: list[str], loaded: set[str]
) -> None:
    code = """
import atexit, sys
from tollens.cli.main import main
seldom = {"ml_dtypes", "multiprocessing.forkserver", "rich", "tollens.core.expression.parser", "tollens.pool"}
atexit.register(lambda: print(*sorted(seldom & set(sys.modules))))
main(sys.argv[1:])
"""
    seen = tollens("scan", small, "--quiet", *options, code=code).stdout.splitlines()[-1].split()
    assert set(seen) - {"multiprocessing.forkserver"} == loaded
    assert ("multiprocessing.forkserver" in seen) == ("--jobs" in options)


def help_of(verb: Any) -> set[str]:
    return {option for parameter in verb.params for option in parameter.opts if option.startswith("--")}


def test_the_options_of_the_struct_are_those_of_the_command() -> None:
    from tollens.cli.scan import ScanOptions, command

    names = {p.name for p in command.params} - {"paths"}
    assert names == set(ScanOptions.__struct_fields__)
    assert {"--claim", "--json", "--csv", "--html", "--layers", "--seed", "--jobs", "--only"} <= help_of(command)
