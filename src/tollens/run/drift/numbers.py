"""Tagged numbers of a claim against what its verdict would be printed as: D08 to D10.

One number has one code, the first that holds:
D08  it was written from a verdict that is not the present one
D10  right number, wrong unit or rounding: it agrees after a conversion of units or a factor of 100 or 1000, or its
     digits agree and its unit is another, or it was cut where it ought to be rounded
D08  its digits are not those that would be written now, whether the tool wrote them once or a hand did
D09  a hand typed it: the digits are right and nothing says which verdict they are from
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

import msgspec

from tollens.core.errors import TollensError
from tollens.lint.number import Number
from tollens.lint.readers.paper import Paper, Printed
from tollens.lint.unit import parse_unit
from tollens.protocol.decision import Decision
from tollens.protocol.published import FIELDS, published
from tollens.run.drift.finding import Drifted
from tollens.run.drift.repository import Repository, StudyFolder, named

SHORT = 12
"""Hexadecimal digits of the hash of a verdict record that `from` holds."""
WIDE = Context(prec=2000, rounding=ROUND_HALF_EVEN)
"""Holds every float with the decimals and the power that a text can print."""
FACTORS = (Fraction(100), Fraction(1, 100), Fraction(1000), Fraction(1, 1000))


def fix_command(repository: Repository) -> str:
    """What writes the numbers anew, as it is typed where the check was started."""
    return f"tollens drift{named(repository.root)} --fix"


def stale_numbers(repository: Repository) -> Iterator[Drifted]:
    """D08."""
    return _coded(repository, "D08")


def typed_numbers(repository: Repository) -> Iterator[Drifted]:
    """D09."""
    return _coded(repository, "D09")


def misprinted_numbers(repository: Repository) -> Iterator[Drifted]:
    """D10."""
    return _coded(repository, "D10")


def _coded(repository: Repository, code: str) -> Iterator[Drifted]:
    for paper in repository.papers:
        for number in paper.numbers:
            found = judged(repository, paper, number)
            if found is not None and found.code == code:
                yield found


def judged(repository: Repository, paper: Paper, number: Printed) -> Drifted | None:
    """What is wrong with one tagged number; None for one that is right or that no decided study publishes."""
    study = repository.study_of(number.tagged.claim, number.source)
    if study is None or study.verdict is None:
        return None
    found = field_of(study, number)
    if found is None:
        return None
    value, unit = found
    code, what = verdict_on(number, value, unit, study.verdict.hash[:SHORT])
    if code is None:
        return None
    name = number.tagged.claim
    mend = fix_command(repository)
    if number.cell is not None and not unit_is_right(number, unit):
        mend = f"write {number.cell.column}:{unit} in its t:table, and that unit in the cell where one is printed"
    return Drifted(paper.path, number.line, code, name, f"{number.tagged.field}: {what}", mend)


def verdict_on(number: Printed, value: float, unit: str, source: str) -> tuple[str | None, str]:
    """(code, what is wrong) of a printed number that ought to be `value` in `unit`, from `source`; None for right."""
    printed = number.tagged.quantity.number
    said = number.tagged.quantity.unit
    here = f"{number.text}{'' if said in (None, '1') else f' {said}'}"
    due = f"{fitted(printed, value)}{'' if unit == '1' else f' {unit}'}"
    if number.source is not None and number.source != source:
        return "D08", f"{here} was written from {number.source[:SHORT]}, the verdict is now {source}: {due}"
    bounded = printed.mark in ("<", ">")
    if said is None or _same(said, unit):
        if _holds(printed, value):
            return (None, "") if number.source is not None else ("D09", f"{here} was typed by hand")
        if abs(printed.value - Decimal(value)) < printed.step and not printed.mark:
            return "D10", f"{here} is not rounded: {value!r} is {due}"
        if value and not bounded and any(_holds(printed, Fraction(value) * factor) for factor in FACTORS):
            return "D10", f"{here} in another unit: {due}"
        return "D08", f"{here} would be written {due}"
    ratio = _ratio(unit, said)
    if _holds(printed, value) or (ratio is not None and _holds(printed, Fraction(value) * ratio)):
        return "D10", f"{here} in another unit: {due}"
    return "D08", f"{here} would be written {due}"


def _holds(printed: Number, value: float | Fraction) -> bool:
    """Whether a value is printed like this, a half rounded either way."""
    return printed.range().low <= value <= printed.range().high


def digits_due(number: Printed, value: float, unit: str) -> str:
    """The digits that a number must have: its own where they are right as they stand, in whichever of two forms."""
    return number.digits_text if right(number, value, unit) else fitted(number.tagged.quantity.number, value)


def right(number: Printed, value: float, unit: str) -> bool:
    """Whether a number prints a value in its unit as it stands."""
    return unit_is_right(number, unit) and _holds(number.tagged.quantity.number, value)


def unit_is_right(number: Printed, unit: str) -> bool:
    """Whether a number names no unit, or this one."""
    said = number.tagged.quantity.unit
    return said is None or _same(said, unit)


def _same(said: str, unit: str) -> bool:
    return said == unit or _ratio(unit, said) == 1


def _ratio(unit: str, said: str) -> Fraction | None:
    """How many of `said` make one `unit`; None where they measure different things or one is no unit of reports."""
    try:
        return parse_unit(unit, "").ratio(parse_unit(said, ""))
    except TollensError:
        return None


def field_of(study: StudyFolder, number: Printed) -> tuple[float, str] | None:
    """(value, unit) of the field that a number is tagged as; None where the study publishes none of that name."""
    name = number.tagged.field
    if study.verdict is None or study.manifest is None or number.tagged.item is not None:
        return None
    if name not in FIELDS and name != study.tables["claim"]["quantity"]:
        return None
    decision = msgspec.convert(study.verdict.body["decision"], Decision)
    return published(decision, study.manifest.study).get(name)


def fitted(printed: Number, value: float) -> str:
    """The value with the decimals, the power and the grouping of a printed number."""
    text = printed.text.lstrip("~≈<>=≤≥ ").removeprefix("about ")
    digits, _, power = text.lower().partition("e")
    scaled = WIDE.scaleb(Decimal(repr(value)), -int(power.replace("−", "-")) if power else 0)
    places = len(digits.partition(".")[2])
    rounded = WIDE.quantize(scaled, WIDE.scaleb(Decimal(1), -places))
    if rounded == 0:
        rounded = abs(rounded)
    shown = f"{rounded:,f}" if "," in digits else f"{rounded:f}"
    if digits.startswith("+") and rounded > 0:
        shown = f"+{shown}"
    if "−" in digits:
        shown = shown.replace("-", "−")
    return shown + (f"e{power}" if power else "")
