"""What a code says to a person."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """`title`: a few words. `meaning`: what was found and why it matters. `remedy`: what to do next."""

    title: str
    meaning: str
    remedy: str
