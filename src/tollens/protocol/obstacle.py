"""Why claims die: the classes of obstacles, as data."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import msgspec

from tollens.core.errors import TollensError

ObstacleKind: TypeAlias = Literal["theorem", "arithmetic", "model-based", "none"]
OTHER = "OTHER"
_ID = re.compile(r"[A-Z][A-Z0-9_]{0,63}", re.ASCII)


class Obstacle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One class. A laboratory adds its own as [[obstacle]] of tollens.toml.

    id    upper case with underscores
    says  what stands in the way, one sentence
    kind  "theorem" or "arithmetic" where the obstacle is proved of every such claim, "model-based" where it is a
          worst case of a model, "none" where it is one case and no law
    """

    id: str
    says: str
    kind: ObstacleKind = "none"


def _built_in(*rows: tuple[str, ObstacleKind, str]) -> dict[str, Obstacle]:
    return {name: Obstacle(id=name, kind=kind, says=says) for name, kind, says in rows}


BUILT_IN: Mapping[str, Obstacle] = _built_in(
    ("SOURCE_ORTHOGONAL", "theorem",
     "The source direction has no component on the readout, which cannot see it however large it is."),
    ("CONCENTRATION", "theorem",
     "Of a direction drawn evenly on the sphere in d dimensions the mean |cosine| with a fixed one is about "
     "sqrt(2/(pi d)), and no less for being unrelated; a white covariance alone does not give that."),
    ("LOW_RANK_RESIDUAL", "theorem",
     "The singular values that the rank leaves out exceed the budget, and by Eckart and Young no matrix of that rank "
     "is nearer."),
    ("CLOSURE", "theorem", "The family is closed under the allowed operations, so that nothing outside it is reached."),
    ("BUDGET", "arithmetic", "The bytes or the quality do not fit, by counting alone."),
    ("MEASUREMENT", "none", "A bug in the measurement killed it, and nothing is known of the claim itself."),
    ("READOUT_MISMATCH", "theorem",
     "Two readouts of one source disagree, so that what holds of one does not follow for the other."),
    ("DEPTH", "model-based",
     "A relative loss rho in each of L layers compounds to (1 + rho)^L - 1 in the multiplicative worst case; staying "
     "within tau needs rho <= (1 + tau)^(1/L) - 1, and a real network that exceeds it need not fail."),
    ("NULL_EQUAL", "none", "Chance alone does as well with the same budget."),
    ("LEAKAGE", "none", "What was tested had been seen before, by the model or by the person."),
    ("UNDERPOWERED", "none", "There were too few readings to tell the effect from noise."),
    ("METRIC_REVERSED", "none", "The metric points the other way: what it counts as better is worse."),
    (OTHER, "none", "None of the others; the lesson says what."),
)  # fmt: skip


def depth_bound(layers: int, tau: float) -> float:
    """The largest relative loss of one layer that keeps `layers` of them within `tau`: (1 + tau)^(1/L) - 1.

    Model-based: the multiplicative worst case, in which every layer loses the same share of what is left and no
    layer makes up for another. Say so wherever the number is shown. Raises: ValueError outside layers >= 1, tau >= 0.
    """
    if layers < 1 or not 0 <= tau < math.inf:
        raise ValueError(f"layers from 1 and a finite tau from 0; found {layers}, {tau}")
    return math.expm1(math.log1p(tau) / layers)


def compounded(rho: float, layers: int) -> float:
    """What a relative loss of `rho` in each of `layers` comes to in that worst case: (1 + rho)^L - 1. Model-based.

    Raises: ValueError outside layers >= 1, rho >= 0; OverflowError beyond the range of a double.
    """
    if layers < 1 or not 0 <= rho < math.inf:
        raise ValueError(f"layers from 1 and a finite rho from 0; found {layers}, {rho}")
    return math.expm1(layers * math.log1p(rho))


def check_obstacles(rows: Iterable[Obstacle], where: str) -> None:
    """Return if every class of a laboratory has a name of the right form that is not taken.

    Raises TollensError `obstacle_name`, exit 2.
    """
    for row in rows:
        if not _ID.fullmatch(row.id):
            expected, found = "an id of capital letters, digits and underscores, at most 64", repr(row.id[:70])
        elif row.id in BUILT_IN:
            expected, found = f"another name: {row.id} is built in", f"[[obstacle]] {row.id}"
        elif not row.says.strip():
            expected, found = f"one sentence in {row.id}.says", "nothing"
        else:
            continue
        raise TollensError(
            "obstacle_name", where, expected=expected, found=found, fix="Correct the [[obstacle]] table."
        )


def classes(added: Iterable[Obstacle]) -> dict[str, Obstacle]:
    """The built-in classes and those of a laboratory; of two of one name the later one."""
    return {**BUILT_IN, **{row.id: row for row in added}}
