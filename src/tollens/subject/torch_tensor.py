"""What a pickle of PyTorch says of one tensor, held against the storage that it is a view of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tollens.core.errors import TollensError
from tollens.subject import torch_names
from tollens.subject.dtypes import LARGEST, STORED
from tollens.subject.pickle_program import Call, Name, Outside, Table, Value, kind_of
from tollens.subject.safetensors import checked_size
from tollens.subject.tensor import TensorInfo
from tollens.subject.torch_names import DTYPES, STORAGES, UNTYPED, Element
from tollens.subject.zip_directory import Member, check_stored

Sides = tuple[int, ...]
ARGUMENTS = {
    torch_names.TENSOR: (4,),
    torch_names.TENSOR_2: (6, 7),
    torch_names.TENSOR_3: (7, 8),
    torch_names.QUANTISED: (7,),
    torch_names.META: (4,),
    torch_names.SPARSE: (2,),
}
"""The numbers of arguments that each way to build a tensor takes."""


class Storages:
    """The members that hold numbers, by their keys; `used` are the names of those that a tensor is a view of."""

    def __init__(self, members: Mapping[str, Member], prefix: str, where: str) -> None:
        self.members = members
        self.prefix = prefix
        self.where = where
        self.used: set[str] = set()

    def storage(self, value: Value, at: int) -> tuple[Member, Element | None]:
        """The member that `value` stands for and its element type, None for one of plain bytes. Its size is checked.

        Raises: `pickle_invalid`, `archive_invalid`, `tensor_out_of_bounds`, `tensor_size_mismatch`.
        """
        key = value.key if type(value) is Outside else None
        if type(key) is not tuple or len(key) != 5 or key[0] != "storage" or type(key[2]) is not str:
            raise self.invalid(at, "a storage", kind_of(value))
        _, kind, number, _, count = key
        if type(kind) is not Name or not (kind in STORAGES or kind in UNTYPED):
            raise self.invalid(at, "the type of a storage", kind_of(kind))
        if not _is_count(count):
            raise self.invalid(at, "a number of elements", kind_of(count))
        element = STORAGES.get(kind)
        size = count if element is None else count * element.width
        name = self.prefix + number
        member = self.members.get(name)
        if member is None:
            raise self.error("tensor_out_of_bounds", at, f"a member {name!r:.80}", "none of that name")
        check_stored(member, self.where)
        if member.size != size:
            raise self.error("tensor_size_mismatch", at, f"{size} bytes in {name!r:.80}", f"{member.size}")
        self.used.add(name)
        return member, element

    def error(self, code: str, at: int, expected: str, found: str) -> TollensError:
        subject = f"{self.where}: tensor at byte {at} of the pickle"
        fix = "The file is damaged or forged: fetch it or save it with torch.save again."
        return TollensError(code, subject, expected=expected, found=found, fix=fix)

    def invalid(self, at: int, expected: str, found: str) -> TollensError:
        return self.error("pickle_invalid", at, expected, found)


def is_tensor(value: Value) -> bool:
    return type(value) is Call and (
        value.name in ARGUMENTS or value.name in torch_names.PARAMETERS or value.name == torch_names.WITH_TYPE
    )


def tensor(call: Call, name: str, file_name: str, storages: Storages) -> TensorInfo:
    """The tensor that `call` would build, under `name`. What is no plain array is listed with a type that begins with
    `torch.`, and with no bytes.

    Raises: `pickle_invalid`, `header_bad_entry`, `shape_overflow`, `tensor_out_of_bounds`, `tensor_size_mismatch`.
    """
    call = _unwrapped(call, storages)
    given = call.arguments
    if call.name not in ARGUMENTS or len(given) not in ARGUMENTS[call.name]:
        raise storages.invalid(call.at, f"the arguments of {call.name}", f"{len(given)} of them")
    if call.name == torch_names.SPARSE:
        return _sparse(call, name, file_name, storages)
    if call.name == torch_names.META:
        shape = _sides(given[1], call.at, storages)
        return TensorInfo(name, shape, "torch.meta", file_name, 0, 0)
    member, element = storages.storage(given[0], call.at)
    flags: Value = None
    if call.name == torch_names.TENSOR_3:
        if type(given[6]) is not Name or given[6] not in DTYPES:
            raise storages.invalid(call.at, "a dtype", kind_of(given[6]))
        element, flags = DTYPES[given[6]], given[7] if len(given) == 8 else None
    elif call.name == torch_names.TENSOR_2:
        flags = given[6] if len(given) == 7 else None
    if element is None:
        raise storages.invalid(call.at, "a dtype for a storage of bytes", "none")
    return _view(call, name, file_name, storages, (member, element), marks=_set_flags(flags))


def _unwrapped(call: Call, storages: Storages) -> Call:
    """The tensor inside of parameters and of tensors with attributes, two deep at most."""
    for _ in range(3):
        given = call.arguments
        if call.name in torch_names.PARAMETERS:
            if not given or type(given[0]) is not Call:
                raise storages.invalid(call.at, "a parameter of a tensor", "another value")
            call = given[0]
        elif call.name == torch_names.WITH_TYPE:
            if [type(value) for value in given[:3]] != [Name, Name, tuple] or len(given) != 4:
                raise storages.invalid(call.at, "a tensor with attributes", "other arguments")
            if given[1] not in torch_names.TENSOR_TYPES:
                raise storages.invalid(call.at, "a plain tensor with attributes", kind_of(given[1]))
            call = Call(given[0], given[2], call.at)
        else:
            return call
    raise storages.invalid(call.at, "a tensor", "a tensor in a tensor in a tensor")


def _view(
    call: Call, name: str, file_name: str, storages: Storages, stored: tuple[Member, Element], marks: list[str]
) -> TensorInfo:
    member, element = stored
    _, first, size, steps = call.arguments[:4]
    shape = _sides(size, call.at, storages)
    strides = _sides(steps, call.at, storages)
    if len(strides) != len(shape) or not _is_count(first):
        found = f"{len(strides)} strides, offset {first if type(first) is int and first.bit_length() < 99 else '?'}"
        raise storages.invalid(call.at, f"{len(shape)} strides and an offset from 0 on", found)
    known = element.dtype if element.dtype in STORED else {1: "U8", 4: "U32"}[element.width]
    nbytes = checked_size(known, shape, f"{storages.where}: {name!r:.80}")
    empty = 0 in shape
    last = first + (0 if empty else 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)))
    if last * element.width > member.size:
        found = f"{member.size} bytes in {member.name!r:.80}"
        raise storages.error("tensor_out_of_bounds", call.at, f"{last} elements of {element.width} bytes", found)
    dtype = element.dtype
    if call.name == torch_names.QUANTISED and not dtype.startswith("torch."):
        raise storages.invalid(call.at, "a quantised type", dtype)
    if marks:
        dtype = f"torch.{'.'.join(marks)}"  # the stored numbers are not yet those of the tensor
    offset = member.offset + first * element.width
    return TensorInfo(name, shape, dtype, file_name, offset, nbytes, None if _in_order(shape, strides) else strides)


def _sparse(call: Call, name: str, file_name: str, storages: Storages) -> TensorInfo:
    """A sparse tensor has a shape; its indices and values are dense tensors, which are checked like any other."""
    parts = call.arguments[1] if type(call.arguments[1]) is tuple else ()
    for number, part in enumerate(parts):
        if is_tensor(part) and part.name != torch_names.SPARSE:
            tensor(part, f"{name}.{number}", file_name, storages)
    sizes = [part for part in parts if type(part) is Call and part.name == torch_names.SIZE]
    if len(sizes) != 1:
        raise storages.invalid(call.at, "a sparse tensor with one size", f"{len(sizes)}")
    return TensorInfo(name, _sides(sizes[0], call.at, storages), "torch.sparse", file_name, 0, 0)


def _sides(value: Value, at: int, storages: Storages) -> Sides:
    """A size or strides: a tuple of integers from 0 to 2^63 - 1, perhaps in a `torch.Size`."""
    if type(value) is Call and value.name == torch_names.SIZE and len(value.arguments) == 1:
        value = value.arguments[0]
    if type(value) not in (tuple, list) or len(value) > 32 or not all(_is_count(n) for n in value):
        found = "others" if type(value) in (tuple, list) else kind_of(value)
        raise storages.invalid(at, "at most 32 sides or strides from 0 to 2^63 - 1", found)
    return tuple(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST  # a bool is no integer here


def _set_flags(flags: Value) -> list[str]:
    """`conj` and `neg`: views whose numbers are still to be conjugated or negated."""
    if type(flags) is not Table:
        return []
    return sorted({key for key, value in flags.entries if value is True and key in ("conj", "neg")})


def _in_order(shape: Sides, strides: Sides) -> bool:
    """Whether elements lie one after another in C order; strides along a single element do not matter."""
    if 0 in shape:
        return True
    expected = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return all(n == 1 or s == e for n, s, e in zip(shape, strides, expected, strict=True))
