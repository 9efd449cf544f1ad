"""Whether a study looks like one that died: features in common, never evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import msgspec

from tollens.core.errors import TollensError
from tollens.protocol.registration import aggregate_of
from tollens.protocol.study import Study

ENOUGH = Fraction(1, 2)
"""Jaccard index from which a resemblance is said."""
KEYS = ("quantity", "touches")
"""One feature of these must be shared: units, folds and kinds of rung alone are common to half of all studies."""


class Dead(msgspec.Struct, frozen=True, kw_only=True):
    """A killed claim with a recorded postmortem. `study` is its folder, relative to the laboratory."""

    study: str
    claim: str
    obstacle: str
    lesson: str
    features: frozenset[str]


class Resemblance(msgspec.Struct, frozen=True, kw_only=True):
    """A class that killed before and its nearest witness.

    deaths      how many claims of the laboratory died of it, this study's own not counted
    similarity  Jaccard index of the features with the witness, from 0 to 1
    shared      the features in common, as `name:value`
    """

    obstacle: str
    deaths: int
    study: str
    claim: str
    similarity: float
    shared: list[str]
    lesson: str


def features_of(study: Study) -> frozenset[str]:
    """What a study is compared by: its typed claim, what measures it, what attacks it, and its declared attributes."""
    claim, metric = study.claim, study.metric
    try:
        fold = aggregate_of(study)[0]
    except TollensError:
        fold = claim.aggregate
    made = {
        f"quantity:{claim.quantity}", f"unit:{claim.unit}", f"relation:{claim.relation}",
        f"direction:{claim.direction}", f"fold:{fold}",
        f"instrument:{metric.instrument}" if metric.instrument else f"metric:{metric.file}",
        *(f"rung:{rung.kind}" for rung in study.rung),
    }  # fmt: skip
    for name, value in study.proposal.items():
        for word in value if isinstance(value, list) else [value]:
            made.add(f"{name}:{str(word).lower() if isinstance(word, bool) else word}")
    return frozenset(made)


def jaccard(one: frozenset[str], other: frozenset[str]) -> Fraction:
    """Size of the intersection over size of the union (Jaccard 1901); 0 for two empty sets."""
    union = len(one | other)
    return Fraction(len(one & other), union) if union else Fraction(0)


def resembling(features: frozenset[str], dead: Iterable[Dead]) -> list[Resemblance]:
    """One for every class with a witness near enough, the nearest first."""
    by_class: dict[str, list[Dead]] = {}
    for one in dead:
        by_class.setdefault(one.obstacle, []).append(one)
    found = [near for group in by_class.values() if (near := _nearest(features, group)) is not None]
    return sorted(found, key=lambda near: (-near.similarity, near.obstacle))


def _nearest(features: frozenset[str], group: Sequence[Dead]) -> Resemblance | None:
    near = [(jaccard(features, one.features), one) for one in group if _keyed(features & one.features)]
    if not near:
        return None
    best, one = min(near, key=lambda pair: (-pair[0], pair[1].study))
    if best < ENOUGH:
        return None
    return Resemblance(
        obstacle=one.obstacle, deaths=len(group), study=one.study, claim=one.claim, similarity=float(best),
        shared=sorted(features & one.features), lesson=one.lesson,
    )  # fmt: skip


def _keyed(shared: frozenset[str]) -> bool:
    return any(feature.partition(":")[0] in KEYS for feature in shared)


def resemblance_text(near: Resemblance) -> str:
    """One sentence that warns and says what it is worth; of the shared features those that the warning rests on."""
    keyed = [feature for feature in near.shared if feature.partition(":")[0] in KEYS]
    rest = len(near.shared) - len(keyed)
    shown = ", ".join(keyed) + (f" and {rest} more" if rest else "")
    of_them = "1 claim" if near.deaths == 1 else f"{near.deaths} claims"
    lesson = " ".join(near.lesson.split()).rstrip(".")
    said = f"Its lesson: {lesson}." if lesson else "It has no lesson."
    return (
        f"{near.obstacle}, which killed {of_them} here: {near.study} ({near.claim}) shares {near.similarity:.2f} of "
        f"the features of both, {shown}. {said} A resemblance, not evidence."
    )
