"""Whether a registration's rules can decide anything: each can hold and fail, and they never hold together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import TypeAlias

from tollens.core.errors import Exit, TollensError
from tollens.core.expression.domain import Domain, grid_of
from tollens.core.expression.reach import Reachable, Undecided, Unreachable, plain, reach
from tollens.core.expression.syntax import And, Not, Or, Rule, show
from tollens.core.units import COUNT, ONE

Witness: TypeAlias = Mapping[str, tuple[Fraction, ...]]

COMPLEMENTS = (
    "finding and kill are complements: one of them always holds, so that no outcome is UNDETERMINED; "
    "leave a gap between their thresholds unless that is meant"
)


@dataclass(frozen=True, slots=True)
class Examination:
    """One witness per rule and side: values of which the rule is true, and values of which it is false.

    `warnings` are sentences for the person who seals; the rules seal nevertheless.
    """

    finding: Witness
    not_finding: Witness
    kill: Witness
    not_kill: Witness
    warnings: tuple[str, ...] = ()


def examine(finding: Rule, kill: Rule, claim: Rule, domains: Mapping[str, Domain]) -> Examination:
    """The witnesses that the rules of a registration can be sealed with.

    Raises TollensError with exit code REFUSED_TO_SEAL: `rule_unreachable` or `rule_always` for a rule that can
    never be true or false, `rules_overlap` where finding and kill can hold together, `finding_weaker` where
    finding can hold without the typed claim, `reachability_undecided` where one of these stays open; and as
    `reach` does.
    """
    for name, domain in domains.items():
        grid_of(name, domain)
    sides = {}
    for role, rule in (("finding", finding), ("kill", kill)):
        sides[role] = _able(role, rule, domains)
        sides[f"not {role}"] = _fallible(role, rule, domains)
    _apart(finding, kill, domains)
    _as_strong(finding, claim, domains)
    between = reach(Not(Or((finding, kill))), domains)
    return Examination(
        sides["finding"],
        sides["not finding"],
        sides["kill"],
        sides["not kill"],
        (COMPLEMENTS,) if isinstance(between, Unreachable) else (),
    )


def show_witness(witness: Witness, domains: Mapping[str, Domain]) -> str:
    """`leaked = 1, control = 1`; a list as `x = [0 (99 times), 5] pp`. Values are exact."""
    return ", ".join(f"{name} = {_values(values, domains[name])}" for name, values in witness.items())


def _values(values: tuple[Fraction, ...], domain: Domain) -> str:
    unit = f" {domain.unit}" if domain.unit not in (ONE, COUNT) else ""
    if domain.count is None:
        return plain(values[0]) + unit
    runs = [(plain(value), len(list(same))) for value, same in groupby(values)]
    parts = [text if count == 1 else f"{text} ({count} times)" for text, count in runs]
    if len(parts) > 6:
        parts = [*parts[:3], "...", *parts[-2:]]
    return f"[{', '.join(parts)}]{unit}"


def _able(role: str, rule: Rule, domains: Mapping[str, Domain]) -> Witness:
    found = reach(rule, domains)
    if isinstance(found, Unreachable):
        raise _refused(
            "rule_unreachable",
            role,
            "a rule that can be true",
            f"{role} can never fire: {found.proof}",
            "Move the threshold inside what the support allows, or widen the support if the reading can leave it.",
        )
    return _decided(role, "can be true", found)


def _fallible(role: str, rule: Rule, domains: Mapping[str, Domain]) -> Witness:
    found = reach(Not(rule), domains)
    if isinstance(found, Unreachable):
        raise _refused(
            "rule_always",
            role,
            "a rule that can be false",
            f"{role} always fires, because its negation never holds: {found.proof}",
            "Remove the part that always holds, or move the threshold inside what the support allows.",
        )
    return _decided(role, "can be false", found)


def _apart(finding: Rule, kill: Rule, domains: Mapping[str, Domain]) -> None:
    found = reach(And((finding, kill)), domains)
    if isinstance(found, Reachable):
        raise _refused(
            "rules_overlap",
            "finding and kill",
            "rules that never hold together",
            f"both hold for {show_witness(found.witness, domains)}",
            f'Exclude the finding from the kill: kill = "{show(And((kill, Not(finding))))}".',
        )
    if isinstance(found, Undecided):
        raise _undecided("finding and kill", "can hold together", found)


def _as_strong(finding: Rule, claim: Rule, domains: Mapping[str, Domain]) -> None:
    found = reach(And((finding, Not(claim))), domains)
    if isinstance(found, Reachable):
        raise _refused(
            "finding_weaker",
            "finding",
            f"a rule that holds only where the claim `{show(claim)}` does",
            f"finding holds and the claim does not for {show_witness(found.witness, domains)}",
            f'Add the claim to the finding: finding = "{show(And((finding, claim)))}".',
        )
    if isinstance(found, Undecided):
        raise _undecided("finding", f"can hold without the claim `{show(claim)}`", found)


def _decided(role: str, question: str, found: Reachable | Undecided) -> Witness:
    if isinstance(found, Undecided):
        raise _undecided(role, question, found)
    return found.witness


def _undecided(role: str, question: str, found: Undecided) -> TollensError:
    return _refused(
        "reachability_undecided",
        role,
        f"an answer to whether {role} {question}",
        f"REACHABILITY UNDECIDED: {found.why}",
        "State the rule with fewer alternatives, or declare finite supports.",
    )


def _refused(code: str, role: str, expected: str, found: str, fix: str) -> TollensError:
    return TollensError(code, role, expected=expected, found=found, fix=fix, exit_code=Exit.REFUSED_TO_SEAL)
