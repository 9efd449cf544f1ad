"""When an exponent may be read at all, and the conventional band it falls in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tollens.core.reading import Interval, NullBand

OVER, USUAL, UNDER = "over-trained", "usual", "under-trained"


def no_power_law(
    interval: Interval | None,
    null_band: NullBand | None,
    p_gof: float | None,
    alternatives: Sequence[Mapping[str, Any]] | None,
    n_tail: int | None,
    *,
    min_tail: int = 20,
) -> tuple[str, ...]:
    """Why an exponent must not be read as a power law; empty if nothing measured speaks against it.

    `null_overlap`: the interval of alpha meets the band of Gaussian matrices of the same shape.
    `gof_rejected`: the goodness-of-fit p is below 0.1, the level of Clauset et al. (2009).
    `alternative_preferred`: another law fits the same tail better at 0.05.
    `tail_too_short`: fewer than `min_tail` points. What was not measured (None) says nothing.
    """
    reasons = []
    if interval is not None and null_band is not None and _overlap(interval, null_band):
        reasons.append("null_overlap")
    if p_gof is not None and p_gof < 0.1:
        reasons.append("gof_rejected")
    if any(a["preferred"] == a["name"] for a in alternatives or ()):
        reasons.append("alternative_preferred")
    if n_tail is not None and n_tail < min_tail:
        reasons.append("tail_too_short")
    return tuple(reasons)


def band(interval: Interval | None, null_band: NullBand | None, lawless: object) -> str | None:
    """The band of the HTSR/SETOL convention that holds the whole interval of alpha, or None.

    Below 2 "over-trained", 2 to 6 "usual", above 6 "under-trained". It is a convention, never a verdict,
    and there is none without an interval, without a null to tell it from an untrained matrix, or where
    `lawless`, the result of `no_power_law`, is true.
    Reference: Martin and Mahoney (2021), JMLR 22, arXiv 1810.01075.
    """
    if interval is None or null_band is None or lawless:
        return None
    if interval.high < 2.0:
        return OVER
    if interval.low > 6.0:
        return UNDER
    if interval.low >= 2.0 and interval.high <= 6.0:
        return USUAL
    return None


def _overlap(interval: Interval, null_band: NullBand) -> bool:
    return interval.low <= null_band.high and null_band.low <= interval.high
