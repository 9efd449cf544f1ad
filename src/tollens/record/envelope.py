"""The one form of a record: who said what when, chained to the record before it."""

from __future__ import annotations

import getpass
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from tollens.core.canonical import SAFE, canonical, digest
from tollens.core.errors import Exit, TollensError

VERSION = 1
FIRST = "0" * 64
Kind: TypeAlias = Literal[
    "seal", "amend", "run.started", "cell.started", "cell.finished", "run.finished", "verdict", "trap", "spend",
    "import", "waiver", "postmortem", "anchor",
]  # fmt: skip
KINDS = frozenset(get_args(Kind))
_SHAPE = bytes.maketrans(b"123456789,[", b"000000000::")
_LONG = b":" + 16 * b"0"


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a ledger.

    v      version of this form
    seq    0 for the first record of a ledger, then one more each
    id     32 hexadecimal digits, drawn at random
    time   UTC, RFC 3339; for people: nothing is decided by it, because anybody can set a clock
    prev   `hash` of the record before, 64 zeros for the first
    hash   SHA-256 of the canonical form of all the other fields
    """

    v: int
    seq: int
    id: str
    type: Kind
    time: str
    actor: str
    prev: str
    body: dict[str, Any]
    hash: str


def sealed_envelope(kind: Kind, body: Mapping[str, Any], before: Envelope | None, actor: str, time: str) -> Envelope:
    """The record that follows `before`. Raises: ValueError for a body that JSON cannot hold."""
    fields: dict[str, Any] = {
        "v": VERSION,
        "seq": 0 if before is None else before.seq + 1,
        "id": uuid.uuid4().hex,
        "type": kind,
        "time": time,
        "actor": actor,
        "prev": FIRST if before is None else before.hash,
        "body": dict(body),
    }
    return Envelope(**fields, hash=digest(fields))


def line(record: Envelope) -> bytes:
    """The record as it stands in the file: its canonical form and a line feed."""
    return canonical(msgspec.to_builtins(record)) + b"\n"


def read_line(data: bytes) -> Envelope:
    """Raises: msgspec.DecodeError for a line that is no record (ValidationError is one)."""
    record = msgspec.json.decode(data, type=Envelope)
    return msgspec.structs.replace(record, body=_doubles(record.body)) if long_integer(data) else record


def long_integer(data: bytes) -> bool:
    """Whether a number of 16 digits or more may stand in a line without blanks."""
    return _LONG in data.translate(_SHAPE, b"- \t")


def _doubles(value: Any) -> Any:
    """Integers beyond 2^53 - 1 as the doubles they were: 1e20 is written 100000000000000000000 (RFC 8785)."""
    if isinstance(value, dict):
        return {key: _doubles(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_doubles(item) for item in value]
    if isinstance(value, int) and abs(value) > SAFE and abs(value) < 10**21:
        return float(value)
    return value


def record_hash(record: Envelope) -> str:
    """The hash that a record ought to state, whatever it does. Raises: ValueError for what has no canonical form."""
    fields = msgspec.to_builtins(record)
    del fields["hash"]
    return digest(fields)


def check_chain(records: Sequence[Envelope], subject: str) -> None:
    """Return if every record has its own hash, its place, and the hash of the one before.

    Raises TollensError `ledger_broken`, exit 20, naming the first line that does not.
    """
    prev = FIRST
    for place, record in enumerate(records):
        stated = record.hash
        try:
            found = record_hash(record)
        except ValueError as error:
            raise _broken(subject, place, "a record with a canonical form", str(error)[:120]) from None
        if found != stated:
            raise _broken(subject, place, f"hash {found}", f"hash {stated}")
        if record.prev != prev or record.seq != place:
            raise _broken(subject, place, f"record {place} after {prev[:12]}", f"{record.seq} after {record.prev[:12]}")
        prev = stated


def _broken(subject: str, place: int, expected: str, found: str) -> TollensError:
    return TollensError(
        "ledger_broken", f"TAMPERED {subject}:{place + 1}", expected=expected, found=found,
        fix="Restore the ledger from version control; a record is never edited.", exit_code=Exit.TAMPERED,
    )  # fmt: skip


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def whoami() -> str:
    """The name of the account, or "unknown" where the system has none for it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # KeyError: what it raises before Python 3.13
        return "unknown"
