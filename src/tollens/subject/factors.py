"""Low-rank adapters in a checkpoint: the pairs of factors, each with its scaling and the tensor it changes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tollens.subject.adapter import PREFIX, AdapterConfig
from tollens.subject.buffers import LORA, reason_to_skip
from tollens.subject.cut import block, load
from tollens.subject.dtypes import Kind, kind_of
from tollens.subject.place import Url
from tollens.subject.shelf import keeping
from tollens.subject.source import Hash, Source
from tollens.subject.tensor import TensorInfo

HALF = {"A": "A", "a": "A", "down": "A", "B": "B", "b": "B", "up": "B"}
PARTNER = {"A": "B", "B": "A", "a": "b", "b": "a", "up": "down", "down": "up"}
# what stands beside a pair, or in its place, in variants whose change is more than a scaled product
VARIANT = re.compile(
    r"(?P<module>.*?)[._](lora_(magnitude_vector|mid|E|ranknum|diag)|dora_scale|hada_[tw]\d(_[ab])?|lokr_[tw]\d(_[ab])?"
    r"|vera_lambda_[bd]|randlora_(lambda|gamma)|ia3_l|oft_[rRs]|oft_(diag|blocks)|boft_[RSs]|prompt_embeddings)"
    r"(?=[._]|$).*"
)
ALPHA = "adapter.lora.alpha"  # of GGUF files, the same for all of their pairs
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FactorView:
    """The change gamma * B @ A of one weight matrix, kept as its factors A (rank, in) and B (out, rank).

    `name` is the module's in the base model, `target` the base tensor that is changed; None where the name does not
    give it away. `shape` is (out, in) of the product; where `transposed`, the base stores (in, out). A convolution's
    product is flat: in counts the taps of the kernel. `gamma` is None where nothing gives the scaling; `flags`
    then has `scaling_unknown`. `base_altered` among them: the base was changed when the adapter was made, so that
    the product is not the whole change.
    """

    name: str
    target: str | None
    a: TensorInfo
    b: TensorInfo
    gamma: float | None
    transposed: bool
    shape: tuple[int, int]
    rank: int
    source: Source
    flags: tuple[str, ...] = ()
    role: Literal["lora"] = "lora"

    @property
    def dtype(self) -> str:
        """The stored type of the factors, the narrower one where they differ."""
        return min(self.b, self.a, key=lambda tensor: tensor.nbytes / tensor.size).dtype

    def load_factors(self, hashed: Hash | None = None) -> tuple[Matrix, Matrix]:
        """(B, A) in float64, (out, rank) and (rank, in); `hashed` is fed the stored bytes of B, then of A.

        Raises: those of `MatrixView.load`.
        """
        out, width = self.shape
        return self._read(self.b, out, self.rank, hashed), self._read(self.a, self.rank, width, hashed)

    @contextmanager
    def nearby(self) -> Iterator[FactorView]:
        """The same pair; while the context lasts, each of its bytes is fetched from a remote file once, each
        factor in as few requests as it has blocks.
        """
        folder = self.source.folder
        if isinstance(folder, Path):
            yield self
            return
        wanted: dict[Url, list[tuple[int, int]]] = {}
        for tensor in (self.b, self.a) if self.source.container == "raw" else ():
            if tensor.strides is None:  # else what lies between two of its numbers may be no part of it
                ranges = wanted.setdefault(folder / tensor.file, [])
                ranges.append((tensor.offset, tensor.offset + tensor.nbytes))
        with keeping(wanted) as shelf:
            yield replace(self, source=replace(self.source, shelf=shelf))

    def _read(self, tensor: TensorInfo, rows: int, cols: int, hashed: Hash | None) -> Matrix:
        found = load(self.source, tensor, block(0, rows, cols), np.dtype(np.float64), hashed)
        return np.asarray(found, dtype=np.float64)


class Pairing(NamedTuple):
    """The pairs, and why other tensors of an adapter are none: reasons by the name of the tensor."""

    views: list[FactorView]
    reasons: dict[str, str]


class _Key(NamedTuple):
    """What the names of both halves have in common: what stands before, between and after them."""

    before: str
    halves: frozenset[str]
    after: str


@dataclass(slots=True)
class _Module:
    """The pairs of one module of an adapter, by what their names share, and whether it has more than pairs."""

    pairs: dict[_Key, dict[str, TensorInfo]] = field(default_factory=dict)
    variant: bool = False


def pair(
    tensors: Sequence[TensorInfo],
    source: Source,
    adapter: AdapterConfig | None,
    metadata: Mapping[str, str],
    *,
    unindexed: frozenset[str] = frozenset(),
) -> Pairing:
    """Every pair of factors among the tensors of a checkpoint, in the order of their first halves.

    Where no configuration is given, the scaling is that of the file's `metadata` (llama.cpp), or of scalars named
    `<module>.alpha`, which are read (the convention of single-file adapters).

    Reasons: `adapter_unsupported`, `lora_unpaired`, `lora_rank_differs:declared/stored`,
    `lora_shapes_differ`, those of `reason_to_skip`. Raises: those of `Source.read`.
    """
    beside = {t.name: t for t in tensors}
    found = Pairing([], {})
    scaling = _Scaling(adapter, metadata, source, beside)
    for name, module in _modules(tensors, beside, adapter, unindexed, found.reasons).items():
        unsupported = module.variant or (adapter is not None and adapter.variant is not None)
        for key, halves in module.pairs.items():
            made = "adapter_unsupported" if unsupported else _view(name, key, halves, scaling)
            if isinstance(made, FactorView):
                found.views.append(made)
            else:
                found.reasons.update((half.name, made) for half in halves.values())
    return Pairing(_unique(found.views, beside), found.reasons)


def _modules(
    tensors: Sequence[TensorInfo],
    beside: Mapping[str, TensorInfo],
    adapter: AdapterConfig | None,
    unindexed: frozenset[str],
    reasons: dict[str, str],
) -> dict[str, _Module]:
    modules: dict[str, _Module] = {}
    for tensor in tensors:
        if tensor.name in unindexed:
            continue
        if variant := VARIANT.fullmatch(tensor.name):
            modules.setdefault(variant["module"], _Module()).variant = True
            reasons[tensor.name] = "adapter_unsupported"
        elif lora := LORA.search(tensor.name):
            reason = reason_to_skip(tensor, beside)
            if reason != "lora_unpaired":
                if reason is not None:
                    reasons[tensor.name] = reason
                continue
            half = lora["half"]
            before = tensor.name[lora.start() : lora.start("half")]
            key = _Key(before, frozenset((half, PARTNER[half])), tensor.name[lora.end() :])
            pairs = modules.setdefault(tensor.name[: lora.start()], _Module()).pairs
            pairs.setdefault(key, {})[HALF[half]] = tensor
        elif adapter is not None and adapter.replaces(tensor.name) and kind_of(tensor.dtype) is Kind.FLOAT:
            reasons[tensor.name] = "adapter_unsupported"
    return modules


def _view(
    module: str,
    key: _Key,
    halves: Mapping[str, TensorInfo],
    scaling: _Scaling,
) -> FactorView | str:
    """The pair, or the reason why it is none."""
    if len(halves) < 2:
        return "lora_unpaired"
    a, b = halves["A"], halves["B"]
    rank = a.shape[0]
    if b.shape[1] != rank or len(a.shape) != len(b.shape) or any(side != 1 for side in b.shape[2:]):
        return "lora_shapes_differ"
    name = module.removeprefix(PREFIX)
    adapter = scaling.adapter
    declared = adapter.rank(name) if adapter is not None else None
    if declared is not None and declared != rank:
        return f"lora_rank_differs:{declared}/{rank}"
    gamma = scaling.gamma(module, name, rank)
    flags = ["scaling_unknown"] if gamma is None else []
    if adapter is not None and adapter.from_base is not None:
        flags.append("base_altered")
    blocks = dict.fromkeys(half.dtype.lower() for half in (b, a) if kind_of(half.dtype) is Kind.BLOCKS)
    flags += [f"dequantised:{dtype}" for dtype in blocks]
    other = key.after.removesuffix(".weight").strip(".")  # the adapter's own name, where several share the file
    flat = "down" in key.halves and "." not in module  # a path written with underscores, which hides the dots
    return FactorView(
        name=f"{name or 'weight'}[{other}]" if other not in ("", "default") else name or "weight",
        target=None if flat else f"{name.removesuffix('.weight')}.weight".lstrip("."),
        a=a,
        b=b,
        gamma=gamma,
        transposed="embedding" in key.before or (adapter is not None and adapter.transposed),
        shape=(b.shape[0], math.prod(a.shape[1:])),
        rank=rank,
        source=scaling.source,
        flags=tuple(flags),
    )


@dataclass(frozen=True, slots=True)
class _Scaling:
    """Where the number that scales a product may stand."""

    adapter: AdapterConfig | None
    metadata: Mapping[str, str]
    source: Source
    beside: Mapping[str, TensorInfo]

    def gamma(self, module: str, name: str, rank: int) -> float | None:
        """The scaling of a module of that rank; None where nothing gives it."""
        if self.adapter is not None:
            return self.adapter.gamma(name, rank)
        declared = self.metadata.get(ALPHA)
        if declared is not None:
            alpha = _number(declared)
            return None if alpha is None else alpha / rank if alpha else 1.0  # 0 stands for a scaling of one
        return self._beside(module, rank)

    def _beside(self, module: str, rank: int) -> float | None:
        """alpha/rank with the alpha stored beside the factors; None without one, or where it is 0 or not finite,
        which loaders read in two ways.
        """
        stored = self.beside.get(f"{module}.alpha")
        if stored is None or stored.size != 1 or kind_of(stored.dtype) is not Kind.FLOAT:
            return None
        alpha = float(self.source.read(stored).reshape(-1)[0])
        return alpha / rank if math.isfinite(alpha) and alpha != 0.0 else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _unique(views: Sequence[FactorView], beside: Mapping[str, TensorInfo]) -> list[FactorView]:
    """The views in order, none named like another one or like a tensor."""
    taken, found = set(beside), []
    for view in views:
        name = view.name
        while name in taken:
            name += "[lora]"
        taken.add(name)
        found.append(view if name == view.name else replace(view, name=name))
    return found
