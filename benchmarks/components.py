"""Parts beside the plain way of doing the same, in one thread; equal answers are checked first.

python -m benchmarks.components [--quick]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.table import Line, show
from tollens.instrument.bulk import bulk_of
from tollens.instrument.density import kde_sigma, triangular_kde, triangular_kde_reference
from tollens.instrument.permutation import PermutationKey, shuffle
from tollens.instrument.spectrum import Spectrum
from tollens.instrument.tail import fit_tail, fit_tail_reference


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    n = 512 if given.quick else 4096
    with threadpool_limits(1):
        lines = [*_scan(n), *_kde(n), *_bulk(n), *_shuffle(n)]
    show("components: against the plain way", lines, [f"n = {n}; CPU seconds, best of several; one thread"])


def _scan(n: int) -> list[Line]:
    rng = np.random.default_rng(0)
    gaussian = np.sort(np.linalg.eigvalsh(np.cov(rng.standard_normal((n, n)))))[1:]
    lines = []
    for name, sample in (
        ("gaussian spectrum", gaussian),
        ("Pareto sample", np.sort(rng.pareto(2.0, n) + 1.0)),
    ):
        for two_sided in (True, False):
            fast, slow = fit_tail(sample, two_sided), fit_tail_reference(sample, two_sided)
            if (fast.index, round(fast.D, 12)) != (slow.index, round(slow.D, 12)):
                raise RuntimeError(f"the pruned scan differs from the exhaustive one on {name}: {fast}, {slow}")
            ours, plain = (
                _seconds(lambda f=f, x=sample, t=two_sided: f(x, t), repeats)
                for f, repeats in ((fit_tail, 20), (fit_tail_reference, 2))
            )
            side = "two-sided" if two_sided else "one-sided"
            lines.append(_ratio(f"tail scan, {name}, {side}", ours, plain, 10.0))
    return lines


def _kde(n: int) -> list[Line]:
    points = np.sort(np.random.default_rng(1).exponential(size=n))
    grid = np.linspace(0.0, points[-1] + 0.5, 1000)
    worst = float(np.max(np.abs(triangular_kde(points, grid) - triangular_kde_reference(points, grid))))
    if worst > 3e-14:
        raise RuntimeError(f"the closed form differs from the kernel by {worst}")
    ours = _seconds(lambda: triangular_kde(points, grid), 20)
    plain = _seconds(lambda: triangular_kde_reference(points, grid), 3)
    fit = _seconds(lambda: kde_sigma(points, 2.0, free_radius=False), 20)
    return [
        _ratio("triangular density at 1,000 points", ours, plain, None, f"largest difference {worst:.1e}"),
        Line("density fit of sigma", "< 10 ms", f"{1e3 * fit:.1f} ms", fit < 0.010),
    ]


def _bulk(n: int) -> list[Line]:
    values = np.sort(np.random.default_rng(2).exponential(size=n)) * n
    spectrum = Spectrum(values, n, n, 0.0, "f64")
    return [
        Line(
            "bulk: three estimates and distance",
            "-",
            f"{1e3 * _seconds(lambda: bulk_of(spectrum), 10):.1f} ms",
            None,
        )
    ]


def _shuffle(n: int) -> list[Line]:
    matrix = np.random.default_rng(3).standard_normal((n, n), dtype=np.float32)
    before = np.sort(matrix, axis=None)
    shuffle(matrix, PermutationKey(1, 2), 0)
    if not np.array_equal(np.sort(matrix, axis=None), before):
        raise RuntimeError("the shuffle is no permutation")
    rng = np.random.default_rng(4)
    legacy = np.random.RandomState(4)
    flat = matrix.reshape(-1)
    ours = _seconds(lambda: shuffle(matrix, PermutationKey(1, 2), 1), 3)
    return [
        _ratio(
            f"shuffle of {n}x{n}, numpy's Generator.shuffle",
            ours,
            _seconds(lambda: rng.shuffle(flat), 2),
            3.0,
        ),
        _ratio(
            f"shuffle of {n}x{n}, numpy.random.shuffle",
            ours,
            _seconds(lambda: legacy.shuffle(flat), 1),
            None,
        ),
        _ratio(
            f"shuffle of {n}x{n}, by Generator.permutation of indices",
            ours,
            _seconds(lambda: flat[rng.permutation(flat.size)], 2),
            None,
        ),
    ]


def _ratio(what: str, ours: float, plain: float, target: float | None, detail: str = "") -> Line:
    ratio = plain / ours
    text = f"{1e3 * ours:.1f} ms against {1e3 * plain:.1f} ms" + (f"; {detail}" if detail else "")
    goal = "-" if target is None else f">= {target:.0f}x"
    return Line(what, goal, f"{ratio:.1f}x", None if target is None else ratio >= target, text)


def _seconds(work: Callable[[], object], repeats: int) -> float:
    """The fastest of `repeats` in CPU seconds, which other processes disturb least."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds) if repeats < 5 else statistics.quantiles(seconds, n=4)[0]


if __name__ == "__main__":
    main()
