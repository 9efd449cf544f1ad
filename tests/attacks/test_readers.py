"""Hostile checkpoints: each makes one guard fire, by its own name, and nothing else comes out of a reader."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.core.codes import CODES
from tollens.core.errors import Exit, TollensError
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.matrices import matrices
from tollens.subject.source import empty
from tollens.subject.tensor import TensorInfo

Make = Callable[[Path], Path]
DATA = bytes(range(8)) * 2  # two f32 rows of two
HONEST = {"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}


def raw(header: bytes, data: bytes = DATA, length: int | None = None) -> Make:
    def make(folder: Path) -> Path:
        path = folder / "m.safetensors"
        path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
        return path

    return make


def entry(data: bytes = DATA, **fields: Any) -> Make:
    return raw(json.dumps({"w": {**HONEST["w"], **fields}}).encode(), data)


def two(first: list[int], second: list[int], data: bytes = b"\0" * 32) -> Make:
    sides = [[(e - b) // 4] for b, e in (first, second)]
    header = {
        "a": {"dtype": "F32", "shape": sides[0], "data_offsets": first},
        "b": {"dtype": "F32", "shape": sides[1], "data_offsets": second},
    }
    return raw(json.dumps(header).encode(), data)


def named(name: str, content: bytes) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return make


def folder_with(**files: bytes | dict[str, Any]) -> Make:
    """Files by name, `__` standing for a dot; a dict is written as JSON."""

    def make(folder: Path) -> Path:
        for name, content in files.items():
            text = content if isinstance(content, bytes) else json.dumps(content).encode()
            (folder / name.replace("__", ".")).write_bytes(text)
        return folder

    return make


def shard(*names: str) -> bytes:
    header, at = {}, 0
    for name in names:
        header[name] = {"dtype": "F32", "shape": [2, 2], "data_offsets": [at, at + 16]}
        at += 16
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"\0" * at


def indexed(weight_map: Any, **files: bytes) -> Make:
    return folder_with(model__safetensors__index__json={"weight_map": weight_map}, **files)


def outside(folder: Path) -> Path:
    inside = folder / "inside"
    inside.mkdir()
    (folder / "secret.safetensors").write_bytes(shard("w"))
    return inside


def index_that_climbs(folder: Path) -> Path:
    return indexed({"w": "../secret.safetensors"})(outside(folder))


def index_with_absolute_path(folder: Path) -> Path:
    inside = outside(folder)
    return indexed({"w": str(folder / "secret.safetensors")})(inside)


def shard_that_is_a_link_out(folder: Path) -> Path:
    inside = outside(folder)
    (inside / "a.safetensors").symlink_to(folder / "secret.safetensors")
    return indexed({"w": "a.safetensors"})(inside)


def file_in_folder_that_is_a_link_out(folder: Path) -> Path:
    inside = outside(folder)
    (inside / "model.safetensors").symlink_to("../secret.safetensors")
    return inside


def config_that_is_a_link_out(folder: Path) -> Path:
    inside = outside(folder)
    (folder / "config.json").write_text("{}")
    (inside / "model.safetensors").write_bytes(shard("w"))
    (inside / "config.json").symlink_to("../config.json")
    return inside


def shard_in_a_ring_of_links(folder: Path) -> Path:
    (folder / "a.safetensors").symlink_to("b.safetensors")
    (folder / "b.safetensors").symlink_to("a.safetensors")
    return indexed({"w": "a.safetensors"})(folder)


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "m.safetensors")
    return folder / "m.safetensors"


def a_pipe_as_shard(folder: Path) -> Path:
    a_pipe(folder)
    return indexed({"w": "m.safetensors"})(folder)


def a_pipe_as_config(folder: Path) -> Path:
    os.mkfifo(folder / "config.json")
    return named("m.safetensors", shard("w"))(folder)


def npy(descr: str = "'<f4'", shape: str = "(2, 2)", data: bytes = DATA, order: str = "False") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def archive(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> Make:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "m.npz", "w", method) as z:
            for name, content in members:
                z.writestr(zipfile.ZipInfo(name), content, method)
        return folder / "m.npz"

    return make


def patched(old: bytes, new: bytes, *members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> Make:
    """An archive whose bytes are changed behind the back of the library that wrote it."""

    def make(folder: Path) -> Path:
        path = archive(*members, method=method)(folder)
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new))
        return path

    return make


def objects(folder: Path) -> Path:
    np.savez(folder / "m.npz", w=np.array([{"a": 1}, None], dtype=object))
    return folder / "m.npz"


def declared_size(size: int, member: bytes) -> Make:
    """A deflated member whose size in the central directory is `size`."""

    def make(folder: Path) -> Path:
        path = archive(("w.npy", member), method=zipfile.ZIP_DEFLATED)(folder)
        content = bytearray(path.read_bytes())
        at = content.index(b"PK\x01\x02") + 24
        assert struct.unpack_from("<I", content, at)[0] == len(member)
        struct.pack_into("<I", content, at, size)
        path.write_bytes(bytes(content))
        return path

    return make


def bomb_of_overlapping_members(folder: Path) -> Path:
    """Many entries of the central directory share one compressed body."""
    path = archive(("w.npy", npy(shape="(1000, 1000)", data=bytes(4_000_000))), method=zipfile.ZIP_DEFLATED)(folder)
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    one = content[start:end]
    entries = b"".join(one.replace(b"w.npy", b"%c.npy" % c) for c in range(97, 117))
    tail = bytearray(content[end:])
    struct.pack_into("<HHI", tail, 8, 20, 20, len(entries))
    path.write_bytes(content[:start] + entries + bytes(tail))
    return path


DEEP = b'{"a":' * 100_000
LARGE = npy(shape="(8192, 8192)")
PICKLE = pickle.dumps({"w": [1.0]}, protocol=4)

ATTACKS: dict[str, tuple[Make, str]] = {
    # paths
    "no such file": (lambda f: f / "absent.safetensors", "path_missing"),
    "a file used as a folder": (lambda f: named("x", b"x")(f) / "m.safetensors", "path_missing"),
    "a name with a zero byte": (lambda f: f / "a\0b", "path_unreadable"),
    "a name of 5,000 characters": (lambda f: f / ("a" * 5_000), "path_missing"),
    "a pipe": (a_pipe, "path_not_a_file"),
    "a device": (lambda f: Path("/dev/zero"), "path_not_a_file"),
    "a ring of links": (lambda f: shard_in_a_ring_of_links(f) / "a.safetensors", "path_unreadable"),
    "an empty file": (named("m.safetensors", b""), "empty_file"),
    "an empty folder": (lambda f: f, "no_checkpoint"),
    "a folder of other files": (folder_with(README__md=b"hello"), "no_checkpoint"),
    "text": (named("notes.txt", b"nothing of the kind"), "format_unknown"),
    "a lone .npy": (named("w.npy", npy()), "format_unknown"),
    # pickles
    **{
        f"a pickle named {suffix}": (named(f"model{suffix}", b"\0 anything"), "pickle_refused")
        for suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".PT")
    },
    "a pickle named safetensors": (named("m.safetensors", PICKLE), "pickle_refused"),
    "an old pickle named safetensors": (named("m.safetensors", b"\x80\x02}q\x00." * 3), "pickle_refused"),
    "an archive of torch that holds a list of numbers": (archive(("archive/data.pkl", PICKLE)), "no_tensors"),
    "an archive with another pickle": (archive(("archive/w.pkl", PICKLE)), "pickle_refused"),
    "a folder of pickles": (folder_with(pytorch_model__bin=PICKLE, config__json={}), "pickle_refused"),
    "object arrays": (objects, "pickle_refused"),
    "object arrays in a structure": (archive(("w.npy", npy("[('a', '|O')]"))), "pickle_refused"),
    # the header as a whole
    "shorter than a length": (named("m.safetensors", b"\x10\0\0"), "header_truncated"),
    "a length beyond the file": (raw(b"{}", b"", length=1_000), "header_truncated"),
    "a length of 2^64 - 1": (raw(b"{}", b"", length=2**64 - 1), "header_too_long"),
    "a length just over the limit": (raw(b"{}", b"", length=100_000_001), "header_too_long"),
    "no JSON": (raw(b"{'w': 1}"), "header_not_json"),
    "an empty header": (raw(b""), "header_not_json"),
    "a list": (raw(b"[]"), "header_not_json"),
    "invalid UTF-8": (raw(b'{"\xff\xfe": 1}'), "header_not_json"),
    "NaN in the header": (raw(b'{"w": NaN}'), "header_not_json"),
    "an integer of 100,000 digits": (raw(b'{"w": ' + b"9" * 100_000 + b"}"), "header_not_json"),
    "100,000 levels of objects": (raw(DEEP), "header_too_deep"),
    "100,000 levels of lists": (raw(b"[" * 100_000), "header_too_deep"),
    "one name twice": (raw(b'{"w": 1, "w": 2}'), "duplicate_key"),
    "one field twice": (raw(b'{"w": {"dtype": "F32", "dtype": "F16"}}'), "duplicate_key"),
    "metadata with a number": (raw(b'{"__metadata__": {"a": 1}}', b""), "metadata_not_strings"),
    "metadata that is a list": (raw(b'{"__metadata__": []}', b""), "metadata_not_strings"),
    "no tensors": (raw(b"{}", b""), "no_tensors"),
    "only metadata": (raw(b'{"__metadata__": {"a": "b"}}', b""), "no_tensors"),
    "bytes after the last tensor": (entry(DATA + b"!"), "trailing_bytes"),
    "data but no tensors": (raw(b"{}"), "trailing_bytes"),
    "data cut short": (entry(DATA[:-1]), "tensor_out_of_bounds"),
    # one entry
    "an entry that is text": (raw(b'{"w": "F32"}'), "header_bad_entry"),
    "an entry without a shape": (
        raw(b'{"w": {"dtype": "F32", "data_offsets": [0, 16]}}'),
        "header_bad_entry",
    ),
    "an entry with one field too many": (entry(strides=[1]), "header_bad_entry"),
    "a dtype nobody knows": (entry(dtype="F33"), "dtype_unknown"),
    "a dtype that is a list": (entry(dtype=["F32"]), "header_bad_entry"),
    "a shape that is a number": (entry(shape=4), "header_bad_entry"),
    "a shape of floats": (entry(shape=[2.0, 2.0]), "header_bad_entry"),
    "a shape of booleans": (entry(shape=[True, 4]), "header_bad_entry"),
    "a negative side": (entry(shape=[-2, -2]), "header_bad_entry"),
    "a shape of 33 sides": (entry(shape=[1] * 32 + [4]), "header_bad_entry"),
    "a product of 2^64": (entry(shape=[2**32, 2**32]), "shape_overflow"),
    "a product of 2^64 + 4 elements, 16 bytes modulo 2^64": (entry(shape=[4, 2**62 + 1]), "shape_overflow"),
    "a side of 2^62 beside a side of 0": (
        entry(b"", shape=[0, 2**62], data_offsets=[0, 0]),
        "shape_overflow",
    ),
    "half a byte": (entry(b"\0", dtype="F4", shape=[3], data_offsets=[0, 1]), "header_bad_entry"),
    "offsets that are text": (entry(data_offsets="0-16"), "header_bad_entry"),
    "three offsets": (entry(data_offsets=[0, 8, 16]), "header_bad_entry"),
    "a negative offset": (entry(data_offsets=[-16, 0]), "tensor_out_of_bounds"),
    "offsets backwards": (entry(data_offsets=[16, 0]), "tensor_out_of_bounds"),
    "offsets beyond 2^63": (entry(data_offsets=[2**63, 2**63 + 16]), "tensor_out_of_bounds"),
    "offsets beyond the file": (entry(data_offsets=[0, 800], shape=[2, 100]), "tensor_out_of_bounds"),
    "a range of another size than the shape": (entry(data_offsets=[0, 12]), "tensor_size_mismatch"),
    "a name with an escape sequence": (raw(b'{"\\u001b[2J": {}}'), "tensor_name_invalid"),
    "a name with a lone surrogate": (raw(b'{"\\ud800": {}}'), "tensor_name_invalid"),
    "a name of 2,000 characters": (raw(b'{"' + b"a" * 2_000 + b'": {}}'), "tensor_name_invalid"),
    # two entries
    "overlapping tensors": (two([0, 16], [8, 24]), "tensor_overlap"),
    "the same bytes twice": (two([0, 16], [0, 16]), "tensor_overlap"),
    "a hole between tensors": (two([0, 8], [16, 32]), "tensor_hole"),
    "a hole before the first": (two([8, 16], [16, 32]), "tensor_hole"),
    # folders
    "an index that is no JSON": (folder_with(model__safetensors__index__json=b"{"), "index_invalid"),
    "an index without a map": (
        folder_with(model__safetensors__index__json={"metadata": {}}),
        "index_invalid",
    ),
    "an index that maps to numbers": (indexed({"w": 1}), "index_invalid"),
    "an index that maps to a pickle": (indexed({"w": "pytorch_model.bin"}), "index_invalid"),
    "an index 100,000 levels deep": (folder_with(model__safetensors__index__json=DEEP), "header_too_deep"),
    "an index with one name twice": (
        folder_with(model__safetensors__index__json=b'{"weight_map": {"w": "a", "w": "b"}}'),
        "duplicate_key",
    ),
    "an empty index": (indexed({}), "no_tensors"),
    "a missing shard": (indexed({"w": "a.safetensors"}), "index_shard_missing"),
    "an index that climbs out": (index_that_climbs, "index_escapes"),
    "an index with an absolute path": (index_with_absolute_path, "index_escapes"),
    "an index with backslashes": (indexed({"w": "..\\a.safetensors"}), "index_escapes"),
    "an index with a zero byte": (indexed({"w": "a\0.safetensors"}), "index_escapes"),
    "a shard that is a link out": (shard_that_is_a_link_out, "index_escapes"),
    "a file that is a link out": (file_in_folder_that_is_a_link_out, "index_escapes"),
    "a shard in a ring of links": (shard_in_a_ring_of_links, "index_escapes"),
    "a configuration that is a link out": (config_that_is_a_link_out, "index_escapes"),
    "a pipe as shard": (a_pipe_as_shard, "path_not_a_file"),
    "a pipe as configuration": (a_pipe_as_config, "path_not_a_file"),
    "a tensor that is in no shard": (
        indexed({"w": "a.safetensors", "v": "a.safetensors"}, a__safetensors=shard("w")),
        "index_mismatch",
    ),
    "a tensor in another shard": (
        indexed(
            {"w": "a.safetensors", "v": "a.safetensors", "u": "b.safetensors"},
            a__safetensors=shard("w"),
            b__safetensors=shard("u", "v"),
        ),
        "index_mismatch",
    ),
    "a tensor in two shards": (
        indexed(
            {"w": "a.safetensors", "u": "b.safetensors"},
            a__safetensors=shard("w"),
            b__safetensors=shard("u", "w"),
        ),
        "index_mismatch",
    ),
    "a tensor in two files without an index": (
        folder_with(a__safetensors=shard("w"), b__safetensors=shard("w")),
        "index_mismatch",
    ),
    "two indices": (
        folder_with(a__safetensors__index__json={}, b__safetensors__index__json={}),
        "ambiguous_checkpoint",
    ),
    "two archives": (folder_with(a__npz=b"PK", b__npz=b"PK"), "ambiguous_checkpoint"),
    "a configuration that is no JSON": (
        folder_with(m__safetensors=shard("w"), config__json=b"no"),
        "config_invalid",
    ),
    "a configuration that is a list": (
        folder_with(m__safetensors=shard("w"), config__json=b"[]"),
        "config_invalid",
    ),
    "a configuration 100,000 levels deep": (
        folder_with(m__safetensors=shard("w"), config__json=DEEP),
        "header_too_deep",
    ),
    "a configuration of 11 MB": (
        folder_with(m__safetensors=shard("w"), config__json=b" " * 11_000_000),
        "config_invalid",
    ),
    # archives
    "no archive": (named("m.npz", b"no archive at all"), "archive_invalid"),
    "an archive cut short": (
        lambda f: named("m.npz", archive(("w.npy", npy()))(f).read_bytes()[:60])(f),
        "archive_invalid",
    ),
    "an archive without members": (archive(), "no_tensors"),
    "an archive without arrays": (archive(("readme.txt", b"hello")), "no_tensors"),
    "a member that is no array": (archive(("w.npy", b"hello, world")), "archive_invalid"),
    "a member shorter than a header": (archive(("w.npy", b"\x93NUM")), "header_truncated"),
    "a header longer than its member": (archive(("w.npy", npy()[:20])), "header_truncated"),
    "a header of 4 GB": (archive(("w.npy", b"\x93NUMPY\x02\0\xff\xff\xff\xff{}")), "header_too_long"),
    "version 9 of the array format": (archive(("w.npy", b"\x93NUMPY\x09\0" + npy()[8:])), "archive_invalid"),
    "a header that is a call": (archive(("w.npy", npy("__import__('os').getpid()"))), "header_bad_entry"),
    "a header of nested brackets": (archive(("w.npy", npy("'<f4'", "(" * 30_000))), "header_bad_entry"),
    "a header without a shape": (
        archive(("w.npy", npy().replace(b"'shape'", b"'shade'"))),
        "header_bad_entry",
    ),
    "a header with a shape twice": (
        archive(("w.npy", npy("'<f4', 'shape': (2, 2)"))),
        "duplicate_key",
    ),
    "a shape that is a number in brackets": (archive(("w.npy", npy(shape="(4)"))), "header_bad_entry"),
    "a shape with a negative side": (archive(("w.npy", npy(shape="(-2, -2)"))), "header_bad_entry"),
    "a shape of 33 sides in an archive": (
        archive(("w.npy", npy(shape=f"({'1, ' * 33})"))),
        "header_bad_entry",
    ),
    "a shape of 2^64 in an archive": (
        archive(("w.npy", npy(shape="(4294967296, 4294967296)"))),
        "shape_overflow",
    ),
    "a dtype that is none": (archive(("w.npy", npy("'<f4,<f4'"))), "dtype_unknown"),
    "a structured dtype": (archive(("w.npy", npy("[('a', '<f4')]"))), "header_bad_entry"),
    "a member that leads out": (archive(("../w.npy", npy())), "archive_member_path"),
    "a member with an absolute path": (archive(("/w.npy", npy())), "archive_member_path"),
    "a member with backslashes": (archive(("..\\w.npy", npy())), "archive_member_path"),
    "a member with an escape sequence": (archive(("\x1b[2J.npy", npy())), "tensor_name_invalid"),
    "one member twice": (patched(b"v.npy", b"w.npy", ("v.npy", npy()), ("w.npy", npy())), "duplicate_key"),
    "a member smaller than its array": (archive(("w.npy", npy()[:-1])), "archive_size_mismatch"),
    "a member larger than its array": (archive(("w.npy", npy() + b"!")), "archive_size_mismatch"),
    "an array of 4 GB in a few bytes": (
        archive(("w.npy", npy(shape="(32768, 32768)"))),
        "archive_size_mismatch",
    ),
    "a size that deflate cannot reach, in both headers": (
        declared_size(len(LARGE) - len(DATA) + 4 * 8_192**2, LARGE),
        "archive_size_mismatch",
    ),
    "another magic": (archive(("w.npy", b"\x93NUMPX" + npy()[6:])), "archive_invalid"),
    "members that overlap": (bomb_of_overlapping_members, "archive_size_mismatch"),
    "a compression nobody asked for": (
        archive(("w.npy", npy()), method=zipfile.ZIP_BZIP2),
        "archive_invalid",
    ),
    "an encrypted member": (
        patched(b"PK\x01\x02\x14\x03\x14\0\0\0", b"PK\x01\x02\x14\x03\x14\0\1\0", ("w.npy", npy())),
        "archive_invalid",
    ),
}


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_every_attack_meets_its_guard(tmp_path: Path, name: str) -> None:
    make, code = ATTACKS[name]
    path = make(tmp_path)
    with pytest.raises(TollensError) as caught:
        open_checkpoint(path)
    assert caught.value.code == code
    assert caught.value.exit_code is Exit.BAD_INPUT
    assert len(str(caught.value)) < 6_000
    assert caught.value.code in CODES


def test_the_honest_twins_of_the_attacks_are_read(tmp_path: Path) -> None:
    makers = [
        entry(),
        two([0, 16], [16, 32]),
        two([16, 32], [0, 16]),
        archive(("w.npy", npy())),
        archive(("w.npy", npy()), method=zipfile.ZIP_DEFLATED),
        indexed({"w": "a.safetensors", "u": "b.safetensors"}, a__safetensors=shard("w"), b__safetensors=shard("u")),
        folder_with(m__safetensors=shard("w"), config__json={"hidden_size": 2}),
        named("m.safetensors", shard("w")),
    ]
    for number, make in enumerate(makers):
        folder = tmp_path / str(number)
        folder.mkdir()
        checkpoint = open_checkpoint(make(folder))
        assert checkpoint.tensors
        for tensor in checkpoint.tensors:
            assert checkpoint.read(tensor.name).nbytes == tensor.nbytes


def test_a_snapshot_of_a_download_cache_may_link_to_its_blobs(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    blobs = tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "feed").write_bytes(shard("w"))
    (snapshot / "model.safetensors").symlink_to("../../blobs/feed")
    assert [t.name for t in open_checkpoint(snapshot).tensors] == ["w"]
    (snapshot / "model.safetensors").unlink()
    (tmp_path / "elsewhere").write_bytes(shard("w"))
    (snapshot / "model.safetensors").symlink_to("../../../elsewhere")
    with pytest.raises(TollensError, match="index_escapes"):
        open_checkpoint(snapshot)


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["m.bin", "m.pt", "m.pkl", "m.joblib", "m.safetensors", "m.npz", "m"])
def test_a_pickle_is_refused_and_does_not_run(tmp_path: Path, name: str) -> None:
    program = pickle.dumps(Payload(tmp_path / "ran"), protocol=4)
    with pytest.raises(TollensError, match="pickle_refused"):
        open_checkpoint(named(name, program)(tmp_path))
    assert not (tmp_path / "ran").exists()
    pickle.loads(program)  # what is refused is no blank
    assert (tmp_path / "ran").exists()


def test_a_safetensors_header_of_640_bytes_is_no_pickle(tmp_path: Path) -> None:
    header = json.dumps(HONEST).encode().ljust(0x280)  # its length begins 80 02, as a pickle of protocol 2 does
    [tensor] = open_checkpoint(raw(header)(tmp_path)).tensors
    assert tensor.shape == (2, 2)


@pytest.mark.parametrize("write", [lambda p: p.write_bytes(p.read_bytes()[:-4]), lambda p: p.write_bytes(b"")])
def test_a_file_that_shrinks_after_it_was_opened(tmp_path: Path, write: Callable[[Path], object]) -> None:
    path = entry()(tmp_path)
    checkpoint = open_checkpoint(path)
    write(path)
    with pytest.raises(TollensError) as caught:
        checkpoint.read("w")
    assert caught.value.code == "changed_while_reading"


def test_an_archive_that_changes_after_it_was_opened(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(archive(("w.npy", npy()))(tmp_path))
    archive(("w.npy", npy(shape="(4, 1)")))(tmp_path)
    with pytest.raises(TollensError, match="changed_while_reading"):
        checkpoint.read("w")
    archive(("v.npy", npy()))(tmp_path)
    with pytest.raises(TollensError, match="changed_while_reading"):
        checkpoint.read("w")
    checkpoint.path.unlink()
    with pytest.raises(TollensError, match="path_missing"):
        checkpoint.read("w")


def test_an_empty_path_is_not_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive(("w.npy", npy()))(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert open_checkpoint(".").tensors
    with pytest.raises(TollensError, match="path_missing"):
        open_checkpoint("")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_data_of_an_archive_are_not_returned(tmp_path: Path, method: int) -> None:
    data = np.random.default_rng(0).bytes(4_000)
    path = archive(("w.npy", npy(shape="(10, 100)", data=data)), method=method)(tmp_path)
    content = bytearray(path.read_bytes())
    content[1_000] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(TollensError) as caught:
        open_checkpoint(path).read("w")
    assert caught.value.code == "archive_invalid"


def test_a_member_that_ends_before_both_of_its_sizes(tmp_path: Path) -> None:
    member = npy(shape="(4, 2)")
    checkpoint = open_checkpoint(declared_size(len(member) + 16, member)(tmp_path))
    with pytest.raises(TollensError, match="archive_size_mismatch"):
        checkpoint.read("w")


def test_more_memory_than_any_machine_has() -> None:
    tensor = TensorInfo("w", (2**50, 2**8), "F32", "m.safetensors", 0, 2**60)
    with pytest.raises(TollensError, match="tensor_too_large"):
        empty(tensor.shape, np.dtype("f4"), tensor)


def test_non_finite_weights_are_read_as_they_are(tmp_path: Path) -> None:
    w = np.array([[np.nan, np.inf], [-np.inf, 0.0]], dtype=np.float32)
    save_file({"w": w}, tmp_path / "m.safetensors")
    [view] = matrices(open_checkpoint(tmp_path / "m.safetensors")).matrices
    np.testing.assert_array_equal(view.load(np.float64), w)
