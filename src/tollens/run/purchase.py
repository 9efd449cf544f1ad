"""`record spend`: one purchase, refund or estimate, written into the ledger of a sealed study by hand."""

from __future__ import annotations

import datetime
import os
import re
import shlex
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from tollens.core.errors import Exit, TollensError
from tollens.core.money import parse_amount, shown
from tollens.protocol import seal
from tollens.protocol.rate import STATED, Rate, check_day, price
from tollens.protocol.seal import tampered
from tollens.record import ledger as ledgers
from tollens.record.cost import OTHER, study_cost
from tollens.record.envelope import Envelope
from tollens.record.ledger import read_ledger
from tollens.record.spend import sealed_study
from tollens.run.laboratory import laboratory_of
from tollens.run.spend import Figures, spend_figures
from tollens.run.study import alone, study_folder, writer

Kind: TypeAlias = Literal["actual", "refund", "estimate"]
ALL = "all"
MOST_EVIDENCE = 500
_QUANTITY = re.compile(r"[0-9]{1,30}(?:\.[0-9]{1,30})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class PurchaseQuestion:
    """What is recorded: an `amount` such as "12.40 EUR", or a `quantity` priced by a `rate` of tollens.toml.

    rung   one of the sealed rungs, or "other"; `cell` one of the sealed cells, or "all"
    day    when it was bought; it decides whether the rate held, and goes into the evidence
    """

    rung: str
    evidence: str
    kind: Kind = "actual"
    cell: str = ALL
    amount: str | None = None
    rate: str | None = None
    quantity: str | None = None
    day: datetime.date | None = None


class PurchaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens record spend --json` prints: the row, its line in the ledger, and the sums of the study with it."""

    schema: str = "tollens.record.spend/1"
    verdict: str = "RECORDED"
    claim: str
    seal: str
    rung: str
    cell: str
    kind: Kind
    currency: str
    amount_micro: int
    rate_id: str
    priced: str
    evidence: str
    line: int
    figures: list[Figures]
    notes: list[str]
    next: str


@dataclass(frozen=True, slots=True)
class _Priced:
    currency: str
    micro: int
    rate_id: str
    quantity: int | str
    unit: str
    words: str


def record_spend(path: str | os.PathLike[str], question: PurchaseQuestion) -> PurchaseReport:
    """Append one row; the object that `tollens record spend --json` prints.

    Raises TollensError: `not_sealed` (21); `tampered` and `ledger_broken` (20); and with 2 `money_amount`,
    `money_overflow`, `quantity_invalid`, `rate_unknown`, `rate_conflict`, `rate_not_yet`, `spend_place`,
    `spend_evidence`, `refund_too_large`.
    """
    folder = study_folder(path)
    with alone(folder):
        ledger = read_ledger(folder / ledgers.FILE)
        last = _last_seal(folder, ledger.records, os.fspath(path))
        study = sealed_study(last)
        evidence = _evidence(question)
        _check_place("rung", question.rung, [*(rung.id for rung in study.rung), OTHER])
        _check_place("cell", question.cell, [ALL, *last.body["manifest"]["cells"]])
        made = _priced(folder, question)
        amount = -made.micro if question.kind == "refund" else made.micro
        _check_refund(ledger.records, made.currency, amount, study.claim.id)
        row = {
            "claim": study.claim.id, "rung": question.rung, "cell": question.cell, "attempt": 1,
            "kind": question.kind, "currency": made.currency, "amount_micro": amount, "rate_id": made.rate_id,
            "quantity": made.quantity, "unit": made.unit, "evidence": evidence, "seal": last.body["seal"],
        }  # fmt: skip
        notes = _again(ledger.records, row)
        log = writer(folder)
        log.last = ledger.records[-1]
        written = log.append("spend", row)
        cost = study_cost([*ledger.records, written])
    return PurchaseReport(
        claim=study.claim.id, seal=last.body["seal"], rung=question.rung, cell=question.cell, kind=question.kind,
        currency=made.currency, amount_micro=amount, rate_id=made.rate_id, priced=made.words, evidence=evidence,
        line=written.seq + 1, figures=spend_figures(cost), notes=notes,
        next=f"tollens status --spend {shlex.quote(os.fspath(path))}",
    )  # fmt: skip


def _last_seal(folder: Path, records: tuple[Envelope, ...], path: str) -> Envelope:
    seals = [record for record in records if record.type in ("seal", "amend")]
    if seals:
        return seals[-1]
    if (folder / seal.FILE).exists():
        raise tampered(ledgers.FILE, f"the record of {seal.FILE}", "none", "Restore the ledger from version control.")
    raise TollensError(
        "not_sealed", path, expected="a sealed study: money is spent on a claim", found=f"no {seal.FILE}",
        fix=f"Seal it: tollens lock {path}", exit_code=Exit.NOT_SEALED,
    )  # fmt: skip


def _evidence(question: PurchaseQuestion) -> str:
    said = " ".join(question.evidence.split())
    if question.day is not None:
        said = f"{said}; of {question.day}" if said else ""
    if not said or len(said) > MOST_EVIDENCE or any("\ud800" <= c <= "\udfff" for c in said):  # bytes that are no text
        raise TollensError(
            "spend_evidence", "--evidence", expected=f"what vouches for it, 1 to {MOST_EVIDENCE} characters",
            found=f"{len(said)} characters", fix='Name the paper: --evidence "invoice 17".',
        )  # fmt: skip
    return said


def _check_place(name: str, found: str, known: list[str]) -> None:
    if found not in known:
        raise TollensError(
            "spend_place", f"--{name}", expected=", ".join(known[:12]) + (", ..." if len(known) > 12 else ""),
            found=repr(found[:60]), fix=f"Name a {name} of the sealed study.",
        )  # fmt: skip


def _priced(folder: Path, question: PurchaseQuestion) -> _Priced:
    if question.amount is not None:
        money = parse_amount(question.amount)
        (currency,) = money.currencies
        return _Priced(currency, money.of(currency), STATED, 1, "purchase", "as stated")
    assert question.rate is not None
    assert question.quantity is not None
    rate = _rate(folder, question.rate)
    check_day(rate, question.day or datetime.datetime.now(datetime.UTC).date())
    if not _QUANTITY.fullmatch(question.quantity):
        raise TollensError(
            "quantity_invalid", "--quantity", expected="digits with a decimal point, such as 3.5",
            found=repr(question.quantity[:60]), fix="Write it without a sign, an exponent or a unit.",
        )  # fmt: skip
    micro = price(Decimal(question.quantity), rate)
    words = f"{question.quantity} {rate.unit} at {shown(rate.amount_micro, rate.currency)} ({rate.id})"
    return _Priced(rate.currency, micro, rate.id, question.quantity, rate.unit, f"{words}, since {rate.since}")


def _rate(folder: Path, name: str) -> Rate:
    files = laboratory_of(folder).files
    found = [(path, rate) for path, _, tables in files for rate in tables.rate if rate.id == name]
    if not found:
        known = sorted({rate.id for _, _, tables in files for rate in tables.rate})
        raise TollensError(
            "rate_unknown", "--rate", expected=", ".join(known[:12]) or "a [[rate]] of a tollens.toml above the study",
            found=repr(name[:60]), fix="Write the rate into tollens.toml, with the day since when it holds.",
        )  # fmt: skip
    if len({msgspec.json.encode(rate) for _, rate in found}) > 1:
        raise TollensError(
            "rate_conflict", f"rate {name}", expected="one price", found=" and ".join(str(path) for path, _ in found),
            fix="Give the two rows ids of their own.",
        )  # fmt: skip
    return found[0][1]


def _check_refund(records: tuple[Envelope, ...], currency: str, amount: int, claim: str) -> None:
    """Nobody gets back more than was paid."""
    net = study_cost(records).sums.net.of(currency)
    if amount < 0 and net + amount < 0:
        raise TollensError(
            "refund_too_large", claim, expected=f"at most {shown(max(net, 0), currency)}, what was spent less refunds",
            found=shown(-amount, currency), fix="Record the purchase first, or correct the amount.",
        )  # fmt: skip


def _again(records: tuple[Envelope, ...], row: dict[str, Any]) -> list[str]:
    """Lines that say the same: one invoice entered twice would count twice."""
    names = ("kind", "rung", "currency", "amount_micro", "evidence")
    lines = [
        str(place) for place, r in enumerate(records, 1)
        if r.type == "spend" and r.body.get("run") is None and all(r.body[n] == row[n] for n in names)
    ]  # fmt: skip
    return [f"the same row stands on line {', '.join(lines)} already: both count"] if lines else []
