"""The root of a function of one variable inside a bracket, without the 0.3 s that importing an optimiser costs."""

from __future__ import annotations

import math
from collections.abc import Callable


def bracketed_root(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """An x in [low, high] within `tolerance` of a sign change of a continuous function (Chandrupatla 1997).

    Inverse quadratic interpolation where the three last points allow it, bisection elsewhere. Raises:
    ValueError if both ends have the same sign.
    """
    a, b = high, low
    fa, fb = function(a), function(b)
    if fa == 0.0 or fb == 0.0:
        return a if fa == 0.0 else b
    if (fa > 0.0) == (fb > 0.0):
        raise ValueError(f"no sign change between {low} and {high}: {fb} and {fa}")
    share = 0.5
    while True:
        x = a + share * (b - a)
        fx = function(x)
        if (fx > 0.0) == (fa > 0.0):
            c, fc, a, fa = a, fa, x, fx
        else:
            c, fc, b, fb, a, fa = b, fb, a, fa, x, fx
        best = a if abs(fa) < abs(fb) else b
        limit = tolerance / abs(b - a)
        if fx == 0.0 or limit > 0.5 or not math.isfinite(limit):
            return x if fx == 0.0 else best
        xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
        share = 0.5
        if phi * phi < xi and (1.0 - phi) ** 2 < 1.0 - xi:
            share = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
        share = min(1.0 - limit, max(limit, share))
