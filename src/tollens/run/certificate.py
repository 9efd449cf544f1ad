"""The certificate of `tollens selftest`: what was asked on which machine, and what came out."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["instrument", "invariant", "statistic"]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One known answer: `got` has to be `expected`, numbers within the absolute `tolerance`.

    Where nothing came out `raised` is true and `got` says what was raised, as "Type: message".
    """

    kind: Kind
    name: str
    title: str
    expected: Any
    got: Any
    tolerance: float | None
    passed: bool
    seconds: float
    derivation: str
    raised: bool = False


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer depends on besides the question; a certificate holds for this and nothing else.

    `digest` is of the installed sources and the compiled kernels, `plugins` those of each plugin's sources.
    """

    tollens: str
    digest: str
    python: str
    numpy: str
    scipy: str
    cpu: str
    platform: str
    blas: list[str]
    plugins: dict[str, str] = {}

    @property
    def key(self) -> str:
        """The same for equal machines, with overwhelming probability for no others."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]

    def differs(self, other: Machine) -> list[str]:
        """In what the other one differs, as "blas: A, now B"."""
        mine, theirs = msgspec.to_builtins(self), msgspec.to_builtins(other)
        return [
            f"{name}: {_short(theirs[name])}, now {_short(mine[name])}" for name in mine if mine[name] != theirs[name]
        ]


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """One wrong formula: `change` at `where`; `how` a known answer went red, None if all of them stayed green.

    `broken` says that no value came out: an error, an undefined reading, the end of the process or of the time.
    """

    where: str
    change: str
    how: str | None
    broken: bool = False

    @property
    def wrong(self) -> bool:
        """Whether another answer came out and was noticed, which a formula that merely breaks does not show."""
        return self.how is not None and not self.broken


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the known answers of one entry can go red: at least one wrong formula gave an answer that they refuse.

    `why` says why it is not proved.
    """

    kind: Kind
    name: str
    proved: bool
    mutants: list[Mutant]
    why: str | None = None

    @property
    def shown(self) -> Mutant | None:
        """The first wrong formula that shows it."""
        return next((mutant for mutant in self.mutants if mutant.wrong), None)

    @property
    def survivors(self) -> list[Mutant]:
        return [mutant for mutant in self.mutants if mutant.how is None]


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `tollens selftest`.

    `threads` is the number of BLAS threads that the answers were computed on. `unanswered` names what has no
    known answer. `kept` is where the certificate was stored, `unkept` why it was not. `proofs` are
    there where they were asked for, and are not kept.
    """

    schema: str = "tollens.selftest/1"
    passed: bool
    headline: str
    machine: Machine
    threads: int
    started: str
    seconds: float
    answers: list[Answer]
    unanswered: list[str] = []
    skipped_plugins: dict[str, str] = {}
    only: str | None = None
    kept: str | None = None
    unkept: str | None = None
    proofs: list[Proof] | None = None

    @property
    def unproved(self) -> list[Proof]:
        return [proof for proof in self.proofs or () if not proof.proved]

    @property
    def failed(self) -> list[Answer]:
        return [answer for answer in self.answers if not answer.passed]


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if re.fullmatch("[0-9a-f]{64}", text):
        return text[:12]
    return text if len(text) <= 60 else f"{text[:57]}..."
