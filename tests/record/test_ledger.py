"""The ledger: appended under a lock, chained, torn lines set aside, nothing half kept."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tollens.core.errors import TollensError
from tollens.record.envelope import FIRST, sealed_envelope
from tollens.record.ledger import TORN, Writer, parse_ledger, read_ledger


def _ledger(folder: Path, count: int = 3) -> Path:
    path = folder / "ledger.jsonl"
    for number in range(count):
        Writer(path).append("anchor", {"n": number})
    return path


def test_records_are_chained(tmp_path: Path) -> None:
    records = read_ledger(_ledger(tmp_path)).records
    assert [r.seq for r in records] == [0, 1, 2]
    assert records[0].prev == FIRST
    assert [r.prev for r in records[1:]] == [r.hash for r in records[:-1]]


def test_no_file_is_no_record(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "ledger.jsonl").records == ()


@pytest.mark.parametrize("change", ["edit", "remove", "swap", "garbage"])
def test_a_changed_ledger_is_noticed(tmp_path: Path, change: str) -> None:
    path = _ledger(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    changed = {
        "edit": [lines[0], lines[1].replace(b'"n":1', b'"n":7'), lines[2]],
        "remove": [lines[0], lines[2]],
        "swap": [lines[1], lines[0], lines[2]],
        "garbage": [lines[0], b"{}\n", lines[2]],
    }[change]
    path.write_bytes(b"".join(changed))
    with pytest.raises(TollensError, match="TAMPERED") as caught:
        read_ledger(path)
    assert (caught.value.code, caught.value.exit_code) == ("ledger_broken", 20)


def test_a_crlf_checkout_reads_as_its_twin(tmp_path: Path) -> None:
    path = _ledger(tmp_path)
    before = read_ledger(path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_ledger(path).records == before.records
    Writer(path).append("anchor", {})
    assert len(read_ledger(path).records) == 4


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_torn_last_line_is_reported_and_set_aside(tmp_path: Path, cut: int) -> None:
    path = _ledger(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    found = read_ledger(path)
    assert len(found.records) == 2
    assert found.torn
    Writer(path).append("anchor", {"n": "again"})
    after = read_ledger(path)
    assert [r.body["n"] for r in after.records] == [0, 1, "again"]
    assert not after.torn
    assert (tmp_path / TORN).read_bytes() == found.torn + b"\n"


def test_a_full_disk_keeps_nothing_half(tmp_path: Path) -> None:
    path = _ledger(tmp_path)
    before = path.read_bytes()

    calls = []

    def full(handle: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(handle, data[:40])

    writer = Writer(path, write=full)
    with pytest.raises(TollensError, match="No space left") as caught:
        writer.append("anchor", {"long": "x" * 300})
    assert caught.value.code == "ledger_unwritable"
    assert path.read_bytes() == before
    Writer(path).append("anchor", {})
    assert len(read_ledger(path).records) == 4


def test_a_clock_that_goes_backwards_changes_no_order(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for year in ("2031", "1999", "2027"):
        Writer(path, clock=lambda year=year: f"{year}-01-01T00:00:00.000Z").append("anchor", {"year": year})  # type: ignore[misc]
    assert [r.body["year"] for r in read_ledger(path).records] == ["2031", "1999", "2027"]


APPEND = """
import os, sys
from pathlib import Path
from tollens.record.ledger import Writer
for number in range(50):
    Writer(Path(sys.argv[1])).append("anchor", {"process": os.getpid(), "n": number})
"""


def test_two_processes_share_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    both = [subprocess.Popen([sys.executable, "-c", APPEND, path]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    records = read_ledger(path).records
    assert len(records) == 100
    for process in both:
        assert [r.body["n"] for r in records if r.body["process"] == process.pid] == list(range(50))


def test_a_body_that_json_cannot_hold_appends_nothing(tmp_path: Path) -> None:
    path = _ledger(tmp_path)
    with pytest.raises(ValueError):
        Writer(path).append("anchor", {"value": float("nan")})
    assert len(read_ledger(path).records) == 3


def test_a_record_of_an_unknown_kind_is_no_record() -> None:
    record = msgspec.to_builtins(sealed_envelope("seal", {}, None, "me", "2026-01-01T00:00:00Z")) | {"type": "forged"}
    with pytest.raises(TollensError, match="TAMPERED"):
        parse_ledger(msgspec.json.encode(record) + b"\n")
