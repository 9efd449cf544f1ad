"""A binding constraint: what is forbidden until shown otherwise, because it has failed before."""

from __future__ import annotations

from typing import Literal

import msgspec


class Constraint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One [[constraint]] of tollens.toml.

    trigger    predicate over the attributes that a study declares under [proposal]; what is not declared triggers
    mechanism  why such a proposal fails
    citation   where that was shown
    require    the evidence that lifts it, every entry of the list
    kind       "theorem" where the mechanism is proved, "policy" where it is a decision of the laboratory
    waiver     what a waiver must say, for people
    """

    id: str
    trigger: str
    mechanism: str
    citation: str = ""
    require: list[str]
    kind: Literal["policy", "theorem"] = "policy"
    waiver: str = ""
