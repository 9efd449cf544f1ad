"""The reference pages of claim.toml and tollens.toml, from their tables: `python -m tollens.publish.study FOLDER`."""

from __future__ import annotations

import datetime
import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from tollens.protocol import laboratory, study
from tollens.protocol.attributes import KNOWN, Known
from tollens.protocol.constraint import Constraint
from tollens.protocol.obstacle import Obstacle
from tollens.protocol.rate import Rate
from tollens.protocol.rung import RUNGS
from tollens.protocol.stopping import Stopping
from tollens.protocol.study import Study
from tollens.run.plugins import import_ours

HEAD = """# claim.toml

Generated from the tables that are read; do not edit. A key that is in none of them is refused, and so is a study with
a field left at its placeholder. Decimals that matter are strings, so that what is sealed is what was written.
`tollens new NAME` makes a study that has every table and works as it is.
"""
TABLES: tuple[tuple[str, type[msgspec.Struct]], ...] = (
    ("[claim]", study.Claim), ("[rules]", study.Rules), ("[metric]", study.Metric), ("[readings.NAME]", study.Quantity),
    ("[null]", study.Null), ("[[trap]]", study.Trap), ("[[rung]]", study.Rung),
    ("kill_probability = { }", study.KillProbability), ("est_cost = { }", study.Cost), ("[stopping]", Stopping),
    ("[reducer]", study.Reducer), ("[sign_check]", study.SignCheck), ("[data]", study.Data),
    ("[[evidence]]", study.Evidence),
)  # fmt: skip
PROPOSAL = """
## `[proposal]`

Attributes that the constraints of a `tollens.toml` are about: true or false, an integer, a word, or a list of words.
`touches`, `calibration`, `base`, `metrics`, `batch` and `hardware` are the usual ones, and a laboratory may ask for
others. An attribute that is not declared counts as triggering. What has a known kind can be nothing else; an empty list
is declared, and says that there is nothing.

| attribute | what it can be |
|---|---|
"""
LABORATORY = """# tollens.toml

Generated from the tables that are read; do not edit. The file stands at the top of a folder of studies. What it says
holds for every study below it, and a study reads every such file from its own folder up to the top of its repository.
"""
LABORATORY_TABLES: tuple[tuple[str, type[msgspec.Struct]], ...] = (
    ("[[constraint]]", Constraint), ("[[obstacle]]", Obstacle), ("[[rate]]", Rate),
    ("[drift]", laboratory.Drift),
)  # fmt: skip


def _known(name: str, known: Known) -> str:
    kind = {"set": "a word or a list of words", "word": "a word", "number": "a whole number"}[known.kind]
    return f"| `{name}` | {kind}{': ' if known.words else ''}{', '.join(f'`{word}`' for word in known.words)} |\n"


def study_text() -> str:
    """One section a table: what it is for, then its fields with kind and default."""
    parts = [HEAD, *_sections(TABLES), PROPOSAL, *(_known(name, known) for name, known in KNOWN.items())]
    import_ours()
    parts.append("\n## Kinds of rung\n\n| kind | brings the arms | brings the traps |\n|---|---|---|\n")
    for kind in sorted(RUNGS):
        made = RUNGS[kind]
        arms = ", ".join(f"`{arm}`" for arm in sorted(made.arms)) if made.arms is not None else "those of the metric"
        traps = ", ".join(f"`{trap.arm}` must {trap.must}" for trap in made.traps) or "none: the study declares both"
        parts.append(f"| `{kind}` | {arms} | {traps} |\n")
    return "".join(parts)


def laboratory_text() -> str:
    """The same of tollens.toml."""
    return "".join([LABORATORY, *_sections(LABORATORY_TABLES)])


def _sections(tables: Sequence[tuple[str, type[msgspec.Struct]]]) -> Iterator[str]:
    for name, table in tables:
        yield f"\n## `{name}`\n\n{_doc(table)}\n\n| field | kind | default |\n|---|---|---|\n"
        yield from (f"| `{field}` | {kind} | {default} |\n" for field, kind, default in _fields(table))


def _doc(table: type[msgspec.Struct]) -> str:
    """The docstring: its sentences as text, its aligned lines as a list."""
    lines = (inspect.getdoc(table) or "").split("\n")

    def shown(line: str) -> str:
        name, gap, text = line.strip().partition("  ")
        return f"- `{name}`: {text.strip()}" if gap else line

    return "\n".join(map(shown, lines))


def _fields(table: type[msgspec.Struct]) -> Iterator[tuple[str, str, str]]:
    hints = get_type_hints(table)
    for field in msgspec.structs.fields(table):
        yield field.encode_name, _kind(hints[field.name]), "required" if field.required else _default(field)


_WORDS = {str: "text", int: "integer", float: "number", bool: "true or false", datetime.date: "date"}


def _kind(hint: Any) -> str:
    if hint in _WORDS:
        return _WORDS[hint]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return f"table of {', '.join(f'`{f.encode_name}`' for f in msgspec.structs.fields(hint))}"
    origin: Any = getattr(hint, "__origin__", None)
    inside: tuple[Any, ...] = getattr(hint, "__args__", ())
    if origin in (list, tuple):
        return f"list of {_kind(inside[0])}"
    if origin is dict:
        return f"table of {_kind(inside[1])}"
    if str(origin) == "typing.Literal":
        return ", ".join(f"`{value}`" for value in inside)
    return " or ".join(_kind(part) for part in inside if part is not type(None)) or "anything"


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is None or isinstance(value, msgspec.Struct) or value in ([], {}, ""):
        return "none"
    return f"`{value}`" if not isinstance(value, bool) else str(value).lower()


def complete() -> set[str]:
    """The tables of a study that have no section here; empty, or a table was added without one."""
    named = {"proposal", *(name.strip("[]").partition(".")[0] for name, _ in TABLES)}
    return {field.encode_name for field in msgspec.structs.fields(Study)} - named


if __name__ == "__main__":
    for page, text in (("study.md", study_text()), ("laboratory.md", laboratory_text())):
        (Path(sys.argv[1]) / page).write_text(text, encoding="utf-8")
