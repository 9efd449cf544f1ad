"""What is answered to a claim: its verdict, and what decided it."""

from __future__ import annotations

import msgspec

from tollens.core.errors import Exit
from tollens.core.verdict import Verdict


class ClaimWitness(msgspec.Struct, frozen=True):
    """`quantity` of `layer` is `value` (in `unit`), to be compared by `relation` with `threshold`.

    `margin` is the signed distance, positive where the relation holds, and null between names. `layer` is
    null where the value belongs to no single layer, such as a mean. `certain` is false where undefined values
    leave the value open on the side that cannot change the answer.
    """

    layer: str | None
    quantity: str
    value: int | float | str
    unit: str
    relation: str
    threshold: int | float | str
    margin: int | float | None
    certain: bool = True


class UndeterminedValue(msgspec.Struct, frozen=True):
    """A value that does not exist and could change the answer; `reason` is a code."""

    layer: str
    quantity: str
    reason: str


class ClaimAnswer(msgspec.Struct, frozen=True):
    """The verdict on a claim. `expected` is the part of it that decides, `found` one sentence about it."""

    text: str
    verdict: Verdict
    expected: str
    found: str
    witness: ClaimWitness | None = None
    undetermined: list[UndeterminedValue] = []
    reason: str | None = None

    @property
    def exit_code(self) -> Exit:
        return self.verdict.exit_code
