"""A binding constraint: what is forbidden until shown otherwise, because it has failed before."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from tollens.core.canonical import digest
from tollens.core.errors import TollensError
from tollens.core.expression.parser import Profile, parse
from tollens.core.expression.predicate import attributes_of
from tollens.core.expression.syntax import Predicate
from tollens.protocol.attributes import unaskable
from tollens.protocol.requirement import requirement

_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?", re.ASCII)


class Constraint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One [[constraint]] of tollens.toml.

    trigger    predicate over the attributes that a study declares under [proposal]; what is not declared triggers
    mechanism  why such a proposal fails
    citation   where that was shown
    require    the evidence that lifts it, every entry of the list: `reading:RULE`, `survived:CLAIM-ID`,
               `numbers:KIND` (a kind of `tollens lint`), `declared:PREDICATE`
    kind       "theorem" where the mechanism is proved, "policy" where it is a decision of the laboratory
    waiver     what a waiver must say, for people
    """

    id: str
    trigger: str
    mechanism: str
    citation: str = ""
    require: list[str]
    kind: Literal["policy", "theorem"] = "policy"
    waiver: str = ""


def constraint_digest(constraint: Constraint) -> str:
    """SHA-256 of the canonical form of its table: a waiver is of one text, and lapses with it."""
    return digest(msgspec.to_builtins(constraint))


def trigger_of(constraint: Constraint) -> Predicate:
    """The trigger of a checked constraint."""
    return parse(constraint.trigger, Profile.PREDICATE)


def check_constraint(constraint: Constraint, where: str) -> None:
    """Return if the constraint can bind: its trigger reads and can be true, and every requirement has a form.

    Raises TollensError `constraint_malformed`, exit 2, with the path and the id: what cannot be read is not passed by.
    """

    def malformed(expected: str, found: str, fix: str) -> TollensError:
        subject = f"{where}: constraint {constraint.id[:64]!r}"
        return TollensError("constraint_malformed", subject, expected=expected, found=found[:400], fix=fix)

    if not _ID.fullmatch(constraint.id):
        raise malformed("an id of letters, digits, '.', '_' and '-'", repr(constraint.id[:64]), "Rename it.")
    if not constraint.mechanism.strip():
        raise malformed("a mechanism", "nothing", "Say why such a proposal fails: mechanism = ...")
    try:
        trigger = trigger_of(constraint)
    except TollensError as error:
        raise malformed(f"a trigger that reads: {error.expected}", error.found, error.fix) from None
    if not attributes_of(trigger):
        raise malformed("a trigger over attributes", constraint.trigger, 'Write for instance "touches in {kv}".')
    why = unaskable(trigger)
    if why is not None:
        raise malformed("a trigger that can be true", why, "Correct the trigger: as it stands it binds nobody.")
    if not constraint.require:
        raise malformed(
            "at least one requirement", "an empty list", 'Name the evidence that lifts it: "reading:x >= 0.95".'
        )
    for text in constraint.require:
        try:
            requirement(text)
        except TollensError as error:
            raise malformed(f"a requirement: {error.expected}", error.found, error.fix) from None
