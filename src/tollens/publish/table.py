"""The layers of a scan as plain rows: one CSV line a layer."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec

from tollens.run.result import ScanReport

COLUMNS = (
    "name",
    "role",
    "view",
    "M",
    "N",
    "Q",
    "source_dtype",
    "precision",
    "status",
    "band",
    "alpha",
    "alpha_low",
    "alpha_high",
    "alpha_null_median",
    "alpha_null_low",
    "alpha_null_high",
    "sigma",
    "xmin",
    "n_tail",
    "D",
    "p_gof",
    "lambda_max",
    "lambda_min_visible",
    "blind_floor",
    "fro2",
    "spectral2",
    "log10_fro2",
    "log10_spectral2",
    "log10_alpha_norm",
    "alpha_hat",
    "stable_rank",
    "entropy_rank",
    "participation_rank",
    "numerical_rank",
    "mp_sigma2",
    "mp_edge",
    "mp_distance",
    "tw_edge",
    "n_outliers",
    "traps_all",
    "traps_mean",
    "traps_entry",
    "traps_residual",
    "erg_count",
    "erg_gap",
    "target",
    "rank",
    "gamma",
    "flags",
    "undefined",
    "sentence",
)


def rows(report: ScanReport) -> list[dict[str, Any]]:
    """One flat dictionary a layer; a list is its items with spaces between, what is undefined stays empty."""
    found = []
    for layer in report.layers:
        plain = msgspec.to_builtins(layer)
        interval, null = plain["alpha_interval"] or {}, plain["alpha_null"] or {}
        plain |= {"alpha_low": interval.get("low"), "alpha_high": interval.get("high")}
        plain |= {f"alpha_null_{k}": null.get(k) for k in ("median", "low", "high")}
        plain["undefined"] = " ".join(f"{k}={v}" for k, v in plain["undefined"].items())
        plain |= {f"ww.{k}": v for k, v in plain.pop("ww", {}).items()}
        found.append({k: cell(v) for k, v in plain.items()})
    return found


def csv_text(report: ScanReport) -> str:
    """A header and one line a layer; numbers in full precision."""
    table = rows(report)
    peer = [c for c in dict.fromkeys(k for row in table for k in row) if c.startswith("ww.")]
    out = io.StringIO()
    writer = csv.DictWriter(out, [*COLUMNS, *peer], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue()


def cell(value: Any) -> Any:
    """A value as one cell: lists with spaces between, None empty, and no formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "@", "\t"):
        return "'" + value  # a spreadsheet would run a name that looks like a formula
    if isinstance(value, list):
        return " ".join(str(v) for v in value)
    return "" if value is None else value
