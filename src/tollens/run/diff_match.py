"""Which tensor of DERIVED stands against which of BASE: by name and shape, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from tollens.run.diff_result import Renaming, UnmatchedTensor
from tollens.run.result import SkippedTensor
from tollens.subject.checkpoint import Checkpoint
from tollens.subject.cut import block
from tollens.subject.dtypes import Kind, kind_of
from tollens.subject.factors import FactorView
from tollens.subject.matrices import Alias, Inventory, MatrixView, matrices
from tollens.subject.tensor import TensorInfo

WRAPPERS = ("", "model.", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "module.model.")
"""What wrappers put in front of every name: a model in a larger class, data parallelism, a compiler."""
NO_WEIGHTS = frozenset({"not_a_weight", "packed_unsupported", "not_in_index", "empty_tensor", "dtype_unsupported"})
"""Reasons of an inventory for which a tensor is not compared element by element either."""


@dataclass(frozen=True, slots=True)
class TensorPair:
    """A float tensor that is no matrix, on both sides."""

    base: TensorInfo
    derived: TensorInfo
    order: int


@dataclass(frozen=True, slots=True)
class Matched:
    """What is compared with what, and what is not and why.

    `views` pairs (base, derived, order in BASE). `adapter` says that DERIVED is one: tensors of BASE that it does not
    name are as they were, and not listed. `adapters` says that both sides are, and nothing of a network.
    """

    views: list[tuple[MatrixView | FactorView, MatrixView | FactorView, int]]
    tensors: list[TensorPair]
    unmatched: list[UnmatchedTensor]
    skipped: list[SkippedTensor]
    renamed: Renaming | None
    adapter: bool = False
    adapters: bool = False


class _Side:
    """One checkpoint, its tensors by name, the matrices in each, and why the others give none."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.tensors = {t.name: t for t in checkpoint.tensors}
        self.found = matrices(checkpoint)
        self.reasons = {s.name: s.reason for s in self.found.skipped}
        self.views = _views(self.found, self.tensors)

    def is_weight(self, name: str) -> bool:
        return self.reasons.get(name) not in ("not_a_weight", "not_in_index", "empty_tensor")


def match(base: Checkpoint, derived: Checkpoint) -> Matched:
    """Pair the tensors of two checkpoints.

    Matrices are cut out of both sides as BASE is cut; where one side ties two names to one tensor, both names are
    compared. Raises: those of `matrices`.
    """
    ours, theirs = _Side(base), _Side(derived)
    if _is_adapter(ours, theirs):
        return _adapted(ours, theirs)
    prefixes, renamed = _prefixes(ours.tensors, theirs.tensors)
    partner = _partners(ours.tensors, theirs.tensors, *prefixes)
    pairs = {
        name: theirs.tensors[other]
        for name, other in partner.items()
        if ours.tensors[name].shape == theirs.tensors[other].shape
    }
    products = _products(ours, theirs)
    taken = (
        {t.name for one, _ in products for t in (one.a, one.b)},
        {t.name for _, one in products for t in (one.a, one.b)},
    )
    alone = [u for u in _unmatched(ours, theirs, partner, pairs) if u.name not in taken[u.reason == "only_in_derived"]]
    found = Matched([], [], alone, [], renamed, adapters=bool(products) and not (ours.views or theirs.views))
    place = {name: order for order, name in enumerate(ours.tensors)}
    found.views.extend((one, other, place[one.b.name]) for one, other in products)
    tied = _tied_alike(ours.found, theirs.found, partner)
    for order, (name, tensor) in enumerate(ours.tensors.items()):
        if name not in pairs or name in taken[0]:
            continue
        there = pairs[name]
        reason = _not_compared(ours, theirs, name, there.name)
        if name in tied:
            found.skipped.append(_skipped(tensor, "tied_on_both_sides"))
        elif reason is not None:
            found.skipped.append(_skipped(tensor, reason))
        elif name in ours.views or there.name in theirs.views:
            cut = _cut_alike(ours.views.get(name), theirs.views.get(there.name), tensor, there, base, derived)
            found.views.extend((*views, order) for views in cut)
        else:
            found.tensors.append(TensorPair(tensor, there, order))
    return found


def _products(ours: _Side, theirs: _Side) -> list[tuple[FactorView, FactorView]]:
    """The pairs of factors of both sides whose products change one matrix, whatever their ranks."""
    here, there = ({_plain(v.name): v for v in side.found.factors} for side in (ours, theirs))
    alone = [_by_plain_name(v.name for v in side.found.factors) for side in (ours, theirs)]
    both = [(here[name], there[name]) for name in here if name in alone[0] and name in alone[1]]
    return [(one, other) for one, other in both if one.shape == other.shape]


def _is_adapter(ours: _Side, theirs: _Side) -> bool:
    """Whether DERIVED is a low-rank adapter of BASE, and not a checkpoint that also holds pairs of factors."""
    if ours.found.factors or not theirs.found.factors:
        return False
    few = 2 * len(theirs.found.matrices) < len(ours.found.matrices)
    return few or theirs.checkpoint.adapter is not None


def _adapted(ours: _Side, theirs: _Side) -> Matched:
    """The pairs of an adapter with the tensors of BASE that they change; what it stores whole with its namesake."""
    found = Matched([], [], [], [], None, adapter=True)
    place = {name: order for order, name in enumerate(ours.tensors)}
    named = _by_plain_name(ours.tensors)
    for view in theirs.found.factors:
        target = named.get(_plain(view.target)) if view.target is not None else None
        shape = view.shape[::-1] if view.transposed else view.shape
        if target is None:
            found.unmatched.append(UnmatchedTensor(view.name, "only_in_derived", True, None, list(shape)))
        elif (matrix := _whole(ours, target, shape)) is None:
            stored = list(ours.tensors[target].shape)
            found.unmatched.append(UnmatchedTensor(view.name, "shape_differs", True, stored, list(shape)))
        else:
            found.views.append((matrix, view, place[target]))
    measured = theirs.found.analysed
    for name, tensor in theirs.tensors.items():
        if name in theirs.reasons and theirs.reasons[name] != "not_a_matrix":
            found.skipped.append(_skipped(tensor, theirs.reasons[name]))
            continue
        if name in measured and name not in theirs.views:
            continue
        own = named.get(_plain(name))
        if own is None or ours.tensors[own].shape != tensor.shape:
            there = None if own is None else list(ours.tensors[own].shape)
            reason = "only_in_derived" if own is None else "shape_differs"
            found.unmatched.append(UnmatchedTensor(name, reason, theirs.is_weight(name), there, list(tensor.shape)))
        elif own in ours.views or name in theirs.views:
            cut = _cut_alike(
                ours.views.get(own),
                theirs.views.get(name),
                ours.tensors[own],
                tensor,
                ours.checkpoint,
                theirs.checkpoint,
            )
            found.views.extend((*views, place[own]) for views in cut)
        else:
            found.tensors.append(TensorPair(ours.tensors[own], tensor, place[own]))
    return found


def _plain(name: str) -> str:
    """A name without what wrappers put in front of it, and without the mark of a module that is stored whole."""
    for prefix in ("base_model.model.", "module.", "_orig_mod.", "model."):
        name = name.removeprefix(prefix)
    return name.replace(".modules_to_save.default.", ".").replace(".modules_to_save.", ".")


def _by_plain_name(names: Iterable[str]) -> dict[str, str]:
    """Plain name -> name, of those that are alone with it."""
    taken: dict[str, list[str]] = {}
    for name in names:
        taken.setdefault(_plain(name), []).append(name)
    return {plain: found[0] for plain, found in taken.items() if len(found) == 1}


def _whole(side: _Side, name: str, shape: tuple[int, int]) -> MatrixView | None:
    """The one matrix of that shape in a tensor, or the tensor as a whole where its parts were cut out of it."""
    views = side.views.get(name, [])
    if len(views) == 1 and views[0].shape == shape:
        return views[0]
    tensor = side.tensors[name]
    if len(views) > 1 and tensor.shape == shape and views[0].scale is None:
        return replace(views[0], name=name, view="stored", shape=shape, cut=block(0, *shape))
    return None


def _not_compared(ours: _Side, theirs: _Side, name: str, other: str) -> str | None:
    """Why a pair of tensors is not compared at all; None if it is."""
    for side, own in ((ours, name), (theirs, other)):
        reason = side.reasons.get(own)
        if reason in NO_WEIGHTS:
            return reason
        if kind_of(side.tensors[own].dtype) not in (Kind.FLOAT, Kind.BLOCKS):
            return "packed_unsupported"
    return None


def _prefixes(ours: Iterable[str], theirs: Iterable[str]) -> tuple[tuple[str, str], Renaming | None]:
    """The prefixes to leave out on each side: none, unless names then match that did not, and stay unique."""
    ours, theirs = list(ours), list(theirs)
    here, there = (
        {p: stripped for p in WRAPPERS if (stripped := _stripped(names, p)) is not None} for names in (ours, theirs)
    )
    plain = len(here[""].keys() & there[""].keys())
    best, most = ("", ""), plain
    for first, second in sorted(product(here, there), key=lambda pair: len(pair[0]) + len(pair[1])):
        count = len(here[first].keys() & there[second].keys())
        if count > most:
            best, most = (first, second), count
    return best, (Renaming(*best, most - plain) if best != ("", "") else None)


def _stripped(names: Sequence[str], prefix: str) -> dict[str, str] | None:
    """Name without the prefix -> name; None where the prefix occurs nowhere or two names would become one."""
    short = {name.removeprefix(prefix): name for name in names}
    used = not prefix or any(name.startswith(prefix) for name in names)
    return short if used and len(short) == len(names) else None


def _partners(ours: Iterable[str], theirs: Iterable[str], first: str, second: str) -> dict[str, str]:
    there = {name.removeprefix(second): name for name in theirs}
    return {name: there[name.removeprefix(first)] for name in ours if name.removeprefix(first) in there}


def _unmatched(
    base: _Side, derived: _Side, partner: Mapping[str, str], pairs: Mapping[str, TensorInfo]
) -> list[UnmatchedTensor]:
    listed = []
    for name, tensor in base.tensors.items():
        shape, weight = list(tensor.shape), base.is_weight(name)
        if name not in partner:
            listed.append(UnmatchedTensor(name, "only_in_base", weight, shape))
        elif name not in pairs:
            there = list(derived.tensors[partner[name]].shape)
            listed.append(UnmatchedTensor(name, "shape_differs", weight, shape, there))
    taken = set(partner.values())
    for name, tensor in derived.tensors.items():
        if name not in taken:
            alone = UnmatchedTensor(name, "only_in_derived", derived.is_weight(name), None, list(tensor.shape))
            listed.append(alone)
    return listed


def _views(found: Inventory, tensors: Mapping[str, TensorInfo]) -> dict[str, list[MatrixView]]:
    """The matrices in each tensor, those of an alias cut as the tensor it is tied to."""
    views: dict[str, list[MatrixView]] = {}
    for view in found.matrices:
        views.setdefault(view.tensor.name, []).append(view)
    for alias in found.aliases:
        views[alias.name] = [_moved(v, tensors[alias.name]) for v in views.get(alias.of, ())]
    return {name: cut for name, cut in views.items() if cut}


def _moved(view: MatrixView, tensor: TensorInfo) -> MatrixView:
    """The same cut of another tensor of the same shape."""
    part = view.name.removeprefix(view.tensor.name)
    return replace(view, name=tensor.name + part, tensor=tensor, dtype=tensor.dtype)


def _cut_alike(
    here: list[MatrixView] | None,
    there: list[MatrixView] | None,
    tensor: TensorInfo,
    other: TensorInfo,
    base: Checkpoint,
    derived: Checkpoint,
) -> list[tuple[MatrixView, MatrixView]]:
    """The matrices of a tensor on both sides, cut as BASE is: a missing config.json must not change a diff."""
    if here is not None and there is not None and [v.cut for v in here] == [v.cut for v in there]:
        return list(zip(here, there, strict=True))
    if here is None:
        assert there is not None  # one of them is
        return [(_elsewhere(v, tensor, base), v) for v in there]
    scaled = [v for v in there or () if v.scale is not None]
    if scaled:  # the factors belong to the whole matrix, so it is compared whole
        return [(_elsewhere(v, tensor, base), v) for v in scaled]
    return [(v, _elsewhere(v, other, derived)) for v in here]


def _elsewhere(view: MatrixView, tensor: TensorInfo, checkpoint: Checkpoint) -> MatrixView:
    """The same cut of a tensor of the other checkpoint."""
    flags = (f"dequantised:{tensor.dtype.lower()}",) if kind_of(tensor.dtype) is Kind.BLOCKS else ()
    return replace(_moved(view, tensor), source=checkpoint.source, scale=None, flags=flags)


def _tied_alike(found: Inventory, other: Inventory, partner: Mapping[str, str]) -> set[str]:
    """Names that both sides tie to the same tensor, which is compared under its own name."""
    there = {(a.name, a.of) for a in other.aliases}

    def alike(alias: Alias) -> bool:
        return (partner.get(alias.name), partner.get(alias.of)) in there

    return {alias.name for alias in found.aliases if alike(alias)}


def _skipped(tensor: TensorInfo, reason: str) -> SkippedTensor:
    return SkippedTensor(tensor.name, list(tensor.shape), tensor.dtype, reason)
