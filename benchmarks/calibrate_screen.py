"""How often a matrix that the screen clears would have shown an outlier, by family, and how much it clears.

    python benchmarks/calibrate_screen.py [--matrices 400] [--seed 0] [--out table.csv]

Every matrix is shuffled whether cleared or not, so that the same draws judge any constants: the table at the
end gives, for a range of each constant with the others at their defaults, the cleared share and the share of
cleared matrices with an outlier in any of 5 shuffles (nominal 0.01).
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from tollens.instrument.part import Moments
from tollens.instrument.permutation import draw_key
from tollens.instrument.screen import ScreenConstants, clear, moments_of
from tollens.instrument.traps import TrapParams, Traps, count_traps

SHAPES = ((256, 256), (512, 512), (256, 1024), (512, 2048), (768, 768), (1024, 1024))
FAMILIES = ("gaussian", "student", "signs", "pruned", "offset", "element")
NOMINAL = TrapParams().alpha_fam


@dataclass(frozen=True, slots=True)
class Trial:
    """One matrix: where it came from, its moments, and whether any shuffle showed an outlier."""

    family: str
    parameter: float
    shape: tuple[int, int]
    moments: Moments
    outlier: bool

    def cleared(self, constants: ScreenConstants) -> bool:
        return clear(self.moments, min(self.shape), max(self.shape), constants)


@dataclass(frozen=True, slots=True)
class Tally:
    """`drawn` matrices, of which `cleared`, of which `missed` have an outlier; `p`: P(Binomial >= missed)."""

    drawn: int
    cleared: int
    missed: int

    @property
    def p(self) -> float:
        return float(binom.sf(self.missed - 1, self.cleared, NOMINAL)) if self.cleared else 1.0


def draw(family: str, shape: tuple[int, int], rng: np.random.Generator) -> tuple[float, NDArray[np.float32]]:
    """A matrix of the family and the parameter that was drawn for it.

    Student: degrees of freedom 2.5 to 10. Signs and pruned (largest magnitudes of a Gaussian kept): density
    0.3 to 30 %, half of them in 10 to 30 %, where the screen begins to clear. Offset and element: a Gaussian
    with 0.1 to 1 of the threshold of a mean or of one element, most of which the screen must judge close to
    its limits.
    """
    noise = rng.standard_normal(shape)
    density = float(rng.choice([10 ** rng.uniform(np.log10(0.003), -1.0), 10 ** rng.uniform(-1.0, np.log10(0.3))]))
    if family == "student":
        nu = float(rng.uniform(2.5, 10.0))
        return nu, rng.standard_t(nu, shape).astype(np.float32)
    if family == "signs":
        return density, ((rng.random(shape) < density) * np.sign(noise)).astype(np.float32)
    if family == "pruned":
        cut = np.quantile(np.abs(noise), 1.0 - density)
        return density, np.where(np.abs(noise) >= cut, noise, 0.0).astype(np.float32)
    factor = float(rng.uniform(0.1, 1.0))
    if family == "offset":
        return factor, (noise + factor * noise.size**-0.25).astype(np.float32)
    if family == "element":
        noise[0, 0] = factor * noise.size**0.25
        return factor, noise.astype(np.float32)
    return 0.0, noise.astype(np.float32)


def trials(
    families: Sequence[str],
    shapes: Sequence[tuple[int, int]],
    each: int,
    seed: int,
    *,
    only_cleared: bool = False,
) -> Iterator[Trial]:
    """`each` matrices a family, shapes in turn; `only_cleared` saves the shuffles of the others (outlier
    False)."""
    for family in families:
        for i in range(each):
            rng = np.random.default_rng([seed, FAMILIES.index(family), i])
            shape = shapes[i % len(shapes)]
            parameter, matrix = draw(family, shape, rng)
            moments = moments_of(matrix)
            outlier = False
            if not only_cleared or clear(moments, min(shape), max(shape)):
                found = count_traps(matrix.copy, moments, TrapParams(force=True), draw_key(rng), rng)
                assert isinstance(found, Traps)
                outlier = any(c.all > 0 for c in found.counts)
            yield Trial(family, parameter, shape, moments, outlier)


def tally(found: Sequence[Trial], constants: ScreenConstants) -> Tally:
    cleared = [t for t in found if t.cleared(constants)]
    return Tally(len(found), len(cleared), sum(t.outlier for t in cleared))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--matrices", type=int, default=400, help="matrices a family")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="write every trial to this CSV file")
    options = parser.parse_args()
    found = list(trials(FAMILIES, SHAPES, options.matrices, options.seed))
    if options.out is not None:
        with options.out.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["family", "parameter", "M", "N", "mean", "std", "max", "kurtosis", "outlier"])
            for t in found:
                m = t.moments
                row = [t.family, t.parameter, min(t.shape), max(t.shape), m.mean, m.std, m.max_abs_deviation]
                table.writerow([*row, m.kurtosis, int(t.outlier)])
    base = ScreenConstants()
    print(f"{'constants':<28}{'family':<10}{'drawn':>6}{'cleared':>9}{'missed':>8}{'p':>9}")
    variants = [("default", base)]
    variants += [(f"mean {c}", replace(base, mean=c)) for c in (0.25, 0.75, 0.9, 1.0)]
    variants += [(f"element {c}", replace(base, element=c)) for c in (0.75, 1.5, 2.0, 3.0)]
    variants += [(f"shift {c}", replace(base, shift=c)) for c in (0.1, 0.3, 0.4, 0.8, 1.6, 3.2)]
    for name, constants in variants:
        for family in (*FAMILIES, "all"):
            t = tally([x for x in found if family in (x.family, "all")], constants)
            print(f"{name:<28}{family:<10}{t.drawn:>6}{t.cleared:>9}{t.missed:>8}{t.p:>9.3f}")


if __name__ == "__main__":
    main()
