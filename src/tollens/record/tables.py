"""The tables of the index, each column with its meaning: what `tollens record ask` may be asked."""

from __future__ import annotations

from collections.abc import Mapping

VERSION = 2
APPLICATION = 0x746F6C6C
"""`PRAGMA application_id` of an index: "toll"."""

Columns = Mapping[str, tuple[str, str]]

STUDY: Columns = {
    "path": ("TEXT", "folder of the study, below the folder that was asked for; `.` is that folder itself"),
    "claim": ("TEXT", "id of the claim; empty where it cannot be read"),
    "text": ("TEXT", "the claim as a sentence"),
    "quantity": ("TEXT", "what the claim is about"),
    "state": (
        "TEXT",
        "DRAFT, SEALED, RUNNING, the verdict, TAMPERED or UNREADABLE; what a constraint holds up is SEALED here",
    ),
    "verdict": ("TEXT", "KILLED, SURVIVED, UNDETERMINED, VOID, BLOCKED; null before one"),
    "rung": ("TEXT", "where it was decided; null before a verdict"),
    "obstacle": ("TEXT", "class of what it died of, from the last post-mortem of the seal; null without one"),
    "found": ("TEXT", "the witness of the verdict in words, or why the study is TAMPERED or UNREADABLE"),
    "seal": ("TEXT", "hash of the last seal; null for a draft"),
    "amendments": ("INTEGER", "how many seals were amended"),
    "exploratory": ("INTEGER", "1 where results had been seen before an amendment"),
    "traps": ("INTEGER", "controls of the verdict, those that were not run with them"),
    "fired": ("INTEGER", "controls that came out as they must"),
    "kept": ("INTEGER", "readings of an earlier run that count: with them a verdict is unanchored"),
    "anchor": ("TEXT", "what vouches for the seal, as `tollens status` prints it"),
    "cost": ("TEXT", "JSON: millionths by currency, actual and refund rows of `spend` together"),
    "seconds": ("REAL", "wall time of all finished cells"),
    "started": ("INTEGER", "cells started, under all seals"),
    "finished": ("INTEGER", "cells finished, under all seals"),
    "records": ("INTEGER", "records of the ledger"),
    "torn": ("INTEGER", "bytes of a last line that was never finished"),
    "last": ("TEXT", "time of the last record; for people only"),
    "next": ("TEXT", "the command to run next, from the folder that was asked for"),
}
RECORD: Columns = {
    "study": ("TEXT", "path of the study"),
    "seq": ("INTEGER", "number of the record, from 0"),
    "type": ("TEXT", "kind of the record"),
    "time": ("TEXT", "UTC; for people only"),
    "actor": ("TEXT", "account that wrote it"),
    "id": ("TEXT", "32 hexadecimal digits"),
    "hash": ("TEXT", "SHA-256 of the record, 64 hexadecimal digits"),
    "body": ("TEXT", "what the record says, JSON: use json_extract(body, '$.seal')"),
}
FILE: Columns = {
    "study": ("TEXT", "path of the study"),
    "stamp": ("TEXT", "size, time and inode of the files that its row depends on"),
    "records": ("INTEGER", "records that were read"),
    "bytes": ("INTEGER", "bytes of the whole lines that were read"),
    "sha256": ("TEXT", "of these bytes"),
    "last": ("TEXT", "hash of the last record"),
    "seals": ("TEXT", "JSON: hash and git blob (SHA-1) of every seal, the last one last"),
    "proof": ("TEXT", "SHA-256 over the rows of the study here and in `study`: a damaged index is noticed"),
}
VIEWS: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "spend": ("spend", (
        "kind", "claim", "rung", "cell", "attempt", "currency", "amount_micro", "rate_id", "quantity", "unit",
        "evidence", "seal", "run",
    ), "one row a purchase: `estimate`, `actual` or `refund`; an estimate is no spend"),
    "trap": ("trap", ("seal", "run", "rung", "arm", "must", "observed", "fired", "found"), "one row a control"),
    "postmortem": ("postmortem", ("seal", "claim", "verdict", "obstacle", "lesson", "constraint", "file"),
                   "what a killed claim died of"),
    "waiver": ("waiver", ("claim", "constraint", "digest", "reason", "until", "seal"), "constraints that were waived"),
    "import": ("import", (
        "source", "path", "sha256", "name", "task", "metric", "filter", "reducer", "step", "value", "stderr", "n",
        "scored", "unscored", "made", "run",
    ), "results of other tools"),
}  # fmt: skip
"""Views over `record`: the kind of record, the members of its body, a meaning."""

TABLES: Mapping[str, tuple[Columns, str]] = {
    "study": (STUDY, "PRIMARY KEY (path)"),
    "record": (RECORD, "PRIMARY KEY (study, seq)"),
    "ledger": (FILE, "PRIMARY KEY (study)"),
}


def statements() -> list[str]:
    """What makes an empty index."""
    made = ["CREATE TABLE meta (tollens TEXT, root TEXT)"]
    for name, (columns, key) in TABLES.items():
        made.append(
            f"CREATE TABLE {name} ({', '.join(f'{c} {kind}' for c, (kind, _) in columns.items())}, {key}) WITHOUT ROWID"
        )
    made.append("CREATE INDEX record_type ON record (type) WHERE type NOT IN ('cell.started', 'cell.finished')")
    for name, (kind, members, _) in VIEWS.items():
        taken = ", ".join(f"json_extract(body, '$.{member}') AS \"{member}\"" for member in members)
        rare = "" if kind in ("cell.started", "cell.finished") else " AND type NOT IN ('cell.started', 'cell.finished')"
        made.append(
            f"CREATE VIEW \"{name}\" AS SELECT study, seq, time, {taken} FROM record WHERE type = '{kind}'{rare}"
        )
    made.append(
        "CREATE VIEW reading AS SELECT record.study, record.seq, record.time, "
        "json_extract(record.body, '$.key.rung') AS rung, json_extract(record.body, '$.key.arm') AS arm, "
        "json_extract(record.body, '$.key.cell') AS cell, json_extract(record.body, '$.key.seed') AS seed, "
        "each.key AS name, each.value AS value, json_extract(record.body, '$.seconds') AS seconds "
        "FROM record, json_each(record.body, '$.readings') AS each WHERE record.type = 'cell.finished'"
    )
    return made
