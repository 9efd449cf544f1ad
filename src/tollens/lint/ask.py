"""What one law makes of one claim: as printed for the witness, as rounded for the verdict."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from tollens.lint.check import Check, Comparison, Direct, Outcome, Relation, Subtype, unchecked
from tollens.lint.claim import Claim, Entry, Quantity
from tollens.lint.fields import Fields, Gap, Replay, resolve
from tollens.lint.finding import Finding
from tollens.lint.interval import Range
from tollens.lint.law import Invariant
from tollens.lint.replay import replay as replay_here
from tollens.lint.shown import interval_text, number_text


def judge_one(claim: Claim, made: Invariant, replay: Replay = replay_here) -> Finding:
    """What one invariant makes of one claim.

    It is asked twice: with every number as printed, which gives the numbers of the witness, and with every
    number as the interval of its rounding, which decides. A replay with the same parameters runs once.
    """
    ready = partial(resolve, claim, made.fields, frozenset(made.needs), made.exact, replay=_once(replay))
    rounded = ready(printed=False)
    if isinstance(rounded, list):
        return finding_of(claim, made, _gaps(rounded, made), None)
    absent = [group for group in made.one_of if not any(name in rounded.values for name in group)]
    if absent:
        names = [" or ".join(group) for group in absent]
        return finding_of(claim, made, unchecked(f"cannot be checked: missing field {', '.join(names)}", *names), None)
    for flag in made.states:
        if rounded.flag(flag) is False:
            return finding_of(claim, made, unchecked(f"does not apply: {flag} = false"), None)
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
        return finding_of(claim, made, decided, None)
    pairs = _paired(decided, printed)
    worst = min(pairs, key=lambda pair: _rank(*pair))
    rounded, shown = worst
    if rounded.violated:
        model = rounded.model or _unstated(claim, made)
        verdict = Direct(Outcome.REFUTED, rounded.violation, _witness(rounded, shown), rounded.settle)
        return finding_of(claim, made, _weakened(verdict, model), worst)
    if not isinstance(printed, Direct) and all(_reproduced(*pair) for pair in pairs):
        return finding_of(claim, made, Direct(Outcome.SUPPORTED, rounded.support, _witness(rounded, shown)), worst)
    verdict = Direct(Outcome.UNDETERMINED, Subtype.CONSISTENT, _witness(rounded, shown), rounded.settle)
    return finding_of(claim, made, verdict, worst)


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


def finding_of(
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
