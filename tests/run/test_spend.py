"""Purchases by hand, and what a folder of studies cost, over real ledgers of real climbs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.run.faults.study import write

from tollens.cli.main import run
from tollens.core.errors import TollensError
from tollens.record.ledger import Writer, read_ledger
from tollens.record.spend import mismatches
from tollens.run.purchase import PurchaseQuestion, record_spend
from tollens.run.spend import SpendReport, spend

RATE = """
[[rate]]
id = "gpu-2026"
currency = "USD"
amount_micro = 2990000
unit = "GPU-hour"
since = 2026-01-01
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A laboratory: `alive` survived, `dead` was killed by its first cells, `sealed` was never climbed."""
    root = tmp_path_factory.mktemp("laboratory")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAULTS_LOG", str(root / ".log"))
        prepare(root)
        yield root


def prepare(root: Path) -> None:
    (root / "tollens.toml").write_text(RATE)
    for name in ("alive", "dead", "sealed"):
        write(root / name)
        claim = (root / name / "claim.toml").read_text()
        (root / name / "claim.toml").write_text(claim.replace('id = "cheap"', f'id = "{name}"'))
    levels = root / "dead" / "levels.json"
    levels.write_text(levels.read_text().replace("-0.2", "-8.0"))
    for name in ("alive", "dead", "sealed"):
        assert run(["lock", str(root / name)]) == 0
    assert run(["climb", str(root / "alive")]) == 0
    assert run(["climb", str(root / "dead")]) == 10


@pytest.fixture
def laboratory(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "laboratory")
    return tmp_path / "laboratory"


def buy(study: Path, amount: str = "12.40 EUR", **more: str) -> None:
    record_spend(study, PurchaseQuestion(**{"rung": "other", "evidence": "invoice 17", "amount": amount, **more}))  # type: ignore[arg-type]


def figures(report: SpendReport) -> dict[str, tuple[int | str, int | str]]:
    return {f.currency: (f.net_micro, f.unspent_micro) for f in report.figures}


def test_what_a_climb_writes_agrees_with_its_cells(laboratory: Path) -> None:
    for name in ("alive", "dead"):
        records = read_ledger(laboratory / name / "ledger.jsonl").records
        assert mismatches(records) == []
        first = next(r.seq for r in records if r.type == "cell.started")
        rows = [r for r in records if r.type == "spend" and r.body["kind"] == "estimate"]
        assert [(r.body["rung"], r.body["amount_micro"]) for r in rows] == [("numbers", 0), ("accuracy", 84)]
        assert all(r.seq < first for r in rows)


def test_a_folder_of_studies(laboratory: Path) -> None:
    report = spend(laboratory)
    assert (report.claims, report.killed, report.exit_code) == (3, 1, 0)
    dead = next(s for s in report.studies if s.path == "dead")
    (rung,) = [r for r in dead.rungs if r.id == "accuracy"]
    assert rung.state == "died here"
    assert figures(report) == {"USD": (84 + 7 * rung.requests, 84 - 7 * rung.requests)}
    assert 0 < rung.requests < 12
    assert report.seconds > 0
    assert [(p.currency, p.net_micro, p.killed, p.micro) for p in report.per_kill] == [
        ("USD", 84 + 7 * rung.requests, 1, 84 + 7 * rung.requests)
    ]


def test_the_cost_of_a_kill_does_not_exist_without_one(laboratory: Path) -> None:
    assert spend(laboratory / "alive").per_kill == []


def test_purchases_and_refunds_count_and_currencies_stay_apart(laboratory: Path) -> None:
    alive = laboratory / "alive"
    before = figures(spend(alive))["USD"][0]
    buy(alive)
    buy(alive, "2 EUR", kind="refund", rung="accuracy")
    buy(alive, "41 EUR", kind="estimate")
    record_spend(alive, PurchaseQuestion("accuracy", "bill", rate="gpu-2026", quantity="3.5"))
    report = spend(alive)
    assert {f.currency: (f.net_micro, f.refunded_micro) for f in report.figures} == {
        "EUR": (10_400_000, -2_000_000), "USD": (84 + 10_465_000, 0),
    }  # fmt: skip
    assert before == 84
    assert mismatches(read_ledger(alive / "ledger.jsonl").records) == []


def test_a_kill_costs_the_rounded_fraction(laboratory: Path) -> None:
    for name in ("again", "thrice"):
        shutil.copytree(laboratory / "dead", laboratory / name)
    buy(laboratory / "sealed", "1 EUR")
    (eur, _) = spend(laboratory).per_kill
    assert (eur.currency, eur.net_micro, eur.killed, eur.micro) == ("EUR", 1_000_000, 3, 333_333)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"rung": "nothing"}, "spend_place"),
        ({"cell": "seed=9"}, "spend_place"),
        ({"amount": "1,000 EUR"}, "money_amount"),
        ({"amount": None, "rate": "gpu-2025", "quantity": "1"}, "rate_unknown"),
        ({"amount": None, "rate": "gpu-2026", "quantity": "-1"}, "quantity_invalid"),
        ({"amount": None, "rate": "gpu-2026", "quantity": "1e3"}, "quantity_invalid"),
        ({"amount": None, "rate": "gpu-2026", "quantity": "9" * 20}, "money_overflow"),
        ({"evidence": "  "}, "spend_evidence"),
        ({"evidence": "x" * 501}, "spend_evidence"),
        ({"kind": "refund", "amount": "0.01 EUR"}, "refund_too_large"),
        ({"kind": "refund", "amount": "0.000085 USD"}, "refund_too_large"),
    ],
)
def test_a_row_that_cannot_stand_is_refused_and_not_written(laboratory: Path, more: dict[str, str], code: str) -> None:
    before = (laboratory / "alive" / "ledger.jsonl").read_bytes()
    with pytest.raises(TollensError) as refused:
        buy(laboratory / "alive", **more)
    assert (refused.value.code, refused.value.exit_code) == (code, 2)
    assert (laboratory / "alive" / "ledger.jsonl").read_bytes() == before


def test_what_was_paid_back_cannot_be_paid_back_again(laboratory: Path) -> None:
    alive = laboratory / "alive"
    buy(alive, "1 EUR")
    buy(alive, "1 EUR", kind="refund")
    with pytest.raises(TollensError, match="refund_too_large"):
        buy(alive, "0.000001 EUR", kind="refund")


def test_a_purchase_before_the_day_of_its_rate_is_refused(laboratory: Path) -> None:
    import datetime

    def on(day: datetime.date) -> PurchaseQuestion:
        return PurchaseQuestion("accuracy", "bill", rate="gpu-2026", quantity="1", day=day)

    with pytest.raises(TollensError, match="rate_not_yet"):
        record_spend(laboratory / "alive", on(datetime.date(2025, 12, 31)))
    assert record_spend(laboratory / "alive", on(datetime.date(2026, 1, 1))).evidence == "bill; of 2026-01-01"


def test_one_rate_with_two_prices_is_refused_and_one_price_twice_is_not(laboratory: Path) -> None:
    own = laboratory / "alive" / "tollens.toml"
    question = PurchaseQuestion("accuracy", "bill", rate="gpu-2026", quantity="1")
    own.write_text(RATE)
    record_spend(laboratory / "alive", question)
    own.write_text(RATE.replace("2990000", "1"))
    with pytest.raises(TollensError, match="rate_conflict"):
        record_spend(laboratory / "alive", question)


def test_one_invoice_entered_twice_is_said(laboratory: Path) -> None:
    question = PurchaseQuestion("other", "invoice 17", amount="12.40 EUR")
    assert record_spend(laboratory / "sealed", question).notes == []
    (note,) = record_spend(laboratory / "sealed", question).notes
    assert "line 2 already" in note


def test_a_draft_has_no_money(tmp_path: Path) -> None:
    draft = write(tmp_path / "draft")
    with pytest.raises(TollensError) as refused:
        buy(draft)
    assert (refused.value.code, refused.value.exit_code) == ("not_sealed", 21)
    assert "tollens lock" in refused.value.fix
    with pytest.raises(TollensError) as refused:
        spend(tmp_path)
    assert (refused.value.code, refused.value.exit_code) == ("not_sealed", 21)


def test_a_sealed_study_whose_ledger_is_gone_is_neither_a_draft_nor_free(laboratory: Path) -> None:
    (laboratory / "alive" / "ledger.jsonl").unlink()
    with pytest.raises(TollensError) as refused:
        buy(laboratory / "alive")
    assert refused.value.exit_code == 20
    report = spend(laboratory)
    assert [(row.path, row.code) for row in report.unreadable] == [("alive", "ledger_broken")]
    assert (report.exit_code, report.drafts) == (2, [])


@pytest.mark.parametrize("how", ["edited", "binary", "folder", "pipe", "dangling", "device", "deep"])
def test_a_ledger_that_cannot_be_read_is_listed_and_the_others_are_counted(laboratory: Path, how: str) -> None:
    path = laboratory / "alive" / "ledger.jsonl"
    data = path.read_bytes()
    path.unlink()
    if how == "edited":
        path.write_bytes(data.replace(b'"amount_micro":84', b'"amount_micro":83', 1))
    elif how == "binary":
        path.write_bytes(bytes(range(256)) * 10)
    elif how == "folder":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "dangling":
        path.symlink_to("nowhere")
    elif how == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"[" * 100_000 + b"\n")
    report = spend(laboratory)
    assert [row.path for row in report.unreadable] == ["alive"]
    assert (report.claims, report.killed, report.exit_code) == (2, 1, 2)


def test_an_empty_ledger_is_a_draft_without_money(laboratory: Path) -> None:
    (laboratory / "empty").mkdir()
    (laboratory / "empty" / "ledger.jsonl").touch()
    report = spend(laboratory)
    (empty,) = [s for s in report.studies if s.path == "empty"]
    assert (empty.state, empty.figures) == ("DRAFT", [])


def test_a_forged_row_is_noted(laboratory: Path) -> None:
    path = laboratory / "alive" / "ledger.jsonl"
    last = [r for r in read_ledger(path).records if r.type == "spend"][-1].body
    Writer(path).append("spend", {**last, "amount_micro": 1})
    (study,) = spend(laboratory / "alive").studies
    assert any("sealed price" in note for note in study.notes)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(TollensError, match="study_not_found"):
        spend(tmp_path / "nothing")


def test_sums_beyond_what_json_keeps_are_strings(laboratory: Path) -> None:
    for _ in range(2):
        buy(laboratory / "alive", "9007199254.740991 EUR")
    assert figures(spend(laboratory))["EUR"][0] == str(2 * (2**53 - 1))


def test_a_climb_after_purchases_and_an_amendment(laboratory: Path) -> None:
    """Rows by hand are no requests of a climb; each seal has its own estimates."""
    sealed = laboratory / "sealed"
    buy(sealed, "1 EUR", rung="accuracy")
    buy(sealed, "3 USD", rung="accuracy", kind="estimate")
    claim = (sealed / "claim.toml").read_text()
    assert run(["climb", str(sealed)]) == 0
    (sealed / "claim.toml").write_text(claim.replace("usd_micro = 7", "usd_micro = 9"))
    assert run(["amend", str(sealed), "--reason", "dearer", "--access", "results seen"]) == 0
    assert run(["climb", str(sealed)]) == 0
    records = read_ledger(sealed / "ledger.jsonl").records
    assert mismatches(records) == []
    (study,) = spend(sealed).studies
    assert study.seals == 2
    usd = next(f for f in study.figures if f.currency == "USD")
    assert (usd.estimate_micro, usd.net_micro) == (9 * 12, (7 + 9) * 12)


def test_a_metric_that_fails_has_been_paid_for(tmp_path: Path) -> None:
    study = write(tmp_path / "study")
    text = (study / "metric.py").read_text()
    broken = text.replace(
        '    note("metric")\n', '    note("metric")\n    if os.path.exists(os.environ["FAULTS_BREAK"]): raise OSError\n'
    )
    assert broken != text
    (study / "metric.py").write_text(broken)
    flag = tmp_path / "flag"
    environment = {**os.environ, "FAULTS_LOG": str(tmp_path / "log"), "FAULTS_BREAK": str(flag)}

    def tollens(*words: str) -> int:
        command = [sys.executable, "-m", "tollens.cli.main", *words]
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode

    assert tollens("lock", str(study)) == 0
    flag.touch()
    assert tollens("climb", str(study)) == 2
    records = read_ledger(study / "ledger.jsonl").records
    assert records[-1].body["failed"].startswith("metric_")
    started = [r for r in records if r.type == "cell.started" and r.body["key"]["rung"] == "accuracy"]
    paid = [r.body["amount_micro"] for r in records if r.type == "spend" and r.body["kind"] == "actual"]
    assert sum(paid) == 7 * len(started) > 0
    flag.unlink()
    assert tollens("climb", str(study)) == 0
    records = read_ledger(study / "ledger.jsonl").records
    assert mismatches(records) == []
    stated = json.loads((study / "decision.json").read_text())["spent"]["usd_micro"]
    assert stated == 7 * (12 + len(started))


def test_a_rung_that_only_a_spoilt_run_reached_stays_paid_for(made: Path, tmp_path: Path) -> None:
    """That run came past the first rung, where the next one dies: its cells are in what the verdict states."""
    study = write(tmp_path / "study")
    numbers = (study / "numbers.toml").read_text()
    (study / "numbers.toml").write_text(numbers.replace('ratio = { value = "4"', 'ratio = { value = "8"'))
    assert run(["lock", str(study)]) == 0
    log = Writer(study / "ledger.jsonl")
    seal = read_ledger(log.path).records[0].body["seal"]
    spoilt = log.append("run.started", {"seal": seal}).id
    key = {"seal": seal, "rung": "accuracy", "arm": "subject", "cell": "seed=1", "seed": 1}
    log.append("cell.started", {"run": spoilt, "key": key, "attempt": 1})
    log.append("run.finished", {"run": spoilt, "seal": seal, "changed": ["numbers numbers.toml"]})
    assert run(["climb", str(study)]) == 10
    decision = json.loads((study / "decision.json").read_text())
    assert (decision["rung"], decision["spent"]["usd_micro"]) == ("numbers", 7)
    assert any("did not reach: 1" in note for note in decision["notes"])
    assert mismatches(read_ledger(log.path).records) == []
    (cost,) = spend(study).studies
    assert [(r.id, r.state, r.figures[0].net_micro, r.figures[0].unspent_micro) for r in cost.rungs] == [
        ("numbers", "died here", 0, 0), ("accuracy", "started", 7, 0),
    ]  # fmt: skip
