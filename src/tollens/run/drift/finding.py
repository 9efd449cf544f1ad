"""What a check of a repository comes to: the object that `tollens drift --json` prints."""

from __future__ import annotations

import msgspec

EXPLAINED = ("d01", "d02", "d03", "d04", "d05", "d06", "d07", "d08", "d09", "d10", "d11", "d12")
"""The codes as `tollens explain` has them; they are printed as D01 to D12."""


class Drifted(msgspec.Struct, frozen=True, order=True):
    """One defect: where, which, of what, and how it is mended. `path` is relative to the folder, `line` from 1."""

    path: str
    line: int
    code: str
    subject: str
    what: str
    fix: str


class Count(msgspec.Struct, frozen=True):
    """How many defects of one code a subject has."""

    code: str
    subject: str
    count: int


class Unread(msgspec.Struct, frozen=True, order=True):
    """A file that a check needed and could not read, and why."""

    path: str
    why: str


class Rewrite(msgspec.Struct, frozen=True, order=True):
    """A tagged number that `--fix` wrote anew, as it was printed and as it is."""

    path: str
    line: int
    field: str
    before: str
    after: str


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens drift --json` prints.

    `studies`, `ledgers`, `papers` and `numbers` count what was checked: folders of studies, those with a record in
    their ledger, texts with a tag, tagged numbers of a claim. `findings` are those shown, sorted; `not_shown` counts
    those in files that did not change since the revision that was named. `unread` files were not checked, so that
    nothing is known of them. `exit_code`: 2 where something could not be read, 1 where something is shown, 21 where
    no ledger has a record, 0 otherwise.
    """

    schema: str = "tollens.drift/1"
    studies: int
    ledgers: int
    papers: int
    numbers: int
    findings: list[Drifted]
    counts: list[Count]
    not_shown: int
    since: str | None
    unread: list[Unread]
    fixed: list[Rewrite]
    exit_code: int
    next: str
