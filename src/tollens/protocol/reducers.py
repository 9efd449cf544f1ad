"""Reducers of repeated attempts at an item to one score, by the name a claim seals."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import Exit, TollensError

Reducer = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_PLAIN: Mapping[str, Reducer] = {
    "mean": lambda scores: scores.mean(axis=1),
    "median": lambda scores: np.median(scores, axis=1),
    "max": lambda scores: scores.max(axis=1),
    "min": lambda scores: scores.min(axis=1),
}


def reducer(name: str) -> Reducer:
    """The function from scores of shape (items, attempts) to shape (items,) that is called `name`.

    mean, median, max, min; `pass_at_k`, the chance that one of k attempts drawn without replacement is right,
    1 - C(m-c, k)/C(m, k) with c of m right (Chen et al. 2021); `pass_k`, that all k are, C(c, k)/C(m, k)
    (Yao et al. 2024); k is written out, as in pass_at_2. An attempt is right at a score of 1 or more. A NaN
    makes its item NaN.

    Raises TollensError `sign_spec`, exit 3, for another name, naming the nearest, and for k > m when called.
    """
    if name in _PLAIN:
        return _PLAIN[name]
    drawn = re.fullmatch(r"pass_(at_)?([1-9][0-9]{0,3})", name)
    if drawn is None:
        near = get_close_matches(name[:40], [*_PLAIN, "pass_at_2", "pass_2"], n=2, cutoff=0.5)
        raise _wrong(
            "one of mean, median, max, min, pass_at_K and pass_K",
            repr(name[:40]),
            f"Did you mean {' or '.join(near)}?" if near else "Use one of these.",
        )
    k = int(drawn[2])
    return (lambda scores: _any_right(scores, k)) if drawn[1] else (lambda scores: _all_right(scores, k))


def _all_right(scores: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    right = np.where(np.isnan(scores), np.nan, scores >= 1).sum(axis=1)
    return _all_of(right, scores.shape[1], k)


def _any_right(scores: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    wrong = np.where(np.isnan(scores), np.nan, scores < 1).sum(axis=1)
    return np.asarray(1 - _all_of(wrong, scores.shape[1], k))


def _all_of(count: NDArray[np.float64], m: int, k: int) -> NDArray[np.float64]:
    """C(count, k)/C(m, k), as a product of k factors, none above 1."""
    if k > m:
        raise _wrong(f"at least {k} attempts at each item", str(m), "Run more attempts or seal a smaller k.")
    chance = np.ones(len(count))
    for i in range(k):
        chance = chance * (np.maximum(count - i, 0) / (m - i))
    return chance


def _wrong(expected: str, found: str, fix: str) -> TollensError:
    return TollensError("sign_spec", "reducer", expected=expected, found=found, fix=fix, exit_code=Exit.REFUSED_TO_SEAL)
