"""The published schema is the one the code has, and real output obeys it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from tollens import demo
from tollens.publish.schema import CONTRACTS, schema_text
from tollens.publish.tables import tables_text
from tollens.record.tables import RECORD, STUDY
from tollens.run.climb import plan
from tollens.run.scan import scan

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference" / "schema"


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_stored_schema_has_not_drifted(contract: str) -> None:
    assert (FOLDER / f"{contract}.json").read_text() == schema_text(contract), "run `make docs`"


def test_a_real_scan_obeys_the_schema() -> None:
    schema = json.loads(schema_text("tollens.scan-1"))
    report = json.loads(msgspec.json.encode(scan(demo.path("trapped.safetensors"), claim="all(traps_all == 0)")))
    jsonschema.validate(report, schema)
    report["layers"][0]["alpha"] = "three"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(report, schema)


def test_the_reference_of_quantities_has_not_drifted() -> None:
    from tollens.publish.quantities import quantities_text

    assert (FOLDER.parent / "quantities.md").read_text() == quantities_text(), "run `make docs`"


def test_the_pages_of_invariants_and_statistics_are_what_the_registries_give() -> None:
    from tollens.publish.invariants import invariants_text
    from tollens.publish.statistics import statistics_text

    assert (FOLDER.parent / "invariants.md").read_text() == invariants_text(), "run `make docs`"
    assert (FOLDER.parent / "statistics.md").read_text() == statistics_text(), "run `make docs`"
    assert invariants_text().count("\n### ") >= 35
    assert statistics_text().count("\n### ") >= 80


def test_the_page_of_claim_toml_is_what_is_read() -> None:
    from tollens.publish.study import complete, laboratory_text, study_text

    assert (FOLDER.parent / "study.md").read_text() == study_text(), "run `make docs`"
    assert (FOLDER.parent / "laboratory.md").read_text() == laboratory_text(), "run `make docs`"
    assert complete() == set()


def test_a_real_study_obeys_its_schemas(tmp_path: Path) -> None:
    import tomllib

    import tollens

    folder = tmp_path / "study"
    made = {"new-1": tollens.new(folder), "lock-1": tollens.lock(folder), "climb-1": tollens.climb(folder)}
    made |= {"status-1": tollens.status(folder), "climb-plan-1": plan(folder)}
    documents = {name: json.loads(msgspec.json.encode(report)) for name, report in made.items()}
    documents |= {
        "study-1": tomllib.loads((folder / "claim.toml").read_text()),
        "seal-1": json.loads((folder / "seal.json").read_text()),
        "traps-1": json.loads((folder / "trap_results.json").read_text()),
    }
    lines = (folder / "ledger.jsonl").read_text().splitlines()
    documents |= {"ledger-1": json.loads(lines[-1])}
    for name, document in documents.items():
        jsonschema.validate(document, json.loads(schema_text(f"tollens.{name}")))
    jsonschema.validate(json.loads((folder / "decision.json").read_text()), json.loads(schema_text("tollens.climb-1")))
    for name, document in documents.items():
        broken = {**document, next(iter(document)): {"not": "this"}}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, json.loads(schema_text(f"tollens.{name}")))


def test_the_page_of_the_index_is_that_of_its_tables() -> None:
    assert (FOLDER.parent / "index.md").read_text() == tables_text(), "run `make docs`"
    assert all(f"`{column}`" in tables_text() for column in (*STUDY, *RECORD))
