"""What a record of each kind says, checked when it is read: anybody can write a line whose hashes fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeAlias

import msgspec

from tollens.core.errors import Exit, TollensError
from tollens.protocol.decision import Decision
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
    """What was measured, finite, in the sealed units; `seconds` is its wall time."""

    run: str
    key: Key
    attempt: int
    readings: dict[str, int | float]
    seconds: float
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
    "verdict": VerdictBody,
    "import": ImportBody,
}


def check_bodies(records: Sequence[Envelope], subject: str) -> None:
    """Return if every record has the form of its kind, and no verdict speaks of another seal than its decision.

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


def _broken(subject: str, place: int, expected: str, found: str) -> TollensError:
    return TollensError(
        "ledger_broken", f"TAMPERED {subject}:{place + 1}", expected=expected, found=found,
        fix="Restore the ledger from version control; a record is never edited.", exit_code=Exit.TAMPERED,
    )  # fmt: skip
