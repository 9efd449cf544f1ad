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

AGAIN = "correct it with a refund or another row: tollens record spend"


def wrong_sums(repository: Repository) -> Iterator[Drifted]:
    """D12."""
    for study in repository.studies:
        records = study.ledger.records
        if not study.seals:
            continue
        for line, what in mismatches(records):
            named = records[line - 1].body.get("seal")
            if records[line - 1].type == "spend" and study.seals.get(str(named), line) >= line:
                continue  # of no seal, or of one that comes later: D04 and D03 name these
            yield Drifted(study.at(LEDGER), line, "D12", study.claim, what, AGAIN)
        yield from _postmortem(study)


def _postmortem(study: StudyFolder) -> Iterator[Drifted]:
    """The cost that postmortem.toml states, in millionths of a dollar, against the rows of its seal."""
    said = study.files.get(POSTMORTEM, {})
    cost = said.get("cost")
    stated = cost.get("usd_micro") if isinstance(cost, dict) else None
    if isinstance(stated, bool) or not isinstance(stated, int) or said.get("seal") not in study.seals:
        return
    rows = [r.body for r in study.ledger.of("spend") if r.body.get("seal") == said["seal"]]
    paid = sum(row["amount_micro"] for row in rows if row["kind"] != "estimate" and row["currency"] == "USD")
    if stated != paid:
        yield Drifted(
            study.at(POSTMORTEM), 1, "D12", study.claim,
            f"cost {stated} USD micro-units; the rows of its seal sum to {paid}", f"write usd_micro = {paid}",
        )  # fmt: skip
