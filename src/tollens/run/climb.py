"""`climb`: a sealed claim meets its attacks, the cheapest first, and gets a verdict that is kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from tollens.core.canonical import canonical, digest
from tollens.core.errors import Exit, TollensError
from tollens.core.shell import quoted
from tollens.protocol.attack import Ask, RungTask, attack, priced
from tollens.protocol.decision import Decision, RungResult, TrapResults
from tollens.protocol.ladder import barred, conclude, next_command
from tollens.protocol.rate import SEALED
from tollens.protocol.readings import scored, unscorable
from tollens.protocol.registration import Cell, Registration
from tollens.protocol.ruling import Ruling
from tollens.protocol.rung import VIOLATIONS, Arm, Measured, Opening
from tollens.protocol.seal import tampered
from tollens.protocol.study import read_study
from tollens.record import ledger as ledgers
from tollens.record.envelope import Kind
from tollens.record.ledger import Writer, read_ledger
from tollens.run.anchor import Anchor
from tollens.run.constraints import notes_of, pinned, rulings_of, settles
from tollens.run.evidence import evidence_of
from tollens.run.imports import sealed_imports
from tollens.run.lock import amendment
from tollens.run.machine import machine_lines
from tollens.run.postmortem import open_postmortem
from tollens.run.pricing import Ladder, Plan, ladder_of, plan_of
from tollens.run.sealable import chance_of
from tollens.run.snapshot import left, rehashed, snapshot
from tollens.run.study import (
    DECISION,
    TRAPS,
    Sealed,
    alone,
    claim_text,
    registered,
    restored,
    sealed,
    study_folder,
    write_whole,
    writer,
)

Progress = Callable[[int, int, str], None]
Key = tuple[str, str, str, int]
Row = tuple[Kind, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ClimbQuestion:
    """How a climb is asked for; none of it is a value. `check_remote` asks the remote whether it has the anchor."""

    require_anchor: bool = False
    check_remote: bool = False


def plan(path: str | os.PathLike[str]) -> Plan:
    """What a climb would cost; the object that `tollens climb --dry-run --json` prints. Nothing is run."""
    folder = study_folder(path)
    try:
        found = sealed(folder)
        study, hash_, ledger, before = found.study, found.hash, found.ledger, pinned(found.manifest.constraints)
    except TollensError as error:
        if error.exit_code is not Exit.NOT_SEALED:
            raise
        study, hash_, before = read_study(claim_text(folder)), None, []
        ledger = read_ledger(folder / ledgers.FILE)
    registration = registered(folder, study)
    ladder = ladder_of(folder, registration, chance_of(registration))
    rulings = rulings_of(folder, study, ledger, before) or []
    made = plan_of(study.claim.id, hash_, ladder, os.fspath(path))
    if not any(ruling.state == "blocked" for ruling in rulings):
        return msgspec.structs.replace(made, constraints=rulings)
    after = amendment(os.fspath(path), ledger, study) if hash_ else made.next
    return msgspec.structs.replace(made, verdict="BLOCKED", constraints=rulings, next=after)


def climb(
    path: str | os.PathLike[str], question: ClimbQuestion | None = None, *, progress: Progress | None = None
) -> Decision:
    """Run the attacks on a sealed study and keep the verdict; the object that `tollens climb --json` prints.

    Killed at any moment, the same call goes on: a finished cell is not run again, a started one is, with its seed.
    Where a constraint of the laboratory is not met as it is now, the verdict is BLOCKED; nothing is run, nothing kept.
    Raises TollensError: `not_sealed` (21), `tampered` (20, also where inputs change during the run),
    `already_decided` (2, with the recorded verdict), `not_scorable` (22), `unanchored` (23 where an anchor was
    required), and what a rung raises.
    """
    question = question or ClimbQuestion()
    folder = study_folder(path)
    with alone(folder):
        study = restored(sealed(folder))
        anchor = evidence_of(study, check_remote=question.check_remote)
        if study.verdict is not None:
            _rewrite(folder, study.verdict.body)
            _opened(study)
            raise _decided(os.fspath(path), study)
        if question.require_anchor and anchor.kind in ("none", "kept"):
            raise TollensError(
                "unanchored", os.fspath(path), expected="a seal that somebody else holds", found=anchor.text,
                fix=f"Commit and push seal.json. {anchor.why or ''}".strip(), exit_code=Exit.UNANCHORED,
            )  # fmt: skip
        before = pinned(study.manifest.constraints)
        rulings = rulings_of(folder, study.study, study.ledger, before) or []
        if any(ruling.state == "blocked" for ruling in rulings):
            return _refused(os.fspath(path), study, anchor, rulings)
        decision = _climbed(folder, study, anchor, notes_of(rulings, before), progress)
        notes = [*decision.notes, *_opened(replace(study, ledger=read_ledger(folder / ledgers.FILE)))]
        return msgspec.structs.replace(decision, next=next_command(decision.verdict, os.fspath(path)), notes=notes)


def _opened(study: Sealed) -> list[str]:
    """What is to be said of the post-mortem. The verdict is in the ledger and does not fail for want of a file."""
    try:
        return ["postmortem.toml is open: say what stood in the way"] if open_postmortem(study) else []
    except TollensError as error:
        return [f"postmortem.toml was not opened: {error.found}"]


def _refused(path: str, study: Sealed, anchor: Anchor, rulings: Sequence[Ruling]) -> Decision:
    """BLOCKED by a constraint as it is now: nothing is run and nothing kept, so that it goes on once it is met."""
    registration = registered(study.folder, study.study)
    ladder = ladder_of(study.folder, registration, chance_of(registration))
    decision = barred(
        study.study, rulings, [*ladder.prices], order=ladder.order, seal=study.hash, anchor=anchor.text,
        exploratory=study.exploratory,
    )  # fmt: skip
    first = next(ruling for ruling in rulings if ruling.state == "blocked")
    return msgspec.structs.replace(
        decision, settles=settles(path, first), next=amendment(path, study.ledger, study.study)
    )


def _climbed(folder: Path, study: Sealed, anchor: Anchor, waived: Sequence[str], progress: Progress | None) -> Decision:
    values = sealed_imports(study)
    registration = registered(folder, study.study)
    ladder = ladder_of(folder, registration, chance_of(registration))
    entries, log = study.manifest.entries, writer(folder)
    log.last = study.ledger.records[-1]  # a metric may find the ledger; nothing but this climb may write to it
    with snapshot(folder, entries, study.hash) as private:
        changed = rehashed(private, entries)
        if changed:
            raise tampered(changed[0], "the sealed bytes", "others in the copy", "Run it again.")
        here = machine_lines()
        run = log.append("run.started", {"seal": study.hash, "inputs": _digest_of(study), "environment": here})
        books = Books(log, study, run.id, progress, sum(task.requests for task in ladder.tasks))
        books.estimate(ladder)
        results: list[RungResult] = []
        try:
            _ladder(private, registration, ladder, books, results)
        except TollensError as error:
            changed = _changed(private, folder, study)
            ended = {"run": run.id, "seal": study.hash, "failed": error.code, "changed": changed}
            log.append_all([*books.owed(), ("run.finished", ended)])
            if changed:
                raise _during(changed) from None
            raise
        changed = _changed(private, folder, study)
        outputs = digest([msgspec.to_builtins(result) for result in results])
        ended = {"run": run.id, "seal": study.hash, "outputs": outputs, "changed": changed}
        log.append_all([*books.owed(), ("run.finished", ended)])
        if changed:
            raise _during(changed)
    read_ledger(folder / ledgers.FILE)  # the last record is ours, so a valid chain is the one that was read before
    notes = [*waived, *values, *([anchor.why] if anchor.kind == "kept" else [])]
    ends = [r.body.get("failed") or "" for r in study.of("run.finished")]
    failed = [code for code in ends if code == "not_scorable" or code.startswith("metric_")]
    if failed:  # a metric that fails by chance could be run until it does not
        notes.append(
            f"{len(failed)} earlier run{'s' if len(failed) > 1 else ''} of this seal failed: {', '.join(failed)}"
        )
    if here != study.manifest.environment:
        notes.append(f"ENVIRONMENT DIFFERS {_environment(study.manifest.environment, here)}")
    apart, money = books.apart({result.id for result in results})
    if apart:
        notes.append(f"the money spent holds cells of rungs that this run did not reach: {apart}")
    decision = conclude(
        study.study, results, [*ladder.prices], order=ladder.order, seal=study.hash, anchor=anchor.text,
        exploratory=study.exploratory, notes=notes,
    )  # fmt: skip
    spent = msgspec.structs.replace(decision.spent, usd_micro=decision.spent.usd_micro + money)
    decision = msgspec.structs.replace(decision, spent=spent)
    body = msgspec.to_builtins(decision)
    log.append("verdict", {"seal": study.hash, "run": run.id, "verdict": decision.verdict, "decision": body})
    _rewrite(folder, {"decision": body})
    return decision


def _ladder(private: Path, registration: Registration, ladder: Ladder, books: Books, results: list[RungResult]) -> None:
    """Rung after rung; a kill or a void ends it, and what requires a rung that did not pass is blocked."""
    for task in ladder.tasks:
        came = {r.id: r for r in results}
        unmet = [came[name] for name in task.rung.requires if came[name].verdict not in ("PASSED", "SURVIVED")]
        if unmet:
            results.append(_blocked(task, unmet[0]))
            continue
        with task.kind.open(Opening(private, registration, task.rung)) as measure:
            result = attack(task, books.ask(task, measure))
        books.close(task, result)
        results.append(books.priced(task, result))
        if result.verdict in ("KILLED", "VOID"):
            return


def _blocked(task: RungTask, by: RungResult) -> RungResult:
    return RungResult(
        id=task.rung.id, kind=task.kind.name, verdict="BLOCKED", settles=by.settles,
        found=f"requires {by.id}, which came out {by.verdict}: {by.found}", cells_of=len(task.cells),
        requests_of=task.requests, confirms=task.confirms,
    )  # fmt: skip


@dataclass(slots=True)
class Books:
    """What the ledger knows of the cells of one seal, and what is added to it."""

    log: Writer
    study: Sealed
    run: str
    progress: Progress | None
    total: int
    done: int = 0
    finished: dict[Key, tuple[Measured, float]] = field(default_factory=dict)
    started: dict[Key, int] = field(default_factory=dict)
    known_traps: set[tuple[str, str, str]] = field(default_factory=set)
    estimated: set[str] = field(default_factory=set)
    counted: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spoilt = {r.body["run"] for r in self.study.of("run.finished") if r.body["changed"]}
        for record in self.study.of("cell.started", "cell.finished", "trap", "spend"):
            if record.type == "spend":
                self._bought(record.body)
                continue
            if record.type != "cell.started" and record.body["run"] in spoilt:
                continue  # its inputs were not the sealed ones
            if record.type == "trap":
                self.known_traps.add((record.body["rung"], record.body["arm"], record.body["must"]))
                continue
            key = _key(record.body["key"])
            if record.type == "cell.started":
                self.started[key] = self.started.get(key, 0) + 1
            else:
                measured = Measured(record.body["readings"], record.body.get("note", ""))
                self.finished[key] = (measured, float(record.body["seconds"]))

    def _bought(self, row: Mapping[str, Any]) -> None:
        if row.get("run") is None or not isinstance(row["quantity"], int):
            return  # written by hand: no request of a climb
        if row["kind"] == "estimate":
            self.estimated.add(row["rung"])
        elif row["kind"] == "actual":
            self.counted[row["rung"]] = self.counted.get(row["rung"], 0) + row["quantity"]

    def ask(self, task: RungTask, measure: Ask) -> Ask:
        """Measure, and keep what was measured before anybody sees it; what is kept is not measured again."""
        asked: set[Key] = set()

        def kept(arm: Arm, cell: Cell) -> Measured:
            key = (task.rung.id, arm.label, cell.label, cell.seed)
            if key not in asked:
                asked.add(key)
                self.done += 1
            if key in self.finished:
                return self.finished[key][0]
            body = {"seal": self.study.hash, "rung": key[0], "arm": key[1], "cell": key[2], "seed": key[3]}
            attempt = self.started.get(key, 0) + 1
            self.log.append("cell.started", {"run": self.run, "key": body, "attempt": attempt})
            self.started[key] = attempt
            if self.progress is not None:
                self.progress(self.done, self.total, f"{task.rung.id} {arm.label} {cell.label}")
            before = time.perf_counter()
            found = _checked(task, measure(arm, cell), f"{arm.label} {cell.label}")
            seconds = time.perf_counter() - before
            self.log.append(
                "cell.finished",
                {"run": self.run, "key": body, "attempt": attempt, "readings": found.readings, "note": found.note,
                 "seconds": seconds},
            )  # fmt: skip
            self.finished[key] = (found, seconds)
            return found

        return kept

    def estimate(self, ladder: Ladder) -> None:
        """What every rung of the ladder would cost, once a seal, before any cell: what dies early leaves the rest."""
        rows = [
            self._row(price.id, "estimate", price.usd_micro, price.requests, 1, "sealed price")
            for price in ladder.prices
            if price.id not in self.estimated
        ]
        if rows:
            self.log.append_all(rows)

    def close(self, task: RungTask, result: RungResult) -> None:
        """The traps of a rung and its price, once each: a run that was killed here may have written some of them."""
        for trap in result.traps:
            if (trap.rung, trap.arm, trap.must) not in self.known_traps:
                self.log.append("trap", {"seal": self.study.hash, "run": self.run, **msgspec.to_builtins(trap)})
        rows = self.owed(task.rung.id)
        if rows:
            self.log.append_all(rows)
            self.counted[task.rung.id] = self._attempts(task.rung.id)

    def owed(self, only: str | None = None) -> list[Row]:
        """A row for every rung with cells that were started and stand in no row yet."""
        rows = []
        for rung in self.study.study.rung:
            bought = self._attempts(rung.id) - self.counted.get(rung.id, 0)
            if bought > 0 and only in (None, rung.id):
                most = max(n for key, n in self.started.items() if key[0] == rung.id)
                amount = bought * rung.est_cost.usd_micro
                rows.append(self._row(rung.id, "actual", amount, bought, most, "cell.started records"))
        return rows

    def _row(self, rung: str, kind: str, amount: int, quantity: int, attempt: int, evidence: str) -> Row:
        return (
            "spend",
            {
                "claim": self.study.study.claim.id, "rung": rung, "cell": "all", "attempt": attempt, "kind": kind,
                "currency": "USD", "amount_micro": amount, "rate_id": SEALED, "quantity": quantity,
                "unit": "request", "evidence": evidence, "seal": self.study.hash, "run": self.run,
            },
        )  # fmt: skip

    def apart(self, reached: AbstractSet[str]) -> tuple[int, int]:
        """How many cells of other rungs were ever started, and their price: by a run that came to another end."""
        others = [rung for rung in self.study.study.rung if rung.id not in reached]
        counts = [self._attempts(rung.id) for rung in others]
        return sum(counts), sum(n * rung.est_cost.usd_micro for n, rung in zip(counts, others, strict=True))

    def _attempts(self, rung: str) -> int:
        """How many cells of a rung were started, whatever became of them."""
        return sum(count for key, count in self.started.items() if key[0] == rung)

    def priced(self, task: RungTask, result: RungResult) -> RungResult:
        """The wall time of its finished cells, of whichever run, and the price of every attempt."""
        seconds = sum(spent for key, (_, spent) in self.finished.items() if key[0] == task.rung.id)
        return priced(result, seconds, self._attempts(task.rung.id) * task.rung.est_cost.usd_micro)


def _checked(task: RungTask, found: Measured, where: str) -> Measured:
    if task.kind.judges == "claim":
        return scored(found, task.registration, where)
    value = found.readings.get(VIOLATIONS)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise unscorable(VIOLATIONS, where, "how many statements were refuted", repr(value))
    return found


def _key(body: Mapping[str, Any]) -> Key:
    return (body["rung"], body["arm"], body["cell"], int(body["seed"]))


def _digest_of(study: Sealed) -> str:
    return digest([msgspec.to_builtins(entry) for entry in study.manifest.entries])


def _changed(private: Path, folder: Path, study: Sealed) -> list[str]:
    said = [f"{s} (copy)" for s in (*rehashed(private, study.manifest.entries), *left(private, study.manifest.entries))]
    return said + rehashed(folder, study.manifest.entries)


def _during(changed: list[str]) -> TollensError:
    return tampered(
        changed[0], "the sealed bytes after the run as before it", f"inputs changed during run: {'; '.join(changed)}",
        "Restore the files and climb again: nothing of this run is judged.",
    )  # fmt: skip


def _environment(sealed_: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    names = [name for name in dict.fromkeys((*sealed_, *here)) if sealed_.get(name) != here.get(name)]
    return "; ".join(f"{name} sealed {sealed_.get(name)} found {here.get(name)}" for name in names)


def _decided(path: str, study: Sealed) -> TollensError:
    assert study.verdict is not None
    body = study.verdict.body["decision"]
    return TollensError(
        "already_decided", path, expected="a sealed study without a verdict",
        found=f"{body['verdict']}{' EXPLORATORY' if body['exploratory'] else ''}: {body['found']}",
        fix=f"tollens status {quoted(path)} shows it; a changed claim is registered by tollens amend.",
    )  # fmt: skip


def _rewrite(folder: Path, body: Mapping[str, Any]) -> None:
    """decision.json and trap_results.json, which repeat what the ledger holds."""
    kept = msgspec.json.decode(canonical(body["decision"]))  # as the ledger gives it back: 5.0 is 5 there
    decision = msgspec.convert(kept, Decision)
    results = TrapResults("tollens.traps/1", decision.claim, decision.seal, decision.traps)
    for name, made in ((DECISION, decision), (TRAPS, results)):
        data = msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n"
        path = folder / name
        if not path.is_file() or path.read_bytes() != data:
            write_whole(path, data)
