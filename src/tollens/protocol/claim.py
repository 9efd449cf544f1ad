"""A claim about the layers of a checkpoint, judged on what a scan measured of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fractions import Fraction
from typing import Any, get_args

from tollens.core.errors import TollensError
from tollens.core.expression.answer import Witness, as_float
from tollens.core.expression.check import Declared, Sort, atoms, lone_name, names
from tollens.core.expression.evaluate import declarations, evaluate
from tollens.core.expression.parser import parse
from tollens.core.expression.ranges import ANYTHING, Entry, Support
from tollens.core.expression.syntax import Op, Quantified
from tollens.core.reading import Undefined
from tollens.core.units import parse_unit
from tollens.protocol.answer import ClaimAnswer, ClaimWitness, UndeterminedValue
from tollens.subject.family import Kind

WORDS: Mapping[str, frozenset[str]] = {
    "role": frozenset(get_args(Kind)) | {"linear", "expert", "lora", "delta"},
    "band": frozenset({"over-trained", "usual", "under-trained"}),
    "status": frozenset({"OK", "UNDEFINED", "SKIPPED", "FAILED"}),
}
"""The names a field may be compared with; a slip of the pen must not read as a name that no layer has."""

WORD_FIELDS = frozenset({*WORDS, "view", "source_dtype", "precision"})

NO_VALUE = frozenset({"zero_matrix", "no_variance", "no_spread", "rank_one", "nonfinite", "empty_tensor"})
"""Reasons for which no value exists. A dead or damaged layer must not pass a claim on what its value would be
bound to, so these leave the support open; a value that exists and was not measured keeps its bounds."""

_FROM_ZERO = frozenset(
    {
        "lambda_max",
        "lambda_min_visible",
        "blind_floor",
        "fro2",
        "spectral2",
        "xmin",
        "sigma",
        "mp_sigma2",
        "mp_edge",
        "tw_edge",
    }
)
_SHARES = frozenset({"D", "p_gof", "trap_removed_share", "trap_clustering_p"})
_RANKS = frozenset({"stable_rank", "entropy_rank", "participation_rank"})
_COUNTS_TO_M = frozenset(
    {
        "n_tail",
        "numerical_rank",
        "n_outliers",
        "erg_count",
        "traps_all",
        "traps_mean",
        "traps_entry",
        "traps_residual",
    }
)


_OF_THE_LAW = frozenset(
    {
        "alpha",
        "alpha_interval",
        "sigma",
        "xmin",
        "n_tail",
        "D",
        "alpha_hat",
        "log10_alpha_norm",
        "p_gof",
        "band",
    }
)


def claim_names(text: str, units: Mapping[str, str]) -> frozenset[str]:
    """The quantities that a claim speaks of, checked against those that can be measured.

    Raises TollensError where `text` is no claim, and `claim_unknown_name` for a quantity not in `units`.
    """
    named: set[str] = set()
    for atom in atoms(parse(text)):
        sides = [atom.right] if isinstance(atom, Quantified) else [atom.left, atom.right]
        here = {term.atom.name for side in sides for term in side.terms if term.atom is not None}
        subject = atom.name if isinstance(atom, Quantified) else lone_name(atom.left)
        if atom.op in (Op.EQ, Op.NE) and subject in WORD_FIELDS:
            here.discard(lone_name(atom.right) or "")
        named |= here | ({atom.name} if isinstance(atom, Quantified) else set())
    known = {*units, *WORD_FIELDS}
    for name in sorted(named - known):
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        raise TollensError(
            "claim_unknown_name",
            "claim",
            expected="the name of a measured quantity",
            found=f"`{name}`, which is not one",
            fix=f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(sorted(known))}.",
        )
    return frozenset(named)


def needs_power_law(named: Iterable[str]) -> bool:
    """True if one of the quantities that a claim names has a meaning only where the tail is a power law."""
    return any(name in _OF_THE_LAW or name.startswith("alpha_interval_") for name in named)


def judge_claim(text: str, layers: Sequence[Mapping[str, Any]], units: Mapping[str, str]) -> ClaimAnswer:
    """The verdict on the claim `text` over `layers`, which hold the fields of tollens.scan/1.

    A field is a list with one value for each layer: numbers and names as they are, per-shuffle lists as their
    medians, a structure such as `alpha_interval` as `alpha_interval_low` and so on. A value that a layer
    lacks is undefined with the layer's reason, and ranges over what the quantity can be for its shape.
    `units` gives the unit of each quantity, 1 where it says nothing.

    Raises TollensError where `text` is no claim or does not fit the quantities.
    """
    rule = parse(text)
    rows = [fields_of(layer) for layer in layers]
    known = dict.fromkeys([*units, *WORD_FIELDS, *(name for row in rows for name in row)])
    known |= dict.fromkeys(name for layer in layers for name in layer.get("undefined", {}))
    mentioned = [name for name in names(rule) if name in known]
    pairs = list(zip(layers, rows, strict=True))
    readings = {name: [_entry(name, layer, row) for layer, row in pairs] for name in mentioned}
    parsed = {name: parse_unit(units.get(name) or units.get(_parent(name, units), "1")) for name in mentioned}
    # What the claim does not mention is declared all the same: near misses are sought among all names.
    declared = dict.fromkeys(known, Declared(listed=True)) | declarations(readings, parsed, WORDS)
    for name in mentioned:
        if any(isinstance(row.get(name), _Median) for row in rows):
            declared[name] = replace(declared[name], sort=Sort.INTEGER)
    answer = evaluate(rule, readings, declared)
    witness = None
    if answer.witness is not None:
        sort = declared[answer.witness.name].sort if answer.witness.name else Sort.REAL
        witness = _witness(answer.witness, sort)
    undetermined = [UndeterminedValue(m.label, m.name, m.reason) for m in answer.undetermined]
    return ClaimAnswer(text, answer.verdict, answer.expected, answer.found, witness, undetermined, answer.reason)


class _Median(float):
    """The median of a list of integers: exact, a multiple of one half, and comparable by ==."""


def fields_of(layer: Mapping[str, Any]) -> dict[str, int | float | str]:
    """What a layer offers to claims, by name."""
    row: dict[str, int | float | str] = {}
    for name, value in layer.items():
        if name in ("name", "tensor", "sentence", "undefined"):
            continue
        if isinstance(value, Mapping):
            for part, inner in value.items():
                if _is_number(inner):
                    row[f"{name}_{part}"] = inner
        elif isinstance(value, list):
            if value and all(_is_number(v) for v in value):
                middle = statistics.median(value)
                whole = all(isinstance(v, int) for v in value)
                row[name] = (int(middle) if middle == int(middle) else _Median(middle)) if whole else middle
        elif isinstance(value, str) or _is_number(value):
            row[name] = value
    return row


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _entry(name: str, layer: Mapping[str, Any], row: Mapping[str, int | float | str]) -> Entry:
    label = str(layer["name"])
    if name in row:
        return Entry(label, row[name])
    reason = _reason(name, layer)
    return Entry(label, Undefined(reason), ANYTHING if reason in NO_VALUE else support_of(name, layer))


def _reason(name: str, layer: Mapping[str, Any]) -> str:
    undefined: Mapping[str, str] = layer.get("undefined", {})
    reason = undefined.get(name) or undefined.get(_parent(name, undefined))
    if reason is None and layer.get("status", "OK") != "OK":
        reason = next(iter(undefined.values()), None)
    return reason or "absent"


def _parent(name: str, fields: Iterable[str]) -> str:
    """The longest field that `name` extends: alpha_interval for alpha_interval_low."""
    return max((field for field in fields if name.startswith(f"{field}_")), key=len, default="")


def support_of(quantity: str, layer: Mapping[str, Any]) -> Support:
    """What `quantity` can be for a matrix of the layer's shape, whatever its elements.

    Ranks of a non-zero matrix lie in [1, M]: each is M for equal eigenvalues and 1 for a single one. The
    likelihood estimate of a tail exponent is 1 + m / sum of non-negative logarithms, hence above 1.
    """
    M = layer.get("M")
    if isinstance(M, int) and M >= 1:
        if quantity in _RANKS:
            return Support(1.0, float(M))
        if quantity in _COUNTS_TO_M:
            return Support(0.0, float(M))
        if quantity == "erg_gap":
            return Support(-float(M), float(M))
    if quantity in _FROM_ZERO:
        return Support(low=0.0)
    if quantity in _SHARES:
        return Support(0.0, 1.0)
    return Support(low=1.0) if quantity == "alpha" else ANYTHING


def _witness(witness: Witness, sort: Sort) -> ClaimWitness:
    def plain(value: Fraction | str) -> int | float | str:
        if isinstance(value, str):
            return value
        return value.numerator if sort is Sort.INTEGER and value.denominator == 1 else as_float(value)

    margin = None if witness.margin is None else plain(witness.margin)
    assert not isinstance(margin, str)
    return ClaimWitness(
        witness.label,
        witness.quantity,
        plain(witness.value),
        str(witness.unit),
        str(witness.relation),
        plain(witness.threshold),
        margin,
        witness.certain,
    )
