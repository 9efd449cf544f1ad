"""Checkpoints that `torch.save` wrote as a zip archive: a pickle that describes tensors, and the bytes of each storage
(PyTorch 1.6, 2020). The pickle is read as a description and never run; no tensor is unpacked.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from tollens.core.errors import TollensError
from tollens.subject import file, pickle_program, zip_directory
from tollens.subject.contents import Contents
from tollens.subject.pickle_program import Value
from tollens.subject.place import Place
from tollens.subject.torch_names import VOCABULARY
from tollens.subject.torch_state import select
from tollens.subject.torch_tensor import Storages
from tollens.subject.zip_directory import Member, error

MAX_PICKLE = 100_000_000
PROGRAM = "data.pkl"
LEGACY = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # the number with which the older files begin
LEGACY_TAR = (b"sys_info\0", b"pickle\0", b"tensors\0", b"storages\0")
EDGE = 65_536


def read(folder: Place, name: str) -> Contents:
    """The tensors of the model in `folder/name`. `others` names what else holds tensors; `metadata` the integers beside
    the model, such as its step.

    Raises: `pickle_legacy`, `archive_invalid`, `torchscript_refused`, `byte_order_unsupported`, `pickle_too_large`,
    those of `zip_directory.members`, those of `pickle_program.run`, `torch_state.select` and `file.opened`.
    """
    path = folder / name
    with file.opened(path) as blob:
        try:
            start = bytearray(min(15, blob.size))
            if is_legacy(bytes(start[: blob.read_into(0, memoryview(start))])):
                raise legacy_refused(path)
            return read_blob(blob, str(path), name)
        except OSError as failure:
            raise file.unreadable(path, failure) from None


def read_blob(blob: file.Blob, where: str, name: str) -> Contents:
    """As `read`, from an open file that is called `where` in errors and `name` in what is found. Raises: as `read`,
    and OSError where the system fails.
    """
    members = zip_directory.members(blob, where)
    prefix = _prefix(members, where)
    _check_order(blob, members.get(prefix + "byteorder"), where)
    program = members[prefix + PROGRAM]
    if program.size > MAX_PICKLE:
        raise error("pickle_too_large", where, f"a pickle of at most {MAX_PICKLE} bytes", f"{program.size}")
    described: Value = pickle_program.run(_checked(blob, program, where), f"{where}: {program.name}", VOCABULARY)
    storages = Storages(members, prefix + "data/", where)
    found = select(described, storages, name, program.size, blob.size)
    unused = [m for m in members if m.startswith(storages.prefix) and m not in storages.used]
    return Contents(found.tensors, (*found.others, *unused), found.metadata)


def claims(place: Place) -> bool:
    """Whether a zip archive, damaged or not, is one of these: by the names in its directory, or else by its edges."""
    with file.opened(place) as blob:
        try:
            try:
                names = zip_directory.names(blob, str(place))
            except TollensError:
                head, tail = bytearray(min(EDGE, blob.size)), bytearray(min(EDGE, blob.size))
                blob.read_into(0, memoryview(head))
                blob.read_into(blob.size - len(tail), memoryview(tail))
                return b"/" + PROGRAM.encode() in head[:512] or b"/" + PROGRAM.encode() in tail
        except OSError as failure:
            raise file.unreadable(place, failure) from None
    return any(_is_program(name) for name in names)


def is_legacy(start: bytes) -> bool:
    """Whether a file that begins with `start`, 15 bytes or more, is one of PyTorch before 1.6."""
    number = start[2:] if start[2:3] != b"\x95" else start[11:]  # a frame of protocol 4 has 9 bytes
    begins = start[:1] == b"\x80" and len(number) >= 4 and LEGACY.startswith(number[: len(LEGACY)])
    return begins or start.startswith(LEGACY_TAR)


def legacy_refused(place: Place) -> TollensError:
    return TollensError(
        "pickle_legacy", str(place), expected="a zip archive of PyTorch 1.6 or later, or safetensors",
        found="the format of PyTorch before 1.6",
        fix="Load it with torch.load(..., weights_only=True) where you trust it, and save it again with torch.save or "
        "safetensors.torch.save_file.",
    )  # fmt: skip


def _is_program(name: str) -> bool:
    return name == PROGRAM or name.endswith("/" + PROGRAM)


def _prefix(members: Mapping[str, Member], where: str) -> str:
    """What all names of the archive begin with: the folder of the one pickle."""
    programs = [name for name in members if _is_program(name)]
    if len(programs) != 1:
        raise error("archive_invalid", where, f"one {PROGRAM}", f"{programs!s:.80}" if programs else "none")
    prefix = programs[0].removesuffix(PROGRAM)
    if prefix + "constants.pkl" in members or any(name.startswith(prefix + "code/") for name in members):
        raise TollensError(
            "torchscript_refused", where, expected="weights", found="a program of TorchScript with its weights",
            fix="Load it where you trust it, and save its state_dict() with torch.save or safetensors.",
        )  # fmt: skip
    return prefix


def _check_order(blob: file.Blob, member: Member | None, where: str) -> None:
    """Without a mark the numbers are those of the machine that wrote them, and all that are met are little-endian."""
    if member is None:
        return
    if member.size > len("little"):
        raise error("archive_invalid", f"{where}: {member.name}", "little or big", f"{member.size} bytes")
    order = _checked(blob, member, where)
    if order == b"big":
        raise TollensError(
            "byte_order_unsupported", where, expected="little-endian numbers", found="big-endian ones",
            fix="Load it with torch.load(..., weights_only=True) on a little-endian machine and save it again.",
        )  # fmt: skip
    if order != b"little":
        raise error("archive_invalid", f"{where}: {member.name}", "little or big", f"{order!r}")


def _checked(blob: file.Blob, member: Member, where: str) -> bytes:
    """The bytes of a member; a checksum of 0 is what PyTorch writes when told not to compute one."""
    zip_directory.check_stored(member, where)
    data = zip_directory.bytes_at(blob, member.offset, member.size, where)
    if member.crc not in (0, zlib.crc32(data)):
        found = f"{zlib.crc32(data):08x}"
        raise error("archive_invalid", f"{where}: {member.name!r:.80}", f"checksum {member.crc:08x}", found)
    return data
