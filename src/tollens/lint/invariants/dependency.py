"""What must come before or below something else: radii, accuracies, nodes of a directed graph."""

from __future__ import annotations

from tollens.lint.check import Check, Comparison, Direct, Outcome, Subtype, at_most, lacking, unchecked, undetermined
from tollens.lint.fields import Fields
from tollens.lint.interval import Range
from tollens.lint.law import Example
from tollens.lint.pagerank import reachable
from tollens.lint.registry import invariant
from tollens.lint.shown import number_text

__all__ = ["order", "reach", "subset"]
_EDGES = [["paper", "mechanism"], ["trial", "paper"], ["drug", "trial"]]
_SHOWN = 8


def _both_ways(f: Fields) -> str:
    """What the target gets where every edge may also be walked backwards: how a claim may have come about."""
    follow, edges, target = f.maybe("follow"), f.edges("edges"), f.word("target") or ""
    if follow is None or not 0.0 < follow.low <= follow.high < 1.0 or len(edges) > 1000:
        return ""
    both = [*(list(edge) for edge in edges), *([b, a] for a, b in edges)]
    masses = f.replay("ppr", {"edges": both, "seeds": list(f.words("seeds")), "follow": follow.middle})
    return f"; with every edge walked both ways {number_text(round(masses[target], 4))} on {target}" if masses else ""


@invariant(
    id="dep.order",
    formula="certified <= exact <= attack, point by point",
    needs={"certified": "1[]", "attack": "1[]"},
    optional={"exact": "1[]", "same_points": "flag"},
    states=("same_norm",),
    violation=Subtype.IMPOSSIBLE,
    reference="Carlini et al., On Evaluating Adversarial Robustness (2019); Cohen, Rosenfeld & Kolter (2019)",
    known=(
        Example(
            {"certified": ["0.30", "0.55"], "attack": ["0.40", "0.50"], "same_norm": True},
            "refuted/impossible",
            {"computed": 0.55, "bound": 0.5, "margin": -0.05, "margin_rounded": -0.04},
            1e-9,
            witness="certified, point 2",
        ),
        Example({"certified": ["0.30", "0.55"], "attack": ["0.40", "0.50"]}, "undetermined/model_based"),
        Example(
            {"certified": ["0.30", "0.51"], "attack": ["0.40", "0.50"], "same_norm": True}, "undetermined/consistent"
        ),
        Example(
            {"certified": ["0.2", "0.2"], "exact": ["0.3", "0.5"], "attack": ["0.3", "0.3"], "same_norm": True},
            "refuted/impossible",
            {"margin": -0.2},
            1e-9,
            witness="exact, point 2",
        ),
        Example({"certified": ["0.30"], "attack": ["0.20"], "same_norm": True}, "unchecked", witness="same_points"),
        Example(
            {"certified": ["0.30"], "attack": ["0.20"], "same_norm": True, "same_points": True}, "refuted/impossible"
        ),
        Example({"certified": ["0.3", "0.4"], "attack": ["0.2"], "same_norm": True}, "unchecked"),
    ),
)
def order(f: Fields) -> Check:
    """A certificate says that no change smaller than its radius moves the decision; an attack shows one that does.

    So at each point, in one norm: certified radius <= distance to the nearest change <= size of the change found.
    Averages over different points need not be ordered, and one value for each may be such an average.
    """
    lists = {name: f.list(name) for name in ("certified", "exact", "attack") if f.list(name)}
    stated = f.flag("same_points")
    if stated is False or len({len(values) for values in lists.values()}) > 1:
        return unchecked("cannot be checked: same_points, the values are not of one set of points", "same_points")
    if stated is None and len(lists["certified"]) == 1:
        return lacking("same_points")
    pairs = [("certified", "exact"), ("exact", "attack"), ("certified", "attack")]
    return [
        at_most(below, above, (f"{small}, point {place}", f"{large}"))
        for small, large in pairs
        if small in lists and large in lists
        for place, (below, above) in enumerate(zip(lists[small], lists[large], strict=True), 1)
    ]


@invariant(
    id="dep.subset",
    formula="robust <= clean; top1 <= top5",
    needs={},
    optional={"robust": "%|1", "clean": "%|1", "top1": "%|1", "top5": "%|1"},
    one_of=(("robust", "top1"), ("clean", "top5")),
    states=("same_points",),
    assumes=("an attack may leave the input as it is",),
    violation=Subtype.IMPOSSIBLE,
    reference="Madry et al. (2018): the worst case over a set that holds the input; Russakovsky et al. (2015): top-5",
    known=(
        Example(
            {"robust": "76.5", "clean": "74.9", "same_points": True},
            "refuted/impossible",
            {"margin": -1.6, "margin_rounded": -1.5},
            1e-9,
        ),
        Example({"robust": "56.5", "clean": "94.9", "same_points": True}, "undetermined/consistent"),
        Example({"robust": "76.5", "clean": "74.9"}, "undetermined/model_based"),
        Example({"robust": "76.5", "clean": "74.9", "same_points": False}, "unchecked"),
        Example({"top1": "0.913 1", "top5": "91.2", "same_points": True}, "undetermined/consistent"),
        Example({"top1": "0.913 1", "top5": "91.1", "same_points": True}, "refuted/impossible"),
        Example({"robust": "76.5", "top5": "74.9", "same_points": True}, "unchecked", witness="missing field clean"),
    ),
)
def subset(f: Fields) -> Check:
    """What is right under every allowed change is right without one, and what is first is among the first five.

    So on the same examples the left count is of a subset of the right one, and no larger.
    """
    made: list[Comparison] = []
    missing: list[str] = []
    for inner, outer in (("robust", "clean"), ("top1", "top5")):
        below, above = f.maybe(inner), f.maybe(outer)
        if below is not None and above is not None:
            made.append(at_most(below, above, (inner, outer), unit="%"))
        elif below is not None or above is not None:
            missing.append(outer if above is None else inner)
    return made or lacking(*missing)


@invariant(
    id="dep.reach",
    formula="mass(target) = 0 where no directed path leads from a seed to it",
    needs={"edges": "edges", "seeds": "words", "target": "word"},
    optional={"mass": "1", "follow": "1"},
    exact=("follow",),
    assumes=("the walk restarts at the seeds only, at nodes without outgoing edges too", "the edges are all there are"),
    violation=Subtype.IMPOSSIBLE,
    reference="Haveliwala, Topic-Sensitive PageRank (2002): the mass is a sum over directed walks from the seeds",
    known=(
        Example(
            {"edges": _EDGES, "seeds": ["paper"], "target": "trial", "follow": "0.85"},
            "refuted/impossible",
            {"computed": 0.0},
            0.0,
            witness="mass exactly 0 on drug, trial",
            derivation="from paper only mechanism is reached",
        ),
        Example(
            {"edges": _EDGES, "seeds": ["paper"], "target": "trial", "follow": "0.85"},
            "refuted/impossible",
            witness="0.2804 on trial",
            derivation="walk with the reversed edges added",
        ),
        Example({"edges": _EDGES, "seeds": ["paper"], "target": "mechanism"}, "undetermined/consistent"),
        Example({"edges": _EDGES, "seeds": ["paper"], "target": "trial", "mass": "0.28"}, "refuted/impossible"),
        Example({"edges": _EDGES, "seeds": ["paper"], "target": "trial", "mass": "0.00"}, "undetermined/consistent"),
        Example({"edges": _EDGES, "seeds": ["paper"], "target": "trail"}, "unchecked", witness="trail is on no edge"),
    ),
)
def reach(f: Fields) -> Check:
    """The mass of a node is the sum, over the directed walks from the seeds that end there, of their probabilities.

    Where there is no such walk the sum is empty, and the mass exactly 0, whatever the probability of following.
    An edge is walked from its first name to its second only.
    """
    edges, seeds, target = f.edges("edges"), f.words("seeds"), f.word("target") or ""
    nodes = {node for edge in edges for node in edge}
    absent = sorted({name for name in (*seeds, target) if name not in nodes})
    if absent or not seeds:
        return unchecked(f"cannot be checked: {', '.join(absent[:_SHOWN]) or 'no seed'} is on no edge")
    found = reachable(edges, seeds)
    if target in found:
        path = [target]
        while (before := found[path[-1]]) is not None:
            path.append(before)
        shown = " -> ".join(reversed(path)) if len(path) <= _SHOWN else f"{len(path) - 1} edges"
        return undetermined(Subtype.CONSISTENT, f"a path leads to {target}: {shown}", "state the mass and recompute it")
    rest = sorted(nodes - found.keys())
    more = f" and {len(rest) - _SHOWN:,} more" if len(rest) > _SHOWN else ""
    said = f"no path from {', '.join(seeds[:_SHOWN])} to {target}: mass exactly 0 on {', '.join(rest[:_SHOWN])}{more}"
    said += _both_ways(f)
    mass = f.maybe("mass")
    if mass is not None:
        return at_most(mass, Range(0.0, 0.0), ("mass", "what is reached"), remark=said)
    settle = "add the edges that the claim relies on, or walk them both ways and say so"
    return Direct(Outcome.REFUTED, Subtype.IMPOSSIBLE, said, settle, computed=0.0)
