"""Why claims die: the classes of obstacles, as data."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

ObstacleKind: TypeAlias = Literal["theorem", "arithmetic", "model-based", "none"]


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
