"""Questions to the index in SQL: read only, with an end to the time and to the rows."""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import msgspec

from tollens.core.errors import TollensError
from tollens.record.index import Index
from tollens.record.tables import TABLES, VIEWS
from tollens.run.index import Progress, indexed
from tollens.run.scoreboard import ledgers_sentence

SECONDS = 30.0
ROWS = 10_000
BYTES = 1 << 24
"""Of one value, and four times as many of an answer."""
STEPS = 1_000
"""Instructions of SQLite between two looks at the clock."""
GRACE = 1.0
"""Seconds behind the limit that one instruction may go on."""
EXAMPLES = (
    "SELECT state, count(*) FROM study GROUP BY state ORDER BY 2 DESC",
    "SELECT rung, currency, sum(amount_micro) / 1e6 AS spent FROM spend WHERE kind <> 'estimate' GROUP BY 1, 2",
    "SELECT study, arm, name, min(value), max(value) FROM reading GROUP BY 1, 2, 3",
)
READS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
REFUSED = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})
Cell: TypeAlias = str | int | float | None


class Table(msgspec.Struct, frozen=True):
    """A table or view that can be asked: its columns, and what a row is."""

    name: str
    columns: list[str]
    meaning: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens record ask --json` prints.

    `rows` in the order of the query; a blob is shown as hexadecimal digits and an infinite number as text. `cut` says
    that there are more rows than were asked for. Without a query `tables` and `examples` are given instead.
    """

    schema: str = "tollens.ask/1"
    folder: str
    query: str
    columns: list[str]
    rows: list[list[Cell]]
    cut: bool
    seconds: float
    tables: list[Table]
    examples: list[str]
    ledgers: str
    notes: list[str]


def ask(
    path: str | os.PathLike[str],
    query: str | None = None,
    index: str | os.PathLike[str] | None = None,
    *,
    rows: int = ROWS,
    seconds: float = SECONDS,
    rehash: bool = False,
    progress: Progress | None = None,
    overdue: Callable[[TollensError], None] | None = None,
) -> Answer:
    """The answer of one SELECT over the index of the studies below `path`, which is brought up to date first.

    Raises TollensError, exit 2: `query_refused` for anything but reading, `query_failed` for what SQLite cannot
    answer, `query_slow` after `seconds`; those of `indexed`. SQLite looks at the clock between its instructions only,
    and one instruction (`replace` in a long text) may take hours: `overdue` is then called, from another thread.
    """
    with indexed(Path(path), None if index is None else Path(index), rehash=rehash, progress=progress) as (found, done):
        before = time.perf_counter()
        columns, answered = ([], []) if query is None else _answer(found, query, rows, seconds, overdue)
        return Answer(
            folder=os.fspath(path), query=query or "", columns=columns, rows=answered[:rows], cut=len(answered) > rows,
            seconds=time.perf_counter() - before, tables=tables() if query is None else [],
            examples=[*EXAMPLES] if query is None else [], ledgers=ledgers_sentence(done), notes=done.notes,
        )  # fmt: skip


def tables() -> list[Table]:
    """What can be asked."""
    meanings = {
        "study": "one row a study: what became of its claim",
        "record": "one row a record of a ledger; its body as JSON",
        "ledger": "one row a ledger: what was read of it",
    }
    own = [Table(name, [*columns], meanings[name]) for name, (columns, _) in TABLES.items()]
    views = [Table(name, ["study", "seq", "time", *members], said) for name, (_, members, said) in VIEWS.items()]
    reading = ["study", "seq", "time", "rung", "arm", "cell", "seed", "name", "value", "seconds"]
    return [*own, *views, Table("reading", reading, "one row a reading of a finished cell")]


def _answer(
    index: Index, query: str, most: int, seconds: float, overdue: Callable[[TollensError], None] | None
) -> tuple[list[str], list[list[Cell]]]:
    db, deadline, denied = index.db, time.monotonic() + seconds, list[str]()

    def allowed(action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action in READS and not (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in REFUSED):
            return sqlite3.SQLITE_OK
        denied.append(ACTIONS.get(action, f"action {action}") + (f" {first}" if first else ""))
        return sqlite3.SQLITE_DENY

    db.execute("PRAGMA query_only = ON")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, BYTES)
    db.set_authorizer(allowed)
    db.set_progress_handler(lambda: int(time.monotonic() > deadline), STEPS)
    watch = threading.Timer(seconds + GRACE, lambda: overdue(_slow(query, seconds)) if overdue is not None else None)
    watch.daemon = True
    watch.start()
    try:
        cursor = db.execute(query)
        names = [column[0] for column in cursor.description or ()]
        if not names:
            raise _refused(query, "nothing that gives rows")
        return names, _fetched(cursor, most)
    except (sqlite3.Error, sqlite3.Warning, ValueError, MemoryError) as error:
        if denied:
            raise _refused(query, denied[0]) from None
        if "interrupted" in str(error):
            raise _slow(query, seconds) from None
        damaged = isinstance(error, sqlite3.DatabaseError) and "malformed" in str(error)
        raise TollensError(
            "query_failed", _short(query), expected="one SELECT in the SQL of SQLite",
            found=str(error)[:200] or "an answer that is too large",
            fix="Have the index made anew: --rehash." if damaged else "tollens record ask FOLDER shows the tables.",
        ) from None  # fmt: skip
    finally:
        watch.cancel()
        db.set_authorizer(None)
        db.set_progress_handler(None, 0)


def _fetched(cursor: sqlite3.Cursor, most: int) -> list[list[Cell]]:
    """At most one row more than `most`. Raises: ValueError where they do not fit into memory by far."""
    rows: list[list[Cell]] = []
    size = 0
    for row in cursor:
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if size > 4 * BYTES:
            raise ValueError(f"an answer of more than {4 * BYTES >> 20} MiB")
        rows.append([_cell(value) for value in row])
        if len(rows) > most:
            break
    return rows


def _cell(value: object) -> Cell:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    assert value is None or isinstance(value, str | int | float)
    return value


def _slow(query: str, seconds: float) -> TollensError:
    return TollensError(
        "query_slow", _short(query), expected=f"an answer within {seconds:g} s", found="none yet",
        fix="Ask for less, or allow more time with --seconds.",
    )  # fmt: skip


def _refused(query: str, what: str) -> TollensError:
    return TollensError(
        "query_refused", _short(query), expected="a SELECT, which only reads", found=what,
        fix="The ledgers are the record; they are changed by the verbs of Tollens alone.",
    )  # fmt: skip


def _short(query: str) -> str:
    return " ".join(query.split())[:80]


ACTIONS = {
    getattr(sqlite3, f"SQLITE_{name}"): name.replace("_", " ")
    for name in (
        "ATTACH", "DETACH", "PRAGMA", "INSERT", "UPDATE", "DELETE", "TRANSACTION", "SAVEPOINT", "REINDEX", "ANALYZE",
        "CREATE_TABLE", "CREATE_INDEX", "CREATE_VIEW", "CREATE_TRIGGER", "CREATE_VTABLE", "CREATE_TEMP_TABLE",
        "CREATE_TEMP_VIEW", "CREATE_TEMP_TRIGGER", "CREATE_TEMP_INDEX", "DROP_TABLE", "DROP_INDEX", "DROP_VIEW",
        "DROP_TRIGGER", "DROP_VTABLE", "ALTER_TABLE", "FUNCTION",
    )
}  # fmt: skip
