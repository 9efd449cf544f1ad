"""The verdict on a claim, and the exit code it ends the process with."""

from __future__ import annotations

from enum import StrEnum

from tollens.core.errors import Exit


class Verdict(StrEnum):
    """SURVIVED means not refuted by these tests, never proved."""

    SURVIVED = "SURVIVED"
    KILLED = "KILLED"
    UNDETERMINED = "UNDETERMINED"
    VOID = "VOID"
    BLOCKED = "BLOCKED"

    @property
    def exit_code(self) -> Exit:
        return Exit[self.value]
