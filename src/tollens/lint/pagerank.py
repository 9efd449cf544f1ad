"""Reachability along directed edges, and personalised PageRank, whose mass never leaves what is reachable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

STEPS = 10_000


def reachable(edges: Iterable[tuple[str, str]], seeds: Iterable[str]) -> dict[str, str | None]:
    """Every node with a directed path from a seed, beside the node it was reached from; None for the seeds."""
    after: dict[str, list[str]] = {}
    for source, target in edges:
        after.setdefault(source, []).append(target)
    found: dict[str, str | None] = dict.fromkeys(seeds)
    front = list(found)
    while front:
        node = front.pop()
        for target in after.get(node, ()):
            if target not in found:
                found[target] = node
                front.append(target)
    return found


def personalised_pagerank(
    edges: Sequence[tuple[str, str]], seeds: Sequence[str], follow: float, tolerance: float = 1e-12
) -> Mapping[str, float]:
    """The stationary mass of each node of a walk that restarts at the seeds (Page, Brin et al. 1999; Haveliwala 2002).

    It follows an edge of its node, each alike, with probability `follow` in (0, 1), and restarts otherwise; at
    a node without edges out of it it always restarts. By iteration until the total change, which shrinks by
    `follow` a step, is below `tolerance`.
    """
    names = list(dict.fromkeys([*seeds, *(node for edge in edges for node in edge)]))
    place = {name: i for i, name in enumerate(names)}
    source = np.array([place[a] for a, _ in edges], dtype=np.intp)
    target = np.array([place[b] for _, b in edges], dtype=np.intp)
    degree = np.bincount(source, minlength=len(names))
    restart = np.zeros(len(names))
    restart[[place[seed] for seed in seeds]] = 1.0
    restart /= restart.sum()
    mass = restart
    for _ in range(STEPS):
        moved = follow * np.bincount(target, mass[source] / degree[source], minlength=len(names))
        following = moved + (1.0 - moved.sum()) * restart
        change = float(np.abs(following - mass).sum())
        mass = following
        if change < tolerance:
            break
    return {name: float(mass[i]) for name, i in place.items()}
