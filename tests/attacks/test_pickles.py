"""Hostile files of `torch.save`: none runs, each makes one guard fire by its name, and a small file costs little."""

from __future__ import annotations

import contextlib
import pickle
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save
from tests.attacks.mutation import Watched
from tests.subject.torch_files import (
    Code,
    Entry,
    Ordered,
    View,
    called,
    members,
    named,
    parameter,
    pickled,
    saved,
    storage,
    value,
    zipped,
)

from tollens.core.codes import CODES
from tollens.core.errors import Exit, TollensError
from tollens.subject import pickle_program, torch_zip, zip_directory
from tollens.subject.checkpoint import open_checkpoint

DATA = {"0": bytes(range(48))}
SECONDS = 2.0  # what a file of a few kilobytes may cost; it takes milliseconds


def view(shape: tuple[Any, ...] = (3, 4), **more: Any) -> View:
    return View("0", "F32", 12, shape, **more)


HONEST = {"w": view()}


def program(body: bytes, protocol: int = 2) -> bytes:
    return zipped(members(b"\x80" + bytes([protocol]) + body + b".", DATA))


def refusal(folder: Path, content: bytes, name: str = "m.pt") -> TollensError:
    (folder / name).write_bytes(content)
    begin = time.perf_counter()
    with pytest.raises(TollensError) as caught:
        open_checkpoint(folder / name)
    assert time.perf_counter() - begin < SECONDS
    assert caught.value.code in CODES
    assert caught.value.exit_code is Exit.BAD_INPUT
    assert len(str(caught.value)) < 2_000
    assert str(caught.value).isprintable()
    return caught.value


def test_the_honest_twin_is_read(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(saved(HONEST, DATA))
    assert open_checkpoint(tmp_path / "m.pt").read("w").tobytes() == DATA["0"]


# programs that would run a command

X = value


def live(command: str) -> dict[str, tuple[bytes, str]]:
    """Programs that the pickle module of Python runs, without the zip around them."""
    system, arguments = named("os", "system"), value((command,))
    lazily = named("builtins", "map") + value((Code(system), [command])) + b"\x81"
    eagerly = named("builtins", "bytes") + lazily + b"\x85"  # bytes(map(os.system, [command])), without a call
    stack = X("os") + X("system") + b"\x93"
    imported = Code(named("builtins", "__import__") + value(("os",)) + b"R")
    chain = named("builtins", "getattr") + value((imported, "system")) + b"R"
    hook = named("collections", "Counter") + b")R" + value({"__setstate__": Code(system)}) + b"b"
    hook += value(command) + b"b"
    sentence = f"__import__('os').system({command!r})"
    return {
        "GLOBAL": (b"\x80\x02" + system + arguments + b"R.", "pickle_global_refused"),
        "GLOBAL of the module below": (
            b"\x80\x02" + named("posix", "system") + arguments + b"R.",
            "pickle_global_refused",
        ),
        "STACK_GLOBAL": (b"\x80\x04" + stack + arguments + b"R.", "pickle_global_refused"),
        "STACK_GLOBAL of pieces in the memo": (
            b"\x80\x04" + X("os") + b"\x940" + X("system") + b"\x940h\x00h\x01\x93" + arguments + b"R.",
            "pickle_global_refused",
        ),
        "INST": (b"\x80\x02(" + X(command) + b"ios\nsystem\n.", "pickle_instruction_refused"),
        "OBJ": (b"\x80\x02(" + system + X(command) + b"o.", "pickle_global_refused"),
        "NEWOBJ": (b"\x80\x02" + eagerly + b"\x81.", "pickle_global_refused"),
        "NEWOBJ_EX": (b"\x80\x04" + eagerly + b"}\x92.", "pickle_global_refused"),
        "BUILD with __setstate__": (b"\x80\x02" + hook + b".", "pickle_global_refused"),
        "a chain of getattr": (b"\x80\x02" + chain + arguments + b"R.", "pickle_global_refused"),
        "eval": (b"\x80\x02" + named("builtins", "eval") + value((sentence,)) + b"R.", "pickle_global_refused"),
        "the value is thrown away": (
            b"\x80\x02" + system + arguments + b"R0" + value({}) + b".",
            "pickle_global_refused",
        ),
        "as a key": (b"\x80\x02}" + system + arguments + b"RK\x01s.", "pickle_global_refused"),
        "beside a tensor's arguments": (b"\x80\x02}" + X("w") + system + arguments + b"Rs.", "pickle_global_refused"),
        "a name with dots": (
            b"\x80\x04" + X("collections") + X("OrderedDict.__init__.__class__") + b"\x930" + stack + arguments + b"R.",
            "pickle_global_refused",
        ),
    }


@pytest.mark.parametrize("attack", sorted(live("")))
def test_no_program_runs(tmp_path: Path, attack: str) -> None:
    code, expected = live(f"touch '{tmp_path / 'ran'}'")[attack]
    assert refusal(tmp_path, zipped(members(code, DATA))).code == expected
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("attack", sorted(live("")))
def test_every_program_is_live_where_pickles_are_run(tmp_path: Path, attack: str) -> None:
    """Without this, a payload with a spelling mistake would pass as one that was stopped."""
    code, _ = live(f"touch '{tmp_path / 'ran'}'")[attack]
    with contextlib.suppress(TypeError, AttributeError):  # what comes after the command may be nonsense
        pickle.loads(code)
    assert (tmp_path / "ran").exists()


FOREIGN = [
    ("torch", "load"), ("torch.serialization", "load"), ("torch.storage", "_load_from_bytes"), ("torch.hub", "load"),
    ("torch.jit._serialization", "load"), ("torch._utils", "_import_dotted_name"), ("torch", "_utils"),
    ("torch.utils.cpp_extension", "load"), ("torch.package", "PackageImporter"), ("numpy", "load"),
    ("numpy.testing._private.utils", "runstring"), ("builtins", "getattr"), ("builtins", "exec"), ("builtins", "open"),
    ("__builtin__", "eval"), ("importlib", "import_module"), ("operator", "attrgetter"), ("functools", "partial"),
    ("runpy", "run_path"), ("pickle", "loads"), ("copyreg", "_reconstructor"), ("copyreg", "__newobj__"),
    ("types", "FunctionType"), ("webbrowser", "open"), ("torch.nn.modules.linear", "Linear"), ("__main__", "Model"),
    ("collections", "OrderedDict.update"), ("", ""), ("os", "system\x1b[2J"), ("torch", "FloatStorage "),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name"), FOREIGN)
def test_foreign_names_are_refused_and_named(tmp_path: Path, module: str, name: str) -> None:
    error = refusal(tmp_path, program(b"}" + X("w") + X(module) + X(name) + b"\x93s", protocol=4))
    assert error.code == "pickle_global_refused"
    assert error.subject.endswith(f"byte {2 + 1 + len(X('w') + X(module) + X(name))}")
    if name.isprintable() and name:
        assert f"{module}.{name}" in error.found


# programs that are refused for their instructions, their form or their size


BOMB = b")q\x000" + b"".join(b"(" + b"h%c" % i * 9 + b"tq%c0" % (i + 1) for i in range(30)) + b"h\x1e"
DEEP_BOMB = b")q\x000" + b"".join(b"h%c" % i * 2 + b"\x86q%c0" % (i + 1) for i in range(200)) + b"h\xc8"
LONG_LIST = b"](" + b"K\x01" * 500 + b"eq\x000"
QINT = Code(b"(X\x07\x00\x00\x00storage" + named("torch", "QInt8Storage") + b"X\x01\x00\x00\x000NK\x30tQ")

PROGRAMS: dict[str, tuple[bytes, str]] = {
    # instructions
    "OBJ of a name that may stand": (b"(" + named("torch", "Size") + b"o", "pickle_instruction_refused"),
    "NEWOBJ of a tensor": (named("torch", "Tensor") + b")\x81", "pickle_instruction_refused"),
    "NEWOBJ of a list": (b"])\x81", "pickle_instruction_refused"),
    "NEWOBJ with arguments": (named("argparse", "Namespace") + b"K\x01\x85\x81", "pickle_instruction_refused"),
    "NEWOBJ_EX": (named("argparse", "Namespace") + b")}\x92", "pickle_instruction_refused"),
    "BUILD of a tensor": (value(view()) + b"}b", "pickle_instruction_refused"),
    "BUILD of a list": (b"]}b", "pickle_instruction_refused"),
    "BUILD of a name": (named("argparse", "Namespace") + b"}b", "pickle_instruction_refused"),
    "EXT1": (b"\x82\x01", "pickle_instruction_refused"),
    "EXT2": (b"\x83\x01\x00", "pickle_instruction_refused"),
    "EXT4": (b"\x84\x01\x00\x00\x00", "pickle_instruction_refused"),
    "PERSID": (b"Pstorage\n", "pickle_instruction_refused"),
    "NEXT_BUFFER": (b"\x97", "pickle_instruction_refused"),
    "READONLY_BUFFER": (b"]\x98", "pickle_instruction_refused"),
    "INT of the text protocol": (b"I" + b"9" * 5_000 + b"\n", "pickle_instruction_refused"),
    "STRING of the text protocol": (b"S'a'\n", "pickle_instruction_refused"),
    "PUT of the text protocol": (b"]p0\n", "pickle_instruction_refused"),
    "a byte that is no instruction": (b"\xff", "pickle_invalid"),
    # form
    "a missing memo": (b"h\x07", "pickle_invalid"),
    "a missing memo of 4 bytes": (b"j\xff\xff\xff\xff", "pickle_invalid"),
    "POP of nothing": (b"0", "pickle_invalid"),
    "DUP of nothing": (b"2", "pickle_invalid"),
    "PUT of nothing": (b"q\x00", "pickle_invalid"),
    "MEMOIZE of nothing": (b"\x94", "pickle_invalid"),
    "TUPLE without a mark": (b"t", "pickle_invalid"),
    "TUPLE2 of one": (b"K\x01\x86", "pickle_invalid"),
    "TUPLE2 across a mark": (b"K\x01(K\x01\x86t", "pickle_invalid"),
    "APPEND to nothing": (b"K\x01a", "pickle_invalid"),
    "APPEND to a tuple": (b")K\x01a", "pickle_invalid"),
    "APPENDS to a dict": (b"}(K\x01e", "pickle_invalid"),
    "SETITEM of a list": (b"]K\x01K\x01s", "pickle_invalid"),
    "SETITEMS of a number": (b"K\x01(K\x01K\x01u", "pickle_invalid"),
    "SETITEMS of three": (b"}(K\x01K\x01K\x01u", "pickle_invalid"),
    "DICT of one": (b"(K\x01d", "pickle_invalid"),
    "REDUCE of nothing": (b"R", "pickle_invalid"),
    "REDUCE of a text": (X("os.system") + b")R", "pickle_invalid"),
    "REDUCE with a list": (named("torch", "Size") + b"]R", "pickle_invalid"),
    "REDUCE of a call": (named("torch", "Size") + b")R)R", "pickle_invalid"),
    "OrderedDict of triples": (named("collections", "OrderedDict") + value(([(1, 2, 3)],)) + b"R", "pickle_invalid"),
    "STACK_GLOBAL of numbers": (b"K\x01K\x02\x93", "pickle_invalid"),
    "STACK_GLOBAL of a list and a text": (b"]" + X("a") + b"\x93", "pickle_invalid"),
    "STACK_GLOBAL of a text and a list": (X("a") + b"]\x93", "pickle_invalid"),
    "BINPERSID of nothing": (b"Q", "pickle_invalid"),
    "GLOBAL without an end": (b"ctorch\nSize", "pickle_invalid"),
    "GLOBAL that is no UTF-8": (b"ctor\xffch\nSize\n", "pickle_invalid"),
    "text that is no UTF-8": (b"X\x01\x00\x00\x00\xff", "pickle_invalid"),
    "an open mark at the end": (b"(K\x01", "pickle_invalid"),
    "two values at the end": (b"}}", "pickle_invalid"),
    "nothing at the end": (b"", "pickle_invalid"),
    "PROTO twice": (b"\x80\x02}", "pickle_invalid"),
    "a frame beyond the end": (b"\x95" + struct.pack("<Q", 1 << 40) + b"}", "pickle_invalid"),
    # size
    "BINBYTES8 of 2^63": (b"\x8e" + struct.pack("<Q", 1 << 63), "pickle_invalid"),
    "BINUNICODE8 of 2^64 - 1": (b"\x8d" + b"\xff" * 8, "pickle_invalid"),
    "BYTEARRAY8 of 2^62": (b"\x96" + struct.pack("<Q", 1 << 62), "pickle_invalid"),
    "BINUNICODE of 4 GB": (b"X\xff\xff\xff\xff", "pickle_invalid"),
    "LONG4 of 2 GB": (b"\x8b\xff\xff\xff\x7f", "pickle_too_large"),
    "LONG4 of 2,000 bytes": (b"\x8b\xd0\x07\x00\x00" + b"\x7f" * 2_000, "pickle_too_large"),
    "10^28 values in tuples": (BOMB, "pickle_too_large"),
    "2^200 values in tuples": (DEEP_BOMB, "pickle_too_large"),
    "10^28 values under a key": (b"}" + X("w") + BOMB + b"s", "pickle_too_large"),
    "a list in itself": (b"]q\x00h\x00a", "pickle_too_large"),
    "a dict in itself": (b"}q\x00" + X("a") + b"h\x00s", "pickle_too_large"),
    "100,000 lists in each other": (b"]" * 100_000 + b"a" * 99_999, "pickle_too_large"),
    "20,000 dicts in each other": (b"}" + (X("a") + b"}") * 20_000 + b"s" * 20_000, "pickle_too_large"),
    "20,000 tuples in each other": (b")" + b"\x85" * 20_000, "pickle_too_large"),
    "a long list many times": (LONG_LIST + b"](" + b"h\x00" * 500 + b"e", "pickle_too_large"),
    "sets of a long list": (
        LONG_LIST + b"](" + (named("__builtin__", "set") + b"h\x00\x85R") * 100 + b"e",
        "pickle_too_large",
    ),
    "sets of a long list that are thrown away": (
        LONG_LIST + (named("__builtin__", "set") + b"h\x00\x85R0") * 100 + b"}",
        "pickle_too_large",
    ),
    # what the tensors are
    "a key twice": (b"}(" + X("w") + value(view()) + X("w") + value(view(first=1, shape=(2,))) + b"u", "duplicate_key"),
    "a key twice, deep down": (
        b"}" + X("o") + b"}(" + X("w") + b"K\x01" + X("w") + b"K\x02us",
        "duplicate_key",
    ),
    "two keys of one name": (value({"a": {"b": view()}, "a.b": view()}), "duplicate_key"),
    "keys that look alike": (value({"a": {1: view(), "1": view()}}), "duplicate_key"),
    "a name with an escape sequence": (value({"\x1b[2J": view()}), "tensor_name_invalid"),
    "a name with a lone surrogate": (value({"\ud800": view()}), "tensor_name_invalid"),
    "a name of 2,000 characters": (value({"a" * 2_000: view()}), "tensor_name_invalid"),
    "no tensors": (value({"a": 1, "b": [2.0]}), "no_tensors"),
    "a number": (b"K\x01", "no_tensors"),
    "a name": (named("torch", "Size"), "no_tensors"),
}


def rebuilt(*arguments: Any, name: str = "_rebuild_tensor_v2") -> bytes:
    return value({"w": called("torch._utils", name, arguments)})


S, OK = storage("0", "F32", 12), (0, (3, 4), (4, 1), False, Ordered({}))
UNTYPED = Code(value(("storage", Code(named("torch.storage", "UntypedStorage")), "0", "cpu", 48)) + b"Q")


def over(key: Any) -> bytes:
    return rebuilt(Code(value(key) + b"Q"), *OK)


def typed(*arguments: Any) -> bytes:
    return value({"w": called("torch._tensor", "_rebuild_from_type_v2", arguments)})


F = Code(named("torch", "FloatStorage"))
TENSOR, PLAIN_WAY = Code(named("torch", "Tensor")), Code(named("torch._utils", "_rebuild_tensor_v2"))
TENSORS: dict[str, tuple[bytes, str]] = {
    "a command for a storage": (rebuilt("touch ran", *OK), "pickle_invalid"),
    "a tensor for a storage": (rebuilt(view(), *OK), "pickle_invalid"),
    "a storage that is text": (over("0"), "pickle_invalid"),
    "a storage of four parts": (over(("storage", F, "0", "cpu")), "pickle_invalid"),
    "a storage of another word": (over(("module", F, "0", "cpu", 12)), "pickle_invalid"),
    "a storage whose key is a number": (over(("storage", F, 0, "cpu", 12)), "pickle_invalid"),
    "a storage whose type is text": (over(("storage", "FloatStorage", "0", "cpu", 12)), "pickle_invalid"),
    "a storage whose type is a size": (
        over(("storage", Code(named("torch", "Size")), "0", "cpu", 12)),
        "pickle_invalid",
    ),
    "a storage whose type is a list": (over(("storage", [], "0", "cpu", 12)), "pickle_invalid"),
    "a storage of negative length": (over(("storage", F, "0", "cpu", -12)), "pickle_invalid"),
    "a storage of 2^63 elements": (over(("storage", F, "0", "cpu", 2**63)), "pickle_invalid"),
    "a storage of True elements": (over(("storage", F, "0", "cpu", True)), "pickle_invalid"),
    "a storage of 2^62 elements": (over(("storage", F, "0", "cpu", 2**62)), "tensor_size_mismatch"),
    "a storage shorter than its member": (over(("storage", F, "0", "cpu", 11)), "tensor_size_mismatch"),
    "a storage of another width": (value({"w": View("0", "F64", 12, (3, 4))}), "tensor_size_mismatch"),
    "a storage that is not there": (over(("storage", F, "1", "cpu", 12)), "tensor_out_of_bounds"),
    "a storage that leads out": (over(("storage", F, "../data.pkl", "cpu", 12)), "tensor_out_of_bounds"),
    "no arguments": (rebuilt(), "pickle_invalid"),
    "too many arguments": (rebuilt(S, *OK, {}, 1), "pickle_invalid"),
    "a negative offset": (rebuilt(S, -1, (3, 4), (4, 1), False, Ordered({})), "pickle_invalid"),
    "an offset of 2^62": (rebuilt(S, 2**62, (3, 4), (4, 1), False, Ordered({})), "tensor_out_of_bounds"),
    "an offset of 2^64": (rebuilt(S, 2**64, (3, 4), (4, 1), False, Ordered({})), "pickle_invalid"),
    "an offset of text": (rebuilt(S, "0", (3, 4), (4, 1), False, Ordered({})), "pickle_invalid"),
    "an offset one too far": (value({"w": view(first=1)}), "tensor_out_of_bounds"),
    "an empty tensor behind the end": (value({"w": view((0, 4), first=13)}), "tensor_out_of_bounds"),
    "a negative side": (value({"w": view((-3, -4))}), "pickle_invalid"),
    "a side of True": (value({"w": view((True, 4), strides=(4, 1))}), "pickle_invalid"),
    "a side of 3.0": (value({"w": view((3.0, 4), strides=(4, 1))}), "pickle_invalid"),
    "a size that is a number": (rebuilt(S, 0, 12, (1,), False, Ordered({})), "pickle_invalid"),
    "a size of 33 sides": (value({"w": view((1,) * 33)}), "pickle_invalid"),
    "a size of 2^64 bytes": (value({"w": view((2**31, 2**31), strides=(0, 0))}), "shape_overflow"),
    "a size of 2^2000": (value({"w": view((2**2000,), strides=(1,))}), "pickle_invalid"),
    "a side of 2^62 beside one of 0": (value({"w": view((0, 2**62), strides=(0, 0))}), "shape_overflow"),
    "a negative stride": (value({"w": view(strides=(-4, 1), first=8)}), "pickle_invalid"),
    "a stride of 2^62": (value({"w": view(strides=(2**62, 1))}), "tensor_out_of_bounds"),
    "strides that wrap around 2^64": (value({"w": view((5, 4), strides=(2**62, 1))}), "tensor_out_of_bounds"),
    "a stride one too long": (value({"w": view((3, 4), strides=(5, 1))}), "tensor_out_of_bounds"),
    "fewer strides than sides": (value({"w": view(strides=(1,))}), "pickle_invalid"),
    "one number as a matrix of 1 GB": (value({"w": view((2**14, 2**14), strides=(0, 0))}), "tensor_expanded"),
    "many views of 40 MB": (
        value({f"w{i}": view((10_000_000,), strides=(0,), first=i) for i in range(2)}),
        "tensor_expanded",
    ),
    "a storage of bytes without a dtype": (rebuilt(UNTYPED, *OK), "pickle_invalid"),
    "a dtype that is a storage": (rebuilt(UNTYPED, *OK, F, name="_rebuild_tensor_v3"), "pickle_invalid"),
    "a dtype that is text": (rebuilt(UNTYPED, *OK, "float32", name="_rebuild_tensor_v3"), "pickle_invalid"),
    "a dtype that is a list": (rebuilt(UNTYPED, *OK, [], name="_rebuild_tensor_v3"), "pickle_invalid"),
    "a parameter of text": (value({"w": parameter(Code(X("w")))}), "pickle_invalid"),
    "a parameter of a storage": (value({"w": parameter(S)}), "pickle_invalid"),
    "a parameter of nothing": (rebuilt(name="_rebuild_parameter"), "pickle_invalid"),
    "parameters of parameters": (value({"w": parameter(parameter(parameter(view())))}), "pickle_invalid"),
    "a parameter of a device": (value({"w": parameter(called("torch", "device", ("cpu",)))}), "pickle_invalid"),
    "a tensor of another class": (typed(PLAIN_WAY, F, (S, *OK), {}), "pickle_invalid"),
    "a tensor of a class that is a list": (typed(PLAIN_WAY, [], (S, *OK), {}), "pickle_invalid"),
    "a tensor of a class that is a call": (typed(PLAIN_WAY, S, (S, *OK), {}), "pickle_invalid"),
    "a tensor built by a list": (typed([], TENSOR, (S, *OK), {}), "pickle_invalid"),
    "a tensor from a list": (typed(PLAIN_WAY, TENSOR, [S, *OK], {}), "pickle_invalid"),
    "a tensor with two states": (typed(PLAIN_WAY, TENSOR, (S, *OK), {}, {}), "pickle_invalid"),
    "a tensor built by text": (
        value(
            {
                "w": called(
                    "torch._tensor", "_rebuild_from_type_v2", ("os.system", Code(named("torch", "Tensor")), (), {})
                )
            }
        ),
        "pickle_invalid",
    ),
    "a quantised tensor of floats": (
        rebuilt(S, *OK[:3], (), False, Ordered({}), name="_rebuild_qtensor"),
        "pickle_invalid",
    ),
    "a sparse tensor without a size": (
        rebuilt("coo", (view(), view()), name="_rebuild_sparse_tensor"),
        "pickle_invalid",
    ),
    "a broken tensor in what is left out": (
        value({"model": {"w": view()}, "optimizer": {"w": view(first=99)}}),
        "tensor_out_of_bounds",
    ),
}
PROGRAMS |= TENSORS


@pytest.mark.parametrize("attack", sorted(PROGRAMS))
def test_every_program_meets_its_guard(tmp_path: Path, attack: str) -> None:
    body, expected = PROGRAMS[attack]
    assert refusal(tmp_path, program(body)).code == expected


@pytest.mark.parametrize("code", range(256))
def test_every_instruction_alone_and_behind_a_mark(tmp_path: Path, code: int) -> None:
    for start in (b"", b"(", b"K\x01(", b"]", b"K\x01K\x01K\x01"):
        refusal(tmp_path, program(start + bytes([code]) + b"a\n" * 4))


def test_a_bomb_as_a_key_is_never_hashed(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(program(b"}(" + DEEP_BOMB + b"K\x01" + X("w") + value(view()) + b"u"))
    begin = time.perf_counter()
    assert [t.name for t in open_checkpoint(tmp_path / "m.pt").tensors] == ["w"]
    assert time.perf_counter() - begin < SECONDS


@pytest.mark.parametrize("start", [b"", b"\x80", b"N\x02", b"\x80\x01", b"\x80\x06", b"(dp0\n", b"}", b"\x02\x80"])
def test_other_protocols(tmp_path: Path, start: bytes) -> None:
    assert refusal(tmp_path, zipped(members(start + pickled(HONEST)[2:], DATA))).code == "pickle_invalid"


def test_a_program_cut_anywhere(tmp_path: Path) -> None:
    whole = pickled({"model": {"w": parameter(view())}, "step": 2**40, "x": [1.0, None, (True,)]})
    for at in range(len(whole)):
        assert refusal(tmp_path, zipped(members(whole[:at], DATA))).code == "pickle_invalid"
    assert refusal(tmp_path, zipped(members(whole + b"}.", DATA))).code == "trailing_bytes"


def test_the_limits_on_length_fire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = saved(HONEST, DATA)
    monkeypatch.setattr(zip_directory, "MAX_DIRECTORY", 99)
    assert refusal(tmp_path, honest).code == "archive_size_mismatch"
    monkeypatch.undo()
    for module, limit in (
        (torch_zip, "MAX_PICKLE"),
        (pickle_program, "MAX_INSTRUCTIONS"),
        (pickle_program, "MAX_STACK"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(module, limit, 3)
            assert refusal(tmp_path, honest).code == "pickle_too_large"


# archives

PLAIN = members(pickled(HONEST), DATA)
WEIGHTS = next(i for i, e in enumerate(PLAIN) if e.name == "archive/data/0")
FULL = 0xFFFFFFFF
WIDE = {"size": FULL, "packed": FULL}


def forged(**fields: Any) -> bytes:
    """The honest archive with one thing wrong about the member that holds the numbers."""
    entry = PLAIN[WEIGHTS]
    changed = Entry(**{"name": entry.name, "data": entry.data} | fields)
    return zipped([*PLAIN[:WEIGHTS], changed, *PLAIN[WEIGHTS + 1 :]])


def wide(*numbers: int, length: int | None = None) -> bytes:
    return struct.pack("<2H", 1, 8 * len(numbers) if length is None else length) + struct.pack(
        f"<{len(numbers)}Q", *numbers
    )


def start_of(index: int) -> int:
    return len(zipped(PLAIN[:index])) - len(zipped([])) - sum(46 + len(e.name) for e in PLAIN[:index])


def deflated(folder: Path) -> bytes:
    path = folder / "deflated.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for e in PLAIN:
            archive.writestr(e.name, e.data)
    return path.read_bytes()


def with_more(*entries: Entry) -> bytes:
    return zipped([*PLAIN, *entries])


def ordered(mark: bytes) -> bytes:
    return zipped([e if e.name != "archive/byteorder" else Entry(e.name, mark) for e in PLAIN])


def squeezed(name: str) -> Entry:
    """A deflated member of 99 bytes."""
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(bytes(99)) + packer.flush()
    fields = {"method": 8, "size": 99, "crc": zlib.crc32(bytes(99))}
    return Entry(name, packed, local=fields, central=fields)


def padded(behind: bool) -> bytes:
    """The honest archive with four bytes behind or before the entries of its directory, as a part of it or not."""
    plain = saved(HONEST, DATA)
    begin, size = plain.index(b"PK\x01\x02"), len(plain) - 22 - plain.index(b"PK\x01\x02")
    if behind:
        return plain[: begin + size] + b"JUNK" + zipped(PLAIN, size=size + 4)[-22:]
    return plain[:begin] + b"JUNK" + plain[begin : begin + size] + zipped(PLAIN, begin=begin + 4)[-22:]


ARCHIVES: dict[str, tuple[bytes | Callable[[Path], bytes], str]] = {
    "a storage that is missing": (zipped(PLAIN[:WEIGHTS] + PLAIN[WEIGHTS + 1 :]), "tensor_out_of_bounds"),
    "a storage cut short": (forged(data=DATA["0"][:-1]), "tensor_size_mismatch"),
    "a storage with more": (forged(data=DATA["0"] + b"!"), "tensor_size_mismatch"),
    "compressed members": (deflated, "archive_invalid"),
    "a compressed member": (forged(central={"method": 8}, local={"method": 8}), "archive_invalid"),
    "a member that only its own header calls compressed": (forged(local={"method": 8}), "archive_invalid"),
    "an encrypted member": (forged(central={"flags": 1}, local={"flags": 1}), "archive_invalid"),
    "a member that only its own header calls encrypted": (forged(local={"flags": 1}), "archive_invalid"),
    "a header of another name": (forged(local_name="archive/data/9"), "archive_invalid"),
    "a header of a longer name": (forged(local_name="archive/data/00"), "archive_invalid"),
    "a header of another size": (forged(local={"size": 40, "packed": 40}), "archive_size_mismatch"),
    "a header of another checksum": (forged(local={"crc": 1}), "archive_size_mismatch"),
    "a header of size 0 that promises none later": (
        forged(local={"size": 0, "packed": 0, "crc": 0}),
        "archive_size_mismatch",
    ),
    "two sizes in the directory": (forged(central={"packed": 40}), "archive_size_mismatch"),
    "a size beyond the file": (forged(central={"size": 1 << 30, "packed": 1 << 30}), "tensor_out_of_bounds"),
    "fields of a header that run into the data": (forged(local={"extras": 8}), "archive_size_mismatch"),
    "a start in another member": (forged(central={"start": start_of(WEIGHTS) + 8}), "archive_invalid"),
    "a start in the member before": (forged(central={"start": start_of(WEIGHTS) - 8}), "archive_size_mismatch"),
    "two members in one place": (forged(central={"start": 0}), "archive_invalid"),
    "a start beyond the file": (forged(central={"start": 1 << 31}), "archive_invalid"),
    "bytes between members": (forged(before=b"hidden"), "archive_invalid"),
    "bytes before the first": (b"#!/bin/sh\n" + saved(HONEST, DATA), "pickle_refused"),
    "an entry before the first": (
        zipped([Entry(PLAIN[0].name, PLAIN[0].data, before=b"PK\x03\x04"), *PLAIN[1:]]),
        "archive_invalid",
    ),
    "bytes after the end": (saved(HONEST, DATA) + b"!", "archive_invalid"),
    "a comment": (saved(HONEST, DATA)[:-2] + b"\x02\0hi", "archive_invalid"),
    "a comment that is not there": (saved(HONEST, DATA)[:-2] + b"\x05\0", "archive_invalid"),
    "a second disk": (zipped(PLAIN, disk=1), "archive_invalid"),
    "a directory on another disk": (zipped(PLAIN, first=1), "archive_invalid"),
    "a part of the entries here": (zipped(PLAIN, here=5), "archive_invalid"),
    "a member on another disk": (forged(central={"disk": 1}), "archive_invalid"),
    "a member of another magic": (
        saved(HONEST, DATA).replace(b"PK\x03\x04", b"PK\x03\x05").replace(b"PK\x03\x05", b"PK\x03\x04", 1),
        "archive_invalid",
    ),
    "a header whose name is longer than it is": (forged(local={"names": 15}), "archive_invalid"),
    "two sizes in both headers": (forged(central={"packed": 40}, local={"packed": 40}), "archive_size_mismatch"),
    "bytes behind the entries": (padded(behind=True), "archive_invalid"),
    "bytes before the entries": (padded(behind=False), "archive_invalid"),
    "an entry that runs out of the directory": (
        zipped([*PLAIN[:-1], Entry("archive/x", b"", central={"comments": 60_000})]),
        "archive_invalid",
    ),
    "fewer entries than said": (zipped(PLAIN, here=7, count=7), "archive_invalid"),
    "fewer entries than would fit": (zipped(PLAIN, here=9, count=9), "archive_size_mismatch"),
    "more entries than said": (zipped(PLAIN, here=2, count=2), "archive_invalid"),
    "65,535 entries and no wide directory": (zipped(PLAIN, here=0xFFFF, count=0xFFFF), "archive_invalid"),
    "a directory elsewhere": (zipped(PLAIN, begin=0), "archive_size_mismatch"),
    "a directory of 4 GB": (zipped(PLAIN, size=FULL - 1), "archive_size_mismatch"),
    "an entry of another magic": (saved(HONEST, DATA).replace(b"PK\x01\x02", b"PK\x01\x03", 1), "archive_invalid"),
    "a name that is no UTF-8": (
        saved(HONEST, DATA).replace(b"archive/version", b"archive/v\xffrsion"),
        "archive_invalid",
    ),
    "a name that leads out": (with_more(Entry("archive/../x", b"")), "archive_member_path"),
    "a name with a leading slash": (with_more(Entry("/etc/passwd", b"")), "archive_member_path"),
    "a name with backslashes": (with_more(Entry("archive\\x", b"")), "archive_member_path"),
    "a name with a zero byte": (with_more(Entry("archive/x\0.pkl", b"")), "archive_invalid"),
    "a name with an escape sequence": (with_more(Entry("archive/data/\x1b[2J", b"")), "archive_invalid"),
    "an empty name": (with_more(Entry("", b"")), "archive_member_path"),
    "a name twice": (with_more(Entry("archive/version", b"3\n")), "duplicate_key"),
    "the numbers twice": (with_more(PLAIN[WEIGHTS]), "duplicate_key"),
    "a second pickle of the same name": (with_more(PLAIN[0]), "duplicate_key"),
    "a second pickle elsewhere": (with_more(Entry("other/data.pkl", pickled({}))), "archive_invalid"),
    "a pickle of another checksum": (
        zipped([Entry(PLAIN[0].name, PLAIN[0].data, local={"crc": 7}, central={"crc": 7}), *PLAIN[1:]]),
        "archive_invalid",
    ),
    "big-endian numbers": (ordered(b"big"), "byte_order_unsupported"),
    "an order nobody knows": (ordered(b"middle"), "archive_invalid"),
    "an order of 1 MB": (
        ordered(b"l" * (1 << 20)),
        "archive_invalid",
    ),
    "TorchScript by its constants": (with_more(Entry("archive/constants.pkl", b"\x80\x02).")), "torchscript_refused"),
    "TorchScript by its code": (with_more(squeezed("archive/code/__torch__.py")), "torchscript_refused"),
    "a deflated member beyond the file": (
        forged(
            name="archive/x",
            data=b"x",
            central={"method": 8, "packed": 1 << 20},
            local={"method": 8, "packed": 1 << 20},
        ),
        "tensor_out_of_bounds",
    ),
    "a method nobody knows": (forged(central={"method": 12}, local={"method": 12}), "archive_invalid"),
    # 64 bits
    "a wide size beyond the file": (forged(central=WIDE, extra=wide(1 << 40, 1 << 40)), "tensor_out_of_bounds"),
    "a wide size of 2^64 - 1": (forged(central=WIDE, extra=wide(2**64 - 1, 2**64 - 1)), "archive_size_mismatch"),
    "a wide size without its field": (forged(central=WIDE), "archive_size_mismatch"),
    "a wide field that is too short": (forged(central=WIDE, extra=wide(48)), "archive_size_mismatch"),
    "a wide field that is cut": (forged(central=WIDE, extra=wide(48, length=16)), "archive_size_mismatch"),
    "two sizes in a wide field": (forged(central=WIDE, extra=wide(48, 40)), "archive_size_mismatch"),
    "a wide start beyond the file": (forged(central={"start": FULL}, extra=wide(1 << 62)), "archive_invalid"),
    "a wide size only in its own header": (forged(local=WIDE, local_extra=wide(40, 40)), "archive_size_mismatch"),
    "a wide directory elsewhere": (zipped(PLAIN, wide={"begin": 0}), "archive_size_mismatch"),
    "a wide directory of other counts": (zipped(PLAIN, wide={"here": 3, "count": 3}), "archive_size_mismatch"),
    "a wide directory of 2^63 bytes": (zipped(PLAIN, {"size": 1 << 63}, size=FULL), "archive_size_mismatch"),
    "a wide directory of 2^60 entries": (
        zipped(PLAIN, {"here": 1 << 60, "count": 1 << 60}, here=0xFFFF, count=0xFFFF),
        "archive_size_mismatch",
    ),
    "a full size and no wide directory": (zipped(PLAIN, size=FULL), "archive_invalid"),
    "bytes behind the wide directory": (
        zipped(PLAIN, {}).replace(b"PK\x06\x07", b"JUNKPK\x06\x07"),
        "archive_invalid",
    ),
    "a wide directory of another magic": (zipped(PLAIN, {}).replace(b"PK\x06\x06", b"PK\x06\x05"), "archive_invalid"),
    "a wide directory on disk 1": (zipped(PLAIN, {"disk": 1}), "archive_invalid"),
    "a wide directory that begins on disk 1": (zipped(PLAIN, {"first": 1}), "archive_invalid"),
    "a part of the entries in the wide directory": (zipped(PLAIN, {"here": 5}), "archive_invalid"),
    "a wide record on disk 1": (zipped(PLAIN, {"part": 1}), "archive_invalid"),
    "a wide record elsewhere": (zipped(PLAIN, wide={"at": 7}), "archive_invalid"),
    "a wide record of 2^64 - 1": (zipped(PLAIN, wide={"at": 2**64 - 1}), "archive_invalid"),
    "a wide record of another length": (zipped(PLAIN, wide={"length": 99}), "archive_invalid"),
    "a wide record on two disks": (zipped(PLAIN, wide={"disks": 2}), "archive_invalid"),
    # two formats in one file
    "safetensors with an archive behind": (save({}) + saved(HONEST, DATA), "trailing_bytes"),
    "a pickle with an archive behind": (pickled({}) + saved(HONEST, DATA), "pickle_refused"),
    "an archive with a pickle behind": (saved(HONEST, DATA) + pickled({}), "archive_invalid"),
    "an archive cut short": (saved(HONEST, DATA)[:-40], "archive_invalid"),
    "an archive that is only its first header": (saved(HONEST, DATA)[:60], "archive_invalid"),
    # before the archives
    "the format before 1.6": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "pickle_legacy"),
    "the format before 1.6 in protocol 4": (
        b"\x80\x04\x95\x0d\0\0\0\0\0\0\0\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x04M\xe9\x03.",
        "pickle_legacy",
    ),
    "the tar of 2016": (b"sys_info".ljust(257, b"\0") + b"ustar\0" + bytes(400), "pickle_legacy"),
}


@pytest.mark.parametrize("attack", sorted(ARCHIVES))
def test_every_archive_meets_its_guard(tmp_path: Path, attack: str) -> None:
    content, expected = ARCHIVES[attack]
    assert refusal(tmp_path, content if isinstance(content, bytes) else content(tmp_path)).code == expected


def test_the_honest_twins_of_the_archives_are_read(tmp_path: Path) -> None:
    twins = [
        zipped(PLAIN, wide={}),
        zipped(PLAIN, {}, here=0xFFFF, count=0xFFFF, size=FULL, begin=FULL),
        forged(central=WIDE, extra=wide(48, 48)),
        forged(central={**WIDE, "start": FULL}, extra=b"\x99\x99\x01\0x" + wide(48, 48, start_of(WEIGHTS))),
        forged(local=WIDE, local_extra=wide(48, 48)),
        forged(local_extra=b"FB\x04\0ZZZZ"),
        forged(local={"crc": 0, "size": 0, "packed": 0, "flags": 8}, central={"flags": 8}),
        with_more(Entry("archive/empty/", b"")),
        with_more(squeezed("archive/notes.txt")),
    ]
    for content in twins:
        (tmp_path / "m.pt").write_bytes(content)
        assert open_checkpoint(tmp_path / "m.pt").read("w").tobytes() == DATA["0"]


def test_bytes_are_asked_for_only_where_there_are_some() -> None:
    for offset, count in ((-1, 2), (0, 4), (3, 1), (2**62, 1), (4, 0), (0, -1)):
        with pytest.raises(TollensError, match="archive_invalid"):
            zip_directory.bytes_at(Watched(b"abc"), offset, count, "m.pt")
    assert zip_directory.bytes_at(Watched(b"abc"), 1, 2, "m.pt") == b"bc"


def test_a_long_mark_of_order_is_not_read(tmp_path: Path) -> None:
    assert refusal(tmp_path, ordered(b"l" * (1 << 20))).found == "1048576 bytes"


def test_keys_that_are_no_names_may_be_alike(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(saved({"model": HONEST, "seen": {(1,): 1, (2,): 2, None: 3, 1.5: 4, 2.5: 5}}, DATA))
    assert [t.name for t in open_checkpoint(tmp_path / "m.pt").tensors] == ["w"]


def test_an_archive_cut_anywhere(tmp_path: Path) -> None:
    whole = saved(HONEST, DATA)
    for at in range(1, len(whole), 5):
        refusal(tmp_path, whole[:at])


def test_an_index_that_names_the_older_format(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin.index.json").write_text('{"weight_map": {"w": "a.bin"}}')
    (tmp_path / "a.bin").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.")
    with pytest.raises(TollensError, match="pickle_legacy"):
        open_checkpoint(tmp_path)
