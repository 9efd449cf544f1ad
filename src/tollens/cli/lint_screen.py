"""Findings of the linter on a terminal: where, what, the two sides, and what would settle it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from tollens.cli.terminal import printable, unpadded

if TYPE_CHECKING:
    from tollens.lint.finding import Finding
    from tollens.run.lint import Catalogue, LintReport

SHOWN = 40
STYLE = {"FINDINGS": "bold red", "CLEAN": "bold green", "UNDETERMINED": "bold cyan"}
COLOUR = {"refuted": "bold red", "undetermined": "cyan", "supported": "green", "unchecked": "yellow"}


def lint_text(report: LintReport, *, explain: bool, show_all: bool, saved: str | None = None) -> str:
    """The report for a person, fitted to the width of the terminal; `saved` is where a draft table was written."""
    console = Console(highlight=False, soft_wrap=False)
    with console.capture() as capture:
        _show(console, report, explain, show_all)
        console.print(Text.assemble(("next  ", "bold"), _next(report, explain, saved)))
    return unpadded(capture.get())


def _show(console: Console, report: LintReport, explain: bool, show_all: bool) -> None:
    console.print(Text.assemble((report.verdict, STYLE[report.verdict]), "  ", report.headline))
    findings = report.findings
    if len(findings) > SHOWN and not show_all:
        findings = [f for f in findings if f.outcome == "refuted"] or findings[:SHOWN]
        findings = findings[: 5 * SHOWN]
    for finding in findings:
        console.print()
        _finding(console, finding, explain)
    if len(findings) < len(report.findings):
        console.print()
        console.print(f"{len(report.findings) - len(findings):,} more findings; --all prints them.", style="dim")
    for name, expect, outcome in missed(report):
        console.print()
        console.print(Text(f"{printable(name)}: expected {printable(expect)}, found {outcome}", style="bold yellow"))
    for note in report.notes:
        console.print(Text(f"note    {printable(note)}", style="dim"))
    console.print()


def missed(report: LintReport) -> list[tuple[str, str, str]]:
    """The claims (id, expected, found) of which no finding is what their table expects."""
    by_claim: dict[tuple[str, str], list[Finding]] = {}
    for f in report.findings:
        by_claim.setdefault((f.path, f.id), []).append(f)
    rows = []
    for (_, name), found in by_claim.items():
        said = [form for f in found for form in (f.outcome, f"{f.outcome}/{f.subtype}")]
        if found[0].expect is not None and found[0].expect not in said:
            rows.append((name, found[0].expect, ", ".join(said[1::2])))
    return rows


def _finding(console: Console, f: Finding, explain: bool) -> None:
    kind = f" {f.subtype.replace('_', ' ')}" if f.subtype else ""
    where = Text.assemble(
        (f"{printable(f.path)}:{f.line}", "bold"), "  ", (f"{f.outcome.upper()}{kind}", COLOUR[f.outcome])
    )
    draft = "  draft reading" if f.draft else ""
    what = Text.assemble(f"{f.invariant or 'no invariant'}  ", (f"{printable(f.id)}{draft}", "dim"))
    if where.cell_len + what.cell_len + 2 <= console.width:
        console.print(Text.assemble(where, "  ", what))
    else:
        console.print(where)
        console.print(Padding(what, (0, 0, 0, 2)))
    if f.text:
        _line(console, f'"{f.text}"', "dim")
    _line(console, f.witness)
    if f.settle:
        _line(console, f"-> {f.settle}")
    if explain:
        _explained(console, f)


def _explained(console: Console, f: Finding) -> None:
    from tollens.lint.registry import INVARIANTS

    for name, value in f.inputs.items():
        _line(console, f"{name} = {value}", "dim", 4)
    if f.invariant is not None and f.invariant in INVARIANTS:
        made = INVARIANTS[f.invariant]
        _line(console, made.formula, "bold", 4)
        for paragraph in made.derivation.split("\n\n"):
            _line(console, " ".join(paragraph.split()), "", 4)
        _line(console, f"holds under: {'; '.join(made.assumes)}" if made.assumes else "", "", 4)
        _line(console, f"reference: {made.reference}", "", 4)


def _line(console: Console, text: str, style: str = "", indent: int = 2) -> None:
    if text:
        console.print(Padding(Text(printable(text), style=style), (0, 0, 0, indent)))


def _next(report: LintReport, explain: bool, saved: str | None) -> str:
    if saved is not None:
        return f"correct {printable(saved)}, then tollens lint {printable(saved)}"
    paths = " ".join(printable(f.path) for f in report.files[:1] if f.path != "<stdin>") or "FILE"
    if not sum(report.outcomes.values()) and not report.draft:
        return f"tollens lint --draft {paths}"
    if report.verdict == "FINDINGS" and not explain:
        return f"tollens lint {'--draft ' if report.draft else ''}--explain {paths}"
    if report.draft:
        return f"tollens lint --draft --save claims.toml {paths}   and correct what it guessed"
    return "tollens lint --list   shows every check and the fields it needs"


def catalogue_text(laws: Catalogue) -> str:
    """Every invariant: its formula, its fields with their units, what it refutes as, its reference."""
    width = max(40, Console().width)
    head = f"{len(laws.invariants)} invariants. A field in [brackets] is optional; * marks what is taken as printed."
    lines = [*textwrap.wrap(head, width), ""]
    for law in laws.invariants:
        refutes = law.violation in ("impossible", "contradicted")
        lines.append(f"{law.id}  ({law.violation if refutes else 'never refutes'})")
        fields = ", ".join(
            f"{'' if f.required else '['}{f.name}{'*' if f.exact else ''}: {f.unit}{'' if f.required else ']'}"
            for f in law.fields
        )
        for text in (law.formula, fields, *(f"holds under: {a}" for a in law.assumes), law.reference):
            lines += textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="      ")
    return "\n".join(lines) + "\n"
