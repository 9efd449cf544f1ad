"""What a diff was asked to do; printed with its result."""

from __future__ import annotations

from typing import Literal

import msgspec


class DiffSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All parameters of a diff.

    expect     None, or what DERIVED is held to: "identical", "rounded" (identical counts) or "related"
    layers     shell pattern of matrix names; None takes all matrices and all other tensors
    rank       leading singular directions of BASE and of Delta whose overlap is measured
    roundings  of the coarser type between the two: 1 if DERIVED started from BASE as it is stored, 2 if both were
               rounded from finer weights
    draws      orders of the rows, of the columns, and sign patterns, of the null of kinship
    precision  "f32" (default) or "f64" arithmetic of the Gram matrix of Delta
    min_side   below it no edge, no overlap and no kinship is looked for
    seed       every random draw follows from it
    threads    BLAS threads of each worker for matrices of smaller side 1024 and up, one below
    """

    expect: Literal["identical", "rounded", "related"] | None = None
    layers: str | None = None
    rank: int = 8
    roundings: Literal[1, 2] = 1
    draws: int = 999
    precision: Literal["f32", "f64"] = "f32"
    min_side: int = 8
    seed: int = 0
    threads: int = 1
