"""What a scan was asked to do; printed with its result."""

from __future__ import annotations

from typing import Literal

import msgspec


class ScanSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All parameters of a scan.

    precision    "f32" (default) or "f64" (reference) arithmetic of the Gram matrix and its eigenvalues
    seed         every random draw follows from it
    shuffles     permutations of each matrix that the screen does not clear
    bootstrap    draws of the interval of alpha; 0 leaves the interval out
    null_draws   Gaussian spectra a shape is compared with; 0 leaves the null out
    gof          draws of the goodness-of-fit bootstrap; 0 leaves it and the alternatives out
    only         "tail": spectrum, alpha, sigma, xmin, n_tail, D and nothing else
    columns      "weightwatcher" adds the compatible group `ww` to each layer
    layers       shell pattern of matrix names; None takes all
    min_side     below it no tail, bulk or trap reading is made
    threads      BLAS threads of each worker for matrices of smaller side 1024 and up, one below; the last bits
                 depend on it
    """

    precision: Literal["f32", "f64"] = "f32"
    seed: int = 0
    shuffles: int = 5
    bootstrap: int = 200
    null_draws: int = 40
    gof: int = 0
    only: Literal["tail"] | None = None
    columns: Literal["tollens", "weightwatcher"] = "tollens"
    layers: str | None = None
    min_side: int = 8
    threads: int = 1
