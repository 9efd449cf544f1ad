"""Small seeded computations for laws that have no closed form. Each takes plain values and returns numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tollens.lint.pagerank import personalised_pagerank

Computation: TypeAlias = Callable[..., Mapping[str, float]]

REPLAYS: dict[str, Computation] = {"ppr": personalised_pagerank}


def replay(name: str, parameters: Mapping[str, Any]) -> Mapping[str, float] | None:
    """Run the computation `name` in this process, without limits. `lint` of untrusted claims runs it in a child."""
    return REPLAYS[name](**parameters)
