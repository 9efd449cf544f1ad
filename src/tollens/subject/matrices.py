"""From stored tensors to weight matrices: every tensor is analysed, an alias, or skipped with a reason."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tollens.core.errors import Exit, TollensError
from tollens.subject import convolution, fused
from tollens.subject.buffers import reason_to_skip
from tollens.subject.checkpoint import Checkpoint
from tollens.subject.convolution import ConvView
from tollens.subject.cut import Cut, block, load
from tollens.subject.dtypes import STORED, Floats, Kind, kind_of
from tollens.subject.factors import FactorView, pair
from tollens.subject.ggml import BLOCKS
from tollens.subject.roles import NOT_A_WEIGHT, UNMATCHED, Role, assign
from tollens.subject.scaled import Scale, rescale, scale_of
from tollens.subject.shelf import keeping
from tollens.subject.source import Hash, Source
from tollens.subject.tensor import TensorInfo
from tollens.subject.ties import ties

RECURRENT = re.compile(r"(.*)(weight_ih|weight_hh)((?:_l\d{1,4})?(?:_reverse)?)")


@dataclass(frozen=True, slots=True)
class MatrixView:
    """One weight matrix of a checkpoint, not yet read.

    `name` is the tensor's, with the part in brackets where it is one of several: `[e]` expert, `[q]`, `[k]`,
    `[v]`, `[gate]`, `[up]`, `[e,gate]`, `[g0]` gate of a recurrent layer or group of a convolution, `[s0]`
    kernel position. `view` says how it lies in the tensor: `stored`, `part`, `expert`, `gate`, `flat`,
    `slices`. `dtype` is the stored type. `flags` are codes: `fused_unsplit`, `tie_differs`, and
    `dequantised:fp8` where the stored numbers are multiplied by the factors of `scale`, `dequantised:q8_0` and
    the like where they are blocks that were expanded.
    """

    name: str
    tensor: TensorInfo
    role: Role
    view: str
    shape: tuple[int, int]
    dtype: str
    source: Source
    cut: Cut
    flags: tuple[str, ...] = ()
    scale: Scale | None = None

    def load(self, dtype: npt.DTypeLike = np.float32, hashed: Hash | None = None) -> Floats:
        """A fresh C-contiguous array (rows, cols) in f32 or f64; `hashed` is fed the bytes that were read, of
        scaled numbers those of the scale after them.

        Raises: `changed_while_reading`, `tensor_too_large`, `archive_invalid`, those of `file.opened`.
        """
        out = load(self.source, self.tensor, self.cut, np.dtype(dtype), hashed)
        if self.scale is not None:
            rescale(self.source, self.scale, out, hashed)
        return out

    @contextmanager
    def nearby(self) -> Iterator[MatrixView]:
        """The same matrix; while the context lasts, each of its bytes is fetched from a remote file once."""
        folder = self.source.folder
        if isinstance(folder, Path):
            yield self
            return
        url = folder / self.tensor.file
        wanted = {url: [self._range()]} if self.source.container == "raw" else {}
        shared = None if self.cut.unbroken else (url, self.tensor.name, self.tensor.version)
        with keeping(wanted, shared) as shelf:
            yield replace(self, source=replace(self.source, shelf=shelf))

    def _range(self) -> tuple[int, int]:
        """The bytes of the file from the first to the last number that the cut folds; empty where what lies between
        two numbers may be no part of the tensor.
        """
        tensor = self.tensor
        if tensor.strides is not None:
            return tensor.offset, tensor.offset
        block = BLOCKS.get(tensor.dtype)
        elements, width = (1, STORED[tensor.dtype].bits // 8) if block is None else (block.elements, block.nbytes)
        begin, end = self.cut.start, self.cut.start + math.prod(self.cut.fold)
        return tensor.offset + begin // elements * width, tensor.offset + -(-end // elements) * width


@dataclass(frozen=True, slots=True)
class Skipped:
    """A tensor that gives no matrix; `reason` is a code."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    reason: str


@dataclass(frozen=True, slots=True)
class Alias:
    """A tensor that holds the same numbers as the tensor `of`, which is analysed in its place."""

    name: str
    of: str
    shape: tuple[int, ...]
    dtype: str


class Inventory(NamedTuple):
    """What became of the tensors of a checkpoint."""

    matrices: list[MatrixView]
    skipped: list[Skipped]
    aliases: list[Alias]
    factors: list[FactorView]

    @property
    def analysed(self) -> frozenset[str]:
        """Names of the tensors that are measured, both halves of a pair of factors among them."""
        paired = (name for view in self.factors for name in (view.a.name, view.b.name))
        return frozenset([*(view.tensor.name for view in self.matrices), *paired])


class _Piece(NamedTuple):
    label: str
    view: str
    cut: Cut
    role: Role


def matrices(checkpoint: Checkpoint, *, conv_view: ConvView = "flat") -> Inventory:
    """The weight matrices of a checkpoint in the order of its tensors, what was skipped, the aliases, and the pairs
    of factors of low-rank adapters.

    Only tied candidates are read, an embedding and a head of one shape and type, until they differ; and the scalars
    that scale the pairs of an adapter without a configuration.

    Raises: `tensors_unaccounted` (a bug of ours), and where tied candidates are read, as `MatrixView.load`.
    """
    roles = assign(checkpoint.tensors, checkpoint.config)
    beside = {t.name: t for t in checkpoint.tensors}
    unindexed = frozenset(checkpoint.unindexed)
    pairs = pair(checkpoint.tensors, checkpoint.source, checkpoint.adapter, checkpoint.metadata, unindexed=unindexed)
    reasons = _reasons(checkpoint, roles, beside, pairs.reasons)
    scales = {t.name: scale_of(t, beside, checkpoint.config) for t in checkpoint.tensors}
    plain = [t for t in checkpoint.tensors if reasons[t.name] is None and scales[t.name] is None]
    tied = ties(checkpoint, plain, roles)
    found = Inventory([], [], [], pairs.views)
    paired = found.analysed
    for tensor in checkpoint.tensors:
        if tensor.name in paired:
            continue
        if tensor.name in tied.aliased:
            found.aliases.append(Alias(tensor.name, tied.aliased[tensor.name], tensor.shape, tensor.dtype))
            continue
        role = roles.get(tensor.name, UNMATCHED)
        pieces = reasons[tensor.name] or _pieces(tensor, role, beside, checkpoint.config, conv_view)
        scale = scales[tensor.name]
        if scale is not None and scale.tensor.size > 1 and not _is_whole(pieces):
            pieces = "packed_unsupported"  # blocks need not end where the parts of a matrix do
        if isinstance(pieces, str):
            found.skipped.append(Skipped(tensor.name, tensor.shape, tensor.dtype, pieces))
            continue
        unsplit = _is_whole(pieces) and _is_fused(tensor, role)
        flags: tuple[str, ...] = ("fused_unsplit",) if unsplit else ()
        flags = flags if scale is None else (*flags, "dequantised:fp8")
        if kind_of(tensor.dtype) is Kind.BLOCKS:
            flags = (*flags, f"dequantised:{tensor.dtype.lower()}")
        if tensor.name in tied.differing:
            flags = (*flags, "tie_differs")
        for label, view, cut, own in pieces:
            name = f"{tensor.name}[{label}]" if label else tensor.name
            source = checkpoint.source
            found.matrices.append(
                MatrixView(name, tensor, own, view, cut.shape, tensor.dtype, source, cut, flags, scale)
            )
    account(checkpoint.tensors, found)
    return found


def _reasons(
    checkpoint: Checkpoint,
    roles: Mapping[str, Role],
    beside: Mapping[str, TensorInfo],
    adapter: Mapping[str, str],
) -> dict[str, str | None]:
    """Why each tensor is no matrix, as far as its name, type and role tell."""
    unindexed = frozenset(checkpoint.unindexed)
    reasons: dict[str, str | None] = {}
    for tensor in checkpoint.tensors:
        kind = roles.get(tensor.name, UNMATCHED).kind
        reason = "not_in_index" if tensor.name in unindexed else adapter.get(tensor.name)
        reason = reason or reason_to_skip(tensor, beside, checkpoint.config)
        if reason is None and kind in NOT_A_WEIGHT:
            reason = "not_a_weight"
        if reason is None and kind in ("norm", "bias"):
            reason = "not_a_matrix"
        reasons[tensor.name] = reason
    return reasons


def account(tensors: Sequence[TensorInfo], inventory: Inventory) -> tuple[int, int, int]:
    """Numbers of tensors (analysed, skipped, aliased), which add up to `len(tensors)`.

    Raises: `tensors_unaccounted` if a tensor is in none of the three, or in two.
    """
    analysed = inventory.analysed
    skipped = [s.name for s in inventory.skipped]
    aliased = [a.name for a in inventory.aliases]
    listed = sorted([*analysed, *skipped, *aliased])
    stored = sorted(t.name for t in tensors)
    if listed != stored:
        wrong = sorted(set(listed) ^ set(stored)) or [n for n in stored if listed.count(n) != 1]
        raise TollensError(
            "tensors_unaccounted", ", ".join(wrong[:3])[:120], expected=f"{len(stored)} tensors, each once",
            found=f"{len(analysed)} analysed + {len(skipped)} skipped + {len(aliased)} aliased",
            fix="This is a bug: please report it.", exit_code=Exit.INTERNAL,
        )  # fmt: skip
    return len(analysed), len(skipped), len(aliased)


def _pieces(
    tensor: TensorInfo,
    role: Role,
    beside: Mapping[str, TensorInfo],
    config: Mapping[str, Any] | None,
    conv_view: ConvView,
) -> list[_Piece] | str:
    """The matrices in one tensor of at least two sides, or the reason why there are none."""
    shape = tensor.shape
    if len(shape) == 2:
        rows, cols = shape
        whole = [_Piece("", "stored", block(0, rows, cols), role)]
        if match := RECURRENT.fullmatch(tensor.name):
            return _gates(tensor, match, role, beside) or whole
        if role.fused is not None:
            return _parts(role.fused, (rows, cols), role, config) or whole
        return whole
    if role.fused == "experts_stacked" and len(shape) == 3:
        return _experts((shape[0], shape[1], shape[2]), role, config)
    if _is_convolution(tensor, role):
        named = replace(role, kind="conv") if role.kind == "unmatched" else role
        count = convolution.groups(tensor.name, shape, config)
        cuts = convolution.parts(tensor.name, shape, count, conv_view)
        return [_Piece(label, conv_view, cut, named) for label, cut in cuts]
    if len(shape) == 3 and "expert" in tensor.name:
        return _experts((shape[0], shape[1], shape[2]), role, config)
    sides = [n for n in shape if n > 1]
    if len(sides) == 2 and shape[-1] > 1:
        return [_Piece("", "stored", block(0, sides[0], sides[1]), role)]
    return "not_a_matrix" if len(sides) < 2 else "stacked_unsupported"


def _parts(layout: str, shape: tuple[int, int], role: Role, config: Mapping[str, Any] | None) -> list[_Piece]:
    parts = fused.split(layout, shape, config) or []
    return [_Piece(label, "part", cut, _part_role(role, label)) for label, cut in parts]


def _part_role(role: Role, label: str) -> Role:
    kind = next((k for k in ("q", "k", "v", "gate", "up") if k == label), role.kind)
    return replace(role, kind=kind, fused=None, inner=None)


def _experts(shape: tuple[int, int, int], role: Role, config: Mapping[str, Any] | None) -> list[_Piece]:
    count, rows, cols = shape
    pieces: list[_Piece] = []
    for e in range(count):
        own = replace(role, expert=e, fused=None, inner=None)
        start = e * rows * cols
        parts = fused.split(role.inner, (rows, cols), config, start) if role.inner else None
        if parts is None:
            pieces.append(_Piece(str(e), "expert", block(start, rows, cols), own))
            continue
        pieces.extend(_Piece(f"{e},{label}", "expert", cut, _part_role(own, label)) for label, cut in parts)
    return pieces


def _gates(tensor: TensorInfo, match: re.Match[str], role: Role, beside: Mapping[str, TensorInfo]) -> list[_Piece]:
    """The gates of a recurrent layer; its hidden size is the width of `weight_hh`, or with a projection the
    width of `weight_hr`.
    """
    prefix, _, suffix = match.groups()
    narrow = beside.get(f"{prefix}weight_hr{suffix}") or beside.get(f"{prefix}weight_hh{suffix}")
    if narrow is None or len(narrow.shape) != 2:
        return []
    parts = fused.gates((tensor.shape[0], tensor.shape[1]), narrow.shape[1])
    if parts is not None and len(parts) == 1:
        return [_Piece("", "gate", parts[0][1], role)]
    return [_Piece(label, "gate", cut, role) for label, cut in parts or []]


def _is_whole(pieces: list[_Piece] | str) -> bool:
    return len(pieces) == 1 and not isinstance(pieces, str) and pieces[0].view == "stored"


def _is_fused(tensor: TensorInfo, role: Role) -> bool:
    return role.kind in ("qkv", "gate_up") or role.fused is not None or bool(RECURRENT.fullmatch(tensor.name))


def _is_convolution(tensor: TensorInfo, role: Role) -> bool:
    if role.kind in ("conv", "patch_embedding"):
        return True
    if role.kind != "unmatched" or len(tensor.shape) > 5:
        return False
    if convolution.NAMED.search(tensor.name) or convolution.is_transposed(tensor.name):
        return True
    return len(tensor.shape) >= 4 and tensor.shape[0] > 1 and tensor.name.endswith("weight")
