"""The CSV of a scan."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.publish.table import csv_text
from tollens.run.scan import scan


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "@sum", "plain"])
def test_a_name_that_looks_like_a_formula_reaches_a_spreadsheet_as_text(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m.safetensors"
    save_file({name: np.random.default_rng(0).standard_normal((16, 24)).astype(np.float32)}, path)
    (row,) = csv.DictReader(io.StringIO(csv_text(scan(path))))
    assert row["name"] == (name if name == "plain" else "'" + name)
    assert float(row["stable_rank"]) > 1.0
