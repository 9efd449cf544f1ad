"""What a record of each kind says, checked when it is read: anybody can write a line whose hashes fit."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeAlias

import msgspec

from tollens.core.canonical import SAFE
from tollens.core.errors import Exit, TollensError
from tollens.protocol.decision import Decision
from tollens.protocol.obstacle import ObstacleKind
from tollens.protocol.postmortem import Violation
from tollens.protocol.seal import Manifest
from tollens.record.envelope import Envelope, Kind

Hash: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Access: TypeAlias = Literal["nothing run", "no results seen", "results seen"]


class SealBody(msgspec.Struct, frozen=True):
    """A study sealed for the first time."""

    seal: Hash
    manifest: Manifest


class AmendBody(msgspec.Struct, frozen=True):
    """A changed study sealed under the old hash. `floor` is the least that the ledger showed of what was seen."""

    seal: Hash
    manifest: Manifest
    amends: Hash
    reason: str
    access: Access
    floor: Access


class RunBody(msgspec.Struct, frozen=True):
    """A run that was started or has ended."""

    seal: Hash


class Key(msgspec.Struct, frozen=True):
    """Which measurement of which seal."""

    seal: Hash
    rung: str
    arm: str
    cell: str
    seed: int


class StartedBody(msgspec.Struct, frozen=True):
    """A measurement that was begun; `attempt` counts from 1."""

    run: str
    key: Key
    attempt: int


class FinishedBody(msgspec.Struct, frozen=True):
    """What was measured, finite, in the sealed units; `seconds` is its wall time, 0 to 1e12."""

    run: str
    key: Key
    attempt: int
    readings: dict[str, int | float]
    seconds: Annotated[float, msgspec.Meta(ge=0, le=1e12)]
    note: str = ""


class TrapBody(msgspec.Struct, frozen=True):
    """What became of a control."""

    seal: Hash
    run: str
    rung: str
    arm: str
    must: Literal["die", "survive"]


class VerdictBody(msgspec.Struct, frozen=True):
    """The verdict of a run, with everything that led to it."""

    seal: Hash
    run: str
    verdict: Literal["SURVIVED", "KILLED", "UNDETERMINED", "VOID", "BLOCKED"]
    decision: Decision


class PostmortemBody(msgspec.Struct, frozen=True, kw_only=True):
    """Why a claim died, as a person said it; the last one of a seal counts.

    `verdict` is the id of the record that killed it, `kind` and `says` are those of the class at that time, `file` is
    the SHA-256 of postmortem.toml as text.
    """

    seal: Hash
    claim: str
    verdict: str
    rung: str
    violation: Violation
    obstacle: str
    kind: ObstacleKind
    says: str
    lesson: str
    constraint: str | None = None
    file: Hash


class SpendBody(msgspec.Struct, frozen=True):
    """One purchase, or what one was expected to cost.

    rung          a rung of the seal, or "other"
    attempt       from 1
    amount_micro  in millionths of `currency`; 0 or less for a refund, 0 or more otherwise
    rate_id       what it was priced by: "sealed", "stated", or a rate of tollens.toml
    quantity      of `unit`; an integer or a decimal string, 0 or more
    run           id of the run.started record; None for a row that was written by hand
    """

    claim: str
    rung: str
    cell: str
    attempt: Annotated[int, msgspec.Meta(ge=1, le=SAFE)]
    kind: Literal["estimate", "actual", "refund"]
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]
    amount_micro: Annotated[int, msgspec.Meta(ge=-SAFE, le=SAFE)]
    rate_id: str
    quantity: (
        Annotated[int, msgspec.Meta(ge=0, le=SAFE)]
        | Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,30}(\.[0-9]{1,30})?\Z")]
    )
    unit: str
    evidence: str
    seal: Hash | None = None
    run: str | None = None


class WaiverBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody takes the risk of a constraint, as its table was, for one claim, up to and with the day `until`.

    `seal` is the one that stood when it was given, None for a draft.
    """

    claim: str
    constraint: str
    digest: Hash
    reason: str
    until: datetime.date
    seal: Hash | None = None


class ImportBody(msgspec.Struct, frozen=True, kw_only=True):
    """A result of another tool, taken over as data: a result that was seen.

    path     of the source, relative to the study; sha256 of its bytes, for a folder of the list of files that were read
    samples  SHA-256 of a file of samples beside it
    name     of the reading; `file` is the normalised copy in the study and `data` its SHA-256 in text mode
    n        samples that the value is over; `made` when the tool says that it ended, RFC 3339; `run` its identifier
    readings  the value by name, for what asks for readings
    """

    source: Literal["lm-eval", "inspect-ai", "mlflow"]
    version: str = ""
    path: str
    sha256: Hash
    samples: Hash | None = None
    name: str
    file: str
    data: Hash
    task: str
    metric: str
    filter: str | None = None
    reducer: str | None = None
    step: int | None = None
    value: int | float
    stderr: int | float | None = None
    n: int
    scored: int
    unscored: int
    made: str | None = None
    run: str | None = None
    readings: dict[str, int | float]


BODIES: Mapping[Kind, type[msgspec.Struct]] = {
    "seal": SealBody,
    "amend": AmendBody,
    "run.started": RunBody,
    "run.finished": RunBody,
    "cell.started": StartedBody,
    "cell.finished": FinishedBody,
    "trap": TrapBody,
    "spend": SpendBody,
    "verdict": VerdictBody,
    "waiver": WaiverBody,
    "postmortem": PostmortemBody,
    "import": ImportBody,
}


def check_bodies(records: Sequence[Envelope], subject: str) -> None:
    """Return if every record has the form of its kind, no verdict speaks of another seal than its decision, and no
    money has the wrong sign.

    Raises TollensError `ledger_broken`, exit 20, naming the first line that has not.
    """
    for place, record in enumerate(records):
        kind = BODIES.get(record.type)
        if kind is None:
            continue
        try:
            body = msgspec.convert(record.body, kind)
        except msgspec.ValidationError as error:
            raise _broken(subject, place, f"a record of type {record.type}", str(error)[:120]) from None
        if isinstance(body, VerdictBody) and (body.decision.seal, body.decision.verdict) != (body.seal, body.verdict):
            said = f"{body.decision.verdict} of {body.decision.seal[:12]}"
            raise _broken(subject, place, f"a decision {body.verdict} of {body.seal[:12]}", said)
        if isinstance(body, SpendBody) and (-body.amount_micro if body.kind == "refund" else body.amount_micro) < 0:
            said = "at most 0" if body.kind == "refund" else "at least 0"
            raise _broken(subject, place, f"an amount of {said} for kind {body.kind}", str(body.amount_micro))


def _broken(subject: str, place: int, expected: str, found: str) -> TollensError:
    return TollensError(
        "ledger_broken", f"TAMPERED {subject}:{place + 1}", expected=expected, found=found,
        fix="Restore the ledger from version control; a record is never edited.", exit_code=Exit.TAMPERED,
    )  # fmt: skip
