"""The reference page names every code and every field, as the program has them."""

from __future__ import annotations

import re
from pathlib import Path

from tollens.core.codes import CODES
from tollens.protocol.published import FIELDS
from tollens.run.drift.finding import EXPLAINED

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "drift.md"


def test_every_code_has_its_row_and_its_guises() -> None:
    rows = re.findall(r"^\| (D\d\d) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(), re.M)
    assert [(code, title.strip()) for code, title, _ in rows] == [(c.upper(), CODES[c].title) for c in EXPLAINED]
    assert [code for code, _, guises in rows if len(guises) < 40] == []


def test_every_field_has_its_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", PAGE.read_text(), re.M)
    assert {name: what.strip() for name, what in rows} == FIELDS
