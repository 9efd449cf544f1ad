from __future__ import annotations

from typing import Any

import pytest

from tollens.core.errors import TollensError
from tollens.run.power import PowerQuestion, power

DESIGNS: list[dict[str, Any]] = [
    {"design": "two-sample", "effect": 0.5},
    {"design": "paired", "effect": 0.5},
    {"design": "proportions", "p1": 0.1, "p2": 0.12, "formula": "pooled"},
    {"design": "eval", "variance": 1 / 9, "difference": 0.03},
    {"design": "equivalence", "psi": 0.02, "margin": 0.01},
]
UNITS = (64, 34, 3841, 969, 1706)


@pytest.mark.parametrize(("design", "n"), list(zip(DESIGNS, UNITS, strict=True)), ids=lambda d: str(d))
def test_units_for_a_power_and_back(design: dict[str, Any], n: int) -> None:
    found = power(PowerQuestion(power=0.8, **design))
    if design["design"] != "equivalence":
        assert found.n == n
    assert found.power >= 0.8 - 1e-9
    assert power(PowerQuestion(n=found.n, **design)).power == pytest.approx(found.power)
    assert power(PowerQuestion(n=found.n - 1, **design)).power < 0.8
    assert f"{found.n:,}" in found.headline


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: str(d["design"]))
def test_the_curve_rises_and_holds_the_design(design: dict[str, Any]) -> None:
    found = power(PowerQuestion(power=0.8, **design))
    assert [p.n for p in found.curve] == sorted({p.n for p in found.curve})
    assert all(a.power <= b.power + 1e-12 for a, b in zip(found.curve, found.curve[1:], strict=False))
    assert found.n in [p.n for p in found.curve]
    assert found.guarantee
    assert found.references


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: str(d["design"]))
def test_what_is_not_stated_is_asked_for(design: dict[str, Any]) -> None:
    for name in design.keys() - {"design"}:
        rest = {key: value for key, value in design.items() if key != name}
        with pytest.raises(TollensError) as caught:
            power(PowerQuestion(power=0.8, **rest))
        assert caught.value.code == "stats_unnamed"
        assert f"--{name}" in caught.value.fix


@pytest.mark.parametrize("both", [{}, {"n": 10, "power": 0.8}])
def test_one_of_n_and_power(both: dict[str, Any]) -> None:
    with pytest.raises(TollensError) as caught:
        power(PowerQuestion(design="paired", effect=0.5, **both))
    assert caught.value.code == "bad_option"


@pytest.mark.parametrize(
    "wrong", [{"effect": 0.0}, {"power": 0.01}, {"power": 1.0}, {"alpha": 0.0}, {"sides": 3}, {"effect": float("nan")}]
)
def test_values_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TollensError) as caught:
        power(PowerQuestion(**({"design": "paired", "effect": 0.5, "power": 0.8} | wrong)))
    assert caught.value.code == "stats_input"


@pytest.mark.parametrize(
    "idle",
    [
        {"design": "equivalence", "psi": 0.02, "margin": 0.01, "sides": 1},
        {"design": "paired", "effect": 0.5, "margin": 0.1},
        {"design": "eval", "variance": 1.0, "difference": 0.1, "p1": 0.5},
    ],
    ids=lambda d: str(d["design"]),
)
def test_what_the_design_does_not_use_is_refused(idle: dict[str, Any]) -> None:
    with pytest.raises(TollensError) as caught:
        power(PowerQuestion(power=0.8, **idle))
    assert caught.value.code == "bad_option"


@pytest.mark.parametrize(
    "tiny",
    [
        {"design": "eval", "variance": 1.0, "difference": 1e-200},
        {"design": "equivalence", "psi": 0.1, "margin": 1e-200},
        {"design": "proportions", "p1": 0.0, "p2": 1e-320, "formula": "pooled"},
        {"design": "paired", "effect": 1e-9},
        {"design": "two-sample", "effect": 1e300},
        {"design": "two-sample", "effect": 0.5, "alpha": 1e-300},
    ],
    ids=str,
)
def test_numbers_beyond_any_design_are_refused_not_overflowed(tiny: dict[str, Any]) -> None:
    """A level of 1e-300 has an infinite quantile of t with 6 degrees of freedom, and had power 1 with 4 units."""
    with pytest.raises(TollensError) as caught:
        power(PowerQuestion(power=0.8, **tiny))
    assert caught.value.code == "stats_input"


@pytest.mark.parametrize("n", [0, 10**13, 10**400])
def test_n_is_a_number_of_units(n: int) -> None:
    with pytest.raises(TollensError) as caught:
        power(PowerQuestion(design="eval", variance=1.0, difference=0.1, n=n))
    assert caught.value.code == "stats_input"


def test_each_point_of_the_curve_is_the_power_of_its_own_n() -> None:
    asked = {"design": "proportions", "p1": 0.1, "p2": 0.9, "formula": "null-variance"}
    for point in power(PowerQuestion(power=0.2, **asked)).curve:  # type: ignore[arg-type]
        assert point.n >= 1
        assert point.power == power(PowerQuestion(n=int(point.n), **asked)).power  # type: ignore[arg-type]
