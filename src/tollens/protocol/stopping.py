"""When the readings of a claim may be looked at, and what a look may promise: the rule that is sealed with it."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, assert_never

import msgspec
from scipy.special import ndtr

from tollens.core.errors import Exit, TollensError
from tollens.protocol.boundary import LEAST_LEVEL
from tollens.stats.expected_loss import GUARANTEE as CALIBRATED
from tollens.stats.gaussian import Gaussian
from tollens.stats.result import ANY_TIME
from tollens.stats.schedule import PLANNED, AnyTime, FixedSize, PlannedLooks, Schedule
from tollens.stats.spending import SPENDING

Rule: TypeAlias = Literal["fixed_n", "group_sequential", "e_value", "expected_loss"]
Support: TypeAlias = tuple[float, float]
FIRST_LOOK = 2  # cells; one has no spread
MOST_LOOKS = 50
_READS: Mapping[Rule, tuple[str, ...]] = {
    "fixed_n": (),
    "group_sequential": ("level", "looks", "spending"),
    "e_value": ("level",),
    "expected_loss": ("prior", "sd", "loss"),
}
_EXAMPLES = {
    "level": '"0.05"',
    "spending": '"obrien-fleming"',
    "prior": '{ mean = "0", sd = "1" }',
    "sd": '"1"',
    "loss": '"0.01"',
}
_DECIMAL = re.compile(r"[-+]?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][-+]?[0-9]{1,2})?", re.ASCII)
_LEAST_LEVEL = 1e-6
_LEAST, _LARGEST = 1e-50, 1e50


class Prior(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Gaussian law of the true mean; decimal strings in the unit of the quantity."""

    mean: str
    sd: str


class Stopping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The table [stopping].

    rule      fixed_n, group_sequential, e_value or expected_loss
    level     group_sequential, e_value: decimal string, the type-I error of both sides together
    looks     group_sequential: numbers of cells, increasing; the last is all of them
    spending  group_sequential: a key of `tollens.stats.spending.SPENDING`
    prior     expected_loss: of the true mean
    sd        expected_loss: decimal string, the known standard deviation of one cell
    loss      expected_loss: decimal string, in the unit of the quantity; below it the rule stops
    """

    rule: Rule
    level: str | None = None
    looks: tuple[int, ...] | None = None
    spending: str | None = None
    prior: Prior | None = None
    sd: str | None = None
    loss: str | None = None


def read_stopping(table: Mapping[str, Any]) -> Stopping:
    """The typed table. Raises TollensError `stopping_field`, exit 3, for an unknown key or a value of another kind."""
    try:
        return msgspec.convert(dict(table), Stopping)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at ")
        raise _refused(
            f"stopping{where.strip('`').removeprefix('$')}",
            "a field of the format",
            message,
            f"The rules are {', '.join(_READS)}; correct the table.",
        ) from None


def check(
    stopping: Stopping,
    cells: int,
    support: Support | None = None,
    *,
    value: float | None = None,
    aggregate: str = "mean",
    relation: str = ">=",
) -> None:
    """Whether this rule can be sealed for a claim `aggregate(quantity) relation value` over so many cells.

    `support` is the closed interval of one reading, None or with an infinite end where it has none. Raises
    TollensError `stopping_field`, exit 3: a parameter missing, unread or out of range; looks that do not increase,
    go beyond the cells or stop short of them; an e-value without a bounded support around the value; a rule that
    may stop early for anything but a mean compared by < <= > or >=.
    """
    _check_fields(stopping)
    if stopping.rule == "fixed_n":
        return
    if aggregate != "mean" or relation not in ("<", "<=", ">", ">="):
        raise _refused(
            "stopping.rule",
            f"a mean and < <= > or >= where {stopping.rule} may stop early",
            f"{aggregate} and {relation}",
            'Write rule = "fixed_n".',
        )
    match stopping.rule:
        case "group_sequential":
            _check_looks(stopping, cells)
        case "e_value":
            level_of(stopping)
            _check_support(support, value)
        case "expected_loss":
            _check_loss(stopping, value)


def guarantee(stopping: Stopping) -> str:
    """What the rule promises about error, and under what. Raises TollensError `stopping_field` as `check`."""
    _check_fields(stopping)
    match stopping.rule:
        case "fixed_n":
            return "one look, when every cell is read; no interim reading is shown"
        case "group_sequential":
            looks = ", ".join(f"{n:,}" for n in looks_of(stopping))
            return (
                f"{PLANNED} ({looks} cells, {stopping.spending} spending): type-I error {stopping.level}, both sides "
                "together, for independent normal cells of any one spread"
            )
        case "e_value":
            return (
                f"{ANY_TIME}: type-I error at most {stopping.level}, both sides together, for cells of any law on the "
                "sealed support whose mean does not depend on the cells before"
            )
        case "expected_loss":
            return (
                f"{CALIBRATED}; stops where the expected loss of the better decision is at most {stopping.loss}, "
                f"for independent normal cells of standard deviation {stopping.sd}"
            )
        case _:
            assert_never(stopping.rule)


def schedule(stopping: Stopping, total: int) -> Schedule:
    """At how many of `total` cells the rule may look."""
    if stopping.rule == "fixed_n":
        return FixedSize(total)
    return PlannedLooks(looks_of(stopping)) if stopping.rule == "group_sequential" else AnyTime()


def may_look(stopping: Stopping, done: int, total: int) -> bool:
    """Whether readings may be seen when `done` of `total` cells are read."""
    if not 1 <= done <= total:
        return False
    match schedule(stopping, total):
        case FixedSize(n):
            return done == n
        case PlannedLooks(sizes):
            return done in sizes
        case AnyTime():
            return True


def level_of(stopping: Stopping) -> float:
    """The sealed level, in [0.000001, 1). Raises TollensError `stopping_field`, exit 3."""
    return _number("stopping.level", stopping.level, _LEAST_LEVEL, math.nextafter(1.0, 0.0), 'Write level = "0.05".')


def looks_of(stopping: Stopping) -> tuple[int, ...]:
    """The planned looks. Raises TollensError `stopping_field`, exit 3, where there are none."""
    if not stopping.looks:
        raise _refused("stopping.looks", "numbers of cells", "none", "List them, the last one being all cells.")
    return stopping.looks


def loss_of(stopping: Stopping) -> tuple[float, float, float, float]:
    """Prior mean, prior standard deviation, that of one cell, and the loss to stop at. Raises as `level_of`."""
    _check_fields(stopping)
    assert stopping.prior is not None
    return (
        _number("stopping.prior.mean", stopping.prior.mean, -_LARGEST, _LARGEST),
        _number("stopping.prior.sd", stopping.prior.sd, _LEAST, _LARGEST),
        _number("stopping.sd", stopping.sd, _LEAST, _LARGEST),
        _number("stopping.loss", stopping.loss, _LEAST, _LARGEST),
    )


def expected_shortfall(law: Gaussian, value: float) -> float:
    """The expected loss of deciding by the side on which the mean of `law` lies of `value`, in its unit.

    sd (phi(z) - z Phi(-z)), z the distance in standard deviations: the unit normal loss (Raiffa & Schlaifer 1961).
    """
    z = abs(law.mean - value) / law.sd
    return law.sd * max(0.0, math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) - z * float(ndtr(-z)))


def _check_fields(stopping: Stopping) -> None:
    reads = _READS[stopping.rule]
    for field in msgspec.structs.fields(stopping):
        name, there = field.name, getattr(stopping, field.name) is not None
        if name == "rule" or there == (name in reads):
            continue
        if there:
            raise _refused(f"stopping.{name}", f"none: {stopping.rule} does not read it", "a value", f"Remove {name}.")
        example = _EXAMPLES.get(name, "[4, 8], the last one being all cells")
        raise _refused(f"stopping.{name}", f"a value, for {stopping.rule}", "nothing", f"Write {name} = {example}.")


def _check_looks(stopping: Stopping, cells: int) -> None:
    if level_of(stopping) < LEAST_LEVEL:
        raise _refused(
            "stopping.level", f"at least {LEAST_LEVEL:g} for group_sequential", str(stopping.level),
            f'Write level = "{LEAST_LEVEL:g}", or use e_value.',
        )  # fmt: skip
    looks = looks_of(stopping)
    found = f"{list(looks[:12])}" + (f" and {len(looks) - 12} more" if len(looks) > 12 else "")
    if stopping.spending not in SPENDING:
        raise _refused(
            "stopping.spending", f"one of {', '.join(SPENDING)}", repr(stopping.spending)[:80],
            'Write spending = "obrien-fleming".',
        )  # fmt: skip
    if any(b <= a for a, b in itertools.pairwise(looks)):
        kept = sorted(set(looks))
        raise _refused("stopping.looks", "strictly increasing numbers", found, f"Write looks = {kept[:12]}.")
    if looks[0] < FIRST_LOOK:
        raise _refused(
            "stopping.looks", f"at least {FIRST_LOOK} cells: one has no spread", found, f"Begin at {FIRST_LOOK}."
        )
    if looks[-1] != cells:
        kept = [n for n in looks if n < cells]
        word = "beyond the cells there are" if looks[-1] > cells else "and cells that no look would use"
        raise _refused(
            "stopping.looks", f"a last look at all {cells:,} cells", f"{found}, {word}",
            f"Write looks = {[*kept[:12], cells]}.",
        )  # fmt: skip
    if len(looks) > MOST_LOOKS:
        raise _refused("stopping.looks", f"at most {MOST_LOOKS}", f"{len(looks)}", "Look less often, or use e_value.")


def _check_support(support: Support | None, value: float | None) -> None:
    if support is None or not all(math.isfinite(end) for end in support) or not support[0] < support[1]:
        raise _refused(
            "support", "[low, high], both finite, where the rule is e_value",
            "none" if support is None else f"[{support[0]:g}, {support[1]:g}]",
            "Declare the interval that every reading must lie in, or use group_sequential.",
        )  # fmt: skip
    if value is not None and not support[0] < value < support[1]:
        raise _refused(
            "claim.value", f"a number inside the support ({support[0]:g}, {support[1]:g})", f"{value:g}",
            'A mean cannot lie beyond it; correct the value, or write rule = "fixed_n".',
        )  # fmt: skip


def _check_loss(stopping: Stopping, value: float | None) -> None:
    mean, sd, _, loss = loss_of(stopping)
    before = math.inf if value is None else expected_shortfall(Gaussian(mean, sd), value)
    if before <= loss:
        raise _refused(
            "stopping.loss", f"below {before:.4g}, the expected loss under the prior", f"{loss:g}",
            "Write a smaller loss or a wider prior: this one decides before any cell is read.",
        )  # fmt: skip


def _number(field: str, text: str | None, low: float, high: float, fix: str = "") -> float:
    number = float(text) if text is not None and _DECIMAL.fullmatch(text) else math.nan
    if not low <= number <= high:
        shown = "1" if high < 1.0 else f"{high:g}"
        expected = f'a decimal string such as "0.05", from {low:g} to {"below " if high < 1.0 else ""}{shown}'
        raise _refused(field, expected, repr(text)[:80], fix or f"Correct {field}.")
    return number


def _refused(field: str, expected: str, found: str, fix: str) -> TollensError:
    return TollensError(
        "stopping_field", field, expected=expected, found=found, fix=fix, exit_code=Exit.REFUSED_TO_SEAL
    )
