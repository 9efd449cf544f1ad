"""What counts as a change along a series of checkpoints: intervals that part, or a count that stays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import Literal

import msgspec

from tollens.core.reading import Interval

HELD = 3
"""A count has changed once so many checkpoints in a row are on one side of what it was."""
TRAPS = frozenset({"traps_mean", "traps_entry", "traps_residual"})


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one quantity of one matrix, between two steps.

    `kind`: "interval" where the intervals at both ends are disjoint, "count" where a count stayed changed, "nonfinite"
    where a matrix lost its numbers. `held` is the number of checkpoints of which that is true. `finding` marks what
    calls for an answer: a trap that appears, and elements that are not finite.
    """

    kind: Literal["interval", "count", "nonfinite"]
    matrix: str
    quantity: str
    from_step: int
    to_step: int
    before: float | None
    after: float | None
    before_interval: Interval | None = None
    after_interval: Interval | None = None
    held: int = 1
    finding: bool = False
    sentence: str


def disjoint(one: Interval, other: Interval) -> bool:
    """Whether two closed intervals share no number."""
    return one.high < other.low or other.high < one.low


def chance_of_disjoint(level: float) -> float:
    """How often the intervals of two equal quantities part by chance, `level` in (0, 1).

    Two independent normal estimates of standard error s have intervals of half-width z*s, which part where the
    difference, of standard deviation sqrt(2)*s, exceeds 2*z*s: erfc(z), 0.0200 at level 0.9.
    """
    return math.erfc(NormalDist().inv_cdf(0.5 + level / 2.0))


def interval_changes(
    matrix: str,
    quantity: str,
    steps: Sequence[int],
    values: Sequence[float | None],
    intervals: Sequence[Interval | None],
) -> list[Change]:
    """Changes between neighbours whose intervals are disjoint; if there is none, of the last against the first.

    `values` and `intervals` (T,) at `steps` (T,); a checkpoint that lacks one of them has no neighbours, and those on
    its two sides are compared.
    """
    known = [
        (step, value, interval)
        for step, value, interval in zip(steps, values, intervals, strict=True)
        if value is not None and interval is not None
    ]
    found = [_parted(matrix, quantity, one, other) for one, other in pairwise(known) if disjoint(one[2], other[2])]
    if not found and len(known) > 2 and disjoint(known[0][2], known[-1][2]):
        found.append(_parted(matrix, quantity, known[0], known[-1]))
    return found


def comparisons(values: Sequence[float | None], intervals: Sequence[Interval | None]) -> int:
    """How many pairs of neighbours `interval_changes` compares."""
    both = zip(values, intervals, strict=True)
    return max(0, sum(value is not None and interval is not None for value, interval in both) - 1)


def _parted(matrix: str, quantity: str, one: tuple[int, float, Interval], other: tuple[int, float, Interval]) -> Change:
    (from_step, before, first), (to_step, after, second) = one, other
    return Change(
        kind="interval",
        matrix=matrix,
        quantity=quantity,
        from_step=from_step,
        to_step=to_step,
        before=before,
        after=after,
        before_interval=first,
        after_interval=second,
        sentence=f"{quantity} {'rose' if after > before else 'fell'} from {_span(before, first)} at step {from_step} "
        f"to {_span(after, second)} at step {to_step}; the {100.0 * first.level:g} % intervals are disjoint.",
    )


def _span(value: float, interval: Interval) -> str:
    return f"{value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def count_changes(matrix: str, quantity: str, steps: Sequence[int], counts: Sequence[float | None]) -> list[Change]:
    """Where a count (T,) left its level and `HELD` checkpoints in a row stayed on that side of it.

    The level is at first the first count that is known, then what held: the smallest of the three after a rise, the
    largest after a fall. A count that goes on in one direction is one change, to where it arrives. A checkpoint
    without a count ends a row.
    """
    found: list[Change] = []
    for start, end, before, after in _moves(counts):
        held = 0
        for count in counts[end:]:
            if count is None or (count < after if after > before else count > after):
                break
            held += 1
        rose = after > before
        appears = rose and before == 0.0 and quantity in TRAPS
        found.append(
            Change(
                kind="count",
                matrix=matrix,
                quantity=quantity,
                from_step=steps[start - 1],
                to_step=steps[end],
                before=before,
                after=after,
                held=held,
                finding=appears,
                sentence=f"{quantity} {'rose' if rose else 'fell'} from {before:g} to {after:g}, from step "
                f"{steps[start]} on{f' until step {steps[end]}' if end > start else ''}, and has stayed "
                f"{'there or above' if rose else 'there or below'} for {held} checkpoints.",
            )
        )
    return found


def _moves(counts: Sequence[float | None]) -> Iterator[tuple[int, int, float, float]]:
    """(first place, last place, level before, level after) of each move that held, those in one direction joined."""
    level: float | None = None
    open_move: tuple[int, int, float, float] | None = None
    for place in range(len(counts)):
        ahead = [count for count in counts[place : place + HELD] if count is not None]
        if level is None:
            level = counts[place]
            continue
        if len(ahead) < HELD:
            continue
        after = min(ahead) if min(ahead) > level else max(ahead) if max(ahead) < level else None
        if after is None:
            continue
        if open_move is not None and open_move[1] == place - 1 and (after > level) == (open_move[3] > open_move[2]):
            open_move = (open_move[0], place, open_move[2], after)
        else:
            if open_move is not None:
                yield open_move
            open_move = (place, place, level, after)
        level = after
    if open_move is not None:
        yield open_move


def lost_numbers(matrix: str, steps: Sequence[int], finite: Sequence[bool]) -> list[Change]:
    """Where a matrix that was finite before, or is so at the first checkpoint, has elements that are not."""
    found = []
    for place, (step, whole) in enumerate(zip(steps, finite, strict=True)):
        if whole or (place > 0 and not finite[place - 1]):
            continue
        back = next((later for later, good in zip(steps[place:], finite[place:], strict=True) if good), None)
        until = "to the end of the series" if back is None else f"until it is finite again at step {back}"
        found.append(
            Change(
                kind="nonfinite",
                matrix=matrix,
                quantity="nonfinite",
                from_step=steps[max(0, place - 1)],
                to_step=step,
                before=None,
                after=None,
                held=sum(1 for later in steps[place:] if back is None or later < back),
                finding=True,
                sentence=f"has elements that are not finite from step {step} on, {until}.",
            )
        )
    return found
