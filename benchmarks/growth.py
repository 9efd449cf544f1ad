"""How the time of a scan grows: with the side of a layer, their number and the number of workers.

    python -m benchmarks.growth [--mode tail|full] [--quick]

The picture goes to out/bench/growth.svg. The time of a layer is the slope between a checkpoint with one
such layer and one with several, so that start-up does not count.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.inputs import checkpoint
from benchmarks.process import Measured, measure, tollens
from benchmarks.table import OUT, Line, show

SIDES = (256, 512, 1024, 2048, 4096)
LAYERS = {256: 129, 512: 65, 1024: 17, 2048: 5, 4096: 2}
WORKER_TARGET = 1.7


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["tail", "full"], default="tail")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    options = ("--only", "tail") if given.mode == "tail" else ("--shuffles", "1")
    sides, rounds = ((64, 128, 256), 1) if given.quick else (SIDES, given.rounds)

    def wall(path: Path, *more: str, rounds: int = rounds) -> float:
        return _steady(tollens("scan", str(path), "--json", "--quiet", "--threads", "1", *options, *more), rounds).wall

    per_layer = []
    for side in sides:
        count = LAYERS.get(side, 5)
        one, many = (wall(checkpoint(n, side, side)) for n in (1, count))
        per_layer.append(max((many - one) / (count - 1), 1e-6))
        print(f"  M = {side}: {per_layer[-1]:.3f} s a layer", flush=True)
    exponent, constant = _line([math.log(s) for s in sides], [math.log(t) for t in per_layer])
    lines = [
        Line(f"M = {side}, seconds a layer", "-", f"{seconds:.3f}", None)
        for side, seconds in zip(sides, per_layer, strict=True)
    ]
    lines.append(Line("exponent of M", "<= 3.2", f"{exponent:.2f}", None if given.quick else exponent <= 3.2))
    counts = (2, 4, 8) if given.quick else (4, 8, 16, 32)
    side = 128 if given.quick else 512
    times = [wall(checkpoint(count, side, side)) for count in counts]
    slope, start = _line(counts, times)
    worst = max(abs(t - start - slope * n) / t for n, t in zip(counts, times, strict=True))
    detail = ", ".join(f"{n}: {t:.2f} s" for n, t in zip(counts, times, strict=True))
    met = None if given.quick else worst <= 0.15
    lines.append(Line(f"linear in layers of {side}: worst residual", "<= 15%", f"{worst:.0%}", met, detail))
    side, count = (128, 8) if given.quick else (2048, 24)
    folder = checkpoint(count, side, side)
    ratios = []
    for _ in range(rounds):
        single = wall(folder, "--jobs", "1", rounds=1)
        ratios.append(single / wall(folder, "--jobs", "2", rounds=1))
    speedup = statistics.median(ratios)
    met = None if given.quick else speedup >= WORKER_TARGET
    spread = f"{speedup:.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"
    lines.append(Line(f"2 workers against 1, {count} layers of {side}", ">= 1.7x", spread, met))
    picture = OUT / "growth.svg"
    picture.write_text(_svg(sides, per_layer, exponent, constant, " ".join(options)))
    show(
        "growth: time against size",
        lines,
        [f"one BLAS thread a worker; {' '.join(options)}; picture: {picture.name}"],
    )


def _steady(command: Sequence[str], rounds: int) -> Measured:
    """The fastest uncontended run of `rounds`, or the fastest of all if each was contended."""
    runs = [measure(command, 1) for _ in range(rounds)]
    failed = [run for run in runs if run.status not in (0, 1, 11)]
    if failed:
        raise RuntimeError(f"exit status {failed[0].status}: {' '.join(command)}")
    return min([run for run in runs if not run.contended] or runs, key=lambda run: run.wall)


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Least squares: slope and intercept."""
    fitted = statistics.linear_regression(x, y)
    return fitted.slope, fitted.intercept


def _svg(sides: Sequence[int], seconds: Sequence[float], exponent: float, constant: float, title: str) -> str:
    """Points and fitted line on two logarithmic axes; no library, so that it opens anywhere."""
    width, height, left, bottom = 640, 420, 80, 60
    x_low, x_high = math.log(sides[0]), math.log(sides[-1])
    y_low = math.floor(math.log10(min(seconds)))
    y_high = max(math.ceil(math.log10(max(seconds))), y_low + 1)

    def at(side: float, value: float) -> tuple[float, float]:
        x = left + (math.log(side) - x_low) / (x_high - x_low) * (width - left - 40)
        y = height - bottom - (math.log10(value) - y_low) / (y_high - y_low) * (height - bottom - 50)
        return x, y

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="28" font-size="15">seconds a layer against M: exponent {exponent:.2f} ({title})</text>',
    ]
    for power in range(y_low, y_high + 1):
        x0, y = at(sides[0], 10.0**power)
        x1, _ = at(sides[-1], 10.0**power)
        parts.append(f'<line x1="{x0:.1f}" y1="{y:.1f}" x2="{x1:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g} s</text>')
    ends = [at(side, math.exp(constant) * side**exponent) for side in (sides[0], sides[-1])]
    parts.append(
        f'<line x1="{ends[0][0]:.1f}" y1="{ends[0][1]:.1f}" x2="{ends[1][0]:.1f}" y2="{ends[1][1]:.1f}" '
        'stroke="#0072b2" stroke-width="2" stroke-dasharray="6 4"/>'
    )
    for side, value in zip(sides, seconds, strict=True):
        x, y = at(side, value)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="#d55e00"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - bottom + 22}" text-anchor="middle">{side}</text>')
    parts.append(f'<text x="{width / 2:.0f}" y="{height - 12}" text-anchor="middle">M (square layers)</text></svg>')
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
