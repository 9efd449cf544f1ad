"""From claims to findings: which invariants apply, what they say, and what that is worth."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from textwrap import shorten
from typing import Any

from tollens.core.errors import TollensError
from tollens.lint.check import Check, Comparison, Direct, Outcome, Relation, Subtype, unchecked
from tollens.lint.claim import AUTO, COMMON, Claim, Entry, Place, Quantity
from tollens.lint.fields import Fields, Gap, Need, Replay, resolve
from tollens.lint.finding import Finding
from tollens.lint.interval import Range
from tollens.lint.number import parse_number, spanning
from tollens.lint.registry import INVARIANTS, Example, Invariant
from tollens.lint.replay import replay as replay_here
from tollens.lint.shown import interval_text, number_text

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
    return found or [_finding(claim, None, unchecked(_nothing(claim)), None)]


def claim_outcome(findings: Sequence[Finding]) -> str:
    """The outcome of a claim with these findings: refuted > undetermined > supported > unchecked."""
    return min((f.outcome for f in findings), key=_PRECEDENCE.__getitem__)


def judge_one(claim: Claim, made: Invariant, replay: Replay = replay_here) -> Finding:
    """What one invariant makes of one claim.

    It is asked twice: with every number as printed, which gives the numbers of the witness, and with every
    number as the interval of its rounding, which decides. A replay with the same parameters runs once.
    """
    ready = partial(resolve, claim, made.fields, frozenset(made.needs), made.exact, replay=_once(replay))
    rounded = ready(printed=False)
    if isinstance(rounded, list):
        return _finding(claim, made, _gaps(rounded, made), None)
    absent = [group for group in made.one_of if not any(name in rounded.values for name in group)]
    if absent:
        names = [" or ".join(group) for group in absent]
        return _finding(claim, made, unchecked(f"cannot be checked: missing field {', '.join(names)}", *names), None)
    for flag in made.states:
        if rounded.flag(flag) is False:
            return _finding(claim, made, unchecked(f"does not apply: {flag} = false"), None)
    decided = made.function(rounded)
    printed = ready(printed=True)
    assert isinstance(printed, Fields)
    return _resolved(claim, made, decided, made.function(printed))


def _once(replay: Replay) -> Replay:
    kept: dict[str, Mapping[str, float] | None] = {}

    def run(name: str, parameters: Mapping[str, Any]) -> Mapping[str, float] | None:
        key = f"{name} {sorted(parameters.items())}"
        if key not in kept:
            kept[key] = replay(name, parameters)
        return kept[key]

    return run


def _resolved(claim: Claim, made: Invariant, decided: Check, printed: Check) -> Finding:
    if isinstance(decided, Direct):
        if isinstance(printed, Direct) and (printed.outcome, printed.subtype) == (decided.outcome, decided.subtype):
            decided = replace(decided, witness=printed.witness)
        if decided.outcome is Outcome.REFUTED:
            decided = _weakened(decided, _unstated(claim, made))
        return _finding(claim, made, decided, None)
    pairs = _paired(decided, printed)
    worst = min(pairs, key=lambda pair: _rank(*pair))
    rounded, shown = worst
    if rounded.violated:
        model = rounded.model or _unstated(claim, made)
        verdict = Direct(Outcome.REFUTED, rounded.violation, _witness(rounded, shown), rounded.settle)
        return _finding(claim, made, _weakened(verdict, model), worst)
    if not isinstance(printed, Direct) and all(_reproduced(*pair) for pair in pairs):
        return _finding(claim, made, Direct(Outcome.SUPPORTED, rounded.support, _witness(rounded, shown)), worst)
    verdict = Direct(Outcome.UNDETERMINED, Subtype.CONSISTENT, _witness(rounded, shown), rounded.settle)
    return _finding(claim, made, verdict, worst)


def _reproduced(rounded: Comparison, shown: Comparison) -> bool:
    """Whether the printed digits give the claimed value. What is only known to lie beyond a limit gives none."""
    low, high = shown.right.low, shown.right.high
    bounded = low > -math.inf and (math.isfinite(high) or low >= sys.float_info.max)
    return (
        rounded.relation is Relation.EQUAL
        and rounded.support is not None
        and bounded
        and shown.right.meets(rounded.left)
    )


def _paired(decided: Check, printed: Check) -> list[tuple[Comparison, Comparison]]:
    """Each comparison beside its twin with the numbers as printed; alone where the printed numbers allow none."""
    first = [decided] if isinstance(decided, Comparison) else list(decided) if not isinstance(decided, Direct) else []
    second = [printed] if isinstance(printed, Comparison) else [] if isinstance(printed, Direct) else list(printed)
    if len(first) != len(second):
        second = first
    return list(zip(first, second, strict=True))


def _rank(rounded: Comparison, shown: Comparison) -> tuple[bool, bool, float]:
    """Violated first, of these the ones that rest on no model, then the one nearest to its bound."""
    margin = rounded.margin if rounded.violated else shown.margin
    return not rounded.violated, rounded.violated and rounded.model is not None, math.inf if margin is None else margin


def _weakened(verdict: Direct, model: str | None) -> Direct:
    """A refutation under an assumption that nobody stated shows that one of the two fails, not which."""
    if model is None:
        return verdict
    settle = model if verdict.settle is None or verdict.settle in model else f"{verdict.settle}; {model}"
    return Direct(Outcome.UNDETERMINED, Subtype.MODEL_BASED, verdict.witness, settle, verdict.computed, verdict.bound)


def _unstated(claim: Claim, made: Invariant) -> str | None:
    """What the claim would have to state for a violation to be a refutation; None if it states it."""
    missing = [flag for flag in made.states if claim.fields.get(flag) is not True]
    if missing:
        return "state " + ", ".join(f"{flag} = true" for flag in missing)
    if not made.estimates:
        named = claim.fields.get("estimator")
        own = next(
            (q.estimator for name in made.fields for q in _quantities(claim.fields.get(name)) if q.estimator), None
        )
        estimator = own or (named if isinstance(named, str) else None)
        if estimator:
            return f"bound holds for exact values; estimator {estimator}"
    return None


def _witness(rounded: Comparison, shown: Comparison) -> str:
    sign = str(rounded.relation) if not rounded.violated else {"<=": ">", ">=": "<", "=": "is not"}[rounded.relation]
    left, right = _side(rounded.names[0], shown.left, rounded.left), _side(rounded.names[1], shown.right, rounded.right)
    unit = f" {rounded.unit}" if rounded.unit not in ("1", "") else ""
    remark = shown.remark if shown.violated == rounded.violated else rounded.remark
    return f"{left} {sign} {right}{unit}{f'; {remark}' if remark else ''}"


def _side(name: str, shown: Range, rounded: Range) -> str:
    """`I(X;T) = 1.2 [1.15, 1.25]`: the value as printed, and what it can be where that is more than one value."""
    value = number_text(shown.middle) if shown.high - shown.low <= 1e-9 * abs(shown.middle) else interval_text(shown)
    spread = rounded.high - rounded.low > 1e-9 * max(abs(rounded.low), abs(rounded.high))
    span = f" {interval_text(rounded)}" if spread and interval_text(rounded) != value else ""
    return f"{name} = {value}{span}" if name else f"{value}{span}"


def _gaps(gaps: Sequence[Gap], made: Invariant) -> Direct:
    missing = [
        g.field if g.why == "missing" else f"{g.field} (its unit)" for g in gaps if g.why in ("missing", "unit missing")
    ]
    wrong = [f"{g.field} {g.why}" for g in gaps if g.why not in ("missing", "unit missing")]
    parts = [f"missing field {', '.join(missing)}"] if missing else []
    names = tuple(
        g.field if g.why == "missing" else f"{g.field}.unit" for g in gaps if g.why in ("missing", "unit missing")
    )
    return unchecked(f"cannot be checked: {'; '.join([*parts, *wrong])}", *names)


def _finding(
    claim: Claim, made: Invariant | None, verdict: Direct, pair: tuple[Comparison, Comparison] | None
) -> Finding:
    numbers: dict[str, Any] = {
        "computed": _finite(verdict.computed), "bound": _finite(verdict.bound), "unit": verdict.unit
    }  # fmt: skip
    if pair is not None:
        rounded, shown = pair
        equality = rounded.relation is Relation.EQUAL
        numbers = {
            "relation": str(rounded.relation),
            "computed": _finite((shown.right if equality else shown.left).middle),
            "bound": None if equality else _finite(shown.right.middle),
            "margin": shown.margin,
            "margin_rounded": rounded.margin,
            "unit": rounded.unit,
        }
    names = list(made.fields) if made is not None else list(claim.fields)
    return Finding(
        id=claim.id, path=claim.place.path, line=claim.place.line, text=claim.text,
        invariant=made.id if made else None, outcome=str(verdict.outcome),
        subtype=str(verdict.subtype) if verdict.subtype else None, witness=verdict.witness,
        inputs={name: entry_text(claim.fields[name]) for name in names if name in claim.fields},
        missing=verdict.missing, settle=verdict.settle, reference=made.reference if made else None,
        formula=made.formula if made else None, draft=claim.draft, source=claim.source, expect=claim.expect, **numbers,
    )  # fmt: skip


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def entry_text(entry: Entry) -> str:
    """A field as it was written."""
    if isinstance(entry, Quantity):
        unit = entry.unit if entry.unit not in (None, "1") else ""
        return f"{entry.number.text}{unit}" if unit == "%" else f"{entry.number.text} {unit}".strip()
    if isinstance(entry, bool):
        return "true" if entry else "false"
    if isinstance(entry, str):
        return entry
    return ", ".join(" -> ".join(e) if isinstance(e, tuple) else entry_text(e) for e in entry)


def _quantities(entry: Entry | None) -> tuple[Quantity, ...]:
    if isinstance(entry, Quantity):
        return (entry,)
    return tuple(q for q in entry if isinstance(q, Quantity)) if isinstance(entry, tuple) else ()


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


def example_claim(made: Invariant, example: Example) -> Claim:
    """The claim that a known answer stands for."""
    place = Place("example", 1)
    entries = {name: _entry(value, made.fields.get(name), place, name) for name, value in example.fields.items()}
    return Claim("example", "", (made.id,), place, entries)


def _entry(value: Any, need: Need | None, place: Place, name: str) -> Entry:
    if isinstance(value, Mapping):
        low, high = (_entry(value[end], need, place, name) for end in ("low", "high"))
        assert isinstance(low, Quantity)
        assert isinstance(high, Quantity)
        return Quantity(spanning(low.number, high.number, name), low.unit, place)
    if isinstance(value, bool) or (need is not None and need.kind == "word"):
        found: Entry = value
        return found
    if isinstance(value, str):
        return _quantity(value, need, place, name)
    if need is not None and need.kind == "edges":
        return tuple((str(a), str(b)) for a, b in value)
    if need is not None and need.kind == "words":
        return tuple(str(word) for word in value)
    return tuple(_quantity(v, need, place, name) for v in value)


def _quantity(text: str, need: Need | None, place: Place, name: str) -> Quantity:
    """`"29.8 %"`, or `"29.8"` in the first unit asked for; `"29.8 ?"` without a unit, `"8 GB!"` as measured."""
    written = text.removesuffix("!")
    digits, _, unit = written.partition(" ")
    default = need.units[0].text if need is not None and need.units else "1"
    measured = True if text.endswith("!") else None
    return Quantity(parse_number(digits, name), None if unit == "?" else unit or default, place, measured=measured)
