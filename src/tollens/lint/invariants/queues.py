"""Arrivals, waiting and service."""

from __future__ import annotations

from tollens.lint.check import Check, Subtype, equal
from tollens.lint.fields import Fields
from tollens.lint.registry import Example, invariant
from tollens.lint.shown import number_text

__all__ = ["batch"]


@invariant(
    id="queue.batch",
    formula="batch = rate * window",
    needs={"rate": "1/s", "window": "s", "batch": "count"},
    exact=("rate", "window"),
    assumes=("arrivals in the window only",),
    violation=Subtype.CONTRADICTED,
    reference="Kingman, Poisson Processes (1993), section 2.1: the expected count of a stationary process",
    known=(
        Example({"rate": "80", "window": "50 ms", "batch": "16"}, "refuted/contradicted", {"computed": 4.0}, 1e-9),
        Example(
            {"rate": {"low": "30", "high": "80"}, "window": "0.05", "batch": "16"},
            "refuted/contradicted",
            {"margin": -12.0},
            1e-9,
            witness="needs 320 per s",
        ),
        Example({"rate": "320", "window": "0.05", "batch": "16"}, "supported/recomputed", {"computed": 16.0}, 1e-9),
    ),
)
def batch(f: Fields) -> Check:
    """The number of arrivals in a window has the expectation rate * window, whatever their law.

    A batch that is filled in each window needs as many arrivals, on average, as it has places.
    """
    expected = f.rate * f.window
    needed = f.batch / f.window
    remark = f"a batch of {number_text(f.batch.middle)} needs {number_text(needed.middle)} per s"
    return equal(f.batch, expected, ("batch", "rate * window"), unit="count", remark=remark)
