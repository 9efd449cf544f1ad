"""Seeds mutated by the hundred thousand through one reader: out comes a result or a named error, nothing else."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tollens.core.codes import CODES
from tollens.core.errors import Exit, TollensError

EXTREMES = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFE, 0xFF)
WIDE = (0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)


@dataclass
class Survey:
    """`refusals` by code, and how long it took."""

    count: int = 0
    accepted: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def __str__(self) -> str:
        codes = ", ".join(f"{code} {n}" for code, n in self.refusals.most_common())
        rate = self.count / max(self.seconds, 1e-9)
        return f"{self.count} inputs, {rate:.0f} a second, {self.accepted} accepted; {codes}"


@dataclass(frozen=True)
class Watched:
    """A file in memory that no one may read past: every read must lie inside."""

    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    def read_into(self, offset: int, view: memoryview, /) -> int:
        end = offset + len(view)
        assert 0 <= offset <= end <= len(self.content), f"read of [{offset}, {end}) in {len(self.content)} bytes"
        view[:] = self.content[offset:end]
        return len(view)


def survives(
    seeds: Sequence[bytes],
    open_fn: Callable[[bytes], object],
    count: int,
    seed: int = 0,
    tokens: Sequence[bytes] = (),
) -> Survey:
    """Give `count` mutations of `seeds` to `open_fn`, which may refuse an input with a TollensError of bad input and
    nothing else. `tokens` are byte strings of the format that are put in here and there.

    What it fails with is raised, with the input beside it as a note.
    """
    rng = random.Random(seed)
    survey = Survey()
    begin = time.perf_counter()
    for _ in range(count):
        content = mutated(seeds, rng, tokens)
        survey.count += 1
        try:
            open_fn(content)
        except TollensError as error:
            if error.code not in CODES or error.exit_code is not Exit.BAD_INPUT:
                raise
            survey.refusals[error.code] += 1
        except BaseException as failure:
            failure.add_note(f"input number {survey.count} of seed {seed}: {content!r}")
            raise
        else:
            survey.accepted += 1
    survey.seconds = time.perf_counter() - begin
    return survey


def mutated(seeds: Sequence[bytes], rng: random.Random, tokens: Sequence[bytes] = ()) -> bytes:
    """One of the seeds with one to four changes, most often one or two."""
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        if content:
            _change(content, seeds, rng, tokens)
    return bytes(content)


def _change(content: bytearray, seeds: Sequence[bytes], rng: random.Random, tokens: Sequence[bytes]) -> None:
    at, kind = rng.randrange(len(content)), rng.randrange(12)
    if kind <= 1:
        content[at] ^= 1 << rng.randrange(8)
    elif kind == 2:
        content[at] = rng.randrange(256)
    elif kind == 3:
        content[at] = rng.choice(EXTREMES)
    elif kind == 4:
        content[at] = (content[at] + rng.choice((-2, -1, 1, 2))) & 0xFF
    elif kind == 5:
        width = rng.choice((2, 4, 8))
        piece = (rng.choice(WIDE) & ((1 << 8 * width) - 1)).to_bytes(width, rng.choice(("little", "big")))
        content[at : at + width] = piece[: len(content) - at]
    elif kind == 6:
        del content[at : at + rng.choice((1, 1, 2, 4, 16, 64))]
    elif kind == 7:
        content[at:at] = content[(start := rng.randrange(len(content))) : start + rng.choice((1, 2, 4, 16, 64))]
    elif kind == 8:
        piece = content[(start := rng.randrange(len(content))) : start + rng.choice((1, 2, 4, 8, 32))]
        content[at : at + len(piece)] = piece[: len(content) - at]
    elif kind == 9:
        other = rng.choice(seeds)
        start = min(at, len(other))
        content[at:] = other[start:] if rng.random() < 0.5 else other[rng.randrange(len(other)) :]
    elif kind == 10 and tokens:
        token = rng.choice(tokens)
        content[at : at + rng.choice((0, len(token)))] = token
    else:
        del content[rng.choice((at, len(content) - min(at, 24))) :]
