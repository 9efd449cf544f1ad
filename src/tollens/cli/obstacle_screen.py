"""Why claims died, as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollens.cli.facts import facts_text, wrapped
from tollens.cli.terminal import printable
from tollens.protocol.postmortem import money_text

if TYPE_CHECKING:
    from tollens.run.obstacles import ObstacleReport
    from tollens.run.postmortem import PostmortemReport


def postmortem_text(report: PostmortemReport) -> str:
    """What was recorded: the obstacle, the distance, the cost, the lesson; a constraint to paste where one is new."""
    lesson = " ".join(report.lesson.split()) or "none was written"
    rows = [
        ("obstacle", f"{report.obstacle} ({kind_text(report.kind)}): {report.says}"),
        ("distance", report.distance),
        ("spent", f"{report.cost.seconds:.3g} s, {money_text(report.cost.micro)}"),
        ("lesson", lesson),
        *((("constraint", report.constraint_id),) if report.constraint_id else ()),
        *(("note", note) for note in report.notes),
    ]
    text = facts_text(f"{report.verdict}  {printable(report.claim)}  seal {report.seal[:12]}", rows)
    if report.constraint:
        text += "\n" + "".join(f"  {printable(line)}\n" for line in report.constraint.split("\n")) + "\n"
    return text + facts_text("", [("next", report.next)]).lstrip("\n")


def kind_text(kind: str) -> str:
    """The kind of a class; most are no law."""
    return "one case, no law" if kind == "none" else kind


def obstacles_headline(report: ObstacleReport) -> str:
    """How many died of how many classes, and what is not known."""
    classes = f"{len(report.classes)} obstacle{'' if len(report.classes) == 1 else 's'}"
    parts = [f"{_many(report.killed, 'killed claim')} in {_many(report.studies, 'study', 'studies')}", classes]
    if report.unexplained:
        parts.append(f"{len(report.unexplained)} without a post-mortem")
    if report.unread:
        parts.append(f"{_many(len(report.unread), 'ledger')} not read")
    return ", ".join(parts)


def obstacles_text(report: ObstacleReport) -> str:
    """Every class with its deaths, the deaths nobody explained, the ledgers that could not be read."""
    blocks = [facts_text(obstacles_headline(report), [])]
    for one in report.classes:
        lines = wrapped(f"{one.count}  {one.obstacle} ({kind_text(one.kind)}): {one.says}")
        for death in one.deaths:
            lines += wrapped(f"{death.study}  {death.claim}  {death.rung}: {death.distance}", "   ")
            lines += wrapped(f"lesson: {death.lesson or 'none was written'}", "     ")
        blocks.append("\n".join(lines) + "\n")
    if report.unexplained:
        lines = wrapped("killed, and nobody has recorded why:")
        for other in report.unexplained:
            lines += wrapped(f"{other.study}  {other.claim}  {other.rung}: {other.found}", "   ")
        blocks.append("\n".join(lines) + "\n")
    if report.unread:
        lines = wrapped("not read:")
        for ledger in report.unread:
            lines += wrapped(f"{ledger.study}  {ledger.reason}", "   ")
        blocks.append("\n".join(lines) + "\n")
    blocks.append(facts_text("", [("next", report.next)]).lstrip("\n"))
    return "\n".join(blocks)


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count:,} {one if count == 1 else more or one + 's'}"
