"""The reference page of all invariants, generated from the laws themselves."""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

from tollens.run.lint import LawEntry, catalogue

HEAD = """# Invariants

Generated from the laws; do not edit. `tollens lint --list` prints the same for what is installed, plugins included. A
field in [brackets] is optional; * marks a design setting, taken as printed. `refuted` as given here holds only beyond
the rounding of every number; what a law must be told to hold is under *state*, and left unsaid it turns a refutation
into `undetermined/model_based`.
"""
FAMILIES = {
    "acct": "Accounting",
    "ceiling": "Ceilings",
    "dep": "Dependency and reachability",
    "info": "Information",
    "opt": "Optimisation",
    "queue": "Queues",
    "replay": "Replays",
    "stat": "Statistics",
}


def invariants_text() -> str:
    """One section a family, one entry a law, in alphabetical order."""
    parts = [HEAD]
    for family, laws in groupby(catalogue().invariants, key=lambda law: law.id.partition(".")[0]):
        parts.append(f"\n## {FAMILIES.get(family, family)}\n")
        parts += [_entry(law) for law in laws]
    return "".join(parts)


def _entry(law: LawEntry) -> str:
    fields = ", ".join(
        f"{'' if f.required else '['}`{f.name}`{'*' if f.exact else ''} ({f.unit}){'' if f.required else ']'}"
        for f in law.fields
        if f.name not in law.states
    )
    said = [f"fields: {fields}"]
    said += [f"state: {', '.join(f'`{flag} = true`' for flag in law.states)}"] if law.states else []
    said += [f"holds under: {'; '.join(law.assumes)}"] if law.assumes else []
    refutes = law.violation in ("impossible", "contradicted")
    said.append(f"a violation is {law.violation}" if refutes else "never refutes")
    said.append(f"reference: {law.reference}")
    derivation = " ".join(law.derivation.split())
    return f"\n### {law.id}\n\n`{law.formula}`\n\n{derivation}\n\n" + "".join(f"- {line}\n" for line in said)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(invariants_text(), encoding="utf-8")
