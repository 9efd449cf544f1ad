"""The verdict on a metric's sign, from its values on arms of known order, with the pair that decides it."""

from __future__ import annotations

import itertools
import math
from enum import StrEnum
from typing import Literal, get_args

import msgspec

from tollens.core.errors import Exit, TollensError
from tollens.protocol.sign_arms import ARM_NAMES
from tollens.protocol.sign_measure import SEVERITIES, Check, CheckKind, Measurements, Rung, Value, measure
from tollens.protocol.sign_spec import SignSpec

__all__ = ["Measurements", "SignOutcome", "SignReport", "SignSpec", "judge", "measure", "refusal"]


class SignOutcome(StrEnum):
    OK = "SIGN OK"
    REVERSED = "SIGN REVERSED"
    BLIND = "SIGN BLIND"
    UNSTABLE = "SIGN UNSTABLE"
    NOT_RUN = "SIGN NOT RUN"


Reason = Literal[
    "ok",
    "not_run",
    "non_finite",
    "sign_differs",
    "repeat",
    "shuffle",
    "duplicate",
    "attempt_order",
    "regroup",
    "reducer",
    "nan",
    "worst_beats_ideal",
    "ladder_reversed",
    "within_margin",
    "gamer",
    "ladder",
    "perturbation",
    "null_value",
]


class Side(msgspec.Struct, frozen=True):
    """One half of the counterexample: what was run, and its value in the metric's unit or why it has none."""

    name: str
    value: float | str


class SignRow(msgspec.Struct, frozen=True):
    """An arm over its seeds, in the metric's unit; null where not every seed gave a number."""

    arm: str
    quality: float | None
    mean: float | None
    low: float | None
    high: float | None


class SignReport(msgspec.Struct, frozen=True):
    """The outcome, one sentence with the deciding pair, why, and the table of arms.

    `tau` is Kendall's tau-a between claimed quality and value over ideal, partial and noop, in [-1, 1]; null
    where an arm has no number. `notes` say which checks had nothing to act on.
    """

    quantity: str
    outcome: SignOutcome
    reason: Reason
    sentence: str
    pair: tuple[Side, Side] | None
    tau: float | None
    table: list[SignRow]
    notes: list[str]

    @property
    def ok(self) -> bool:
        return self.outcome is SignOutcome.OK


class _Found(msgspec.Struct, frozen=True):
    outcome: SignOutcome
    reason: Reason
    text: str
    pair: tuple[Side, Side] | None


def judge(measurements: Measurements, spec: SignSpec) -> SignReport:
    """What the values say of the sign of `spec.quantity`; the first that applies, in this order.

    NOT RUN: a metric or arm raised, or gave no number. UNSTABLE: a value is not finite; ideal beats worst by
    more than the margin at one seed and loses by more than it at another; the same inputs give two values;
    order of items, repeated rows, order of attempts or order of reduction matter; a NaN disappears. REVERSED:
    worst beats ideal by more than the margin, or tau = -1. BLIND: ideal and worst lie within the margin, or
    gamer or any further arm lies above ideal. UNSTABLE: tau < 1, a slight improvement that makes the value
    worse, or noop farther than the tolerance from the null value. Means over seeds stand for an arm; values
    are equal within 1e-12 of the larger and the margin. A gamer that the metric refuses by raising is beaten.

    Raises TollensError `sign_not_run`, exit 3, where `measurements` are not those that `spec` asks for.
    """
    _complete(measurements, spec)
    rungs = {rung.arm: rung for rung in measurements.rungs}
    means = {name: _mean(rung.values) for name, rung in rungs.items()}
    ladder = [(rung.quality, means[rung.arm]) for rung in measurements.rungs if rung.quality is not None]
    values = [spec.gain(mean) for _, mean in ladder if mean is not None]
    tau = _tau(values, spec) if len(values) == len(ladder) else None
    found = (
        _failed(measurements, spec)
        or _unsteady(measurements, rungs, spec)
        or _misordered(measurements, {k: v for k, v in means.items() if v is not None}, tau, spec)
        or _Found(SignOutcome.OK, "ok", _order(measurements.rungs, means, spec), None)
    )
    refused = [
        f"{spec.label(name)} is refused by the metric ({rung.values[0]})"
        for name, rung in rungs.items()
        if rung.quality is None and name != "worst" and _refused(rung)
    ]
    table = [_row(rung, spec) for rung in measurements.rungs]
    sentence = f"{found.outcome}  {found.text}"
    notes = [*measurements.notes, *refused]
    return SignReport(spec.quantity, found.outcome, found.reason, sentence, found.pair, tau, table, notes)


def refusal(report: SignReport) -> TollensError | None:
    """The error that refuses the seal, exit 3, its message the deciding pair; None for SIGN OK."""
    asked = "ideal above partial above noop, worst and gamer below ideal"
    refuse = Exit.REFUSED_TO_SEAL
    subject, found = report.quantity, report.sentence
    match report.outcome:
        case SignOutcome.OK:
            return None
        case SignOutcome.REVERSED:
            fix = "Turn the sign of the metric, or the `direction` of the claim."
            return TollensError("sign_reversed", subject, expected=asked, found=found, fix=fix, exit_code=refuse)
        case SignOutcome.BLIND:
            fix = "Use a metric that separates the two, or a smaller `sign_check.margin`."
            return TollensError("sign_blind", subject, expected=asked, found=found, fix=fix, exit_code=refuse)
        case SignOutcome.UNSTABLE:
            fix = "Repair the metric where the message points."
            return TollensError("sign_unstable", subject, expected=asked, found=found, fix=fix, exit_code=refuse)
        case SignOutcome.NOT_RUN:
            fix = "Repair the metric or the arm that is quoted."
            return TollensError("sign_not_run", subject, expected=asked, found=found, fix=fix, exit_code=refuse)


def _complete(measured: Measurements, spec: SignSpec) -> None:
    names = [rung.arm for rung in measured.rungs]
    partials = {f"partial {1 - severity:g}": 1 - severity for severity in SEVERITIES}
    asked: dict[str, float | None] = {name: None for name in ARM_NAMES if name != "partial"}
    asked |= {"ideal": 1.0, "noop": 0.0, **partials}
    numbers = [v for rung in measured.rungs for v in rung.values]
    numbers += [v for point in measured.points for v in (point.before, point.after)]
    numbers += [v for check in measured.checks for v in (check.before, check.after)]
    faults = {
        "values of another quantity": measured.quantity != spec.quantity,
        "an arm missing, twice or out of place": len(set(names)) != len(names)
        or any(asked.get(rung.arm) != rung.quality for rung in measured.rungs)
        or not asked.keys() <= set(names),
        "another number of seeds": any(len(rung.values) != spec.seeds for rung in measured.rungs),
        "another number of points": len(measured.points) != spec.points,
        "no two values at the same inputs": not any(check.kind == "repeat" for check in measured.checks)
        and not any(isinstance(v, str) for v in numbers),
        "a number that is not finite": any(isinstance(v, float) and not math.isfinite(v) for v in numbers),
    }
    for found, wrong in faults.items():
        if wrong:
            raise TollensError(
                "sign_not_run",
                "measurements",
                expected=f"{spec.seeds} values of `{spec.quantity}` on each arm and {spec.points} points",
                found=found,
                fix="Run the sign-check again.",
                exit_code=Exit.REFUSED_TO_SEAL,
            )


def _refused(rung: Rung) -> bool:
    return all(isinstance(value, str) and value.startswith("raised:") for value in rung.values)


def _failed(measured: Measurements, spec: SignSpec) -> _Found | None:
    """A metric or arm that raised or gave no number, then a number that is not finite."""
    places: list[tuple[str, Value]] = [
        (f"{spec.label(rung.arm)}, seed {r}", value)
        for rung in measured.rungs
        if not (rung.quality is None and rung.arm != "worst" and _refused(rung))
        for r, value in enumerate(rung.values)
    ]
    for point in measured.points:
        places += [
            (f"{spec.label('partial')} {1 - point.severity:.3g}", point.before),
            (f"{spec.label('partial')} {1 - point.severity + point.step:.3g}", point.after),
        ]
    bad = [(place, value) for place, value in places if isinstance(value, str)]
    good = next(((place, value) for place, value in places if not isinstance(value, str)), None)
    for place, value in sorted(bad, key=lambda entry: entry[1].startswith("non-finite")):
        finite = value.startswith("non-finite")
        pair = None if good is None else (Side(place, value), Side(*good))
        outcome = SignOutcome.UNSTABLE if finite else SignOutcome.NOT_RUN
        beside = f", where {good[0]} gives {_number(good[1])}" if good is not None else ""
        return _Found(outcome, "non_finite" if finite else "not_run", f"{place}: {value}{beside}", pair)
    return None


def _unsteady(measured: Measurements, rungs: dict[str, Rung], spec: SignSpec) -> _Found | None:
    lead = [
        spec.gain(ideal) - spec.gain(worst)
        for ideal, worst in zip(rungs["ideal"].values, rungs["worst"].values, strict=True)
        if not isinstance(ideal, str) and not isinstance(worst, str)
    ]
    most, least = max(lead), min(lead)
    if most > spec.margin and least < -spec.margin:
        up, down = lead.index(most), lead.index(least)
        what = f"{spec.label('ideal')} beats {spec.label('worst')} by"
        text = f"{what} {_number(most, signed=True)} at seed {up} and {_number(least, signed=True)} at seed {down}"
        return _unstable("sign_differs", text, Side(f"{what}, seed {up}", most), Side(f"{what}, seed {down}", least))
    kinds = list(get_args(CheckKind))
    for check in sorted(measured.checks, key=lambda check: kinds.index(check.kind)):
        found = _changed(check, spec)
        if found is not None:
            return found
    return None


_CHANGES = {
    "repeat": "the second time at the same inputs",
    "shuffle": "with its items in another order",
    "duplicate": "with every item twice",
    "attempt_order": "with the attempts at each item in another order",
    "regroup": "with each attempt as an item of its own",
}


def _changed(check: Check, spec: SignSpec) -> _Found | None:
    before, after = check.before, check.after
    place = f"{spec.label(check.arm)}, seed {check.seed}"
    if check.kind == "nan":
        if isinstance(after, str) or isinstance(before, str):
            return None
        how = f"with one NaN in `{check.detail}`"
        text = f"{place}: {_number(before)}, and {_number(after)} {how}"
        return _unstable("nan", text, Side(place, before), Side(f"{place} {how}", after))
    if not isinstance(after, str) and not isinstance(before, str) and abs(before - after) <= spec.slack(before, after):
        return None
    if check.kind == "reducer":
        how = f"under the sealed reducer {spec.reducer}"
        alike = f"; it is the value of {check.detail}" if check.detail else ""
    else:
        how, alike = _CHANGES[check.kind], ""
    one, other = _apart(before, after)
    text = f"{place}: {one}, but {other} {how}{alike}"
    return _unstable(check.kind, text, Side(place, before), Side(f"{place} {how}", after))


def _unstable(reason: Reason, text: str, one: Side, other: Side) -> _Found:
    return _Found(SignOutcome.UNSTABLE, reason, text, (one, other))


def _misordered(measured: Measurements, means: dict[str, float], tau: float | None, spec: SignSpec) -> _Found | None:
    lead = spec.gain(means["ideal"]) - spec.gain(means["worst"])
    if lead < -spec.margin:
        return _pair(SignOutcome.REVERSED, "worst_beats_ideal", "ideal", "worst", means, spec)
    if tau == -1:
        return _pair(SignOutcome.REVERSED, "ladder_reversed", "ideal", "noop", means, spec)
    if lead <= spec.margin:
        found = _pair(SignOutcome.BLIND, "within_margin", "ideal", "worst", means, spec)
        return msgspec.structs.replace(found, text=f"{found.text} (margin {_number(spec.margin)})")
    beside = [r.arm for r in measured.rungs if r.quality is None and r.arm != "worst" and r.arm in means]
    for name in beside:
        if _above(means[name], means["ideal"], spec):
            return _pair(SignOutcome.BLIND, "gamer", "ideal", name, means, spec)
    ladder = [rung.arm for rung in measured.rungs if rung.quality is not None]
    for better, worse in itertools.pairwise(ladder):
        if not _above(means[better], means[worse], spec):
            return _pair(SignOutcome.UNSTABLE, "ladder", better, worse, means, spec)
    for point in measured.points:
        before, after = point.before, point.after
        if not isinstance(before, str) and not isinstance(after, str) and _above(before, after, spec):
            at = f"{spec.label('partial')} {1 - point.severity:.3g}"
            to = f"{spec.label('partial')} {1 - point.severity + point.step:.3g}"
            text = f"{_compared(to, after, at, before, spec)}, a slight improvement at equal draws"
            return _unstable("perturbation", text, Side(to, after), Side(at, before))
    if abs(means["noop"] - spec.null_value) > spec.tolerance + spec.slack(means["noop"], spec.null_value):
        one, other = _apart(means["noop"], spec.null_value)
        text = f"{spec.label('noop')} {one}, declared null value {other} (tolerance {_number(spec.tolerance)})"
        pair = Side(spec.label("noop"), means["noop"]), Side("null value", spec.null_value)
        return _unstable("null_value", text, *pair)
    return None


def _above(one: float, other: float, spec: SignSpec) -> bool:
    """True if the value `one` is better than `other` by more than rounding."""
    return spec.gain(one) - spec.gain(other) > spec.slack(one, other)


def _tau(gains: list[float], spec: SignSpec) -> float:
    """Kendall's tau-a of values that stand in the order of falling quality; a tie counts as neither."""
    signs = [
        0 if abs(a - b) <= spec.slack(a, b) else math.copysign(1, a - b) for a, b in itertools.combinations(gains, 2)
    ]
    return sum(signs) / len(signs)


def _pair(
    outcome: SignOutcome, reason: Reason, one: str, other: str, means: dict[str, float], spec: SignSpec
) -> _Found:
    names = spec.label(one), spec.label(other)
    text = _compared(names[0], means[one], names[1], means[other], spec)
    return _Found(outcome, reason, text, (Side(names[0], means[one]), Side(names[1], means[other])))


def _compared(one: str, a: float, other: str, b: float, spec: SignSpec) -> str:
    """`ideal -0.0285 < forgetting +0.0285`; for a target, the two distances from it."""
    left, right = _apart(a, b)
    relation = "=" if left == right else "<" if a < b else ">"
    if spec.value is None:
        return f"{one} {left} {relation} {other} {right}"
    target = _number(spec.value)
    far, near = abs(a - spec.value), abs(b - spec.value)
    relation = "=" if abs(far - near) <= spec.slack(far, near) else "<" if far < near else ">"
    return f"{one} |{left} - {target}| {relation} {other} |{right} - {target}|"


def _order(rungs: list[Rung], means: dict[str, float | None], spec: SignSpec) -> str:
    told = []
    for rung in rungs:
        mean = means[rung.arm]
        told.append(f"{spec.label(rung.arm)} {'refused' if mean is None else _number(mean)}")
    return ", ".join(told)


def _apart(a: Value, b: Value) -> tuple[str, str]:
    """Both values, in three digits or as many as tell them apart; signed where one is negative."""
    if isinstance(a, str) or isinstance(b, str):
        return _number(a), _number(b)
    signed = a < 0 or b < 0
    for digits in (3, 6, 9, 12, 17):
        one, other = _number(a, digits, signed=signed), _number(b, digits, signed=signed)
        if a == b or one != other:
            break
    return one, other


def _number(value: Value, digits: int = 3, *, signed: bool = False) -> str:
    if isinstance(value, str):
        return value
    return f"{value + 0.0:+.{digits}g}" if signed and value != 0 else f"{value + 0.0:.{digits}g}"


def _mean(values: list[Value]) -> float | None:
    numbers = [value for value in values if not isinstance(value, str)]
    # Divided first: a sum of finite values need not be finite.
    return math.fsum(value / len(values) for value in numbers) if len(numbers) == len(values) else None


def _row(rung: Rung, spec: SignSpec) -> SignRow:
    mean = _mean(rung.values)
    numbers = [value for value in rung.values if not isinstance(value, str)]
    if mean is None:
        return SignRow(spec.label(rung.arm), rung.quality, None, None, None)
    return SignRow(spec.label(rung.arm), rung.quality, mean, min(numbers), max(numbers))
