"""What is decided about one constraint and one proposal: clear, met, waived, or blocked and what would lift it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from tollens.core.expression.predicate import Answer3, holds
from tollens.protocol.attributes import KNOWN, misdeclared, nearest
from tollens.protocol.constraint import Constraint, constraint_digest, trigger_of
from tollens.protocol.requirement import Case, Exhibit, Requirement, lacking, requirement
from tollens.protocol.study import Attribute, placeholder

State: TypeAlias = Literal["clear", "met", "waived", "blocked"]
MOST_DAYS = 366
"""The longest time that a waiver holds, in days."""


class Pin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Evidence as it was when the study was sealed: what it is called, and the hash of the record that says it.

    says  what it is of, for people: a reading of any task can be imported under the name that is required
    """

    evidence: str
    record: str
    says: str = ""

    @property
    def shown(self) -> str:
        """Its name, the digest of an import in short, and what it is of."""
        kind, _, rest = self.evidence.partition(" ")
        name = f"{kind} {rest[:12]}" if kind == "imported" else self.evidence
        return f"{name} ({self.says})" if self.says else name


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """One constraint, decided.

    digest    of the table of the constraint
    why       what the attributes are that trigger it or do not
    missing   requirements that are not satisfied, each with what was found in its place
    lifts     the smallest change that would lift it
    evidence  what satisfies the requirements
    until     last day of the waiver, and `reason` what it says
    """

    id: str
    digest: str
    kind: Literal["policy", "theorem"]
    state: State
    why: str
    mechanism: str
    citation: str = ""
    missing: list[str] = []
    lifts: str = ""
    evidence: list[Pin] = []
    until: str = ""
    reason: str = ""

    @property
    def sentence(self) -> str:
        """The whole of it on one line."""
        head = f"constraint {self.id} ({self.kind})"
        if self.state == "clear":
            return f"{head} is not triggered: {self.why}"
        if self.state == "met":
            shown = ", ".join(pin.shown for pin in self.evidence)
            return f"{head} is met{f' by {shown}' if shown else ''}"
        if self.state == "waived":
            return f"{head} waived until {self.until}: {self.reason}"
        because = self.mechanism + (f" ({self.citation})" if self.citation else "")
        return f"{head} is triggered: {self.why}. Why it binds: {because}. Missing: {'; '.join(self.missing)}"


@dataclass(frozen=True, slots=True)
class Waiver:
    """Somebody takes the risk of one constraint, as its table was, up to and with the day `until`."""

    constraint: str
    digest: str
    reason: str
    until: datetime.date


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the constraints of a laboratory are asked about: what is proposed, and what speaks for it.

    `sealed` is what the evidence was when the study was sealed, by name; of another hash now it counts for nothing.
    """

    attributes: Mapping[str, Attribute]
    exhibits: Sequence[Exhibit]
    numbers: frozenset[str]
    waivers: Sequence[Waiver]
    day: datetime.date
    sealed: Mapping[str, str]


def rule_on(constraint: Constraint, proposal: Proposal) -> Ruling:
    """The ruling on one checked constraint.

    It is clear only where the trigger is certainly false: what is not declared, or as nothing that it can be, triggers.
    It is met where every requirement is satisfied, and a waiver counts for the very table that it was given for.
    """
    declared = {name: v for name, v in proposal.attributes.items() if misdeclared(name, v) is None}
    answer = holds(trigger_of(constraint), declared)

    def ruled(state: State, **more: object) -> Ruling:
        fields = {
            "id": constraint.id, "digest": constraint_digest(constraint), "kind": constraint.kind, "state": state,
            "why": answer.witness, "mechanism": constraint.mechanism, "citation": constraint.citation, **more,
        }  # fmt: skip
        return msgspec.convert(fields, Ruling)

    if answer.truth is False:
        return ruled("clear")
    exhibits = [_as_sealed(e, proposal.sealed) for e in proposal.exhibits if e.constraint == constraint.id]
    case = Case(declared, exhibits, proposal.numbers)
    asked = [requirement(text) for text in constraint.require]
    came = [(one, *lacking(one, case)) for one in asked]
    missing = [said for _, said, _ in came if said is not None]
    if not missing and came:
        used = {e.name: e for _, _, found in came for e in found}
        pins = [{"evidence": name, "record": e.pin, "says": e.says} for name, e in used.items()]
        return ruled("met", evidence=pins)
    waiver = standing(constraint, proposal.waivers, proposal.day)
    if waiver is not None:
        return ruled("waived", until=waiver.until.isoformat(), reason=waiver.reason, missing=missing)
    first = next(one for one, said, _ in came if said is not None)
    lifts = _declare(answer, declared) or _attach(first, constraint.id)
    return ruled("blocked", missing=missing, lifts=lifts)


def _as_sealed(exhibit: Exhibit, sealed: Mapping[str, str]) -> Exhibit:
    before = sealed.get(exhibit.name)
    if exhibit.unusable or before is None or before == exhibit.pin:
        return exhibit
    why = f"has changed since the study was sealed: record {before[:12]} then, {exhibit.pin[:12]} now"
    return Exhibit(exhibit.constraint, exhibit.name, unusable=why)


def standing(constraint: Constraint, waivers: Sequence[Waiver], day: datetime.date) -> Waiver | None:
    """The waiver that holds on `day` and longest from there; None where none does."""
    digest = constraint_digest(constraint)
    holding = [
        waiver
        for waiver in waivers
        if (waiver.constraint, waiver.digest) == (constraint.id, digest)
        and not placeholder(waiver.reason)
        and day <= waiver.until <= day + datetime.timedelta(days=MOST_DAYS)
    ]
    return max(holding, key=lambda waiver: waiver.until, default=None)


def _declare(answer: Answer3, attributes: Mapping[str, Attribute]) -> str:
    """What to declare, where it is not known whether the constraint is triggered at all."""
    if answer.truth is not None:
        return ""
    if answer.wrong:
        return f"Correct {', '.join(answer.wrong)} under [proposal] in claim.toml."
    said = []
    for name in answer.missing:
        near = nearest_key(name, attributes)
        known = KNOWN.get(name)
        words = f" (of {', '.join(known.words)})" if known is not None and known.words else ""
        said.append(f"{name}{words}{f', where {near!r} is declared' if near else ''}")
    return f"Declare under [proposal] in claim.toml: {'; '.join(said)}."


def nearest_key(name: str, attributes: Mapping[str, Attribute]) -> str:
    """The declared attribute that may have been meant by `name`; "" where none is near."""
    others = [key for key in attributes if key not in KNOWN]
    said = nearest(name, others) if others else ""
    return said.removeprefix("Did you mean ").removesuffix("?") if said.startswith("Did you") else ""


def _attach(first: Requirement, constraint: str) -> str:
    """The smallest change that satisfies a requirement."""
    if first.form == "numbers":
        return f"Add a claim of kind {first.name} to the numbers of an arithmetic rung."
    if first.form == "declared":
        return f"Make it so, and declare it under [proposal] in claim.toml: {first.text.partition(':')[2].strip()}."
    what = f"claim {first.name} survived" if first.form == "survived" else first.text.partition(":")[2].strip()
    imported = ' (or imported = "SHA256" of a result file)' if first.form == "reading" else ""
    return (
        f'Attach a decided study in claim.toml, [[evidence]] constraint = "{constraint}", study = "PATH"{imported}: '
        f"one where {what}."
    )
