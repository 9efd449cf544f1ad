"""What has killed claims in a folder of studies: classes counted, each with its witnesses."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tollens.core.errors import TollensError
from tollens.core.shell import quoted
from tollens.protocol.decision import Decision
from tollens.protocol.obstacle import ObstacleKind
from tollens.protocol.postmortem import Violation, distance_text
from tollens.record import ledger as ledgers
from tollens.record.bodies import PostmortemBody
from tollens.record.ledger import Ledger, parse_ledger
from tollens.run.laboratory import check_folder, no_study, studies_under
from tollens.run.neighbours import MOST_BYTES, explained
from tollens.subject import file


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """One killed claim. `study` is its folder below the one that was asked about; `lesson` is on one line."""

    study: str
    claim: str
    seal: str
    rung: str
    violation: Violation
    distance: str
    lesson: str


class ClassCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many killed claims have one obstacle; `says` and `kind` as they were recorded last."""

    obstacle: str
    kind: ObstacleKind
    says: str
    count: int
    deaths: list[Death]


class Unexplained(msgspec.Struct, frozen=True, kw_only=True):
    """A killed claim without a recorded post-mortem: `found` is the witness of its verdict.

    `amended`: the study was sealed again since, so that none can be recorded any more.
    """

    study: str
    claim: str
    seal: str
    rung: str
    found: str
    amended: bool


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger that could not be read, and why."""

    study: str
    reason: str


class ObstacleReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens record obstacles --json` prints. `killed` = the counts of all classes + `unexplained`."""

    schema: str = "tollens.record.obstacles/1"
    folder: str
    studies: int
    killed: int
    classes: list[ClassCount]
    unexplained: list[Unexplained]
    unread: list[Unread]
    next: str


def obstacles(path: str | os.PathLike[str]) -> ObstacleReport:
    """Count the obstacles of every study at or below a folder; an amended claim that died too is another claim.

    A folder that cannot be looked into is among the `unread`. Raises TollensError: `path_missing` (2) where there is no
    such folder, `no_study` (21).
    """
    check_folder(path)
    root = Path(path)
    known: list[tuple[Death, PostmortemBody]] = []
    unexplained: list[Unexplained] = []
    unread: list[Unread] = []
    closed: list[tuple[Path, OSError]] = []
    studies = 0
    for place in studies_under(root, closed):
        studies += 1
        name = os.path.relpath(place, root)
        try:
            ledger = _ledger(place)
        except TollensError as error:
            unread.append(Unread(study=name, reason=f"{error.code}: {error.found}"))
            continue
        told, rest = _deaths(name, ledger)
        known += told
        unexplained += rest
    unread += [
        Unread(study=os.path.relpath(place, root), reason=f"{error.strerror or error}") for place, error in closed
    ]
    if not studies and not unread:
        raise no_study(path)
    return ObstacleReport(
        folder=os.fspath(path), studies=studies, killed=len(known) + len(unexplained), classes=_counted(known),
        unexplained=unexplained, unread=unread, next=_next(os.fspath(path), unexplained, known),
    )  # fmt: skip


def _ledger(place: Path) -> Ledger:
    path = place / ledgers.FILE
    if not os.path.lexists(path):
        return Ledger(())
    return parse_ledger(file.read(path, MOST_BYTES))


def _deaths(name: str, ledger: Ledger) -> tuple[list[tuple[Death, PostmortemBody]], list[Unexplained]]:
    last = {body.seal: body for body in explained(ledger)}
    seals = [record.body["seal"] for record in ledger.of("seal", "amend")] or [""]
    told, rest = [], []
    for record in ledger.of("verdict"):
        if record.body["verdict"] != "KILLED":
            continue
        decision = msgspec.convert(record.body["decision"], Decision)
        body = last.get(decision.seal)
        if body is None or body.verdict != record.id:
            rest.append(
                Unexplained(
                    study=name, claim=decision.claim, seal=decision.seal, rung=decision.rung or "",
                    found=decision.found, amended=decision.seal != seals[-1],
                )
            )  # fmt: skip
            continue
        death = Death(
            study=name, claim=body.claim, seal=body.seal, rung=body.rung, violation=body.violation,
            distance=distance_text(body.violation), lesson=" ".join(body.lesson.split()),
        )  # fmt: skip
        told.append((death, body))
    return told, rest


def _counted(known: Iterable[tuple[Death, PostmortemBody]]) -> list[ClassCount]:
    pairs = [*known]
    counts = Counter(body.obstacle for _, body in pairs)
    last = {body.obstacle: body for _, body in pairs}
    return [
        ClassCount(
            obstacle=name, kind=last[name].kind, says=last[name].says, count=count,
            deaths=[death for death, body in pairs if body.obstacle == name],
        )
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]  # fmt: skip


def _next(path: str, unexplained: list[Unexplained], known: list[tuple[Death, PostmortemBody]]) -> str:
    open_ = [one for one in unexplained if not one.amended]
    if open_:
        return f"tollens record postmortem {quoted(os.path.normpath(os.path.join(path, open_[0].study)))}"
    if known:
        return f"tollens status {quoted(os.path.normpath(os.path.join(path, known[0][0].study)))}"
    return "tollens new my-claim"
