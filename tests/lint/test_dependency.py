from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tollens.lint.invariants
from tollens.lint.ask import judge_one
from tollens.lint.example import example_claim
from tollens.lint.finding import Finding
from tollens.lint.law import Example
from tollens.lint.pagerank import personalised_pagerank, reachable
from tollens.lint.registry import INVARIANTS, wrong_answers
from tollens.lint.replay import replay

assert tollens.lint.invariants
FAMILY = [made for made in INVARIANTS.values() if made.family == "dep"]
EDGES = [("paper", "mechanism"), ("trial", "paper"), ("drug", "trial")]
ORDER = ("paper", "mechanism", "trial", "drug")


def said(kind: str, **fields: Any) -> Finding:
    made = INVARIANTS[kind]
    return judge_one(example_claim(made, Example(fields, "")), made)


@pytest.mark.parametrize("made", FAMILY, ids=lambda made: made.id)
def test_known_answers_hold(made: Any) -> None:
    assert [wrong for example in made.known for wrong in wrong_answers(made, example)] == []


@pytest.mark.parametrize(
    ("edges", "known"),
    [(EDGES, (0.5405, 0.4595, 0.0, 0.0)), (EDGES + [(b, a) for a, b in EDGES], (0.4214, 0.1791, 0.2804, 0.1192))],
)
def test_masses_of_four_nodes(edges: list[tuple[str, str]], known: tuple[float, ...]) -> None:
    """Directed: the walk is at the paper, follows with .85 or stays; m = .85 p and p = 1 - m give p = 1/1.85.

    The same by a dense solution of x (I - .85 P) = (1 - .85 x P 1) s.
    """
    found = replay("ppr", {"edges": edges, "seeds": ["paper"], "follow": 0.85})
    assert found is not None
    assert [found[name] for name in ORDER] == pytest.approx(known, abs=1e-4)
    step = np.zeros((4, 4))
    for a, b in edges:
        step[ORDER.index(a), ORDER.index(b)] += 1 / sum(source == a for source, _ in edges)
    seed = np.array([1.0, 0.0, 0.0, 0.0])
    full = 0.85 * step + np.outer(1 - 0.85 * step.sum(axis=1), seed)
    stationary = np.linalg.lstsq(np.vstack([full.T - np.eye(4), np.ones(4)]), np.array([0, 0, 0, 0, 1.0]))[0]
    assert [found[name] for name in ORDER] == pytest.approx(stationary, abs=1e-9)
    if edges is EDGES:
        assert found["paper"] == pytest.approx(1 / 1.85, abs=1e-9)
        assert (found["trial"], found["drug"]) == (0.0, 0.0)


def test_a_trial_is_not_reached_from_its_paper() -> None:
    found = said("dep.reach", edges=EDGES, seeds=["paper"], target="trial", follow="0.85")
    assert (found.outcome, found.subtype, found.computed) == ("refuted", "impossible", 0.0)
    assert found.witness == (
        "no path from paper to trial: mass exactly 0 on drug, trial; with every edge walked both ways 0.2804 on trial"
    )
    assert said("dep.reach", edges=EDGES, seeds=["drug"], target="mechanism").witness == (
        "a path leads to mechanism: drug -> trial -> paper -> mechanism"
    )


def test_cycles_and_long_chains() -> None:
    ring = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("a", "a")]
    assert said("dep.reach", edges=ring, seeds=["b"], target="a").outcome == "undetermined"
    assert said("dep.reach", edges=ring, seeds=["b"], target="d", follow="0.5").outcome == "refuted"
    chain = [(str(i), str(i + 1)) for i in range(30_000)]
    assert said("dep.reach", edges=chain, seeds=["0"], target="30000").outcome == "undetermined"
    assert said("dep.reach", edges=chain, seeds=["1"], target="0", follow="0.85").outcome == "refuted"


def test_names_that_are_on_no_edge_and_no_edges() -> None:
    assert said("dep.reach", edges=EDGES, seeds=["papper"], target="trial").outcome == "unchecked"
    assert said("dep.reach", edges=[], seeds=["paper"], target="trial").outcome == "unchecked"
    assert said("dep.reach", edges=EDGES, seeds=[], target="trial").outcome == "unchecked"
    for follow in ("0", "1", "2", "-1", "inf"):
        assert said("dep.reach", edges=EDGES, seeds=["paper"], target="trial", follow=follow).outcome == "refuted"


def test_radii_of_other_points_are_not_ordered() -> None:
    crossed = {"certified": ["0.30", "0.55"], "attack": ["0.20", "0.50"], "same_norm": True}
    assert said("dep.order", **crossed).witness.startswith("certified, point 1 = 0.3")
    found = said("dep.order", same_points=False, **crossed)
    assert (found.outcome, found.missing) == ("unchecked", ("same_points",))
    assert said("dep.order", certified=["0.3"], attack=["0.2"], same_norm=True).missing == ("same_points",)
    assert said("dep.order", certified=["0.3", "0.3"], attack=["0.2"], same_norm=True).missing == ("same_points",)
    assert said("dep.order", **{**crossed, "same_norm": False}).outcome == "unchecked"
    assert said("dep.order", certified=["0.3", "9"], attack=["0.4", "inf"], same_norm=True).outcome == "undetermined"


graphs = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(graphs, st.sampled_from("abcdef"), st.sampled_from("abcdef"))
def test_refuted_exactly_where_no_path_leads(edges: list[tuple[str, str]], seed: str, target: str) -> None:
    """Against the transitive closure by repeated squaring."""
    closure = np.eye(6, dtype=bool)
    for a, b in edges:
        closure["abcdef".index(a), "abcdef".index(b)] = True
    for _ in range(3):
        closure = closure @ closure
    reached = {name for name, found in zip("abcdef", closure["abcdef".index(seed)], strict=True) if found}
    assert set(reachable(edges, [seed])) == reached
    nodes = {node for edge in edges for node in edge}
    found = said("dep.reach", edges=edges, seeds=[seed], target=target)
    if seed in nodes and target in nodes:
        assert found.outcome == ("undetermined" if target in reached else "refuted")
        masses = personalised_pagerank(edges, [seed], 0.85)
        assert {name for name, mass in masses.items() if mass > 0.0} == reached
        assert sum(masses.values()) == pytest.approx(1.0)
        said_of_mass = said("dep.reach", edges=edges, seeds=[seed], target=target, mass=f"{masses[target]:.3f}")
        assert said_of_mass.outcome != "refuted"
    else:
        assert found.outcome == "unchecked"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(*[st.floats(0.0, 2.0)] * 3), min_size=2, max_size=5), st.integers(0, 5), st.integers(0, 5))
def test_true_radii_are_never_refuted(points: list[tuple[float, float, float]], d: int, e: int) -> None:
    ordered = [sorted(point) for point in points]
    columns = {
        "certified": [f"{p[0]:.{d}f}" for p in ordered],
        "exact": [f"{p[1]:.{e}f}" for p in ordered],
        "attack": [f"{100 * p[2]:.{d}f} %" for p in ordered],
    }
    assert said("dep.order", same_norm=True, **columns).outcome != "refuted"
    del columns["exact"]
    assert said("dep.order", same_norm=True, **columns).outcome != "refuted"
    columns["certified"][-1] = f"{ordered[-1][2] + 2.5 * 10.0**-d + 1e-4:.{d + 1}f}"
    found = said("dep.order", same_norm=True, **columns)
    assert found.outcome == "refuted"


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 10_000), st.data(), st.integers(0, 4), st.integers(0, 4))
def test_true_accuracies_are_never_refuted(n: int, data: st.DataObject, d: int, e: int) -> None:
    clean = data.draw(st.integers(0, n))
    robust = data.draw(st.integers(0, clean))
    shown = {"robust": f"{float(Fraction(100 * robust, n)):.{d}f} %", "clean": f"{clean / n:.{e + 2}f} 1"}
    assert said("dep.subset", same_points=True, **shown).outcome != "refuted"
    top = {"top1": shown["robust"], "top5": shown["clean"]}
    assert said("dep.subset", same_points=True, **top).outcome != "refuted"
    beyond = f"{float(Fraction(100 * clean, n)) + 1.01 * (10.0**-d + 10.0**-e):.6f} %"
    assert said("dep.subset", same_points=True, **{**shown, "robust": beyond}).outcome == "refuted"
