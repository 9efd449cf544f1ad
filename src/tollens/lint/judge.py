"""From claims to findings: which laws apply to each, and what its findings come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from textwrap import shorten

from tollens.core.errors import TollensError
from tollens.lint.ask import finding_of, judge_one
from tollens.lint.check import Outcome, unchecked
from tollens.lint.claim import AUTO, COMMON, Claim
from tollens.lint.fields import Replay
from tollens.lint.finding import Finding
from tollens.lint.law import Invariant
from tollens.lint.registry import INVARIANTS
from tollens.lint.replay import replay as replay_here

_PRECEDENCE = {str(outcome): place for place, outcome in enumerate(Outcome)}


def judge(claims: Iterable[Claim], replay: Replay = replay_here) -> list[Finding]:
    """Every finding of every claim, sorted by path, line, claim and invariant.

    `replay` runs the small computations of laws without a closed form. Raises TollensError
    `lint_unknown_kind` or `lint_unknown_field` with the nearest match.
    """
    found = [finding for claim in claims for finding in judge_claim(claim, replay)]
    return sorted(found, key=lambda f: (f.path, f.line, f.id, f.invariant or ""))


def judge_claim(claim: Claim, replay: Replay = replay_here) -> list[Finding]:
    """The findings of one claim: one for each invariant that its kind names, or that its fields allow."""
    if claim.kinds == AUTO:
        _check_names(claim, INVARIANTS.values())
        chosen = [made for made in INVARIANTS.values() if _ready(made, claim)]
        found = [judge_one(claim, made, replay) for made in chosen]
        found = [f for f in found if f.outcome != Outcome.UNCHECKED] or found
    else:
        chosen = [_named(kind, claim) for kind in claim.kinds]
        _check_names(claim, chosen)
        found = [judge_one(claim, made, replay) for made in chosen]
    return found or [finding_of(claim, None, unchecked(_nothing(claim)), None)]


def claim_outcome(findings: Sequence[Finding]) -> str:
    """The outcome of a claim with these findings: refuted > undetermined > supported > unchecked."""
    return min((f.outcome for f in findings), key=_PRECEDENCE.__getitem__)


def _ready(made: Invariant, claim: Claim) -> bool:
    """Whether a claim of no stated kind has what the invariant needs."""
    fields = claim.fields
    return all(name in fields for name in made.needs) and all(any(n in fields for n in g) for g in made.one_of)


def _named(kind: str, claim: Claim) -> Invariant:
    if kind in INVARIANTS:
        return INVARIANTS[kind]
    near = get_close_matches(kind[:60], INVARIANTS, n=3, cutoff=0.4)
    raise TollensError(
        "lint_unknown_kind",
        f"{claim.place}: claim {claim.id}",
        expected="the id of an invariant, a list of ids, or auto",
        found=repr(kind[:60]),
        fix=f"Nearest: {', '.join(near)}." if near else "`tollens lint --list` shows them all.",
    )


def _check_names(claim: Claim, chosen: Iterable[Invariant]) -> None:
    known = {name for made in chosen for name in made.fields} | set(COMMON)
    for name in claim.fields:
        if name not in known:
            near = get_close_matches(name[:60], sorted(known), n=2, cutoff=0.4)
            listed = f": {', '.join(sorted(known))}" if claim.kinds != AUTO else ""
            kinds = "any invariant" if claim.kinds == AUTO else ", ".join(claim.kinds)
            raise TollensError(
                "lint_unknown_field",
                f"{claim.place}: claim {claim.id}",
                expected=shorten(f"a field of {kinds}{listed}", 340, placeholder=" ..."),
                found=repr(name[:60]),
                fix=f"Did you mean {' or '.join(near)}?" if near else "`tollens lint --list` shows all fields.",
            )


def _nothing(claim: Claim) -> str:
    """Why a claim of kind auto met no invariant: the ones that lack least."""
    lacks: list[tuple[int, str, str]] = []
    for made in INVARIANTS.values():
        missing = [n for n in made.needs if n not in claim.fields]
        missing += [" or ".join(g) for g in made.one_of if not any(n in claim.fields for n in g)]
        if len(missing) < len(made.needs) + len(made.one_of):
            lacks.append((len(missing), made.id, ", ".join(missing)))
    near = "; ".join(f"{name} lacks {missing}" for _, name, missing in sorted(lacks)[:3])
    return f"no invariant for kind {', '.join(claim.kinds)}{f': {near}' if near else ''}"
