"""Whether an imported result tells something of a claim, so that its owner had seen a result."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tollens.record.envelope import Envelope


def bears(record: Envelope, tables: Mapping[str, Any], data: Collection[str]) -> bool:
    """Whether the `import` record `record` bears on the claim of the study with these tables of claim.toml.

    It does where its copy is sealed as data (`data` are the digests of the sealed files), where its reading has the
    name of the claim's quantity or of a reading of the rules, and where nobody said what it is for. What [[evidence]]
    names under another name is there for a constraint of the laboratory, and has to be there before the seal. That a
    result was given another name nobody can see from here.
    """
    if record.body["data"] in data:
        return True
    claim, readings, rows = (tables.get(name) for name in ("claim", "readings", "evidence"))
    names = {claim.get("quantity") if isinstance(claim, dict) else None, *(readings or ())}
    if record.body["name"] in names:
        return True
    evidence = [row.get("imported") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return record.body["sha256"] not in evidence
