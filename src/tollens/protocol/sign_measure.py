"""The metric run on its sentinel arms: every value, none judged."""

from __future__ import annotations

import copy
import math
import numbers
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import msgspec
import numpy as np

from tollens.core.errors import Exit, TollensError
from tollens.core.seeding import generator
from tollens.protocol.reducers import reducer
from tollens.protocol.sign_arms import ARM_NAMES, Arm, Inputs
from tollens.protocol.sign_spec import SignSpec

Metric = Callable[[Inputs], Mapping[str, float]]
Value = float | str
"""A finite number, or why there is none: `non-finite: nan`, `raised: ...`, `no number: ...`, `arm: ...`."""

SEVERITIES = (0.25, 0.5, 0.75)
STEP = 0.05
"""Of severity: the slight improvement at an operating point."""
ALL_SEEDS = "partial 0.5"
"""The rung whose inputs are rearranged at every seed; the others are at the first one. It is where neither
every item is right nor every item wrong, so that a dependence on order shows."""

CheckKind = Literal["repeat", "shuffle", "duplicate", "attempt_order", "regroup", "reducer", "nan"]


class Rung(msgspec.Struct, frozen=True):
    """One arm at one severity. `quality` is its place on the ladder in [0, 1], null for arms beside it.

    `values` holds one value for each seed 0, 1, ...
    """

    arm: str
    quality: float | None
    values: list[Value]


class Point(msgspec.Struct, frozen=True):
    """`partial` before and after a slight improvement, from `severity` to `severity - step`, at equal draws."""

    severity: float
    step: float
    before: Value
    after: Value


class Check(msgspec.Struct, frozen=True):
    """The value at given inputs, and after a change of the inputs that is to leave it equal.

    For kind `nan` one item of the input `detail` is NaN, and `after` is not to be a number at all. For kind
    `reducer`, `after` is the mean over items of the attempts under the sealed reducer, and `detail` names
    other reducers whose mean is `before`.
    """

    kind: CheckKind
    arm: str
    seed: int
    before: Value
    after: Value
    detail: str = ""


class Measurements(msgspec.Struct, frozen=True):
    """All that `judge` needs; plain JSON, no NaN. `notes` name the checks that had nothing to act on."""

    quantity: str
    rungs: list[Rung]
    points: list[Point]
    checks: list[Check]
    notes: list[str]


def measure(metric: Metric, arms: Mapping[str, Arm], spec: SignSpec, seed: int) -> Measurements:
    """The values of `metric` on `arms`: the ladder, slight improvements, and inputs rearranged.

    Every arm gets equal draws at equal seeds. `ideal` is called with severity 0, `partial` with 0.25, 0.5,
    0.75 and at `spec.points` random severities, all others with 1. Items are the first axis of the first
    array or list among the inputs; arrays and lists of that length are permuted together, and repeated
    together. Whatever else the inputs hold (scalars, strings, arrays of another length) is passed as it is;
    without any array only a scalar float is replaced by NaN. NaN is put into one whole item of each floating
    input in turn, as integers, booleans and texts cannot hold one; an input whose every item may be NaN
    without changing the value counts as not read. A metric or an arm that raises gives a value that says so.

    Raises TollensError `sign_arms` where an arm is missing or `spec.attempts` does not fit the inputs,
    `sign_spec` where `spec.reducer` is none.
    """
    missing = [name for name in ARM_NAMES if name not in arms]
    if missing:
        raise _unusable("ARMS", f"the arms {', '.join(ARM_NAMES)}", f"no {', no '.join(missing)}", missing)
    rungs, checks = [], []
    read: dict[str, bool] = {}
    arranged = False
    for label, arm, severity, quality in _ladder(arms):
        values: list[Value] = []
        for r in range(spec.seeds):
            made = _inputs(arm, generator(seed, "sign", str(r)), severity)
            values.append(made if isinstance(made, str) else _value(metric, _copied(made), spec.quantity))
            if isinstance(made, str) or isinstance(values[-1], str) or not (r == 0 or label == ALL_SEEDS):
                continue
            rng = generator(seed, "sign", "rearranged", label, str(r))
            arranged = arranged or _items(made) is not None
            for kind, after, detail in _rearranged(metric, made, spec, rng):
                checks.append(Check(kind, label, r, values[-1], after, detail))
            if r == 0:
                for key, after, used in _with_nan(metric, made, spec, rng, values[-1]):
                    read[key] = read.get(key, False) or used
                    checks.append(Check("nan", label, r, values[-1], after, key))
        rungs.append(Rung(label, quality, values))
    points = [_point(metric, arms["partial"], spec, seed, i) for i in range(spec.points)]
    notes = [f"`{key}` is not read by the metric" for key, used in read.items() if not used]
    if not read:
        notes.append("no floating input: nothing can be NaN")
    if not arranged:
        notes.append("no array among the inputs: no items to shuffle or repeat")
    # An input that is not read hides no NaN: what the metric makes of it is no finding.
    kept = [check for check in checks if check.kind != "nan" or read[check.detail]]
    return Measurements(spec.quantity, rungs, points, kept, notes)


def _ladder(arms: Mapping[str, Arm]) -> Iterator[tuple[str, Arm, float, float | None]]:
    yield "ideal", arms["ideal"], 0.0, 1.0
    for severity in SEVERITIES:
        yield f"partial {1 - severity:g}", arms["partial"], severity, 1 - severity
    yield "noop", arms["noop"], 1.0, 0.0
    for name in arms:
        if name not in ("ideal", "partial", "noop"):
            yield name, arms[name], 1.0, None


def _point(metric: Metric, partial: Arm, spec: SignSpec, seed: int, i: int) -> Point:
    severity = float(generator(seed, "sign", "severity", str(i)).uniform(STEP, 1.0))
    before, after = (
        made if isinstance(made, str) else _value(metric, made, spec.quantity)
        for made in (_inputs(partial, generator(seed, "sign", "point", str(i)), s) for s in (severity, severity - STEP))
    )
    return Point(severity, STEP, before, after)


def _rearranged(
    metric: Metric, made: Inputs, spec: SignSpec, rng: np.random.Generator
) -> Iterator[tuple[CheckKind, Value, str]]:
    given = _copied(made)
    _value(metric, given, spec.quantity)
    yield "repeat", _value(metric, given, spec.quantity), ""  # the same object, as a metric may write to it
    n = _items(made)
    if n is not None:
        order = rng.permutation(n)
        yield "shuffle", _value(metric, _taken(made, n, order), spec.quantity), ""
        yield "duplicate", _value(metric, _taken(made, n, np.repeat(np.arange(n), 2)), spec.quantity), ""
    if spec.attempts:
        yield from _reduced(metric, made, spec, rng)


def _reduced(
    metric: Metric, made: Inputs, spec: SignSpec, rng: np.random.Generator
) -> Iterator[tuple[CheckKind, Value, str]]:
    held = {key: made.get(key) for key in spec.attempts}
    shapes = {np.shape(value)[:2] if isinstance(value, np.ndarray) else () for value in held.values()}
    n, m = next(iter(shapes)) if len(shapes) == 1 and len(next(iter(shapes))) == 2 else (0, 0)
    if n == 0 or m == 0 or n != _items(made):
        found = ", ".join(f"{key}: {getattr(value, 'shape', type(value).__name__)}" for key, value in held.items())
        raise _unusable("attempts", "inputs of one shape (items, attempts, ...)", found, list(spec.attempts))
    order = rng.permuted(np.tile(np.arange(m), (n, 1)), axis=1)
    rows = np.arange(n)[:, None]
    turned = {key: value[rows, order] for key, value in held.items() if value is not None}
    yield "attempt_order", _value(metric, {**_copied(made), **turned}, spec.quantity), ""
    if spec.reducer == "mean":
        each = {key: value.reshape(n * m, 1, *value.shape[2:]) for key, value in held.items() if value is not None}
        apart = {**_taken(made, n, np.repeat(np.arange(n), m)), **each}
        yield "regroup", _value(metric, apart, spec.quantity), ""
        return
    scores = np.asarray(held[spec.attempts[0]], dtype=np.float64)
    value = _value(metric, _copied(made), spec.quantity)
    others = ("mean", "median", "max", "min", "pass_at_1", "pass_at_2")
    alike = [name for name in others if name != spec.reducer and _is(value, _mean_of(scores, name, m), spec)]
    yield "reducer", _number(_mean_of(scores, spec.reducer, m)), ", ".join(alike)


def _mean_of(scores: np.ndarray[Any, np.dtype[np.float64]], name: str, m: int) -> float:
    if name == "pass_at_2" and m < 2:
        return math.nan
    return float(reducer(name)(scores).mean())


def _is(value: Value, number: float, spec: SignSpec) -> bool:
    return not isinstance(value, str) and abs(value - number) <= spec.slack(value, number)


def _with_nan(
    metric: Metric, made: Inputs, spec: SignSpec, rng: np.random.Generator, before: Value
) -> Iterator[tuple[str, Value, bool]]:
    """For each floating input: its name, the value with one item NaN, and whether the metric reads it at all."""
    n = _items(made)
    for key, value in made.items():
        if isinstance(value, float):
            after = _value(metric, {**_copied(made), key: math.nan}, spec.quantity)
            yield key, after, after != before
            continue
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fc" or value.size == 0:
            continue
        one, every = value.copy(), np.full_like(value, math.nan)
        one[int(rng.integers(len(value))) if value.ndim and len(value) == n else ...] = math.nan
        after = _value(metric, {**_copied(made), key: one}, spec.quantity)
        used = isinstance(after, str) or _value(metric, {**_copied(made), key: every}, spec.quantity) != before
        yield key, after, used


def _items(made: Inputs) -> int | None:
    """The number of items: the length of the first array or list."""
    for value in made.values():
        if isinstance(value, list) or (isinstance(value, np.ndarray) and value.ndim > 0):
            return len(value)
    return None


def _taken(made: Inputs, n: int, order: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, Any]:
    taken = _copied(made)
    for key, value in made.items():
        if isinstance(value, np.ndarray) and value.ndim > 0 and len(value) == n:
            taken[key] = value[order]
        elif isinstance(value, list) and len(value) == n:
            taken[key] = [copy.deepcopy(value[i]) for i in order]
    return taken


def _copied(made: Inputs) -> dict[str, Any]:
    return {key: value.copy() if isinstance(value, np.ndarray) else copy.deepcopy(value) for key, value in made.items()}


def _inputs(arm: Arm, rng: np.random.Generator, severity: float) -> Inputs | str:
    try:
        made: Any = arm(rng, severity)
        # Copied here, so that inputs that cannot be copied are a fault of the arm and not of a later check.
        return _copied(made) if isinstance(made, Mapping) else f"arm: gave {type(made).__name__}, not a mapping"
    except (Exception, SystemExit) as error:  # noqa: BLE001
        return f"arm: raised {_told(error)}"


def _value(metric: Metric, made: Inputs, quantity: str) -> Value:
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given: Any = metric(made)
            if not isinstance(given, Mapping):
                return f"no number: the metric gave {type(given).__name__}, not a mapping"
            if quantity not in given:
                names = ", ".join(str(name)[:40] for name in list(given)[:8])
                return f"no number: `{quantity}` is not among the metric's values ({names or 'none'})"
            return _number(given[quantity])
    except (Exception, SystemExit) as error:  # noqa: BLE001
        return f"raised: {_told(error)}"


def _number(value: Any) -> Value:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return f"no number: the value is of type {type(value).__name__}"
    try:
        number = float(value)
    except OverflowError:
        return "non-finite: beyond the range of a float"
    return number if math.isfinite(number) else f"non-finite: {number}"


def _told(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _unusable(subject: str, expected: str, found: str, names: list[str]) -> TollensError:
    return TollensError(
        "sign_arms",
        subject,
        expected=expected,
        found=found,
        fix=f"Give {', '.join(f'`{name}`' for name in names)}.",
        exit_code=Exit.REFUSED_TO_SEAL,
    )
