"""Which of the tensors that a pickle of PyTorch describes are the model's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tollens.core.errors import TollensError
from tollens.subject.pickle_program import Call, Table, Value
from tollens.subject.safetensors import MAX_NAME, check_name
from tollens.subject.tensor import TensorInfo
from tollens.subject.torch_tensor import Storages, is_tensor, tensor

MODEL = ("state_dict", "model_state_dict", "model_state", "model", "module", "params", "net", "weights")
"""Keys under which training scripts keep the model, in the order in which they are tried."""
TRAINING = re.compile(r"(?i)(.*_)?(optim(izer)?s?|schedulers?|scaler|amp|rng)(_(states?|dicts?))*")
HOLDERS = (Table, Call, list, tuple)
MAX_DEPTH = 32
MAX_COUNTERS = 64
EXPANSION = 16  # times the size of the file that its views, which may overlap, may unfold to, and
SMALL = 1 << 26  # bytes that they may in any case


@dataclass(frozen=True, slots=True)
class State:
    """`others` names what holds tensors and is not the model; `metadata` the integers at the top, as text."""

    tensors: tuple[TensorInfo, ...]
    others: tuple[str, ...]
    metadata: dict[str, str]


def select(described: Value, storages: Storages, file_name: str, steps: int, size: int) -> State:
    """The model's tensors in the order of their data: those under one of the keys in `MODEL`, or else all but the
    state of the training. Nested names are joined with dots. At most `steps` values are looked at; `size` is
    that of the file in bytes.

    Raises: `pickle_invalid`, `pickle_too_large`, `duplicate_key`, `tensor_name_invalid`, `tensor_expanded`, those of
    `torch_tensor.tensor`.
    """
    walk = _Walk(storages, file_name, steps)
    groups: dict[str, list[tuple[tuple[str, ...], TensorInfo]]] = {}
    for path, call in walk.of(described):
        path = path or ("tensor",)
        groups.setdefault(path[0], []).append((path, walk.info(path, call)))
    entries = described.entries if type(described) is Table else []
    keys = {key for key, _ in entries if type(key) is str}
    nested = {key for key, found in groups.items() if key in keys and len(found[0][0]) > 1}
    chosen = next((key for key in MODEL if key in nested), None)
    if chosen is not None:
        taken = [replace(info, name=".".join(path[1:])) for path, info in groups.pop(chosen)]
    else:
        training = {key for key in groups if TRAINING.fullmatch(key)}
        if {"state", "param_groups"} <= keys:  # an optimiser by itself
            training.add("state")
        taken = [info for key, found in groups.items() if key not in training for _, info in found]
        groups = {key: found for key, found in groups.items() if key in training}
    others = tuple(_other(key, len(found)) for key, found in groups.items())
    return _state(taken, others, _counters(entries), size, storages.where)


def _counters(entries: list[tuple[Value, Value]]) -> dict[str, str]:
    """Integers at the top of a checkpoint, such as its step."""
    whole = [(key, value) for key, value in entries if type(key) is str and type(value) is int]
    return {key: str(value) for key, value in whole[:MAX_COUNTERS] if len(key) <= MAX_NAME and key.isprintable()}


def _other(key: str, count: int) -> str:
    what = "state of the training" if TRAINING.fullmatch(key) or key == "state" else "not the model chosen"
    return f"{key} ({count} tensors: {what})"


def _state(
    tensors: list[TensorInfo], others: tuple[str, ...], counters: dict[str, str], size: int, where: str
) -> State:
    seen: set[str] = set()
    for info in tensors:
        if info.name in seen:
            raise _error("duplicate_key", f"{where}: {info.name!r:.80}", "every name once", "two tensors of this name")
        seen.add(info.name)
    distinct = {(t.offset, t.shape, t.strides, t.dtype): t.nbytes for t in tensors}
    limit = max(SMALL, EXPANSION * size)
    if sum(distinct.values()) > limit:
        found = f"{sum(distinct.values())} bytes"
        raise _error("tensor_expanded", where, f"views that unfold to at most {limit} bytes", found)
    ordered = sorted(tensors, key=lambda t: (t.offset, t.nbytes))
    return State(tuple(ordered), others, counters)


class _Walk:
    """A walk through described values, which may share parts or hold themselves: depth and length are bounded."""

    def __init__(self, storages: Storages, file_name: str, steps: int) -> None:
        self.storages = storages
        self.file_name = file_name
        self.left = steps

    def of(self, value: Value, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Call]]:
        """Every tensor in `value` with the keys that lead to it."""
        self.left -= 1 + (len(value) if type(value) in (list, tuple) else 0)
        self.left -= len(value.entries) if type(value) is Table else 0
        if self.left < 0 or len(path) > MAX_DEPTH:
            raise _error(
                "pickle_too_large", self.storages.where, f"values at most {MAX_DEPTH} deep, few of them shared",
                "deeper ones, or more than the pickle has bytes",
            )  # fmt: skip
        if is_tensor(value):
            yield path, value
        elif type(value) is Table:
            seen: set[tuple[type, str]] = set()
            for key, item in value.entries:
                text = key if type(key) is str else str(key) if type(key) is int else f"<{type(key).__name__}>"
                if (type(key), text) in seen and type(key) in (str, int):
                    where = f"{self.storages.where}: {text!r:.80}"
                    raise _error("duplicate_key", where, "every key of a dict once", "it is set twice")
                seen.add((type(key), text))
                if type(item) in HOLDERS:
                    yield from self.of(item, (*path, text))
        elif type(value) in (list, tuple):
            for number, item in enumerate(value):
                if type(item) in HOLDERS:
                    yield from self.of(item, (*path, str(number)))

    def info(self, path: tuple[str, ...], call: Call) -> TensorInfo:
        name = ".".join(path)
        check_name(name, f"{self.storages.where}: {name!r:.80}")
        return tensor(call, name, self.file_name, self.storages)


def _error(code: str, subject: str, expected: str, found: str) -> TollensError:
    fix = "The file is damaged or forged: fetch it or save it with torch.save again."
    return TollensError(code, subject, expected=expected, found=found, fix=fix)
