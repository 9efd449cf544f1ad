"""A finding: what one invariant made of one claim, in the form that is printed and stored."""

from __future__ import annotations

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check of one claim.

    `witness` is the smallest set of numbers that shows the outcome, with the relation and both sides filled
    in. `computed` is what the claim says of the quantity as printed, or what was recomputed for an equality;
    `bound` what it is held against; `margin` their distance as printed, negative when violated, and
    `margin_rounded` what remains of it when every printed number may have been rounded; all in `unit`.
    `settle` names the field, the n or the measurement that would decide. `draft` marks a claim that was
    guessed from plain text.
    """

    id: str
    path: str
    line: int
    text: str
    invariant: str | None
    outcome: str
    subtype: str | None
    witness: str
    relation: str | None = None
    computed: float | None = None
    bound: float | None = None
    margin: float | None = None
    margin_rounded: float | None = None
    unit: str = "1"
    inputs: dict[str, str] = {}
    missing: tuple[str, ...] = ()
    settle: str | None = None
    reference: str | None = None
    formula: str | None = None
    draft: bool = False
    source: str | None = None
    expect: str | None = None

    @property
    def said(self) -> str:
        """The outcome with its subtype, such as `refuted/impossible`."""
        return f"{self.outcome}/{self.subtype}" if self.subtype else self.outcome
