"""Instruments, invariants, statistics and rungs from other packages: one entry-point group, and none can end a scan."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import msgspec

from tollens.core.errors import TollensError
from tollens.core.reading import Reading, Status
from tollens.instrument.part import Part
from tollens.instrument.registry import INSTRUMENTS, Instrument, Tier
from tollens.run.result import LayerReport

GROUP = "tollens.plugins"
OURS = ("tollens.instrument", "tollens.lint.invariants", "tollens.stats", "tollens.run.rungs")
T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)  # what a claim can say


class PluginReport(msgspec.Struct, frozen=True):
    """What became of one entry point: what it brought to each registry, or why it was skipped."""

    name: str
    module: str
    instruments: tuple[str, ...] = ()
    invariants: tuple[str, ...] = ()
    statistics: tuple[str, ...] = ()
    rungs: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Raised:
    """What foreign code raised, as "Type: message"."""

    text: str


def load_plugins(points: Iterable[EntryPoint] | None = None) -> list[PluginReport]:
    """Import each entry point of the group once, in order of name; its import registers what it brings.

    None takes what is installed. A plugin that cannot be imported, that names anything a second time, whose
    quantities no claim could speak of, or whose invariant cannot fire, is reported with its error, and what it
    had registered by then is taken back.
    """
    found = entry_points(group=GROUP) if points is None else points
    unique = sorted({(p.name, p.value): p for p in found}.items())  # a path listed twice lists its plugins twice
    if unique:
        import_ours()  # which take their names first
    reports: list[PluginReport] = []
    for (name, module), point in unique:
        before = next((r for r in reports if r.name == name or _root(r.module) == _root(module)), None)
        if before is not None:
            error = f"ValueError: plugin {before.name} of module {before.module} stands before it"
            reports.append(PluginReport(name, module, error=error))
        else:
            reports.append(_loaded(point))
    return reports


@lru_cache(maxsize=1)
def installed() -> tuple[PluginReport, ...]:
    """`load_plugins` of this process, done when it is first needed: a worker does it for itself."""
    return tuple(load_plugins())


def plugged_in() -> list[Instrument]:
    """The installed instruments that need no more than weights, in order of plugin and name."""
    made = [INSTRUMENTS[name] for report in installed() for name in report.instruments]
    return [i for i in made if i.tier <= Tier.WEIGHTS]


def plugged_quantities() -> frozenset[str]:
    """Every quantity that a plugged-in instrument declares."""
    return frozenset(quantity for made in plugged_in() for quantity in made.quantities)


def plugin_readings(part: Part, seed: int, refused: frozenset[str] = frozenset()) -> Iterator[Reading]:
    """The readings of every plugged-in instrument for one matrix; FAILED `plugin_failed` where it raised.

    One that is `refused` is FAILED `answers_fail`. An instrument that needs the tail of a matrix without one is
    UNDEFINED `no_tail`. The eigenvalues are made read-only first: they are shared with everything that is reported.
    """
    if part.spectrum is not None:
        part.spectrum.eigenvalues.setflags(write=False)
    for made in plugged_in():
        if made.name in refused:
            yield from made.skipped(part.name, "answers_fail", Status.FAILED)
            continue
        if missing(made, part):
            yield from made.skipped(part.name, "no_tail", Status.UNDEFINED)
            continue
        found = attempt(partial(_measured, made, part, seed))
        if isinstance(found, Raised):
            yield from made.skipped(part.name, "plugin_failed", Status.FAILED)
        else:
            yield from found


def _measured(made: Instrument, part: Part, seed: int) -> list[Reading]:
    return [plain(r) for r in made.measure(part, seed=seed)]


def missing(made: Instrument, part: Part) -> list[str]:
    """The fields of the part that the instrument needs and that are not there."""
    return [field for field in made.needs if getattr(part, field, None) is None]


def plain(found: Reading) -> Reading:
    """The reading with its value as JSON has it. Raises: ValueError or TypeError for what JSON cannot hold."""
    value = msgspec.json.decode(msgspec.json.encode(found.value))
    if found.status is Status.OK and not _same(value, found.value):
        raise ValueError(f"{found.quantity}: {found.value!r} is no finite plain value")
    return msgspec.structs.replace(found, value=value)


def attempt(call: Callable[[], T]) -> T | Raised:
    """What `call()` returns, or what it raised.

    The one place where anything is caught: code that is not ours may raise whatever it likes, and even
    leave, without taking a scan of hours along.
    """
    try:
        return call()
    except (Exception, SystemExit) as error:  # noqa: BLE001
        return Raised(f"{type(error).__name__}: {error}")


def _same(value: Any, other: Any) -> bool:
    """Whether a JSON round trip kept everything; NaN and infinities come back as None."""
    if isinstance(value, list) and isinstance(other, list | tuple):
        return len(value) == len(other) and all(map(_same, value, other))
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(_same(v, other[k]) for k, v in value.items())
    return bool(value == other)


def _loaded(point: EntryPoint) -> PluginReport:
    before, root = [dict(registry) for registry in _registries()], _root(point.value)
    loaded = attempt(point.load)
    # What somebody imported before is registered already, and known by its module.
    brought = [
        sorted(n for n, made in registry.items() if n not in known or _from(made, root))
        for registry, known in zip(_registries(), before, strict=True)
    ]
    faults = [loaded.text] if isinstance(loaded, Raised) else [f for n in brought[0] for f in _faults(INSTRUMENTS[n])]
    if not faults:
        instruments, invariants, statistics, rungs = map(tuple, brought)
        return PluginReport(point.name, point.value, instruments, invariants, statistics, rungs)
    for registry, names in zip(_registries(), brought, strict=True):
        for name in names:
            del registry[name]
    return PluginReport(point.name, point.value, error=faults[0])


def _registries() -> tuple[dict[str, Any], ...]:
    """Instruments, invariants, statistics, rungs, in the order of a report."""
    from tollens.lint.registry import INVARIANTS  # only a process that has plugins pays for these
    from tollens.protocol.rung import RUNGS
    from tollens.stats.registry import STATISTICS

    return INSTRUMENTS, INVARIANTS, STATISTICS, RUNGS


@lru_cache(maxsize=1)
def import_ours() -> None:
    """Import every module of ours that may register something; a list by hand would forget the next one."""
    import_module("tollens.run.layer")
    for package in map(import_module, OURS):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            import_module(module.name)


def _root(module: str) -> str:
    return module.partition(":")[0].strip()


def _from(made: Any, root: str) -> bool:
    module: str = (made.function if hasattr(made, "function") else made.open).__module__
    return module == root or module.startswith(f"{root}.")


def _faults(made: Instrument) -> Iterator[str]:
    """Why the quantities of a new instrument cannot stand beside those that are known."""
    from tollens.core.expression.lexer import KEYWORDS, RESERVED  # costs 0.004 s, and few have a plugin
    from tollens.core.units import parse_unit

    owners = dict.fromkeys(LayerReport.__struct_fields__, "tollens")
    owners |= {q: other.name for other in INSTRUMENTS.values() if other is not made for q in other.quantities}
    for quantity, unit in made.quantities.items():
        if quantity in owners:
            yield f"ValueError: {made.name} measures {quantity!r}, which {owners[quantity]} has already"
        if not _NAME.fullmatch(quantity) or quantity in KEYWORDS | RESERVED:
            yield f"ValueError: {made.name} measures {quantity!r}, which no claim can name"
        try:
            parse_unit(unit)
        except TollensError as error:
            yield f"ValueError: {made.name} gives {quantity!r} in {unit!r}: {error}"
