"""The conformance suite: our instruments pass, and each kind of check catches an instrument made to fail it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tollens.core.reading import Cost, Reading, Undefined, reading
from tollens.instrument.part import Part
from tollens.instrument.registry import INSTRUMENTS, Instrument, KnownAnswer, Tier
from tollens.run import layer, testing
from tollens.run.testing import CLOSE, check_instrument, part_of

assert layer.FIELDS  # with it every built-in instrument is registered


@pytest.mark.parametrize("name", sorted(INSTRUMENTS))
def test_every_built_in_instrument_keeps_its_promises(name: str) -> None:
    assert check_instrument(INSTRUMENTS[name], seed=1) == []


def honest(part: Part, params: None, rng: np.random.Generator) -> list[Reading]:
    """Share of the largest eigenvalue in the sum: what the broken ones below depart from."""
    assert part.spectrum is not None
    total = float(part.spectrum.eigenvalues.sum())
    return [reading("share", part.spectrum.lambda_max / total if total else Undefined("zero_matrix"))]


HONEST = Instrument(
    name="honest", version="1", quantities={"share": "1"}, tier=Tier.WEIGHTS,
    cost=lambda shape: Cost(0, min(shape)), needs=("spectrum",), scale_invariant=frozenset({"share"}),
    invariances=("scale", "transpose", "permutation", "rotation"),
    known_answers=(
        KnownAnswer("identity", lambda: part_of(np.eye(4)), "share", 0.25, 1e-12, "four equal eigenvalues"),
    ),
    references=("arithmetic",), function=honest, default_params=None,
)  # fmt: skip


def test_the_honest_one_passes() -> None:
    assert check_instrument(HONEST) == []


def value(compute: Callable[[Part], Any]) -> Callable[[Part, Any, np.random.Generator], list[Reading]]:
    return lambda part, params, rng: [reading("share", compute(part))]


def counting() -> Callable[[Part, Any, np.random.Generator], list[Reading]]:
    count = itertools.count()
    return value(lambda part: next(count))


def nan(part: Part, params: None, rng: np.random.Generator) -> list[Reading]:
    return [reading("share", {"a": np.float32("nan")})]  # no Python float: passes the constructor of a Reading


def of_order(part: Part, params: None, rng: np.random.Generator, seen: list[str] = []) -> list[Reading]:  # noqa: B006
    seen.append(part.name)
    return [reading("share", len(seen[-2]) if len(seen) > 1 else 0)]  # of the part before this one


def overwrite(part: Part) -> float:
    assert part.spectrum is not None
    part.spectrum.eigenvalues[:] = 0.0
    return 0.0


def raising(shape: tuple[int, int]) -> Cost:
    raise KeyError(shape)


prices = itertools.count(1)
BROKEN: dict[str, tuple[str, dict[str, Any]]] = {
    "no reference": ("references", {"references": ()}),
    "empty reference": ("references", {"references": (" ",)}),
    "unknown unit": ("units", {"quantities": {"share": "furlong"}}),
    "no quantity": ("units", {"quantities": {}}),
    "unknown invariance": ("invariances", {"invariances": ("mirror", "scale")}),
    "invariant stranger": ("invariances", {"scale_invariant": frozenset({"share", "other"})}),
    "scale of nothing": ("invariances", {"scale_invariant": frozenset()}),
    "free": ("cost", {"cost": lambda shape: Cost(0, 0)}),
    "negative price": ("cost", {"cost": lambda shape: Cost(-1, 5)}),
    "broken price": ("cost", {"cost": lambda shape: Cost(0, 0.5)}),  # type: ignore[arg-type]
    "price of more than a shape": ("cost", {"cost": raising}),
    "moody price": ("cost", {"cost": lambda shape: Cost(0, next(prices))}),
    "wrong answer": ("known_answer", {"function": value(lambda part: 0.3)}),
    "answer without value": ("known_answer", {"function": value(lambda part: Undefined("too_small"))}),
    "too little": ("quantities", {"function": lambda *_: []}),
    "twice": ("quantities", {"function": lambda *a: honest(*a) + honest(*a)}),
    "undeclared": ("quantities", {"function": lambda *a: [*honest(*a), reading("other", 1)]}),
    "NaN": ("finite", {"function": nan}),
    "numpy value": ("finite", {"function": lambda *_: [Reading(quantity="share", value=np.int64(3))]}),
    "made-up reason": ("reasons", {"function": value(lambda part: Undefined("bad_mood"))}),
    "degenerate": ("degenerate", {"function": value(lambda part: 1.0 / part.moments.std)}),
    "logarithm of zero": ("degenerate", {"function": value(lambda part: math.log(part.moments.nonzero))}),
    "writes to what is shared": ("readings", {"function": value(overwrite)}),
    "counts its calls": ("determinism", {"function": counting()}),
    "remembers other parts": ("determinism", {"function": of_order}),
    "own randomness": ("determinism", {"function": value(lambda part: np.random.default_rng().random())}),
    "not scale invariant": ("scale 4096", {"function": value(lambda part: part.moments.std)}),
    "invariant to powers of two only": (
        "scale 3.7",
        {"function": value(lambda part: math.frexp(part.moments.std or 1.0)[0])},
    ),
    "shape dependent": ("transpose", {"function": value(lambda part: part.shape[0])}),
    "order dependent": ("permutation", {"function": value(lambda part: float(part.load()[0, 0]))}),
    "element dependent": ("rotation", {"function": value(lambda part: part.moments.kurtosis)}),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_each_check_catches_what_it_is_for(broken: str) -> None:
    check, change = BROKEN[broken]
    failures = check_instrument(replace(HONEST, name="broken", **change))
    assert check in {f.check for f in failures}
    assert all(f.instrument == "broken" and f.subject and f.detail for f in failures)


def test_a_difference_beyond_the_tolerance_counts() -> None:
    assert testing._close([1.0, {"a": "x"}], [1.0 + CLOSE / 2, {"a": "x"}])
    assert not testing._close([1.0], [1.0 + 2 * CLOSE])
    assert not testing._close([1.0], [1.0, 1.0])
    assert not testing._close({"a": 1}, {"b": 1})
    assert not testing._close(True, 2)


def test_what_an_instrument_needs_and_a_part_lacks_is_left_out() -> None:
    """No degenerate matrix has a tail: an instrument that reads it without asking is never given one."""
    function = value(lambda part: part.tail.alpha)  # type: ignore[union-attr]
    eager = replace(
        HONEST, needs=("spectrum",), function=function, known_answers=(), scale_invariant=frozenset(), invariances=()
    )
    assert {f.check for f in check_instrument(eager)} == {"degenerate"}
    assert check_instrument(replace(eager, needs=("spectrum", "tail"))) == []


def test_a_part_is_filled_as_a_scan_fills_it() -> None:
    part = part_of(np.diag([3.0, 2.0, 1.0]), "diagonal")
    assert part.spectrum is not None
    np.testing.assert_allclose(part.spectrum.eigenvalues, [1.0, 4.0, 9.0], rtol=1e-12)
    assert (part.shape, part.source_dtype, part.moments.nonzero) == ((3, 3), "F64", 3)
    assert part.tail is not None
    narrow = part_of(np.ones((3, 2), dtype=np.float16))
    assert narrow.source_dtype == "F32"
    assert narrow.load().dtype == np.float32


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros((0, 3)), np.full((2, 2), np.nan)])
def test_what_is_no_finite_matrix_is_refused(array: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"dimensions|empty|finite"):
        part_of(array)


def test_the_public_name() -> None:
    import tollens.testing

    assert tollens.testing.check_instrument is check_instrument
