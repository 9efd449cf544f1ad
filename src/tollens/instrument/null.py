"""What chance alone gives for a shape: spectra of iid Gaussian matrices, without ever forming the matrix.

The singular values of an N x M matrix of independent standard Gaussians have the law of those of an M x M
bidiagonal matrix of independent chi variables (Dumitriu, Edelman 2002, section 3): O(M) random numbers and an
O(M^2) eigensolver in place of O(N M^2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import TollensError
from tollens.core.native import _native
from tollens.core.reading import NullBand, Undefined
from tollens.instrument import edge, norms
from tollens.instrument.erg import erg_count
from tollens.instrument.spectrum import STORED_EPS, blind_floor, rank_tolerance
from tollens.instrument.tail import TailFit, fit_tail

Eigenvalues: TypeAlias = NDArray[np.float64]
Fit: TypeAlias = Callable[[Eigenvalues], TailFit | Undefined]
Extra: TypeAlias = Callable[[Eigenvalues, int, int], float | int | Undefined]

LAW = "iid Gaussian"
MIN_SIDE = 8
LANES = 8  # draws that the compiled solver takes side by side

# How a quantity answers to W -> a*W, with s = a^2 the element variance of the matrix it is compared with.
PROPORTIONAL = frozenset({"fro2", "spectral2", "lambda_max", "xmin", "mp_sigma2"})
LOGARITHMIC = frozenset({"log10_fro2", "log10_spectral2"})
PER_ALPHA = frozenset({"alpha_hat", "log10_alpha_norm"})


@dataclass(frozen=True, slots=True)
class ShapeNull:
    """Every quantity over the draws of one shape, at unit element variance.

    `values[quantity]` holds one number for each draw in which the quantity exists, in draw order; those
    that need the exponent share the draws of "alpha". `draws` counts all draws.
    """

    M: int
    N: int
    draws: int
    values: Mapping[str, NDArray[np.float64]]

    def sample(self, quantity: str, sigma2: float = 1.0) -> NDArray[np.float64]:
        """The draws of a quantity for matrices of element variance `sigma2` > 0 (weight^2).

        Raises: KeyError for a quantity that was never drawn.
        """
        values = self.values[quantity]
        if quantity in PROPORTIONAL:
            return values * sigma2
        if quantity in LOGARITHMIC:
            return values + math.log10(sigma2)
        if quantity in PER_ALPHA:  # sum((s*x)^alpha) = s^alpha * sum(x^alpha)
            return values + self.values["alpha"] * math.log10(sigma2)
        return values

    @property
    def quantities(self) -> tuple[str, ...]:
        """The names that `band` knows."""
        return tuple(dict.fromkeys(q.split("[")[0] for q in self.values))

    def band(self, quantity: str, sigma2: float = 1.0, source_dtype: str = "f32") -> NullBand | None:
        """Median and 5-95 % band, or None if fewer than half of the draws have the quantity.

        `sigma2`: element variance, weight^2; `source_dtype`: stored type, which sets the tolerance of a rank.
        """
        if quantity == "numerical_rank":
            quantity = f"numerical_rank[{source_dtype.lower()}]"
        if quantity not in self.values or 2 * self.values[quantity].size < self.draws:
            return None
        if not sigma2 > 0.0 and quantity in PROPORTIONAL | LOGARITHMIC | PER_ALPHA:
            return None
        sample = np.sort(self.sample(quantity, sigma2))
        places = np.array([0.05, 0.5, 0.95]) * (sample.size - 1)
        low, median, high = np.interp(places, np.arange(sample.size), sample).tolist()
        return NullBand(median=median, low=low, high=high, draws=int(sample.size), law=LAW)


def chi_tridiagonal(M: int, N: int, rng: np.random.Generator) -> tuple[Eigenvalues, Eigenvalues]:
    """Diagonal (M,) and squared off-diagonal (M-1,) of BB', B the chi matrix of an N x M Gaussian."""
    diagonal = rng.chisquare(np.arange(N, N - M, -1))
    below = rng.chisquare(np.arange(M - 1, 0, -1))
    squares = diagonal[:-1] * below
    diagonal[1:] += below
    return diagonal, squares


def bidiagonal_spectra(M: int, N: int, draws: int, rng: np.random.Generator, threads: int = 1) -> Eigenvalues:
    """Eigenvalues, ascending, of W'W for `draws` matrices W of N x M standard Gaussians, 1 <= M <= N.

    float64 (draws, M). Absolute error below M*eps*lambda_max, as on the dense path. The bits do not depend on
    `threads`: each solves LANES draws at a time.
    """
    if not 1 <= M <= N:
        raise ValueError(f"1 <= M <= N is needed; found M = {M}, N = {N}")
    values, squares = np.empty((draws, M)), np.empty((draws, M - 1))
    for k in range(draws):
        values[k], squares[k] = chi_tridiagonal(M, N, rng)
    batches = [slice(start, start + LANES) for start in range(0, draws, LANES)]
    with ThreadPoolExecutor(threads) as pool:  # the compiled solver releases the interpreter lock
        solved = list(pool.map(lambda rows: _native.tridiagonal_eigenvalues(values[rows], squares[rows]), batches))
    if not all(solved):
        raise TollensError(
            "eigensolver_failed",
            f"null spectrum {M}x{N}",
            expected="a converged eigensolver",
            found="no convergence",
            fix="Report this with the seed of the run.",
        )
    return np.maximum(values, 0.0, out=values)


def bidiagonal_spectrum(M: int, N: int, rng: np.random.Generator) -> Eigenvalues:
    """One draw of `bidiagonal_spectra`; float64 (M,)."""
    one: Eigenvalues = bidiagonal_spectra(M, N, 1, rng)[0]
    return one


def shape_null(
    M: int,
    N: int,
    draws: int,
    rng: np.random.Generator,
    fit: Fit = fit_tail,
    extra: Mapping[str, Extra] | None = None,
    threads: int = 1,
) -> ShapeNull:
    """Draw the null of one shape. The result depends on (M, N, draws, rng) alone, not on `threads`.

    `fit` finds the tail of the visible eigenvalues; `extra` adds quantities f(eigenvalues, M, N) at unit
    variance. Below M = 8 only norms and ranks are drawn, since nothing else is measured there.
    """
    spectra = bidiagonal_spectra(M, N, draws, rng, threads)
    if draws == 0:
        return ShapeNull(M, N, 0, {})
    values = _norms(spectra, M, N)
    if M >= MIN_SIDE:
        collected: dict[str, list[float]] = {}
        for eigenvalues in spectra:
            for quantity, value in _tail_and_counts(eigenvalues, M, N, fit, extra or {}).items():
                if not isinstance(value, Undefined):
                    collected.setdefault(quantity, []).append(float(value))
        variance = spectra.sum(axis=1) / (M * N)
        values["n_outliers"] = _above(spectra, variance * edge.tw_edge(M, N))
        values |= {quantity: np.array(drawn) for quantity, drawn in collected.items()}
    return ShapeNull(M, N, draws, values)


def _norms(x: Eigenvalues, M: int, N: int) -> dict[str, Eigenvalues]:
    """Norms and ranks of all draws at once, (draws,) each; the functions of `norms` for one draw are their
    reference. A draw of unit variance has a top eigenvalue of about N, so that nothing here leaves its range.
    """
    top = x[:, -1]
    relative = x / top[:, None]
    total, squares = relative.sum(axis=1), np.square(relative).sum(axis=1)
    logs = np.log(relative, out=np.zeros_like(x), where=relative > 0.0)
    entropy = np.log(total) - (relative * logs).sum(axis=1) / total
    out = {
        "lambda_max": top.copy(),
        "fro2": top * total,
        "spectral2": top.copy(),
        "log10_fro2": np.log10(top) + np.log10(total),
        "log10_spectral2": np.log10(top),
        "stable_rank": total,
        "entropy_rank": np.exp(np.maximum(entropy, 0.0)),
        "participation_rank": total**2 / squares,
    }
    floor = blind_floor(1.0, M, "f64") * top
    pairs = list(zip(np.sqrt(top).tolist(), np.sqrt(x.sum(axis=1) / (M * N)).tolist(), strict=True))
    for dtype in STORED_EPS:
        tolerance = np.array([rank_tolerance(s_max, N, M, rms, dtype) for s_max, rms in pairs])
        out[f"numerical_rank[{dtype}]"] = _above(x, np.maximum(tolerance**2, floor))
    return out


def _above(x: Eigenvalues, limit: Eigenvalues) -> Eigenvalues:
    """How many eigenvalues of each draw lie above its limit, (draws,)."""
    above: Eigenvalues = (x > limit[:, None]).sum(axis=1, dtype=np.float64)
    return above


def _tail_and_counts(
    x: Eigenvalues, M: int, N: int, fit: Fit, extra: Mapping[str, Extra]
) -> dict[str, float | int | Undefined]:
    """What is searched for in each draw by itself."""
    count = erg_count(x)
    out: dict[str, float | int | Undefined] = {"erg_count": count}
    found = fit(x[x > blind_floor(float(x[-1]), M, "f64")])
    if isinstance(found, TailFit):
        out |= {
            "alpha": found.alpha,
            "sigma": found.sigma,
            "xmin": found.xmin,
            "n_tail": found.n_tail,
            "D": found.D,
            "alpha_hat": norms.alpha_hat(x, found.alpha),
            "log10_alpha_norm": norms.log10_alpha_norm(x, found.alpha),
        }
        if not isinstance(count, Undefined):
            out["erg_gap"] = count - found.n_tail
    for quantity, measure in extra.items():
        out[quantity] = measure(x, M, N)
    return out
