"""A series: checkpoints of one model in the order of the training steps that they were saved at."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from tollens.core.errors import TollensError
from tollens.subject import document, file
from tollens.subject.checkpoint import Checkpoint, open_checkpoint
from tollens.subject.matrices import Inventory, MatrixView
from tollens.subject.place import Place, place_of
from tollens.subject.sharded import check_inside

Says: TypeAlias = Literal["metadata", "trainer_state", "name"]
"""Who says what the step is, the most trusted first: the file itself, the trainer's notes beside it, a name."""

STATE = "trainer_state.json"
MAX_STATE = 50_000_000  # bytes: such notes hold a line for each logged step, and no run logs hundreds of thousands
KEYS = ("step", "global_step")
LAST_STEP = 2**53 - 1
"""The largest step: the largest whole number that every reader of JSON keeps."""
NAMED = re.compile(r"(?:^|[-_.=])(?:checkpoint|step|iter)[-_=]?([0-9]+)(?![0-9A-Za-z])(?!\.[0-9])")
SINGLE = (".safetensors", ".npz", ".pt", ".pth", ".ckpt")
WHOLE = re.compile(r"(?:checkpoint|(?:global_)?step|iter)[-_=]?[0-9]+")


@dataclass(frozen=True, slots=True)
class Member:
    """One checkpoint of a series, its step, and who says so."""

    step: int
    said_by: Says
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Series:
    """The checkpoints by ascending step. `left_out`: entries of an expanded folder that look like checkpoints and are
    none of the series.
    """

    members: tuple[Member, ...]
    left_out: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[int, ...]:
        return tuple(member.step for member in self.members)


def open_series(paths: Sequence[str | os.PathLike[str]]) -> Series:
    """Open the checkpoints at `paths`, given in any order, or those in the one folder of `paths`.

    A folder given alone is expanded if it has sub-folders named `checkpoint-N`, `step-N` or alike; what is saved
    beside them is left out. The step of a checkpoint is what `step` or `global_step` of its metadata,
    `trainer_state.json` in its folder and its name agree on. A file that is named by its step stands among others
    in its folder and is not described by the notes there.

    Raises: `series_too_short` for fewer than two, `step_unknown`, `step_invalid`, `step_conflict`, `step_duplicate`,
    those of `open_checkpoint`.
    """
    places, left_out = _places(paths)
    if len(places) < 2:
        raise TollensError(
            "series_too_short", str(places[0]) if places else "--series", expected="two checkpoints or more",
            found=f"{len(places)}, and nothing in it named checkpoint-N or step-N",
            fix="Name the checkpoints to compare.",
        )  # fmt: skip
    members = [_member(place) for place in places]
    members.sort(key=lambda member: member.step)
    for one, other in pairwise(members):
        if one.step == other.step:
            raise TollensError(
                "step_duplicate", f"{one.checkpoint.path} and {other.checkpoint.path}", expected="every step once",
                found=f"step {one.step} twice", fix="Leave one of the two out.",
            )  # fmt: skip
    return Series(tuple(members), left_out)


def _places(paths: Sequence[str | os.PathLike[str]]) -> tuple[list[Place], tuple[str, ...]]:
    places = [place_of(os.fspath(path)) for path in paths]
    if len(places) != 1 or not os.fspath(paths[0]) or file.kind(places[0]) != "folder":
        return places, ()
    (folder,) = places
    names = file.listing(folder)
    inside = [n for n in names if WHOLE.fullmatch(n) and file.kind(folder / n) == "folder"]
    if not inside:  # one file a step, as Lightning and many scripts save them
        inside = [n for n in names if n.endswith(SINGLE) and NAMED.search(n) and file.kind(folder / n) == "file"]
    rest = [n for n in names if n not in inside and (n.startswith("checkpoint") or n.endswith(SINGLE))]
    return ([folder / n for n in inside], tuple(rest)) if inside else (places, ())


def _member(place: Place) -> Member:
    checkpoint = open_checkpoint(str(place) if isinstance(place, Path) else place.text)
    said = list(_stated(checkpoint))
    if not said:
        raise TollensError(
            "step_unknown", str(place), expected="a step in its metadata, trainer_state.json or name",
            found="none of them", fix="Rename it to step-N, with N its training step.",
        )  # fmt: skip
    for other in said[1:]:
        if other.step != said[0].step:
            raise TollensError(
                "step_conflict", str(place), expected="one step",
                found=f"{said[0].step} from {said[0].where}, {other.step} from {other.where}",
                fix="Correct the one that is wrong.",
            )  # fmt: skip
    return Member(said[0].step, said[0].by, checkpoint)


class _Said(NamedTuple):
    step: int
    by: Says
    where: str


def _stated(checkpoint: Checkpoint) -> Iterable[_Said]:
    """Every statement of the step, the most trusted first."""
    place, folder = checkpoint.path, checkpoint.source.folder
    for key in KEYS:
        text = checkpoint.metadata.get(key)
        if text is not None:
            where = f"metadata {key!r}"
            digits = text.isascii() and text.isdigit() and len(text) <= 32
            yield _Said(_checked(int(text) if digits else text, f"{place}: {where}"), "metadata", where)
    own = NAMED.findall(place.name)
    if (place == folder or not own) and file.exists(folder, STATE):
        yield _Said(_trainer_step(folder), "trainer_state", STATE)
    name = place.name if own or place == folder else folder.name
    for digits in NAMED.findall(name):
        yield _Said(_checked(int(digits[:32]), f"{place}: name"), "name", f"the name {name!r:.80}")


def _trainer_step(folder: Place) -> int:
    """`global_step` of the notes that the Trainer of Hugging Face leaves beside its weights."""
    path = folder / STATE
    check_inside(folder, STATE)
    data = file.read(path, MAX_STATE + 1)
    if len(data) > MAX_STATE:
        raise _invalid(str(path), f"at most {MAX_STATE} bytes", "more")
    notes = document.parse(data, str(path), "step_invalid", constants=True)  # it logs losses, and these may be NaN
    return _checked(notes.get("global_step"), f"{path}: global_step")


def _checked(step: Any, where: str) -> int:
    if type(step) is not int or not 0 <= step <= LAST_STEP:
        raise _invalid(where, f"a whole number from 0 to {LAST_STEP}", f"{step!r:.40}")
    return step


def _invalid(where: str, expected: str, found: str) -> TollensError:
    return TollensError(
        "step_invalid", where, expected=expected, found=found, fix="Correct it, or remove it and name the step."
    )


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A matrix that is not in every checkpoint in one shape: the steps that have it, and its shapes there."""

    name: str
    steps: tuple[int, ...]
    shapes: tuple[tuple[int, int], ...]


class Alignment(NamedTuple):
    """`paths`: for each matrix that all checkpoints have in one shape, its views by step; `unmatched`: the others."""

    paths: list[tuple[MatrixView, ...]]
    unmatched: list[Unmatched]


def align(steps: Sequence[int], inventories: Sequence[Inventory]) -> Alignment:
    """Match matrices by name and shape, in the order in which the first checkpoint that has them stores them.

    Raises: `series_unlike` if no matrix is in all of them.
    """
    found: dict[str, dict[int, MatrixView]] = {}
    for step, inventory in zip(steps, inventories, strict=True):
        for view in inventory.matrices:
            found.setdefault(view.name, {})[step] = view
    aligned = Alignment([], [])
    for name, views in found.items():
        shapes = {view.shape for view in views.values()}
        if len(views) == len(steps) and len(shapes) == 1:
            aligned.paths.append(tuple(views[step] for step in steps))
        else:
            aligned.unmatched.append(Unmatched(name, tuple(views), tuple(sorted(shapes))))
    if not aligned.paths:
        factors = sum(bool(inventory.factors) for inventory in inventories)
        raise TollensError(
            "series_unlike", f"steps {', '.join(map(str, steps))}"[:120],
            expected="at least one matrix of the same name and shape in all checkpoints",
            found=f"{len(found)} names, none of them in all {len(steps)}"
            + (f"; {factors} hold low-rank factors, which are not followed" if factors else ""),
            fix="Merge each adapter into its base first." if factors else "Give checkpoints of one model from one run.",
        )  # fmt: skip
    return aligned
