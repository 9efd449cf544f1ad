"""The reference page of the index, generated from its tables."""

from __future__ import annotations

import sys
from pathlib import Path

from tollens.record.tables import TABLES
from tollens.run.ask import EXAMPLES, tables

HEAD = """# The index

Generated from the tables; do not edit. `tollens status FOLDER` and `tollens record ask FOLDER` keep one SQLite file,
`.tollens/index.sqlite` in FOLDER, or `--index FILE`. It is a copy: the `ledger.jsonl` of each study is the record, and
deleting the index loses nothing. It is made anew where it is damaged or from another version, kept in memory where the
folder cannot be written to, and never put in place of a file that is something else.

A ledger of the same size, times, mode and inode as before is not read again; one that only grew is read from its old
end on, after the SHA-256 of the old part was found unchanged; any other is read whole. `--rehash` reads all. The rows
of `study` and `ledger` carry a proof against damage; those of `record` do not, so rehash before a figure matters.
"""


def tables_text() -> str:
    """One section a table, then the views, then questions to begin with."""
    parts = [HEAD]
    meanings = {table.name: table for table in tables()}
    for name, (columns, _) in TABLES.items():
        parts.append(
            f"\n## {name}\n\n{_sentence(meanings[name].meaning)}\n\n| column | type | meaning |\n|---|---|---|\n"
        )
        parts += [f"| `{column}` | {kind.lower()} | {said} |\n" for column, (kind, said) in columns.items()]
    parts.append("\n## Views over `record`\n\n| view | a row | columns |\n|---|---|---|\n")
    for table in meanings.values():
        if table.name not in TABLES:
            parts.append(f"| `{table.name}` | {table.meaning} | {', '.join(f'`{c}`' for c in table.columns)} |\n")
    parts.append("\n## Questions to begin with\n\n")
    parts += [f"```sql\n{query}\n```\n" for query in EXAMPLES]
    return "".join(parts)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(tables_text(), encoding="utf-8")
