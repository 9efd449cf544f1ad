"""One result that another tool measured: its value, how many samples it rests on, and where it came from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn, TypeAlias

import msgspec

from tollens.core.canonical import SAFE
from tollens.core.errors import Exit, TollensError
from tollens.core.shell import quoted

Source: TypeAlias = Literal["lm-eval", "inspect-ai", "mlflow"]
MOST_SAMPLES = 2_000_000
LONGEST = 300
"""Characters of a name in a result file."""


class Sample(msgspec.Struct, frozen=True):
    """One item at one attempt. `value` is None where it has no score, and then `why` says so."""

    id: str
    epoch: int
    value: float | None
    why: str | None = None


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """One result of another tool.

    version    of the tool, as the file states it
    filter     lm-evaluation-harness: how answers were extracted; reducer: inspect_ai: how epochs became one score
    value      finite, in `unit`; "1" unless more is known
    stderr     finite and at least 0, or None with the reason in `no_stderr`
    n          samples that the value is over, after epochs were reduced to one score
    attempts   measurements that were made: samples by epochs
    n_from     who says n: the tool, its samples, a logged parameter, or the person who imports
    scored, unscored   samples with and without a score; a value over fewer than all is one of those alone
    made       when the tool says that it ended, RFC 3339; `run` is its own identifier
    samples    scores by item and epoch where the file has them
    """

    source: Source
    version: str
    task: str
    task_version: str | None = None
    metric: str
    filter: str | None = None
    reducer: str | None = None
    step: int | None = None
    value: float
    unit: str = "1"
    stderr: float | None = None
    no_stderr: str | None = None
    n: int
    n_from: str
    attempts: int
    scored: int
    unscored: int
    made: str | None = None
    run: str | None = None
    notes: list[str] = []
    samples: list[Sample] = []


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which result of a file is asked for; None where there is no choice to be made."""

    task: str | None = None
    metric: str | None = None
    filter: str | None = None
    reducer: str | None = None
    step: str | None = None
    run: str | None = None
    n: int | None = None
    n_from: str | None = None


def broken(subject: str, expected: str, found: str) -> TollensError:
    """A file that has not the form of its tool."""
    return TollensError(
        "import_syntax", subject, expected=expected, found=found[:200], fix="Write the results again with their tool."
    )


def absent(subject: str, expected: str, there: Sequence[str], option: str) -> TollensError:
    return TollensError(
        "import_absent", subject, expected=expected[:LONGEST], found=listed(there), fix=f"Name one of these: {option}."
    )


def ambiguous(subject: str, what: str, choices: Sequence[str], option: str) -> TollensError:
    """Several results where one is needed; the choices stand there as the next command takes them."""
    return TollensError(
        "import_ambiguous", subject, expected=f"one {what}", found=listed(choices),
        fix=f"Choose one: {option} {quoted(choices[0])}",
    )  # fmt: skip


def listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:80] for name in names[:20])
    return (shown or "none") + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def unscorable(subject: str, field: str, found: object) -> TollensError:
    """Exit 22: the value that is asked for is no number that a rule could be evaluated on."""
    return TollensError(
        "not_scorable", f"NOT SCORABLE {field} in {subject}", expected="a finite number", found=repr(found)[:80],
        fix="Run the tool again, or import another metric; nothing is decided on it.", exit_code=Exit.NOT_SCORABLE,
    )  # fmt: skip


def number(subject: str, field: str, value: object) -> float:
    """`value` as a finite float. Raises TollensError `not_scorable`, exit 22."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise unscorable(subject, field, type(value).__name__ if _deep(value) else value)
    try:
        found = float(value)
    except OverflowError:
        raise unscorable(subject, field, f"an integer of {value.bit_length()} bits") from None  # type: ignore[union-attr]
    if not math.isfinite(found):
        raise unscorable(subject, field, found)
    return found


def _deep(value: object) -> bool:
    return isinstance(value, dict | list)


def optional_number(value: object) -> float | None:
    """`value` as a finite float, or None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def stderr_of(subject: str, field: str, table: Mapping[str, Any], key: str) -> tuple[float | None, str | None]:
    """A standard error, or why there is none. Raises TollensError `import_syntax` for one below 0."""
    if key not in table:
        return None, f"no {field} in the file"
    found = optional_number(table[key])
    if found is None:
        return None, f"the tool wrote {table[key]!r:.40}"
    if found < 0:
        raise broken(subject, f"{field} of at least 0", repr(found))
    return found, None


def count(subject: str, field: str, value: object, least: int = 0) -> int:
    """A whole number from `least` to 2^53 - 1. Raises TollensError `import_syntax`."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= SAFE:
        shown = type(value).__name__ if _deep(value) else f"{value!r:.40}" if not _wide(value) else "a larger one"
        raise broken(subject, f"{field}: a whole number from {least}", shown)
    return value


def _wide(value: object) -> bool:
    return isinstance(value, int) and value.bit_length() > 64


def table(subject: str, field: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise broken(subject, f"{field}: a table", type(value).__name__)
    return value


def rows(subject: str, field: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise broken(subject, f"{field}: a list", type(value).__name__)
    if len(value) > MOST_SAMPLES:
        raise broken(subject, f"{field}: at most {MOST_SAMPLES:,}", f"{len(value):,}")
    return value


def text(subject: str, field: str, value: object) -> str:
    """A name, in characters that every output can hold. Raises TollensError `import_syntax`."""
    if not isinstance(value, str) or not value:
        raise broken(subject, f"{field}: a text", type(value).__name__)
    if len(value) > LONGEST:
        raise broken(subject, f"{field}: at most {LONGEST} characters", f"{len(value)}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise broken(subject, f"{field}: text", "half a character") from None
    return value


def seconds_time(seconds: float | None) -> str | None:
    """RFC 3339 of a Unix time; None for one that no calendar has."""
    if seconds is None or not 0 <= seconds < 253_402_300_800:  # the year 10000
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def stated_time(value: object) -> str | None:
    """RFC 3339 in UTC of a time that a tool wrote; None where it wrote none."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        found = datetime.fromisoformat(value)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found.isoformat(timespec="seconds").replace("+00:00", "Z")


def differs(subject: str, what: str, stated: float, found: float) -> NoReturn:
    """Raises TollensError `import_differs`: samples that do not give what the file says of them."""
    raise TollensError(
        "import_differs", subject, expected=f"{what} {stated!r}, as the results say",
        found=f"{found!r} from the samples", fix="Give the samples of this very run.",
    )  # fmt: skip


def close(one: float, other: float) -> bool:
    """Equal up to the order of a sum."""
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
