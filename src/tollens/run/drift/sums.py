"""Money of a ledger that does not follow from its other records: D12.

D12  a row of another amount than its quantity times the sealed price, rows that count other cells than were started, a
     verdict whose spend is not the sum of its rows; a postmortem that states another cost than its ledger
"""

from __future__ import annotations

from collections.abc import Iterator

from tollens.record.ledger import FILE as LEDGER
from tollens.record.spend import mismatches
from tollens.run.drift.finding import Drifted
from tollens.run.drift.repository import POSTMORTEM, Repository, StudyFolder

RESTORE = "restore the ledger from version control"
"""A climb wrote these rows and its verdict: a refund or another row by hand leaves them as they are."""


def wrong_sums(repository: Repository) -> Iterator[Drifted]:
    """D12."""
    for study in repository.studies:
        records = study.ledger.records
        if not study.seals or study.fault is not None:
            continue
        for line, what in mismatches(records):
            named = records[line - 1].body.get("seal")
            if records[line - 1].type == "spend" and study.seals.get(str(named), line) >= line:
                continue  # of no seal, or of one that comes later: D04 and D03 name these
            yield Drifted(study.at(LEDGER), line, "D12", study.claim, what, RESTORE)
        yield from _postmortem(study)


def _postmortem(study: StudyFolder) -> Iterator[Drifted]:
    """The cost that postmortem.toml states, in millionths of each currency, against the rows before the verdict."""
    said = study.files.get(POSTMORTEM, {})
    cost = said.get("cost")
    stated = cost.get("micro") if isinstance(cost, dict) else None
    if study.verdict is None or said.get("seal") != study.seal or not isinstance(stated, dict):
        return
    paid: dict[str, int] = {}
    for record in study.ledger.of("spend"):
        row = record.body
        if row.get("seal") == study.seal and row["kind"] != "estimate" and record.seq < study.verdict.seq:
            paid[row["currency"]] = paid.get(row["currency"], 0) + row["amount_micro"]
    for currency in sorted({*map(str, stated), *paid}):
        if stated.get(currency, 0) != paid.get(currency, 0):
            yield Drifted(
                study.at(POSTMORTEM), 1, "D12", study.claim,
                f"cost {stated.get(currency, 0)} {currency} micro-units; its rows sum to {paid.get(currency, 0)}",
                f"write {currency} = {paid.get(currency, 0)}",
            )  # fmt: skip
