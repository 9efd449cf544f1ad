"""Small seeded computations for laws that have no closed form. Each takes plain values and returns numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tollens.lint.pagerank import personalised_pagerank

Computation: TypeAlias = Callable[..., Mapping[str, float]]

ROSENBROCK_LIMIT = 200_000
"""Steps after which a run counts as one that does not arrive."""
_START, _NEAR, _FAR = (-1.5, 1.5), 1e-10, 1e12


def replay(name: str, parameters: Mapping[str, Any]) -> Mapping[str, float] | None:
    """Run the computation `name` in this process, without limits. `lint` of untrusted claims runs it in a child."""
    return REPLAYS[name](**parameters)


def rosenbrock(beta: float, eta: float) -> Mapping[str, float]:
    """Steps to within 1e-5 of (1, 1) on (1 - x)^2 + 100 (y - x^2)^2 from (-1.5, 1.5).

    `plain` without momentum; `ema` with v <- beta v + (1 - beta) g; `heavy_ball` with v <- beta v + g; each moves by
    -eta v. `ROSENBROCK_LIMIT` for a run that does not arrive (Rosenbrock 1960, Polyak 1964).
    """
    return {
        "plain": _descend(0.0, 1.0, eta),
        "ema": _descend(beta, 1.0 - beta, eta),
        "heavy_ball": _descend(beta, 1.0, eta),
    }


def _descend(keep: float, add: float, eta: float) -> int:
    x, y = _START
    u = v = 0.0
    for step in range(ROSENBROCK_LIMIT):
        dx, dy = x - 1.0, y - 1.0
        distance = dx * dx + dy * dy
        if distance < _NEAR:
            return step
        if not distance < _FAR:
            break
        rise = 200.0 * (y - x * x)
        u = keep * u + add * (2.0 * dx - 2.0 * x * rise)
        v = keep * v + add * rise
        x -= eta * u
        y -= eta * v
    return ROSENBROCK_LIMIT


def poly(n: int, basis: str, degrees: Sequence[int], noise: float, seeds: int) -> Mapping[str, float]:
    """Noise-free test error of least squares of each degree on n points of sin(pi x) with normal noise.

    Points are equispaced on [-1, 1], the solution is the one of least norm with numpy's default rank cut-off, the
    error the mean square over 500 equispaced points. `basis` is `monomial` or `legendre`. For each degree d:
    `d` is the median over seeds 0, 1, ..., and `d.low`, `d.high` the least and the largest.
    """
    import numpy as np

    design = np.polynomial.legendre.legvander if basis == "legendre" else np.polynomial.polynomial.polyvander
    x, test = np.linspace(-1.0, 1.0, n), np.linspace(-1.0, 1.0, 500)
    drawn = [np.random.default_rng(seed).standard_normal(n) for seed in range(seeds)]
    y = np.stack([np.sin(np.pi * x) + noise * one for one in drawn], axis=1)
    truth = np.sin(np.pi * test)[:, None]
    found: dict[str, float] = {}
    for degree in degrees:
        solution = np.linalg.lstsq(design(x, degree), y, rcond=None)[0]
        errors = np.mean((design(test, degree) @ solution - truth) ** 2, axis=0)
        kept = {str(degree): np.median(errors), f"{degree}.low": errors.min(), f"{degree}.high": errors.max()}
        found |= {name: float(value) for name, value in kept.items() if math.isfinite(value)}
    return found


REPLAYS: dict[str, Computation] = {"poly": poly, "ppr": personalised_pagerank, "rosenbrock": rosenbrock}
