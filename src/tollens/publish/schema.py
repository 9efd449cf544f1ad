"""The JSON schemas of what the verbs print, generated from the structs: `python -m tollens.publish.schema FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from tollens.protocol.decision import Decision, TrapResults
from tollens.protocol.postmortem import Postmortem
from tollens.protocol.seal import Manifest
from tollens.protocol.study import Study
from tollens.record.envelope import Envelope
from tollens.run.ab import AbReport
from tollens.run.ask import Answer
from tollens.run.certificate import Certificate
from tollens.run.compare import CompareReport
from tollens.run.diff_result import DiffReport
from tollens.run.doctor import Diagnosis
from tollens.run.drift.finding import DriftReport
from tollens.run.imports import ImportedData, ImportReport
from tollens.run.lint import Catalogue, LintReport
from tollens.run.lock import SealReport
from tollens.run.new import NewReport
from tollens.run.obstacles import ObstacleReport
from tollens.run.postmortem import PostmortemReport
from tollens.run.power import PowerReport
from tollens.run.pricing import Plan
from tollens.run.purchase import PurchaseReport
from tollens.run.result import ScanReport
from tollens.run.scoreboard import Scoreboard
from tollens.run.series_result import SeriesReport
from tollens.run.spend import SpendReport
from tollens.run.status import StatusReport
from tollens.run.waive import WaiveReport
from tollens.standard.demonstration import Demonstration
from tollens.standard.laboratory import LaboratoryReport

CONTRACTS: dict[str, type] = {
    "tollens.amend-1": SealReport,
    "tollens.ask-1": Answer,
    "tollens.climb-1": Decision,
    "tollens.climb-plan-1": Plan,
    "tollens.demo-1": Demonstration,
    "tollens.diff-1": DiffReport,
    "tollens.doctor-1": Diagnosis,
    "tollens.drift-1": DriftReport,
    "tollens.imported-1": ImportedData,
    "tollens.ledger-1": Envelope,
    "tollens.lint-1": LintReport,
    "tollens.lint-list-1": Catalogue,
    "tollens.lock-1": SealReport,
    "tollens.new-1": NewReport,
    "tollens.new-laboratory-1": LaboratoryReport,
    "tollens.postmortem-1": Postmortem,
    "tollens.record.obstacles-1": ObstacleReport,
    "tollens.record.postmortem-1": PostmortemReport,
    "tollens.record.spend-1": PurchaseReport,
    "tollens.record.waive-1": WaiveReport,
    "tollens.record.import-1": ImportReport,
    "tollens.scan-1": ScanReport,
    "tollens.scoreboard-1": Scoreboard,
    "tollens.seal-1": Manifest,
    "tollens.selftest-1": Certificate,
    "tollens.series-1": SeriesReport,
    "tollens.spend-1": SpendReport,
    "tollens.stats.ab-1": AbReport,
    "tollens.stats.compare-1": CompareReport,
    "tollens.stats.power-1": PowerReport,
    "tollens.status-1": StatusReport,
    "tollens.study-1": Study,
    "tollens.traps-1": TrapResults,
}


def schema_text(contract: str) -> str:
    """The schema of one contract, as it is stored in docs/reference/schema."""
    schema: dict[str, Any] = msgspec.json.schema(CONTRACTS[contract])
    return json.dumps(schema, indent=1, sort_keys=True, allow_nan=False) + "\n"


def write_schemas(folder: Path) -> list[Path]:
    """Write every schema to `folder`; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for contract in CONTRACTS:
        path = folder / f"{contract}.json"
        path.write_text(schema_text(contract))
        written.append(path)
    return written


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
