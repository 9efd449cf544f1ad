"""One conformance suite for every instrument, built in or plugged in; public as `tollens.testing`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from tollens.core.codes import CODES
from tollens.core.errors import TollensError
from tollens.core.reading import Cost, Reading, Status
from tollens.core.seeding import generator
from tollens.core.units import parse_unit
from tollens.instrument.part import Part
from tollens.instrument.registry import Instrument, KnownAnswer
from tollens.instrument.screen import moments_of
from tollens.instrument.spectrum import Precision
from tollens.instrument.tail import TailFit
from tollens.run.answers import measured
from tollens.run.layer import spectrum_and_fit
from tollens.run.plugins import Raised, attempt, missing, plain

Array: TypeAlias = NDArray[np.floating[Any]]
Change: TypeAlias = Callable[[Array, np.random.Generator], Array]

CLOSE = 1e-6  # relative; a change of order moves float64 eigenvalues by 1e-14, and what is fitted by somewhat more
SHAPES = ((8, 16), (64, 32), (1, 100), (4096, 11008))
INVARIANCES = ("scale", "transpose", "permutation", "rotation")


@dataclass(frozen=True, slots=True)
class Failure:
    """`check` failed for `instrument` on `subject` (a part or a quantity); `detail` says what was seen."""

    instrument: str
    check: str
    subject: str
    detail: str


def part_of(array: Array, name: str = "part", precision: Precision = "f64") -> Part:
    """A part of a finite (rows, cols) float array, with spectrum, tail and moments filled as a scan does.

    float64 stays, anything narrower is measured as float32. Raises: ValueError for an empty, non-finite or not
    two-dimensional array; TollensError `scale_out_of_range`.
    """
    if array.ndim != 2:
        raise ValueError(f"a matrix has two dimensions; found shape {array.shape}")
    wide = array.dtype == np.float64
    matrix: Array = np.ascontiguousarray(array, dtype=np.float64 if wide else np.float32)
    rows, cols = matrix.shape
    shown = matrix.copy()
    shown.setflags(write=False)
    part = Part(name, (rows, cols), "F64" if wide else "F32", matrix.copy, moments_of(matrix), kept=lambda: shown)
    spectrum, fit = spectrum_and_fit(part, precision)
    spectrum.eigenvalues.setflags(write=False)
    return replace(part, spectrum=spectrum, tail=fit if isinstance(fit, TailFit) else None)


def check_instrument(instrument: Instrument, *, seed: int = 0) -> list[Failure]:
    """Everything that an instrument promises, tried on small matrices made from `seed`; empty if all is kept.

    Declaration (references, units, invariances, price), known answers, readings (each declared quantity once,
    finite, with known reason codes), determinism, invariances and degenerate inputs. Whatever the instrument
    raises is a failure, never an exception of this function. An input that lacks what the instrument `needs`
    is left out.
    """
    found = [*_declaration(instrument), *_price(instrument)]
    for answer in instrument.known_answers:
        found += _known_answer(instrument, answer, seed)
    parts = _generated(seed)
    degenerate = _degenerate(seed)
    for part in (*parts, *degenerate):
        check = "readings" if part in parts else "degenerate"
        found += _readings(instrument, part, check, seed)
    found += _determinism(instrument, parts, seed)
    for part in parts:
        found += _invariances(instrument, part, seed)
    return found


def _declaration(made: Instrument) -> Iterator[Failure]:
    if not made.references or not all(text.strip() for text in made.references):
        yield Failure(made.name, "references", "references", "none is given")
    if not made.quantities:
        yield Failure(made.name, "units", "quantities", "none is declared")
    for quantity, unit in made.quantities.items():
        try:
            parse_unit(unit)
        except TollensError as error:
            yield Failure(made.name, "units", quantity, str(error))
    for name in sorted(set(made.invariances) - set(INVARIANCES)):
        yield Failure(made.name, "invariances", name, f"none of {', '.join(INVARIANCES)}")
    for quantity in sorted(made.scale_invariant - made.quantities.keys()):
        yield Failure(made.name, "invariances", quantity, "called scale-invariant and not measured")
    if ("scale" in made.invariances) != bool(made.scale_invariant):
        yield Failure(made.name, "invariances", "scale", "goes together with the quantities it holds for")


def _price(made: Instrument) -> Iterator[Failure]:
    for shape in SHAPES:
        prices = [attempt(partial(made.cost, shape)) for _ in range(2)]
        if isinstance(prices[0], Raised):
            yield Failure(made.name, "cost", str(shape), prices[0].text)
        elif prices[0] != prices[1]:
            yield Failure(made.name, "cost", str(shape), f"first {prices[0]}, then {prices[1]}")
        elif not _is_price(prices[0]):
            yield Failure(made.name, "cost", str(shape), f"{prices[0]} is no positive price in whole units")


def _is_price(cost: object) -> bool:
    if not isinstance(cost, Cost):
        return False
    whole = isinstance(cost.bytes, int) and isinstance(cost.flops, int)
    return whole and min(cost.bytes, cost.flops) >= 0 and cost.bytes + cost.flops > 0


def _known_answer(made: Instrument, known: KnownAnswer, seed: int) -> list[Failure]:
    failed = partial(Failure, made.name, "known_answer", known.title)
    found = attempt(partial(measured, made, known, seed))
    if isinstance(found, Raised):
        return [failed(found.text)]
    got, passed = found
    wanted = f"{known.quantity} = {known.value} within {known.tolerance}"
    return [] if passed else [failed(f"{wanted} ({known.derivation}); found {got}")]


def _readings(made: Instrument, part: Part, check: str, seed: int) -> list[Failure]:
    """Each declared quantity once, finite and explained; read off the function itself, before the registry."""
    if missing(made, part):
        return []
    failed = partial(Failure, made.name)
    run = partial(made.function, part, made.default_params, generator(seed, made.name, part.name))
    rows = attempt(lambda: list(run()))
    if isinstance(rows, Raised):
        return [failed(check, part.name, rows.text)]
    found = []
    names = sorted(r.quantity for r in rows)
    if names != sorted(made.quantities):
        detail = f"declared {sorted(made.quantities)}; returned {names}"
        found.append(failed("quantities", part.name, detail))
    for r in rows:
        kept = attempt(partial(plain, r))
        if isinstance(kept, Raised):
            found.append(failed("finite", f"{part.name}: {r.quantity}", kept.text))
        if r.status is not Status.OK and r.reason not in CODES:
            found.append(failed("reasons", f"{part.name}: {r.quantity}", f"{r.reason!r} is no known code"))
    return found


def _determinism(made: Instrument, parts: Sequence[Part], seed: int) -> Iterator[Failure]:
    """The same readings a second time, and with the parts in another order."""
    usable = [part for part in parts if not missing(made, part)]
    first = {part.name: _measured(made, part, seed) for part in usable}
    for part in reversed(usable):
        again = _measured(made, part, seed)
        if again != first[part.name]:
            yield Failure(made.name, "determinism", part.name, f"first {first[part.name]}, then {again}")


def _invariances(made: Instrument, part: Part, seed: int) -> Iterator[Failure]:
    before = _measured(made, part, seed)
    if isinstance(before, Raised):
        return  # reported by the check of readings
    for title, change in _changes(made):
        rng = generator(seed, "change", title, part.name)
        after = _measured(made, part_of(change(part.load(), rng), part.name), seed)
        if isinstance(after, Raised):
            yield Failure(made.name, title, part.name, after.text)
            continue
        for quantity in sorted(made.scale_invariant if title.startswith("scale") else made.quantities):
            if not _close(before.get(quantity), after.get(quantity)):
                detail = f"{before.get(quantity)} became {after.get(quantity)}"
                yield Failure(made.name, title, f"{part.name}: {quantity}", detail)


def _changes(made: Instrument) -> Iterator[tuple[str, Change]]:
    if made.scale_invariant:
        for factor in (2.0**12, 2.0**-40, 3.7):
            yield f"scale {factor:g}", partial(_scaled, factor)
    if "transpose" in made.invariances:
        yield "transpose", lambda w, _: w.T
    if "permutation" in made.invariances:
        yield "permutation", lambda w, rng: w[rng.permutation(w.shape[0])][:, rng.permutation(w.shape[1])]
    if "rotation" in made.invariances:
        yield "rotation", lambda w, rng: _orthogonal(w.shape[0], rng) @ w @ _orthogonal(w.shape[1], rng)


def _scaled(factor: float, matrix: Array, _: np.random.Generator) -> Array:
    return matrix * factor


def _orthogonal(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


def _measured(made: Instrument, part: Part, seed: int) -> dict[str, Any] | Raised:
    """Value and status by quantity."""

    def run() -> dict[str, Any]:
        rows: Sequence[Reading] = made.measure(part, seed=seed)
        return {r.quantity: [r.value, str(r.status), r.reason, msgspec.to_builtins(r.interval)] for r in rows}

    return attempt(run)


def _close(one: Any, other: Any) -> bool:
    """Equal, numbers within CLOSE of each other."""
    if _is_number(one) and _is_number(other):
        return math.isclose(one, other, rel_tol=CLOSE, abs_tol=1e-12)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_close, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_close(v, other[k]) for k, v in one.items())
    return bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _generated(seed: int) -> list[Part]:
    """A heavy-tailed spectrum, noise with a direction planted in it, and noise with one large element."""
    rng = generator(seed, "conformance")
    values = np.sqrt((1.0 - (np.arange(64) + 0.5) / 64) ** -1.0)  # Pareto, alpha = 2
    heavy = _orthogonal(80, rng)[:, :64] @ (values[:, None] * _orthogonal(64, rng))
    spiked = rng.standard_normal((48, 64))
    u, v = rng.standard_normal(48), rng.standard_normal(64)
    spiked += 40.0 * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))
    element = rng.standard_normal((64, 40))
    element[5, 7] = 30.0
    return [part_of(w, n) for w, n in ((heavy, "heavy"), (spiked, "spiked"), (element, "element"))]


def _degenerate(seed: int) -> list[Part]:
    """Shapes and contents for which much does not exist; each must say so and none may raise."""
    rng = generator(seed, "degenerate")
    matrices = {
        "zero": np.zeros((16, 24)),
        "zero 1x1": np.zeros((1, 1)),
        "constant": np.full((16, 24), 0.3),
        "constant 1x1": np.full((1, 1), -2.0),
        "rank 1": np.outer(rng.standard_normal(16), rng.standard_normal(24)),
        "1xn": rng.standard_normal((1, 50)),
        "nx1": rng.standard_normal((50, 1)),
        "2x2": rng.standard_normal((2, 2)),
        "orthogonal": _orthogonal(32, rng),
        "one element": np.eye(1, 400, 37).reshape(20, 20),
        "subnormal": rng.standard_normal((16, 24)) * 1e-40,
        "huge": rng.standard_normal((16, 24)) * 1e37,
    }
    return [part_of(w.astype(d), f"{n} {d}") for n, w in matrices.items() for d in ("float32", "float64")]
