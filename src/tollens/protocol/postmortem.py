"""`postmortem.toml`: what the ledger knows of a death, and what only a person can say of it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeAlias

import msgspec

from tollens.core.errors import TollensError
from tollens.core.printable import printable
from tollens.protocol.obstacle import OTHER, Obstacle, ObstacleKind

FILE = "postmortem.toml"
RENDERED = "postmortem.md"
STATEMENTS = "refuted statements"
"""The unit of a violation where nothing was measured: how many statements an attack refuted."""
Finite: TypeAlias = int | float
_MARKS = re.compile(r"[\\`*\[\]<>#|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What Markdown would read as a mark; an underscore inside a word is none."""


class Violation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How far beyond its threshold the claim was when it died.

    of         what was compared: a reading, or a fold of readings such as mean(accuracy_diff)
    distance   signed, in `unit`: positive so far inside the kill rule, 0 on a threshold that kills; none between words
    open       `value` is the bound that decided while cells were not run, so that `distance` is the least it can be
    """

    of: str
    unit: str
    distance: Finite | None = None
    value: Finite | str | None = None
    threshold: Finite | str | None = None
    open: bool = False


class CellReadings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one cell read, in the sealed units."""

    cell: str
    values: dict[str, Finite]


class Cost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the climb cost until the verdict: wall time in seconds, money in millionths of each currency."""

    seconds: Finite
    micro: dict[str, int]


class Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the ledger says; none of it is for a person to write. `cell` is empty where no single cell decided."""

    claim: str
    seal: str
    rung: str
    cell: str
    rule: str
    readings: list[CellReadings]
    violation: Violation
    cost: Cost


class Postmortem(Facts, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of postmortem.toml. `constraint` is the id of one that this death asks for; it may be empty."""

    obstacle: str = ""
    lesson: str = ""
    constraint: str = ""


FACTS = tuple(field.name for field in msgspec.structs.fields(Facts))


def facts_in(made: Postmortem) -> Facts:
    return Facts(**{name: getattr(made, name) for name in FACTS})


def opened_text(facts: Facts, text: str, found: str, known: Iterable[Obstacle]) -> str:
    """A new postmortem.toml: the facts, then what is to be filled in, with every class in one line.

    `text` is the claim and `found` the witness, in words.
    """
    row = [f"  {{ cell = {_text(r.cell)}, values = {_table(r.values)} }}," for r in facts.readings]
    width = max(len(one.id) for one in known)
    lines = [
        "# Why this claim died. Tollens wrote what stands above the line from the ledger, and checks it: leave it.",
        f"# claim: {printable(text)}",
        f"# found: {printable(found)}",
        "",
        f"claim = {_text(facts.claim)}",
        f"seal = {_text(facts.seal)}",
        f"rung = {_text(facts.rung)}",
        f"cell = {_text(facts.cell)}",
        f"rule = {_text(facts.rule)}",
        *(["readings = [", *row, "]"] if row else ["readings = []"]),
        "# signed distance to the threshold: positive is so far inside the rule that kills",
        f"violation = {_table(msgspec.to_builtins(facts.violation))}",
        "# spent until the verdict; money in millionths of each currency",
        f"cost = {_table(msgspec.to_builtins(facts.cost))}",
        "",
        "# ---- yours, from here: then run `tollens record postmortem` on this folder ----",
        "# The class of what stood in the way. It is incomplete without one, and OTHER needs a lesson.",
        *(f"#   {one.id:<{width}}  {one.kind:<11}  {printable(one.says)}" for one in known),
        'obstacle = ""',
        "# What the next one should know, in your words.",
        'lesson = ""',
        "# Optional: the id of a constraint in tollens.toml that would have stopped it, there or to be added.",
        'constraint = ""',
    ]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """A TOML basic string that reads back as `value` and shows nothing that a terminal would obey."""
    return '"' + "".join(_character(c) for c in value) + '"'


def _character(c: str) -> str:
    if c in '"\\':
        return "\\" + c
    return c if c.isprintable() else f"\\u{ord(c):04x}" if ord(c) < 1 << 16 else f"\\U{ord(c):08x}"


def _table(row: Mapping[str, Any]) -> str:
    cells = [f"{_text(name)} = {_value(value)}" if not _bare(name) else f"{name} = {_value(value)}"
             for name, value in row.items()]  # fmt: skip
    return f"{{ {', '.join(cells)} }}" if cells else "{}"


def _bare(name: str) -> bool:
    return bool(name) and name.isascii() and name.replace("_", "").replace("-", "").isalnum()


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return _table(value)
    return _text(value) if isinstance(value, str) else repr(value)


def read_postmortem(text: str) -> Postmortem:
    """The typed fields. Raises TollensError `postmortem_syntax`, exit 2."""
    try:
        return msgspec.convert(tomllib.loads(text), Postmortem)
    except (ValueError, RecursionError) as error:  # msgspec's ValidationError and tomllib's own are ValueErrors
        raise TollensError(
            "postmortem_syntax", FILE, expected="the fields that Tollens wrote into it", found=str(error)[:200],
            fix="Correct the field named; the file is opened again where it is not there.",
        ) from None  # fmt: skip


def check_facts(made: Postmortem, facts: Facts) -> None:
    """Return if nobody changed what the ledger says. Raises TollensError `postmortem_differs`, exit 2."""
    for name in FACTS:
        said, known = getattr(made, name), getattr(facts, name)
        if said != known:
            expected, found = _difference(msgspec.to_builtins(known), msgspec.to_builtins(said))
            raise TollensError(
                "postmortem_differs", f"{FILE} {name}", expected=expected, found=found,
                fix="Put back what the ledger says, or delete the file and have it opened again: tollens status.",
            )  # fmt: skip


def _difference(known: Any, said: Any) -> tuple[str, str]:
    """Both sides in short, from the first place where they part."""
    one, other = (value if isinstance(value, str) else str(value) for value in (known, said))
    part = next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, part - 20)
    return tuple(f"{'…' if start else ''}{x[start : start + 80]}" or "nothing" for x in (one, other))  # type: ignore[return-value]


def check_answer(made: Postmortem, known: Mapping[str, Obstacle]) -> Obstacle:
    """The class that was named. Raises TollensError `postmortem_incomplete` or `obstacle_unknown`, exit 2."""
    name = made.obstacle.strip()
    if not name:
        raise _incomplete("obstacle", f"one of {', '.join(known)}")
    if name not in known:
        near = get_close_matches(name.upper()[:80], known, n=3, cutoff=0.5)
        raise TollensError(
            "obstacle_unknown", f"{FILE} obstacle", expected=f"one of {', '.join(known)}", found=repr(name[:80]),
            fix=f"Did you mean {' or '.join(near)}?" if near else "Name one of them, or add an [[obstacle]].",
        )  # fmt: skip
    if name == OTHER and not any(c.isalpha() for c in made.lesson):
        raise _incomplete("lesson", f"what it was, in words, since the obstacle is {OTHER}")
    return known[name]


def _incomplete(field: str, expected: str) -> TollensError:
    return TollensError(
        "postmortem_incomplete", f"{FILE} {field}", expected=expected, found="nothing", fix=f"Set {field} in {FILE}."
    )


def distance_text(violation: Violation) -> str:
    """The violation in words, on one line."""
    unit = "" if violation.unit in ("1", "count") else f" {violation.unit}"
    if violation.unit == STATEMENTS:
        many = violation.distance
        return f"{many} refuted statement{'' if many == 1 else 's'}, where none may be"
    if violation.distance is None:
        return printable(f"no distance: {violation.of} is {violation.value}") if violation.value is not None else "none"
    least = "at least " if violation.open else ""
    return printable(
        f"{least}{violation.distance:.6g}{unit} beyond the threshold: {violation.of} "
        f"{'no nearer than' if violation.open else 'is'} {_short(violation.value)}{unit}, killed at "
        f"{_short(violation.threshold)}{unit}"
    )


def _short(value: Finite | str | None) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)


def money_text(micro: Mapping[str, int]) -> str:
    """Exact sums, one a currency; they never add."""
    return ", ".join(f"{_decimal(amount)} {printable(name)}" for name, amount in sorted(micro.items())) or "no money"


def _decimal(micro: int) -> str:
    whole, rest = divmod(abs(micro), 10**6)
    return f"{'-' if micro < 0 else ''}{whole}.{f'{rest:06d}'.rstrip('0').ljust(2, '0')}"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the rendering says besides the file: the words of the claim and of its end."""

    text: str
    found: str
    anchor: str
    exploratory: bool
    unspent: list[str]
    kind: ObstacleKind
    says: str


def rendered(made: Postmortem, told: Told) -> str:
    """postmortem.md: the verdict first, then claim, witness, distance, obstacle, cost, lesson, constraint."""
    label = " EXPLORATORY (amended after results)" if told.exploratory else ""
    parts = [
        f"# KILLED {_inline(made.claim)}{label}",
        f"{_inline(told.anchor)}, seal {_inline(made.seal)}",
        "## Claimed",
        _quoted(told.text),
        "## Found",
        _quoted(told.found),
        f"- rung: {_inline(made.rung)}\n"
        + (f"- cell: {_inline(made.cell)}\n" if made.cell else "")
        + f"- rule: {_inline(made.rule)}\n- distance: {_inline(distance_text(made.violation))}",
        "## Obstacle",
        f"**{_inline(made.obstacle.strip())}** ({_kind(told.kind)}): {_inline(told.says)}",
        "## Cost",
        f"- spent: {made.cost.seconds:.6g} s, {_inline(money_text(made.cost.micro))}\n"
        + _listed("not spent because it died here", told.unspent),
        "## Lesson",
        _quoted(made.lesson) if made.lesson.strip() else "None was written.",
    ]
    if made.constraint.strip():
        parts += ["## Constraint", _inline(made.constraint.strip())]
    return "\n\n".join(parts) + "\n"


def _kind(kind: ObstacleKind) -> str:
    return "no law: one case" if kind == "none" else kind


def _listed(name: str, lines: Sequence[str]) -> str:
    return "\n".join(f"- {name}: {_inline(line)}" for line in lines) or f"- {name}: nothing was left"


def _inline(text: str) -> str:
    """One line that Markdown and a terminal show as it is."""
    return _MARKS.sub(r"\\\g<0>", printable(text))


def _quoted(text: str) -> str:
    return "\n".join(f"> {_inline(line)}".rstrip() for line in text.strip().splitlines()) or "> (nothing)"


def skeleton(made: Postmortem, study: str) -> str:
    """A [[constraint]] to paste into tollens.toml, with what only a person can say left open."""
    return "\n".join(
        [
            "[[constraint]]",
            f"id = {_text(made.constraint.strip())}",
            'trigger = "<predicate over the attributes of [proposal]>"',
            f"mechanism = {_text(' '.join(made.lesson.split()) or made.obstacle.strip())}",
            f"citation = {_text(f'{study}, seal {made.seal[:12]}')}",
            'require = ["<the evidence that lifts it>"]',
        ]
    )
