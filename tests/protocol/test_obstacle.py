"""The classes of obstacles: names, kinds, and the numbers that stand in their sentences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.protocol.laboratory import read_laboratory
from tollens.protocol.obstacle import BUILT_IN, Obstacle, classes, compounded, depth_bound

OWN = '[[obstacle]]\nid = "{id}"\nsays = "{says}"\n'


def test_the_built_in_classes_and_their_kinds() -> None:
    theorems = {"SOURCE_ORTHOGONAL", "CONCENTRATION", "LOW_RANK_RESIDUAL", "CLOSURE", "READOUT_MISMATCH"}
    assert {name for name, one in BUILT_IN.items() if one.kind == "theorem"} == theorems
    assert [name for name, one in BUILT_IN.items() if one.kind == "arithmetic"] == ["BUDGET"]
    assert [name for name, one in BUILT_IN.items() if one.kind == "model-based"] == ["DEPTH"]
    rest = ["MEASUREMENT", "NULL_EQUAL", "LEAKAGE", "UNDERPOWERED", "METRIC_REVERSED", "OTHER"]
    assert sorted(name for name, one in BUILT_IN.items() if one.kind == "none") == sorted(rest)
    for name, one in BUILT_IN.items():
        assert one.id == name
        assert one.says[0].isupper()
        assert one.says.endswith(".")


def test_depth_known_answers() -> None:
    assert depth_bound(30, 0.05) == pytest.approx(0.0016277, abs=1e-7)
    assert 100 * compounded(0.01, 16) == pytest.approx(17.258, abs=1e-3)


@given(st.integers(1, 10_000), st.floats(0, 1e3))
def test_the_bound_is_where_the_compounded_loss_meets_the_budget(layers: int, tau: float) -> None:
    rho = depth_bound(layers, tau)
    assert compounded(rho, layers) == pytest.approx(tau, rel=1e-9, abs=1e-12)
    assert rho <= tau * (1 + 1e-12)


@pytest.mark.parametrize(("layers", "tau"), [(0, 0.1), (-3, 0.1), (4, -0.1), (4, math.inf), (4, math.nan)])
def test_a_depth_or_a_loss_that_is_none_is_refused(layers: int, tau: float) -> None:
    with pytest.raises(ValueError, match="layers from 1"):
        depth_bound(layers, tau)
    with pytest.raises(ValueError, match="layers from 1"):
        compounded(tau, layers)


@pytest.mark.parametrize("d", [3, 8, 64, 1024])
def test_the_constant_of_concentration_from_the_density_of_a_cosine(d: int) -> None:
    """Evenly on the sphere the cosine t has density proportional to (1 - t^2)^((d - 3)/2) on [-1, 1].

    Integrating t against it over [0, 1] gives 2/(d - 1), over the Beta function B(1/2, (d - 1)/2): the mean |cosine|.
    By Gautschi's inequality Gamma(d/2)/Gamma((d + 1)/2) lies between sqrt(2/d) and sqrt(2/(d - 1)), hence the mean
    between sqrt(2/(pi d)) and sqrt(2/(pi (d - 1))).
    """
    beta = math.exp(math.lgamma(0.5) + math.lgamma((d - 1) / 2) - math.lgamma(d / 2))
    mean = 2 / (d - 1) / beta
    t = (np.arange(200_000) + 0.5) / 200_000
    weight = (1 - t * t) ** ((d - 3) / 2)
    assert float((t * weight).sum() / weight.sum()) == pytest.approx(mean, rel=1e-5)
    assert math.sqrt(2 / (math.pi * d)) <= mean <= math.sqrt(2 / (math.pi * (d - 1)))
    assert "sqrt(2/(pi d))" in BUILT_IN["CONCENTRATION"].says


def test_a_white_covariance_does_not_give_that_constant() -> None:
    """A signed axis of d, each as likely, times sqrt(d): covariance I, and its cosine with an axis is 1 or 0."""
    d = 64
    points = np.vstack([np.eye(d), -np.eye(d)]) * math.sqrt(d)
    assert np.allclose(points.T @ points / len(points), np.eye(d))
    mean = float(np.abs(points[:, 0] / np.linalg.norm(points, axis=1)).mean())
    assert mean == pytest.approx(1 / d)
    assert mean < math.sqrt(2 / (math.pi * d)) / 6


def test_a_laboratory_adds_a_class_of_its_own() -> None:
    made = read_laboratory(OWN.format(id="TOKENISER_2", says="The tokeniser splits it."))
    assert classes(made.obstacle)["TOKENISER_2"] == Obstacle(id="TOKENISER_2", says="The tokeniser splits it.")
    assert set(classes(made.obstacle)) == {*BUILT_IN, "TOKENISER_2"}


@pytest.mark.parametrize(
    ("name", "says", "told"),
    [
        ("DEPTH", "mine", "another name: DEPTH is built in"),
        ("OTHER", "mine", "another name: OTHER is built in"),
        ("depth", "mine", "capital letters"),
        ("2D", "mine", "capital letters"),
        ("A-B", "mine", "capital letters"),
        ("", "mine", "capital letters"),
        ("A" * 65, "mine", "capital letters"),
        ("ÄB", "mine", "capital letters"),
        ("A\\n", "mine", "capital letters"),
        ("FINE", "  ", "one sentence"),
    ],
)
def test_a_class_that_cannot_be_one_is_refused_by_name(name: str, says: str, told: str) -> None:
    with pytest.raises(TollensError) as refused:
        read_laboratory(OWN.format(id=name, says=says), "lab/tollens.toml")
    assert refused.value.code == "obstacle_name"
    assert refused.value.subject == "lab/tollens.toml"
    assert told in refused.value.expected
