"""The rows of a series as CSV: one line for each matrix and step."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec

from tollens.publish.table import cell
from tollens.run.series_result import SeriesReport

COLUMNS = (
    "matrix", "step", "role", "M", "N", "source_dtype", "status",
    "alpha", "alpha_low", "alpha_high", "alpha_null_low", "alpha_null_high",
    "traps_all", "traps_mean", "traps_entry", "traps_residual", "erg_gap", "n_outliers", "theta",
    "mp_sigma2", "spectral_excess", "stable_rank", "stable_rank_null_low", "stable_rank_null_high",
    "fro2", "spectral2", "distance", "speed", "delta_stable_rank", "digest", "undefined",
)  # fmt: skip
SPANS = ("alpha_null", "stable_rank_null")


def csv_text(report: SeriesReport) -> str:
    """A header and one line for each matrix and step; numbers in full precision, what is undefined stays empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in report.rows:
        plain: dict[str, Any] = msgspec.to_builtins(row)
        interval = plain["alpha_interval"] or {}
        plain |= {"alpha_low": interval.get("low"), "alpha_high": interval.get("high")}
        for name in SPANS:
            band = plain[name] or {}
            plain |= {f"{name}_{end}": band.get(end) for end in ("low", "high")}
        plain["undefined"] = " ".join(f"{name}={reason}" for name, reason in plain["undefined"].items())
        writer.writerow({name: cell(plain[name]) for name in COLUMNS})
    return out.getvalue()
