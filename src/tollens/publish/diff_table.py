"""The matrices of a diff as plain rows: one CSV line a matrix."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec

from tollens.publish.table import cell
from tollens.run.diff_result import DiffReport

COLUMNS = (
    "name", "derived_name", "role", "view", "M", "N", "base_dtype", "derived_dtype", "status", "state", "equal_share",
    "changed_share", "relative_change", "cosine", "max_abs", "max_ulps", "base_fro2", "fro2", "spectral2",
    "stable_rank", "entropy_rank", "floor_dtype", "floor_rms", "floor_mp_edge", "floor_edge", "floor_above",
    "floor_energy_above", "shuffled_edge", "shuffled_draws", "shuffled_above", "shuffled_energy_above", "rank_base",
    "rank_delta",
    "overlap_left_value", "overlap_left_expected", "overlap_left_low", "overlap_left_high", "overlap_right_value",
    "overlap_right_expected", "overlap_right_low", "overlap_right_high", "kinship_tested", "kinship_cosine",
    "kinship_null_high", "kinship_above", "flags", "undefined", "sentence",
)  # fmt: skip


def diff_rows(report: DiffReport) -> list[dict[str, Any]]:
    """One flat dictionary a matrix, parts of a group as group_part; what is undefined stays empty."""
    found = []
    for layer in report.layers:
        plain: dict[str, Any] = msgspec.to_builtins(layer)
        for group in ("floor", "shuffled", "overlap_left", "overlap_right", "kinship"):
            parts = plain.pop(group) or {}
            parts |= parts.pop("null", None) or {}
            plain |= {f"{group}_{name}": value for name, value in parts.items()}
        plain["undefined"] = " ".join(f"{k}={v}" for k, v in plain["undefined"].items())
        found.append({k: cell(v) for k, v in plain.items()})
    return found


def diff_csv(report: DiffReport) -> str:
    """A header and one line a matrix; numbers in full precision."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(diff_rows(report))
    return out.getvalue()
