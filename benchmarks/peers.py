"""Tollens beside WeightWatcher 0.7.7: whole processes, interleaved pairs, equal threads.

    python -m benchmarks.peers [--case NAME ...] [--pairs 3] [--threads 2] [--quick]

WeightWatcher takes a float64 SVD whatever it is given, so the f64 rows compare equal precision and the f32
rows the two defaults. With `randomize=True` it permutes each matrix twice and decomposes each permutation
(`num_traps` comes from the first, `rand_distance` from the second), so `--shuffles 2` makes as many.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import minilm
from benchmarks.inputs import single
from benchmarks.pairs import Pairs, run_pairs, spread
from benchmarks.process import peer_python, tollens
from benchmarks.table import Line, show

SCRIPT = str(Path(__file__).with_name("peer_weightwatcher.py"))
PEER_SHUFFLES = 2


@dataclass(frozen=True, slots=True)
class Case:
    """`ours` and `theirs` are options; `target` is the ratio that must be reached, None for information.

    `small`: matrices that BLAS gains nothing from a second thread on; Tollens then runs one worker a thread.
    """

    name: str
    what: str
    input: str
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    target: float | None
    small: bool = False


ALL = ("--shuffles", str(PEER_SHUFFLES))
FULL = ("--randomize", "--mp-fit")
CASES = (
    Case("tail", "4096x4096 --only tail, f32", "gaussian", ("--only", "tail"), (), 7.0),
    Case(
        "tail_f64",
        "4096x4096 --only tail, f64",
        "gaussian",
        ("--only", "tail", "--precision", "f64"),
        (),
        4.0,
    ),
    Case("shuffle", "4096x4096 null + traps + bulk, shuffled, f32", "student6", ALL, FULL, 15.0),
    Case("shuffle_clear", "the same, cleared by the screen, f32", "gaussian", ALL, FULL, 15.0),
    Case("shuffle_traps", "the same, with 14 traps, f32", "student3", ALL, FULL, 15.0),
    Case("shuffle_f64", "the same, shuffled, f64", "student6", (*ALL, "--precision", "f64"), FULL, 4.0),
    Case("minilm", "MiniLM, null + traps + bulk, f32", "minilm", ALL, FULL, 40.0, small=True),
    Case(
        "minilm_erg", "the same, peer with ERG too, as ours always", "minilm", ALL, (*FULL, "--detx"), None, small=True
    ),
    Case(
        "minilm_f64", "MiniLM, null + traps + bulk, f64", "minilm", (*ALL, "--precision", "f64"), FULL, 4.0, small=True
    ),
    Case("minilm_tail", "MiniLM --only tail, f32", "minilm", ("--only", "tail"), (), None, small=True),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES])
    parser.add_argument("--pairs", type=int, default=3, help="one for cases without a target")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="512x512 and one pair: does it run at all")
    given = parser.parse_args(arguments)
    side, pairs = (512, 1) if given.quick else (4096, given.pairs)
    lines = []
    for case in CASES:
        if given.case and case.name not in given.case:
            continue
        path = minilm.weights() if case.input == "minilm" else single(side, side, case.input)
        if path is None:
            lines.append(Line(case.what, _target(case), "not run", None, f"needs {minilm.INSTALL}"))
            continue
        jobs, threads = (given.threads, 1) if case.small else (1, given.threads)
        workers = ("--jobs", str(jobs), "--threads", str(threads))
        ours = tollens("scan", str(path), "--json", "--quiet", *workers, *case.ours)
        theirs = [peer_python(), SCRIPT, str(path), *case.theirs]
        wanted = pairs if case.target is not None else 1
        found = run_pairs(ours, theirs, given.threads, wanted, attempts=2 * wanted)
        lines.append(_line(case, found, judged=not given.quick))
        print(f"  {case.name}: {lines[-1].measured}; {lines[-1].detail}", flush=True)
    notes = [
        f"{given.threads} threads each (MiniLM: Tollens as {given.threads} workers of one); WeightWatcher as "
        + " ".join(FULL),
        "ours: tollens scan FILE --json " + " ".join(ALL) + "; ratio of wall seconds per pair, median (range)",
    ]
    show("peers: whole processes beside WeightWatcher 0.7.7", lines, notes)


def _target(case: Case) -> str:
    return "-" if case.target is None else f">= {case.target:.0f}x"


def _line(case: Case, found: Pairs, judged: bool) -> Line:
    ratios = found.ratios() or found.ratios(contended=True)
    met = None
    if judged and case.target is not None and found.kept:
        met = statistics.median(ratios) >= case.target
    measured = spread(ratios) + ("" if found.kept else " all contended")
    what = case.what if judged else case.what.replace("4096", "512")
    return Line(what, _target(case), measured, met, found.describe())


if __name__ == "__main__":
    main()
