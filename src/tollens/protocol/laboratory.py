"""`tollens.toml`: what a laboratory has learnt, as typed tables; one file at the top of a folder of studies."""

from __future__ import annotations

import tomllib

import msgspec

from tollens.core.errors import TollensError
from tollens.protocol.constraint import Constraint, check_constraint
from tollens.protocol.obstacle import Obstacle, check_obstacles
from tollens.protocol.rate import Rate

FILE = "tollens.toml"


class Drift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `tollens drift` reads beside the studies: patterns of paths, relative to the file."""

    papers: list[str] = msgspec.field(default_factory=lambda: ["**/*.md", "**/*.tex"])


class Laboratory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of tollens.toml."""

    constraint: list[Constraint] = []
    obstacle: list[Obstacle] = []
    rate: list[Rate] = []
    drift: Drift = Drift()


def read_laboratory(text: str, where: str = FILE) -> Laboratory:
    """The typed tables of a tollens.toml.

    Raises TollensError `laboratory_syntax`, `constraint_malformed` or `obstacle_name`, exit 2.
    """
    try:
        made = msgspec.convert(tomllib.loads(text), Laboratory)
    except (ValueError, RecursionError) as error:  # ValidationError is a ValueError; so is what tomllib raises
        raise _syntax(where, str(error)[:200]) from None
    for table in ("constraint", "obstacle", "rate"):
        names = [row.id for row in getattr(made, table)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise _syntax(where, f"[[{table}]] {twice[0]!r} twice")
    for constraint in made.constraint:
        check_constraint(constraint, where)
    check_obstacles(made.obstacle, where)
    return made


def _syntax(where: str, found: str) -> TollensError:
    return TollensError(
        "laboratory_syntax", where, expected="the tables constraint, obstacle, rate and drift", found=found,
        fix="Correct the line named; docs/reference/laboratory.md lists the fields.",
    )  # fmt: skip
