"""The order of the ladder: what to try first, so that a false claim dies cheaply."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from tollens.core.errors import Exit, TollensError

REFERENCE = "Mitten, An analytic solution to the least cost testing sequence problem, J. Ind. Eng. 11 (1960)"
OPTIMAL = "order: smallest cost over kill probability first"
HEURISTIC = "order: heuristic"
FEW = 5  # past cases; a share of fewer is a prior
_HISTORY = re.compile(r"history ([0-9]{1,9})/([0-9]{1,9})", re.ASCII)


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """One rung as the order sees it.

    cost         what the whole rung costs, finite and at least 0, in one unit for all rungs
    probability  that a false claim dies here, in (0, 1]
    source       "prior" or "history k/n": k deaths in n past cases
    """

    id: str
    requires: tuple[str, ...] = ()
    cost: float
    probability: float
    source: str = "prior"

    @property
    def ratio(self) -> Fraction:
        """Cost over kill probability: what one death here costs on average."""
        return Fraction(self.cost) / Fraction(self.probability)


def ladder_order(rungs: Sequence[Priced]) -> list[Priced]:
    """Among the rungs whose requirements are placed, the one of the smallest ratio; then the cheaper; then file order.

    Least expected cost for rungs that kill independently and require nothing (Mitten 1960); a heuristic otherwise.
    Raises TollensError, exit 3: `ladder_rung` (a name twice, a cost or probability out of range, a source that is
    none), `ladder_requires` (an unknown name), `ladder_cycle` (naming the cycle).
    """
    check_ladder(rungs)
    ratios = [rung.ratio for rung in rungs]
    left, placed, ordered = [*range(len(rungs))], set[str](), list[Priced]()
    while left:
        free = [i for i in left if placed.issuperset(rungs[i].requires)]
        best = min(free, key=lambda i: (ratios[i], rungs[i].cost, i))
        left.remove(best)
        placed.add(rungs[best].id)
        ordered.append(rungs[best])
    return ordered


def order_note(rungs: Sequence[Priced]) -> str:
    """`order: heuristic` where any rung requires another, since the smallest ratio first is then no optimum."""
    return HEURISTIC if any(rung.requires for rung in rungs) else OPTIMAL


def expected_cost(ordered: Sequence[Priced]) -> float:
    """What a claim that is false costs on average: sum of c_i prod_{j < i} (1 - q_j), in the unit of the costs.

    A claim that every rung lets pass pays them all. Raises TollensError `ladder_rung` as `ladder_order`.
    """
    alive, total = Fraction(1), Fraction(0)
    for rung in ordered:
        _check_price(rung)
        total += alive * Fraction(rung.cost)
        alive *= 1 - Fraction(rung.probability)
    return float(total)


def shown_source(rung: Priced) -> str:
    """Where the kill probability is from; a share of fewer than five past cases prints as the prior that it is."""
    match = _HISTORY.fullmatch(rung.source)
    return rung.source if match is None or int(match[2]) >= FEW else f"prior ({match[1]} of {match[2]} past cases)"


def check_ladder(rungs: Sequence[Priced]) -> None:
    """Whether these rungs have an order. Raises as `ladder_order`."""
    known: dict[str, Priced] = {}
    for rung in rungs:
        if rung.id in known:
            raise _refused(f"rung {rung.id!r}", "a name of its own", "two rungs of that name", "Rename one of them.")
        _check_price(rung)
        known[rung.id] = rung
    for rung in rungs:
        unknown = [name for name in rung.requires if name not in known]
        if unknown:
            raise TollensError(
                "ladder_requires",
                f"requires of rung {rung.id!r}",
                expected=f"one of {', '.join(name for name in known if name != rung.id) or 'no rung at all'}",
                found=repr(unknown[0]),
                fix="Correct the name, or add the rung.",
                exit_code=Exit.REFUSED_TO_SEAL,
            )
    cycle = _cycle(known)
    if cycle:
        raise TollensError(
            "ladder_cycle",
            "requires",
            expected="rungs that can be started one after the other",
            found=" -> ".join((*cycle, cycle[0])),
            fix=f"Remove {cycle[1 % len(cycle)]!r} from the requires of {cycle[0]!r}.",
            exit_code=Exit.REFUSED_TO_SEAL,
        )


def _cycle(known: Mapping[str, Priced]) -> list[str]:
    """The first cycle, each rung before one that it requires; empty where there is none."""
    settled: set[str] = set()
    while True:
        free = [name for name in known if name not in settled and settled.issuperset(known[name].requires)]
        if not free:
            break
        settled.update(free)
    stuck = next((name for name in known if name not in settled), None)
    path: list[str] = []
    while stuck is not None and stuck not in path:  # whatever is stuck requires something that is
        path.append(stuck)
        stuck = next(name for name in known[stuck].requires if name not in settled)
    return path[path.index(stuck) :] if stuck is not None else []


def _check_price(rung: Priced) -> None:
    subject = f"rung {rung.id!r}"
    if not (math.isfinite(rung.cost) and rung.cost >= 0):
        raise _refused(f"cost of {subject}", "a finite number of at least 0", repr(rung.cost), "Correct the price.")
    if not 0.0 < rung.probability <= 1.0:
        raise _refused(
            f"kill probability of {subject}", "a number in (0, 1]", repr(rung.probability),
            "Write what you would bet; 0.5 if you do not know.",
        )  # fmt: skip
    match = _HISTORY.fullmatch(rung.source)
    if rung.source != "prior" and (match is None or int(match[2]) == 0 or int(match[1]) > int(match[2])):
        raise _refused(
            f"source of the kill probability of {subject}", '"prior" or "history k/n" with k at most n',
            repr(rung.source[:60]), 'Write source = "prior".',
        )  # fmt: skip


def _refused(subject: str, expected: str, found: str, fix: str) -> TollensError:
    return TollensError("ladder_rung", subject, expected=expected, found=found, fix=fix, exit_code=Exit.REFUSED_TO_SEAL)
