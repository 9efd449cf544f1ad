"""`claim.toml`: what a person writes down before anything is run, as typed tables.

Decimals that matter are strings, so that what is sealed is what was written. A key that nobody reads would be a
promise nobody keeps, so every table refuses unknown ones.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import msgspec

from tollens.core.canonical import SAFE
from tollens.core.errors import Exit, TollensError

FILE = "claim.toml"
ALL = "all"
NONE = "none"
Relation: TypeAlias = Literal["<", "<=", ">", ">=", "within"]
Direction: TypeAlias = Literal["higher_is_better", "lower_is_better", "target"]
Must: TypeAlias = Literal["die", "survive"]
_PLACEHOLDER = re.compile(r"^\s*$|^\s*<[^<>]*>\s*$|\b(?:TODO|FIXME|TBD|XXX|REPLACE|FILL[ _-]?IN)\b|\.\.\.|…|\?\?\?")
_ANGLED = re.compile(r"<[^<>]*>")
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)
_DECIMAL = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)
MOST_DRAWS = 100_000
OWN_FILES = frozenset(
    {
        "seal.json",
        "seal.tsr",
        "ledger.jsonl",
        "ledger.torn",
        "decision.json",
        "trap_results.json",
        ".gitattributes",
        "postmortem.toml",
        "postmortem.md",
    }
)


class Values(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finite support: the values that a reading can take."""

    values: list[float]


class Quantity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a reading of the metric is: its unit, what it can be, and whether it counts."""

    unit: str = "1"
    support: list[float] | Values
    integer: bool = False


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The typed claim. `text` is for people: sealed, never parsed.

    aggregate  one of mean, min, max, quantile(p), all, any, then "over" and every axis of the metric
    value      decimal string in `unit`; `within` also needs `tolerance`
    support    [low, high], or { values = [...] }
    """

    id: str
    text: str
    quantity: str
    subject: str
    reference: str = NONE
    aggregate: str
    relation: Relation
    value: str
    tolerance: str | None = None
    unit: str
    direction: Direction
    support: list[float] | Values
    integer: bool = False


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`finding`: the claim survives; `kill`: it dies; neither: it is undetermined."""

    finding: str
    kill: str


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where readings come from: a file of Python functions, or an instrument on a checkpoint.

    `axes` gives each axis its length, or the names of its places; `seed` is always one, as long as `seeds`.
    """

    file: str | None = None
    instrument: str | None = None
    checkpoint: str | None = None
    layers: str | None = None
    seeds: list[int]
    axes: dict[str, int | list[str]]


class Null(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What chance alone would reach: `draws` arms of `generator`, their `order` statistic, at `level`.

    `margin` is by how much ("0.5") or how many times ("1.5x") the claim must beat it; the second only where
    `true_zero` says that zero of the quantity means none at all.
    """

    generator: str
    draws: int
    order: str
    level: str
    statistic: str
    budget: Literal["equal"] = "equal"
    margin: str | None = None
    true_zero: bool = False


class Trap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A control whose fate is known: `arm` must die or survive, on one rung or on every one."""

    arm: str
    must: Must
    rung: str | None = None


class KillProbability(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How likely a false claim dies here, in (0, 1]; `source` is "prior" or "history k/n"."""

    value: float
    source: str = "prior"


class Cost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money of one request, in millionths of a US dollar."""

    usd_micro: int = 0


class Rung(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One attack.

    est_cost, est_seconds  of one request; without `est_seconds` the kind of rung estimates it
    cells                  "all", or labels such as "seed=1"; a rung of some cells can kill and not confirm
    hardest                labels that go first; without them the cells go in the sealed order
    traps                  arms of [[trap]] tables that this rung runs; without it all those not bound elsewhere
    numbers                arithmetic: a table of reported numbers in the form of `tollens lint`
    seconds, mebibytes     limits of one request
    settings               what a plugged-in kind of rung reads
    """

    id: str
    kind: str
    requires: list[str] = []
    est_cost: Cost = Cost()
    est_seconds: float | None = None
    kill_probability: KillProbability
    cells: Literal["all"] | list[str] = "all"
    hardest: list[str] = []
    traps: list[str] | None = None
    numbers: str | None = None
    seconds: float = 600.0
    mebibytes: int = 4096
    settings: dict[str, Any] = {}


class Reducer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The order of reduction, innermost first."""

    order: list[str]


class SignCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Decimal strings: what counts as a difference, what the no-op arm reads, and how exactly.

    `attempts` names inputs of shape (items, attempts), `reducer` says how attempts become one; `labels` gives arms a
    name to be shown under.
    """

    margin: str
    null_value: str
    tolerance: str
    attempts: list[str] = []
    reducer: str = "mean"
    labels: dict[str, str] = {}


class Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files that the metric reads, relative to the study folder."""

    files: list[str] = []


Attribute: TypeAlias = bool | int | str | list[str]


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lifts a constraint of the laboratory: a decided study beside this one, or a result file that was imported.

    study     path of its folder, relative to this one
    imported  SHA-256 of the source of an `import` record of this ledger
    """

    constraint: str
    study: str | None = None
    imported: str | None = None


class Study(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of claim.toml.

    proposal  attributes that the constraints of a laboratory are about: touches, calibration, base, metrics, batch,
              hardware, and others by name; what is not declared counts as triggering
    """

    claim: Claim
    rules: Rules
    metric: Metric
    null: Null
    trap: list[Trap] = []
    rung: list[Rung]
    stopping: dict[str, Any]
    reducer: Reducer
    sign_check: SignCheck | None = None
    data: Data = Data()
    readings: dict[str, Quantity] = {}
    proposal: dict[str, Attribute] = {}
    evidence: list[Evidence] = []


def read_study(text: str) -> Study:
    """The typed tables of a claim.toml.

    Raises TollensError: `study_syntax` (not TOML), `study_missing` (required fields, all of them by name),
    `study_field` (a value of the wrong kind, or a key that nobody reads), `study_placeholder`; exit 3.
    """
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also of an integer of thousands of digits
        raise refused("study_syntax", FILE, "a TOML file", str(error)[:200], "Mend the line named.") from None
    for name, number in _numbers(tree):
        if isinstance(number, int) and abs(number) > SAFE:
            raise refused(
                "study_field", name, "an integer of at most 2^53 - 1, which every reader keeps",
                f"one of {number.bit_length()} bits", "Write a smaller one.",
            )  # fmt: skip
    absent = [*_absent(tree)]
    if absent:
        raise refused("study_missing", ", ".join(absent), "a value", "nothing", f"Write {absent[0]} in {FILE}.")
    unfilled = [(name, value) for name, value in _strings(tree) if _placeholder(name, value)]
    if unfilled:
        raise refused(
            "study_placeholder", ", ".join(name for name, _ in unfilled), "what you claim", repr(unfilled[0][1][:60]),
            f"Replace the placeholders in {FILE}.",
        )  # fmt: skip
    for name, number in _numbers(tree):
        if isinstance(number, float) and not math.isfinite(number) and not name.split("[")[0].endswith("support"):
            raise refused("study_field", name, "a finite number", repr(number), f"Correct {name}.")
    try:
        study = msgspec.convert(tree, Study)
    except (msgspec.ValidationError, RecursionError) as error:
        message, _, where = str(error).partition(" - at ")
        raise refused(
            "study_field", where.strip("`").removeprefix("$.") or FILE, "a field of the format", message,
            "Correct the field; docs/reference/study.md lists them.",
        ) from None  # fmt: skip
    _check(study)
    return study


def refused(code: str, subject: str, expected: str, found: str, fix: str) -> TollensError:
    """A refusal to seal: exit 3."""
    return TollensError(code, subject, expected=expected, found=found, fix=fix, exit_code=Exit.REFUSED_TO_SEAL)


@contextmanager
def refusing() -> Iterator[None]:
    """Bad input that is met while a study is sealed refuses the seal: exit 3 in place of 2."""
    try:
        yield
    except TollensError as error:
        if error.exit_code is not Exit.BAD_INPUT:
            raise
        raise refused(error.code, error.subject, error.expected, error.found, error.fix) from None


def plain(study: Study) -> dict[str, Any]:
    """The tables as JSON has them, defaults filled in; an infinite bound is the text "inf" or "-inf"."""
    made: dict[str, Any] = _finite(msgspec.to_builtins(study))
    return made


def _finite(value: Any) -> Any:
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value


def from_plain(tree: Mapping[str, Any]) -> Study:
    """The inverse of `plain`."""

    def bound(value: Any) -> Any:
        return [float(v) if v in ("inf", "-inf") else v for v in value] if isinstance(value, list) else value

    claim = {**tree["claim"], "support": bound(tree["claim"]["support"])}
    readings = {
        name: {**quantity, "support": bound(quantity["support"])} for name, quantity in tree["readings"].items()
    }
    return msgspec.convert({**tree, "claim": claim, "readings": readings}, Study)


def _absent(tree: Mapping[str, Any]) -> Iterator[str]:
    """Every required field that is not there, as `table.field`."""
    for table in msgspec.structs.fields(Study):
        found = tree.get(table.encode_name)
        if found is None or found == []:
            if table.required:
                yield f"[[{table.encode_name}]]" if table.encode_name == "rung" else f"[{table.encode_name}]"
            continue
        for place, row in enumerate(found if isinstance(found, list) else [found]):
            kind = _ROWS.get(table.encode_name)
            if kind is None or not isinstance(row, Mapping):
                continue
            where = f"{table.encode_name}[{place}]" if isinstance(found, list) else table.encode_name
            for field in msgspec.structs.fields(kind):
                if field.required and field.encode_name not in row:
                    yield f"{where}.{field.encode_name}"


_ROWS: Mapping[str, type[msgspec.Struct]] = {
    "claim": Claim, "rules": Rules, "metric": Metric, "null": Null, "trap": Trap, "rung": Rung, "reducer": Reducer,
    "sign_check": SignCheck, "data": Data, "evidence": Evidence,
}  # fmt: skip


def _strings(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _strings(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _strings(inner, f"{where}[{place}]")


def _placeholder(name: str, value: str) -> bool:
    """Whether a text was left as a template has it; in a rule < and > compare."""
    compares = name.startswith("rules.") and name != "rules"
    return bool(_PLACEHOLDER.search(value) or (not compares and _ANGLED.search(value)))


def placeholder(reason: str) -> bool:
    """Whether a sentence says nothing: empty, or as a template has it."""
    return _placeholder("reason", reason)


def _numbers(value: Any, where: str = "") -> Iterator[tuple[str, int | float]]:
    if isinstance(value, int | float):
        yield where, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _numbers(inner, f"{where}[{place}]")


def _check(study: Study) -> None:
    """What holds of one field, or of two beside each other; what needs the rules is checked by the registration."""
    claim, metric = study.claim, study.metric
    if not _SLUG.fullmatch(claim.id):
        raise refused(
            "study_field", "claim.id", "lower-case letters, digits, '.', '_' and '-', at most 64", repr(claim.id[:70]),
            f'Write id = "{re.sub(r"[^a-z0-9]+", "-", claim.id.lower())[:60].strip("-") or "my-claim"}".',
        )  # fmt: skip
    decimals = {"claim.value": claim.value, "claim.tolerance": claim.tolerance, "null.level": study.null.level}
    if study.sign_check is not None:
        table = study.sign_check
        decimals |= {f"sign_check.{n}": getattr(table, n) for n in ("margin", "null_value", "tolerance")}
    for name, value in decimals.items():
        if value is not None and not _DECIMAL.fullmatch(value):
            raise refused("study_field", name, 'a decimal string such as "-0.5"', repr(value[:60]), f"Correct {name}.")
    if (claim.relation == "within") != (claim.tolerance is not None):
        raise refused(
            "study_field", "claim.tolerance", "a tolerance exactly where the relation is within",
            f"relation {claim.relation}, tolerance {claim.tolerance}", "Add or remove claim.tolerance.",
        )  # fmt: skip
    if (metric.file is None) == (metric.instrument is None):
        raise refused(
            "study_field", "metric", "a file or an instrument", "both" if metric.file else "neither",
            'Write file = "metric.py", or instrument = "norms" with a checkpoint.',
        )  # fmt: skip
    if (metric.instrument is None) != (metric.checkpoint is None):
        raise refused(
            "study_field", "metric.checkpoint", "a checkpoint exactly where there is an instrument",
            repr(metric.checkpoint), "Name the file of weights in metric.checkpoint.",
        )  # fmt: skip
    if metric.file is not None and study.sign_check is None:
        raise refused("study_missing", "[sign_check]", "a table", "nothing", "Say margin, null_value and tolerance.")
    if not metric.seeds or len(set(metric.seeds)) != len(metric.seeds) or min(metric.seeds) < 0:
        raise refused("study_field", "metric.seeds", "distinct integers from 0", str(metric.seeds), "List each once.")
    if not 1 <= study.null.draws <= MOST_DRAWS:
        raise refused("study_field", "null.draws", f"1 to {MOST_DRAWS:,}", f"{study.null.draws:,}", "Draw fewer.")
    for path in study.data.files:
        if path in OWN_FILES:
            raise refused("study_field", "data.files", "files that the metric reads", f"{path}, which Tollens writes",
                          "Leave it out.")  # fmt: skip
    if not study.rung:
        raise refused("study_missing", "[[rung]]", "at least one rung", "none", "Add a [[rung]] table.")
    for place, rung in enumerate(study.rung):
        if [other.id for other in study.rung].index(rung.id) != place:
            raise refused("study_field", f"rung[{place}].id", "a name of its own", repr(rung.id), "Rename one rung.")
        if not 0 < rung.kill_probability.value <= 1:
            raise refused(
                "study_field", f"rung[{place}].kill_probability.value", "a number in (0, 1]",
                repr(rung.kill_probability.value), "Give what you would bet; 0.5 if you do not know.",
            )  # fmt: skip
        limits: dict[str, tuple[float, float, float]] = {
            "est_cost.usd_micro": (rung.est_cost.usd_micro, 0, 10**12),
            "est_seconds": (rung.est_seconds or 0.0, 0, 10**9),
            "seconds": (rung.seconds, 1e-3, 10**7),
            "mebibytes": (rung.mebibytes, 1, 2**24),
        }
        for field, (number, low, high) in limits.items():
            if not low <= number <= high:
                raise refused(
                    "study_field", f"rung[{place}].{field}", f"a number from {low:g} to {high:g}", f"{number:g}",
                    "Correct the rung.",
                )  # fmt: skip
