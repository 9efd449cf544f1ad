"""A scoreboard of claims about one network: what became of each, why, and at what price."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from tollens.lint.judge import claim_outcome
from tollens.run.lint import lint_files
from tollens.standard.digits import SIZES
from tollens.standard.studies import Climb
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.tensor import TensorInfo


class Price(msgspec.Struct, frozen=True):
    """What an answer cost: wall time in seconds, and distinct bytes that were read of the files it is about.

    Of a climb also its requests and its money, in millionths of a US dollar; None where there was no climb.
    """

    seconds: float
    bytes_read: int
    requests: int | None = None
    usd_micro: int | None = None


class Score(msgspec.Struct, frozen=True):
    """One claim and its fate.

    `rung` is the attack that decided: arithmetic, weights or cpu. `witness` is the smallest thing that shows why.
    `unspent` says what the dearer rungs would have cost: "not spent because it died here", or for a claim
    that lives, what the next rung costs.
    """

    claim: str
    subject: str
    verdict: str
    rung: str
    witness: str
    price: Price
    unspent: str


class BlockCode(msgspec.Struct, frozen=True):
    """Weights stored in `bits` bits each, with one scale of `scale_bits` bits for every `group` weights."""

    bits: int = 4
    scale_bits: int = 16
    group: int = 32

    @property
    def bits_per_weight(self) -> float:
        return self.bits + self.scale_bits / self.group


def best_ratio(tensors: Sequence[TensorInfo], code: BlockCode) -> float:
    """Stored bytes over the fewest bytes `code` can take, from names, shapes and dtypes alone.

    An upper bound on the compression: everything is coded, vectors too, and the file needs no header. Raises
    ValueError where there is nothing to compress.
    """
    elements = sum(tensor.size for tensor in tensors)
    if elements == 0:
        raise ValueError("a checkpoint without elements has no compression ratio")
    return 8.0 * sum(tensor.nbytes for tensor in tensors) / (elements * code.bits_per_weight)


def forward_flops(inputs: int) -> int:
    """Multiplications and additions of the digits network on so many inputs, without biases."""
    return 2 * inputs * sum(a * b for a, b in pairwise(SIZES))


def score_reported(path: Path, ids: Sequence[str]) -> list[Score]:
    """Judge some claims of a table of reported numbers by arithmetic; the price is shared equally among them.

    Raises ValueError for a claim that is not in the table.
    """
    start = time.perf_counter()
    found = lint_files([path]).findings
    price = Price((time.perf_counter() - start) / len(ids), path.stat().st_size)
    scores = []
    for name in ids:
        about = [finding for finding in found if finding.id == name]
        if not about:
            raise ValueError(f"{path.name} holds no claim {name!r}")
        worst = next((finding for finding in about if finding.outcome == claim_outcome(about)), about[0])
        killed = worst.outcome == "refuted"
        scores.append(
            Score(
                claim=worst.text,
                subject=f"reported numbers: {worst.source}",
                verdict="KILLED" if killed else "UNDETERMINED",
                rung="arithmetic",
                witness=worst.witness,
                price=price,
                unspent=f"{'not spent because it died here' if killed else 'still to spend'}: the experiment itself",
            )
        )
    return scores


def score_compression(path: Path, claimed: float, code: BlockCode, test_images: int) -> Score:
    """Judge "`code` makes it `claimed` times smaller" by arithmetic on the header; no weight is read."""
    start = time.perf_counter()
    tensors = open_checkpoint(path).tensors
    bound = best_ratio(tensors, code)
    stored = sum(tensor.nbytes for tensor in tensors)
    elements = sum(tensor.size for tensor in tensors)
    header = path.stat().st_size - stored
    killed = bound < claimed
    return Score(
        claim=f"{code.bits}-bit weights with a {code.scale_bits}-bit scale for every {code.group} make it "
        f"{claimed:g} times smaller",
        subject=path.name,
        verdict="KILLED" if killed else "SURVIVED",
        rung="arithmetic",
        witness=f"{8 * stored / elements:g} bits / ({code.bits} + {code.scale_bits}/{code.group}) bits = "
        f"{bound:.2f} {'<' if killed else '>='} {claimed:g}",
        price=Price(time.perf_counter() - start, header),
        unspent=f"{'not spent because it died here' if killed else 'still to spend'}: "
        f"reading {stored:,} bytes, coding {elements:,} weights, "
        f"a test of {forward_flops(test_images) / 1e6:.0f} Mflop",
    )


def score_climb(climb: Climb) -> Score:
    """A sealed claim as its decision tells it; REFUSED where it was not climbed."""
    made = climb.decision
    if made is None:
        return Score(
            claim=climb.plan.claim,
            subject="a sealed study",
            verdict="REFUSED",
            rung="none",
            witness=str(climb.refused),
            price=Price(climb.seconds, climb.sealed_bytes),
            unspent=f"not spent: {climb.plan.requests} requests",
        )
    kinds = {result.id: result.kind for result in made.rungs}
    killed = made.verdict == "KILLED"
    left = "; ".join(line.removeprefix("not run: ") for line in made.unspent)
    return Score(
        claim=made.text,
        subject=f"sealed {made.seal[:12]}",
        verdict=made.verdict,
        rung=kinds.get(made.rung or "", "none"),
        witness=made.found,
        price=Price(made.spent.seconds, climb.sealed_bytes, made.spent.requests, made.spent.usd_micro),
        unspent=f"{'not spent because it died here' if killed else 'still to spend'}: {left or 'nothing'}",
    )
