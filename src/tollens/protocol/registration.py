"""A registration: the claim typed, its rules parsed, its cells listed. Everything that decides, and no value yet."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction

from tollens.core.errors import TollensError
from tollens.core.expression.check import Declared, Sort, check
from tollens.core.expression.domain import Domain, declared_of
from tollens.core.expression.linear import quantile_place
from tollens.core.expression.parser import parse
from tollens.core.expression.ranges import Support, exact
from tollens.core.expression.syntax import Rule
from tollens.core.units import COUNT, ONE, parse_unit
from tollens.protocol.study import ALL, Quantity, Study, Values, refused, refusing

SEED = "seed"
LAYER = "layer"
MOST_CELLS = 10_000
_AGGREGATE = re.compile(
    r"(mean|min|max|all|any|quantile\((?P<level>[0-9.]+)\)) over (?P<axes>[A-Za-z0-9_]+(?:, *[A-Za-z0-9_]+)*)"
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the product of the axes. `label` is what people and ledgers call it: "layer=fc1 seed=3"."""

    label: str
    axes: tuple[tuple[str, str | int], ...]
    seed: int


@dataclass(frozen=True, slots=True)
class Registration:
    """A study that can be read; `claim` is the rule that the typed claim stands for."""

    study: Study
    finding: Rule
    kill: Rule
    claim: Rule
    domains: Mapping[str, Domain]
    declared: Mapping[str, Declared]
    cells: tuple[Cell, ...]

    @property
    def quantity(self) -> str:
        return self.study.claim.quantity


def register(study: Study, layers: Sequence[str] | None = None, units: Mapping[str, str] | None = None) -> Registration:
    """Parse and type the rules of a study.

    `layers` are the names of the matrices of the checkpoint and `units` the units of what an instrument reads,
    where the metric is one. Raises TollensError, exit 3: `study_field` for axes, aggregate or reducer that do not
    fit together; and what `parse` and `check` raise for a rule that cannot be read.
    """
    claim = study.claim
    quantities = {
        claim.quantity: Quantity(unit=claim.unit, support=claim.support, integer=claim.integer),
        **study.readings,
    }
    cells = cells_of(study, layers)
    domains = {name: _domain(name, quantity, len(cells)) for name, quantity in quantities.items()}
    if units is not None:
        for name, domain in domains.items():
            if name not in units:
                near = get_close_matches(name, units, n=3, cutoff=0.5)
                raise refused(
                    "claim_unknown_name", name, "a quantity that an instrument reads", "another name",
                    f"Did you mean {' or '.join(near)}?" if near else "docs/reference/quantities.md lists them.",
                )  # fmt: skip
            if parse_unit(units[name]) != domain.unit:
                raise refused(
                    "claim_unit_mismatch", name, units[name], str(domain.unit), f'Write unit = "{units[name]}".'
                )
    declared = declared_of(domains)
    finding = _rule("rules.finding", study.rules.finding, declared)
    kill = _rule("rules.kill", study.rules.kill, declared)
    typed = _rule("the typed claim", typed_claim(study), declared)
    if study.null.statistic != claim.quantity:  # direction and value of the claim are those of its quantity
        raise refused(
            "study_field", "null.statistic", "the quantity of the claim", study.null.statistic,
            f'Write statistic = "{claim.quantity}".',
        )  # fmt: skip
    _check_rungs(study, cells)
    return Registration(study, finding, kill, typed, domains, declared, cells)


def _rule(field: str, text: str, declared: Mapping[str, Declared]) -> Rule:
    """A parsed and typed rule."""
    try:
        rule = parse(text)
        check(rule, declared)
    except TollensError as error:
        raise refused(error.code, f"{field}: {error.subject}", error.expected, error.found, error.fix) from None
    return rule


def typed_claim(study: Study) -> str:
    """The rule that aggregate, relation and value of the claim stand for: `min(accuracy_diff) >= -0.5 pp`."""
    claim = study.claim
    fold, level, _ = aggregate_of(study)

    def compared(relation: str, value: Decimal) -> str:
        unit = "" if parse_unit(claim.unit) in (ONE, COUNT) else f" {claim.unit}"
        if fold in ("all", "any"):
            return f"{fold}({claim.quantity} {relation} {value}{unit})"
        name = f"quantile({level}, {claim.quantity})" if fold == "quantile" else f"{fold}({claim.quantity})"
        return f"{name} {relation} {value}{unit}"

    value = Decimal(claim.value)
    if claim.tolerance is None:
        return compared(claim.relation, value)
    return f"{compared('>=', value - Decimal(claim.tolerance))} and {compared('<=', value + Decimal(claim.tolerance))}"


def aggregate_of(study: Study) -> tuple[str, str | None, tuple[str, ...]]:
    """(fold, level of a quantile, axes) of `claim.aggregate`. Raises TollensError `study_field`, exit 3."""
    claim = study.claim
    match = _AGGREGATE.fullmatch(claim.aggregate)
    if match is None:
        raise refused(
            "study_field", "claim.aggregate", "mean, min, max, quantile(p), all or any, then `over` and the axes",
            repr(claim.aggregate[:60]), 'Write aggregate = "min over seed".',
        )  # fmt: skip
    axes = tuple(re.split(", *", match["axes"]))
    if sorted(axes) != sorted(study.metric.axes):
        raise refused(
            "study_field", "claim.aggregate", f"every axis of the metric: {', '.join(study.metric.axes)}",
            ", ".join(axes), f'Write "{match[1]} over {", ".join(study.metric.axes)}".',
        )  # fmt: skip
    return match[1].partition("(")[0], match["level"], axes


def statistic(study: Study, values: Sequence[int | float]) -> float:
    """The values of all cells as the one number that is compared with the null.

    `all` and `any` stand for the cell that decides them: the worst and the best for the relation of the claim.
    """
    fold, level, _ = aggregate_of(study)
    found = sorted(exact(value) for value in values)
    if fold == "mean":
        return float(sum(found, Fraction(0)) / len(found))
    if fold == "quantile":
        assert level is not None
        return float(found[quantile_place(Fraction(level), len(found)) - 1])
    if fold in ("all", "any") and study.claim.relation == "within":
        found.sort(key=lambda value: abs(value - Fraction(study.claim.value)))
        return float(found[-1] if fold == "all" else found[0])
    smallest = fold == "min" or (fold in ("all", "any") and (fold == "all") == (study.claim.relation in (">", ">=")))
    return float(found[0] if smallest else found[-1])


def interval_of(registration: Registration) -> tuple[float, float] | None:
    """The closed interval of the claimed quantity; None where an end is infinite."""
    support = registration.domains[registration.quantity].support
    return None if math.isinf(support.low) or math.isinf(support.high) else (support.low, support.high)


def cells_of(study: Study, layers: Sequence[str] | None) -> tuple[Cell, ...]:
    """Every cell, in the sealed order: the axes as claim.toml lists them, the last one fastest."""
    metric = study.metric
    count = math.prod(max(0, size if isinstance(size, int) else len(size)) for size in metric.axes.values())
    if count > MOST_CELLS:
        raise refused("study_field", "metric.axes", f"at most {MOST_CELLS:,} cells", f"{count:,}", "Leave out an axis.")
    places: list[list[tuple[str, str | int]]] = []
    for axis, size in metric.axes.items():
        names: Sequence[str | int] = range(size) if isinstance(size, int) else size
        if axis == SEED:
            if list(names) != metric.seeds and len(names) != len(metric.seeds):
                raise refused(
                    "study_field", "metric.axes.seed", f"{len(metric.seeds)}, as many as there are seeds", str(size),
                    f"Write seed = {len(metric.seeds)}.",
                )  # fmt: skip
            names = metric.seeds
        elif axis == LAYER and layers is not None:
            fits = size == len(layers) if isinstance(size, int) else set(size) == set(layers)
            if not fits:
                raise refused(
                    "study_field", "metric.axes.layer", f"the {len(layers)} matrices of the checkpoint", str(size),
                    f"Write layer = {len(layers)}.",
                )  # fmt: skip
            names = layers if isinstance(size, int) else size
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", axis) or any(str(name).split() != [str(name)] for name in names):
            raise refused(
                "study_field", f"metric.axes.{axis}", "names without blanks", str(size)[:60], "Rename the place."
            )
        if not names or len(set(names)) != len(names):
            raise refused(
                "study_field", f"metric.axes.{axis}", "at least one place, each once", str(size), "Correct it."
            )
        places.append([(axis, name) for name in names])
    if SEED not in metric.axes or (layers is not None and LAYER not in metric.axes):
        axis = SEED if SEED not in metric.axes else LAYER
        raise refused("study_field", "metric.axes", f"an axis `{axis}`", "none", f"Add {axis} = 1 with its length.")
    left = [axis for axis in metric.axes if axis not in study.reducer.order]
    if left:
        raise refused(
            "study_field", "reducer.order", "the order in which every axis is reduced", f"no {', '.join(left)}",
            f"Add {left[0]!r} to reducer.order.",
        )  # fmt: skip
    cells = tuple(_cell(axes) for axes in itertools.product(*places))
    if len({cell.label for cell in cells}) != len(cells):
        raise refused("study_field", "metric.axes", "a label of its own for every cell", "one twice", "Rename a place.")
    return cells


def cell_keys(study: Study, rung: int, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The cells of a rung, the hardest first."""
    row = study.rung[rung]
    chosen = [cell for cell in cells if row.cells == ALL or cell.label in row.cells]
    return tuple(
        sorted(chosen, key=lambda c: row.hardest.index(c.label) if c.label in row.hardest else len(row.hardest))
    )


def _cell(axes: tuple[tuple[str, str | int], ...]) -> Cell:
    return Cell(" ".join(f"{axis}={place}" for axis, place in axes), axes, int(dict(axes)[SEED]))


def _domain(name: str, quantity: Quantity, count: int) -> Domain:
    with refusing():
        unit = parse_unit(quantity.unit)
    support = quantity.support
    if isinstance(support, Values):
        if not support.values:
            raise refused("study_field", f"support of {name}", "at least one value", "none", "List what it can be.")
        whole = quantity.integer or all(float(value).is_integer() for value in support.values)
        values = tuple(int(value) if whole else value for value in support.values)
        return Domain(Support(min(values), max(values), values), Sort.INTEGER if whole else Sort.REAL, count, unit)
    if len(support) != 2 or not support[0] <= support[1]:
        raise refused("study_field", f"support of {name}", "[low, high] with low <= high", str(support), "Correct it.")
    return Domain(Support(support[0], support[1]), Sort.INTEGER if quantity.integer else Sort.REAL, count, unit)


def _check_rungs(study: Study, cells: Sequence[Cell]) -> None:
    """Names in the tables of rungs and traps that stand for nothing are refused: nobody would notice them missing."""
    labels, ids = {cell.label for cell in cells}, {rung.id for rung in study.rung}
    for place, rung in enumerate(study.rung):
        listed = [] if rung.cells == ALL else [*rung.cells]
        for field, names, known in (
            ("cells", listed, labels),
            ("hardest", rung.hardest, labels),
            ("requires", rung.requires, ids),
            ("traps", rung.traps or [], {trap.arm for trap in study.trap}),
        ):
            unknown = [name for name in names if name not in known]
            if unknown:
                raise refused(
                    "study_field", f"rung[{place}].{field}", f"one of {', '.join(sorted(known)[:6]) or 'none'}",
                    repr(unknown[0]), f"Correct rung[{place}].{field}.",
                )  # fmt: skip
        if rung.cells != ALL and not rung.cells:
            raise refused("study_field", f"rung[{place}].cells", "at least one cell", "none", 'Write cells = "all".')
    for place, trap in enumerate(study.trap):
        if trap.arm == study.claim.subject:
            raise refused(
                "study_field", f"trap[{place}].arm", "a control whose fate is known", "the subject of the claim itself",
                "Name another arm.",
            )  # fmt: skip
        if any(other.arm == trap.arm and other.must != trap.must for other in study.trap):
            raise refused(
                "study_field", f"trap[{place}].must", "one fate for one arm", "both", "Remove one of the two."
            )
        if trap.rung is not None and trap.rung not in ids:
            raise refused("study_field", f"trap[{place}].rung", f"one of {', '.join(ids)}", trap.rung, "Correct it.")
