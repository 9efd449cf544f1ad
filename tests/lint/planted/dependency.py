"""Radii in order, accuracies of subsets, nodes that no directed path reaches."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from .printing import measure, setting
from .problem import Problem, form

_NAMES = ("paper", "drug", "trial", "gene", "site", "code", "blog", "book", "label", "model")


def order(rng: np.random.Generator) -> Problem:
    """certified <= exact <= attack at each point; one value of one list is left open."""
    points = int(rng.integers(2, 8))
    middle = rng.uniform(0.1, 2.0, points)
    true = {"certified": middle * rng.uniform(0.3, 0.95, points), "attack": middle * rng.uniform(1.05, 2.0, points)}
    if rng.random() < 0.5:
        true["exact"] = middle
    lists = {name: [measure(rng, v, "1", plain=True) for v in values] for name, values in true.items()}
    name, place = str(rng.choice(sorted(true))), int(rng.integers(0, points))
    chain = [n for n in ("certified", "exact", "attack") if n in true]
    at = chain.index(name)
    low = max((lists[n][place].box[0] for n in chain[:at]), default=None)
    high = min((lists[n][place].box[1] for n in chain[at + 1 :]), default=None)
    lists[name].pop(place)
    fields = {n: tuple(values) for n, values in lists.items()} | {"same_norm": True}
    return Problem("dep.order", fields, name, form(rng, true[name][place]), low, high, 0, place=place)


def subset(rng: np.random.Generator) -> Problem:
    """robust <= clean and top-1 <= top-5 on the same examples; either side may be the one left open."""
    inner, outer = (("robust", "clean"), ("top1", "top5"))[int(rng.integers(0, 2))]
    value = rng.uniform(0.15, 0.9)
    judged, given = (inner, outer) if rng.random() < 0.5 else (outer, inner)
    other = measure(rng, value, "share")
    fields = {given: other, "same_points": True}
    low, high = (None, other.box[1]) if judged == inner else (other.box[0], None)
    return Problem("dep.subset", fields, judged, form(rng, value, "share"), low, high, 0, 1)


def reach(rng: np.random.Generator) -> Problem:
    """Mass on a node without a directed path from a seed is 0: the nearest miss is one unit of its last digit.

    The graph is a chain away from the seed and one edge in the wrong direction, so that its reversal would do.
    """
    names = [str(name) for name in rng.permutation(_NAMES)][: int(rng.integers(4, len(_NAMES)))]
    cut = int(rng.integers(1, len(names)))
    chain = list(itertools.pairwise(names))
    chain += [(names[i], names[int(rng.integers(0, cut))]) for i in rng.integers(0, cut, 2)]  # among the reachable
    shuffled = rng.permutation(len(chain))
    straight = tuple(chain[int(i)] for i in shuffled)
    turned = tuple(chain[int(i)][::-1] if int(i) == cut - 1 else chain[int(i)] for i in shuffled)
    fields = {
        "edges": turned, "seeds": (names[0],),
        "target": names[int(rng.integers(cut, len(names)))], "follow": setting("0.85"),
    }  # fmt: skip
    made = form(rng, 0.05, "1", (1, 4))
    return Problem(
        "dep.reach", fields, "mass", replace(made, unit="1"), high=0, floor=0, roof=1, mended={"edges": straight}
    )


PROBLEMS = {"dep.order": order, "dep.subset": subset, "dep.reach": reach}
