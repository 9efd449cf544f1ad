"""Hostile result files: whatever stands in them, an import is a number or a named refusal."""

from __future__ import annotations

import io
import json
import random
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.subject.results.test_fixtures import HERE

from tollens.core.codes import CODES
from tollens.core.errors import TollensError
from tollens.subject.document import parse
from tollens.subject.results import archive, inspect_log, lm_eval, mlflow_run
from tollens.subject.results.imported import Imported, Wanted
from tollens.subject.results.source import imported

Reader = Callable[[bytes], Imported]


def _lm_eval(data: bytes) -> Imported:
    ask = Wanted(task="tiny_choice", metric="acc")
    return lm_eval.read(parse(data, "x", "import_syntax", constants=True), ask, "x", SAMPLES)


def _samples(data: bytes) -> Imported:
    return lm_eval.read(json.loads(RESULTS), Wanted(task="tiny_choice", metric="acc"), "x", data)


def _json_log(data: bytes) -> Imported:
    return inspect_log.read(parse(data, "x", "import_syntax", constants=True), Wanted(reducer="mean"), "x")


def _archive(data: bytes) -> Imported:
    return inspect_log.read(inspect_log.unpacked(data, "x"), Wanted(), "x")


def _database(data: bytes) -> Imported:
    ask = Wanted(metric="once", n_from="n_test")
    return mlflow_run.read(mlflow_run.runs_of(data, None, "x"), ask, "x")


def _points(data: bytes) -> Imported:
    points = mlflow_run.points_of(data, "x")
    run = mlflow_run.Run("r", "FINISHED", None, {"m": points}, {}, "1")
    return mlflow_run.read(run, Wanted(step="2", n=3), "x")


RESULTS = (HERE / "lm_eval/full/results.json").read_bytes()
SAMPLES = (HERE / "lm_eval/full/samples_tiny_choice.jsonl").read_bytes()
READERS: dict[str, tuple[Reader, bytes]] = {
    "lm_eval": (_lm_eval, RESULTS),
    "samples": (_samples, SAMPLES),
    "json": (_json_log, (HERE / "inspect/reducers.json").read_bytes()),
    "eval": (_archive, (HERE / "inspect/archive.eval").read_bytes()),
    "database": (_database, (HERE / "mlflow/mlflow.db").read_bytes()),
    "points": (_points, next((HERE / "mlflow/mlruns").rglob("metrics/accuracy")).read_bytes()),
}
TOKENS = [
    b"NaN",
    b"Infinity",
    b"null",
    b"-1",
    b"1e999",
    b"9" * 30,
    b"{}",
    b"[]",
    b'"x"',
    b"true",
    b'"\\ud800"',
    b"\xff",
]


def mutant(data: bytes, rng: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        kind, at = rng.randrange(5), rng.randrange(max(len(made), 1))
        if kind == 0:
            made[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del made[at : at + rng.randint(1, 40)]
        elif kind == 2:
            made[at:at] = made[at : at + rng.randint(1, 60)]
        elif kind == 3:
            token = rng.choice(TOKENS)
            made[at : at + len(token)] = token
        else:
            del made[rng.randrange(len(made) + 1) :]
            break
        if not made:
            break
    return bytes(made)


def survey(name: str, count: int) -> tuple[int, int]:
    """How many mutants were read and how many refused; anything but these two fails."""
    read, data = READERS[name]
    rng = random.Random(f"imports {name}")
    good = refused = 0
    for _ in range(count):
        made = mutant(data, rng)
        try:
            found = read(made)
        except TollensError as error:
            refused += error.code in CODES
        else:
            assert found.n >= 1
            assert abs(found.value) < sys.float_info.max
            assert found.stderr is None or found.stderr >= 0
            good += 1
    assert good + refused == count, "a refusal without an explanation"
    return good, refused


@pytest.mark.parametrize("name", READERS)
def test_a_mutant_is_read_or_refused(name: str) -> None:
    good, refused = survey(name, 2000)
    assert min(good, refused) > 10, "the mutants must reach both ends"


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_hundred_thousand_mutants(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    good, refused = survey(name, 100_000)
    with capsys.disabled():
        print(f"\n{name}: {good} read, {refused} refused")
    assert min(good, refused) > 500


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as target:
        for name, data in members.items():
            target.writestr(name, data)
    return made.getvalue()


PLAIN = (HERE / "inspect/plain.json").read_bytes()


def test_a_deflated_archive_is_read_too(tmp_path: Path) -> None:
    tree = json.loads(PLAIN)
    rows = tree.pop("samples")
    path = tmp_path / "log.eval"
    path.write_bytes(zipped({"header.json": json.dumps(tree).encode(), "summaries.json": json.dumps(rows).encode()}))
    assert imported(path, Wanted())[0] == imported(HERE / "inspect/plain.json", Wanted())[0]


def test_a_bomb_is_refused_before_it_goes_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 1 << 20)
    bomb = zipped({"header.json": b" " * (1 << 21)})
    assert len(bomb) < 5000
    with pytest.raises(TollensError, match="at most 1,048,576 bytes"):
        archive.member(bomb, "header.json", "x")
    lying = bytearray(bomb)
    entry = lying.rindex(b"PK\x01\x02")
    lying[entry + 24 : entry + 28] = (100).to_bytes(4, "little")
    with pytest.raises(TollensError, match="import_syntax"):
        archive.member(bytes(lying), "header.json", "x")


def test_a_bomb_of_zstandard_is_unpacked_no_further_than_it_says() -> None:
    zstandard = pytest.importorskip("zstandard")
    packed = zstandard.ZstdCompressor().compress(b" " * (1 << 24))
    made = bytearray(zipped({"header.json": packed}, zipfile.ZIP_STORED))
    for magic, method, size in ((b"PK\x03\x04", 8, 22), (b"PK\x01\x02", 10, 24)):
        at = made.index(magic)
        made[at + method : at + method + 2] = (93).to_bytes(2, "little")
        made[at + size : at + size + 4] = (1000).to_bytes(4, "little")
    with pytest.raises(TollensError) as caught:
        archive.member(bytes(made), "header.json", "x")
    assert caught.value.found == "1001 bytes of another"


def test_without_a_reader_of_zstandard_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(TollensError) as caught:
        imported(HERE / "inspect/archive.eval", Wanted())
    assert caught.value.code == "extra_missing"
    assert "inspect log convert" in caught.value.fix


def test_names_that_lead_out_of_the_archive_lead_nowhere(tmp_path: Path) -> None:
    tree = json.loads(PLAIN)
    path = tmp_path / "log.eval"
    path.write_bytes(zipped({"../../evil": b"x", "/etc/evil": b"x", "header.json": json.dumps(tree).encode()}))
    assert imported(path, Wanted())[0].value == 0.5
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["log.eval"]


def test_a_member_that_stands_twice_is_refused() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as target:
        target.writestr("header.json", PLAIN)
        with pytest.warns(UserWarning, match="Duplicate"):
            target.writestr("header.json", PLAIN.replace(b"success", b"error"))
    with pytest.raises(TollensError, match="twice"):
        archive.member(made.getvalue(), "header.json", "x")


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty_file"),
    "blank": (b" \n", "empty_file"),
    "binary": (bytes(range(256)) * 40, "import_source"),
    "deep": (b'{"results":' + b"[" * 100_000, "header_too_deep"),
    "twice": (b'{"results":{},"results":{}}', "duplicate_key"),
    "cut": (RESULTS[: len(RESULTS) // 2], "import_syntax"),
    "list": (b"[1, 2]", "import_source"),
    "number of a million digits": (b'{"results":' + b"9" * 1_000_000 + b"}", "import_syntax"),
    "not utf-8": (b'{"results": "\xff"}', "import_syntax"),
    "other": (b'{"a": 1}', "import_source"),
    "no tasks": (b'{"results": {}, "n-samples": {}}', "import_absent"),
    "wrong types": (b'{"results": {"a": 3}, "n-samples": []}', "import_syntax"),
    "inspect of wrong types": (b'{"status": "success", "eval": {"task": 3}}', "import_syntax"),
    "half a data base": ((HERE / "mlflow/mlflow.db").read_bytes()[:3000], "import_syntax"),
    "another data base": (b"SQLite format 3\x00" + b"\x00" * 5000, "import_syntax"),
    "half an archive": ((HERE / "inspect/archive.eval").read_bytes()[:2000], "import_syntax"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_has_a_name(name: str, tmp_path: Path) -> None:
    data, code = HOSTILE[name]
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(TollensError) as caught:
        imported(path, Wanted())
    assert caught.value.code == code


def test_a_view_that_never_ends_is_not_run(tmp_path: Path) -> None:
    """A data base of a stranger whose `metrics` is a query without an end."""
    import sqlite3

    path = tmp_path / "mlflow.db"
    path.write_bytes((HERE / "mlflow/mlflow.db").read_bytes())
    base = sqlite3.connect(path)
    base.execute("alter table metrics rename to kept")
    base.execute(
        "create view metrics as with recursive n(i) as (select 1 union all select i + 1 from n) "
        "select 'once' as key, 1 as timestamp, 0.5 as value, i as step, 0 as is_nan, '' as run_uuid from n"
    )
    base.commit()
    base.close()
    with pytest.raises(TollensError) as caught:
        imported(path, Wanted(metric="once", n=1))
    assert caught.value.found == "no metrics"


def test_links_in_a_folder_of_runs_are_not_followed(tmp_path: Path) -> None:
    run = tmp_path / "mlruns" / "1" / "run"
    (run / "metrics").mkdir(parents=True)
    (run / "meta.yaml").write_text("run_id: run\nstatus: 3\n")
    secret = tmp_path / "secret"
    secret.write_text("1 0.5 1\n")
    (run / "metrics" / "m").symlink_to(secret)
    (tmp_path / "mlruns" / "loop").symlink_to(tmp_path / "mlruns")
    with pytest.raises(TollensError) as caught:
        imported(tmp_path / "mlruns", Wanted(n=1))
    assert caught.value.code == "import_absent"
    (run / "metrics" / "m").unlink()
    (run / "metrics" / "m").write_text("1 0.5 1\n")
    assert imported(tmp_path / "mlruns", Wanted(n=1))[0].value == 0.5


def test_names_with_escape_sequences_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tollens.cli.main import run

    tree: Any = json.loads(RESULTS)
    name = "a\x1b[2Jb\nKILLED"
    for table in ("results", "versions", "n-samples"):
        tree[table] = {name: tree[table]["tiny_choice"]}
    path = tmp_path / "results.json"
    path.write_text(json.dumps(tree))
    assert run(["record", "import", str(path), "--metric", "acc"]) == 0
    assert run(["record", "import", str(path)]) == 2
    out = "".join(capsys.readouterr())
    assert "\x1b" not in out
    assert "\nKILLED" not in out
