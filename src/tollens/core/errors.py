"""Errors that name the subject, what was expected, what was found and what to do next."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The one table of exit codes of the product."""

    CLEAN = 0
    SURVIVED = 0
    FINDINGS = 1
    BAD_INPUT = 2
    REFUSED_TO_SEAL = 3
    KILLED = 10
    UNDETERMINED = 11
    VOID = 12
    BLOCKED = 13
    TAMPERED = 20
    NOT_SEALED = 21
    NOT_SCORABLE = 22
    UNANCHORED = 23
    INTERNAL = 70


class TollensError(Exception):
    """A named failure that a person can act on.

    `code` is a key of `tollens.core.codes.CODES`; `tollens explain CODE` expands it.
    """

    def __init__(
        self, code: str, subject: str, *, expected: str, found: str, fix: str, exit_code: Exit = Exit.BAD_INPUT
    ) -> None:
        self.code = code
        self.subject = subject
        self.expected = expected
        self.found = found
        self.fix = fix
        self.exit_code = exit_code
        super().__init__(code, subject, expected, found, fix)

    def __str__(self) -> str:
        return f"{self.code}: {self.subject}: expected {self.expected}; found {self.found}. {self.fix}"

    def __reduce__(self) -> tuple[object, ...]:  # exceptions with keyword arguments do not pickle by default
        return (_rebuild, (self.code, self.subject, self.expected, self.found, self.fix, int(self.exit_code)))


def _rebuild(code: str, subject: str, expected: str, found: str, fix: str, exit_code: int) -> TollensError:
    return TollensError(code, subject, expected=expected, found=found, fix=fix, exit_code=Exit(exit_code))
