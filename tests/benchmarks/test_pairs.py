from __future__ import annotations

import sys

import pytest

pairs = pytest.importorskip("benchmarks.pairs", reason="the benchmarks are not part of the installed package")
process = pytest.importorskip("benchmarks.process")
agreement = pytest.importorskip("benchmarks.agreement")

CALM = process.Measured(wall=2.0, cpu=2.0, peak_mb=10.0, foreign=0.0, spin=1.0, status=0)


def run(wall: float = 2.0, foreign: float = 0.0, spin: float = 1.0, status: int = 0):
    return process.Measured(wall, wall, 10.0, foreign, spin, status)


def test_a_run_beside_others_or_on_a_slowed_core_is_contended():
    assert not CALM.contended
    assert run(foreign=process.FOREIGN_LIMIT + 0.01).contended
    assert run(spin=process.SPIN_LIMIT + 0.01).contended


def test_contended_pairs_are_left_out_and_counted(monkeypatch):
    """Pairs 1 and 3 are calm: theirs takes 8 s and 6 s beside 2 s; the disturbed pair 2 would read 50."""
    queue = iter([run(), run(8.0), run(100.0, foreign=0.5), run(), run(), run(6.0)])
    monkeypatch.setattr(pairs, "measure", lambda *_: next(queue))
    monkeypatch.setattr(pairs.time, "sleep", lambda _: None)
    found = pairs.run_pairs(["ours"], ["theirs"], 1, pairs=2, attempts=5)
    assert found.ratios() == [4.0, 3.0]
    assert len(found.contended) == 1
    assert pairs.spread(found.ratios()) == "3.5x (3.0 to 4.0)"


def test_who_goes_first_alternates(monkeypatch):
    order = []
    monkeypatch.setattr(pairs, "measure", lambda command, *_: order.append(command[0]) or CALM)
    monkeypatch.setattr(pairs.time, "sleep", lambda _: None)
    pairs.run_pairs(["ours"], ["theirs"], 1, pairs=2, attempts=2)
    assert order == ["ours", "theirs", "theirs", "ours"]


@pytest.mark.parametrize(("ours", "theirs"), [(70, 0), (0, 1)])
def test_a_failed_process_is_no_measurement(monkeypatch, ours, theirs):
    queue = iter([run(status=ours), run(status=theirs)])
    monkeypatch.setattr(pairs, "measure", lambda *_: next(queue))
    monkeypatch.setattr(pairs.time, "sleep", lambda _: None)
    with pytest.raises(RuntimeError, match="exit status"):
        pairs.run_pairs(["ours"], ["theirs"], 1, pairs=1, attempts=1)


def test_a_child_is_measured_as_it_is(tmp_path):
    """40 MB held, one fifth of a second spent, one line printed, the thread count handed down."""
    code = (
        "import os, time; b = bytearray(40 << 20); t = time.process_time()\n"
        "while time.process_time() - t < 0.2: pass\n"
        "print(os.environ['OPENBLAS_NUM_THREADS'])"
    )
    found = process.measure([sys.executable, "-c", code], 3, tmp_path / "out")
    assert found.status == 0
    assert 0.2 <= found.cpu < 5.0
    assert found.wall >= 0.2
    assert found.peak_mb >= 40.0
    assert (tmp_path / "out").read_text() == "3\n"


def test_a_missing_value_never_agrees():
    assert agreement._difference(None, 2.0) > 1.0
    assert agreement._difference("", "over-trained") > 1.0
    assert agreement._difference(1.0 + 1e-8, 1.0) > agreement.TOLERANCE
    assert agreement._difference(1.0 + 1e-12, 1.0) < agreement.TOLERANCE
