"""Files that PyTorch itself writes, read here without it: every stored bit compared.

    python -m benchmarks.torch_files [--quick]

Ends with an error where one bit differs, or where a file that must be refused is not. The time is that of opening a
state dict of 10,000 tensors, beside `torch.load` with `weights_only=True, mmap=True`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import Line, show

NARROW = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
WIDE = ("float32", "float64")
OTHERS = (
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128",
)  # fmt: skip
FLOATS = (*WIDE, *(name for name in NARROW if name != "float8_e8m0fnu"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    try:
        import torch
    except ImportError:
        show("torch files: bits", [Line("torch", "-", "not run", None, "needs torch==2.13.0")])
        return 0
    warnings.simplefilter("ignore")  # prototypes and deprecations of torch are not what is judged
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.pt"
        for name, state in (_types(torch) | _layouts(torch)).items():
            lines.append(_compared(torch, name, path, state))
        for name, options in _written(torch).items():
            lines.append(_compared(torch, name, path, _layouts(torch)["transposed"], options))
        lines.append(_nested(torch, path))
        lines.append(_listed(torch, path))
        lines += [_refused(name, path, write, code) for name, (write, code) in _refusals(torch).items()]
        lines.append(_time(torch, path, 500 if given.quick else 10_000))
    show(f"torch files: bits of files that torch {torch.__version__} wrote", lines)
    return 1 if any(line.met is False for line in lines) else 0


def _codes(torch: Any, name: str) -> Any:
    """Every code of a type of 8 or 16 bits; of the wider ones NaN with payloads, zeros, subnormals, extremes, noise."""
    dtype = getattr(torch, name)
    width = torch.empty((), dtype=dtype).element_size()
    if name == "bool":
        return torch.tensor([True, False] * 8).reshape(4, 4)
    if width <= 2:
        raw = np.arange(1 << 8 * width, dtype=f"<u{width}").tobytes()
    else:
        noise = np.random.default_rng(7).bytes(4_096 - 6 * width)
        sign, nan = 1 << 8 * width - 1, 0x7FF80000DEADBEEF if width == 8 else 0x7FC0BEEF
        special = (0, sign, 1, sign | 1, nan, sign | nan) if width <= 8 else ()
        raw = b"".join(code.to_bytes(width, "little") for code in special) + noise
        raw = raw[: len(raw) // (4 * width) * 4 * width]
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(dtype).reshape(-1, 4)


def _types(torch: Any) -> dict[str, Any]:
    return {name: {"w": _codes(torch, name)} for name in (*WIDE, *NARROW, *OTHERS)}


def _layouts(torch: Any) -> dict[str, Any]:
    base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    shared = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    module = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(16, 2, 32), 2)
    tagged = torch.nn.Parameter(torch.ones(3, 2))
    tagged.tag = 1
    return {
        "transposed": {"w": base[0].T, "v": base.permute(2, 0, 1)},
        "sliced": {"w": base[:, 1:3, ::2], "v": base[1, :, 2], "u": base[2:]},
        "expanded": {"w": base[0, :1].expand(7, 5), "v": torch.tensor(2.5).expand(3, 4)},
        "windows": {"w": torch.arange(20, dtype=torch.float16).unfold(0, 5, 2), "v": base[0].diagonal()},
        "shared storage": {"a": shared, "b": shared, "c": shared.T, "d": shared[2:4]},
        "no elements": {"w": torch.empty(0, 5), "v": torch.empty(3, 0).T, "u": base[:0]},
        "one element": {"w": torch.tensor(1.5), "v": torch.ones(1, 1, 1), "u": base[1, 2, 3]},
        "parameters": {"w": torch.nn.Parameter(base[0]), "v": tagged, "u": torch.nn.Parameter(torch.ones(2), False)},
        "a module": module.state_dict(),
        "channels last": {"w": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)},
        "names": {"ü.weight": torch.ones(2), "a b": torch.ones(2), "": torch.ones(2)},
    }


def _written(torch: Any) -> dict[str, dict[str, Any]]:
    return {f"pickle protocol {p}": {"pickle_protocol": p} for p in (2, 3, 4, 5)} | {"no checksums": {"crc": False}}


def _save(torch: Any, state: Any, path: Path, options: dict[str, Any]) -> None:
    plain = {key: value for key, value in options.items() if key != "crc"}
    torch.serialization.set_crc32_options(options.get("crc", True))
    try:
        torch.save(state, path, **plain)
    finally:
        torch.serialization.set_crc32_options(True)


def _compared(torch: Any, name: str, path: Path, state: Any, options: dict[str, Any] | None = None) -> Line:
    """Save, open, and hold every tensor against what torch holds."""
    from tollens.subject.checkpoint import open_checkpoint

    _save(torch, state, path, options or {})
    checkpoint = open_checkpoint(path)
    wrong = [] if sorted(t.name for t in checkpoint.tensors) == sorted(state) else ["names"]
    bits = 0
    for info in checkpoint.tensors:
        tensor = state[info.name].detach()
        stored = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        if info.shape != tuple(tensor.shape) or _stored(checkpoint, info, path) != stored:
            wrong.append(info.name)
        if str(tensor.dtype).removeprefix("torch.") in FLOATS and not _same_floats(torch, checkpoint, info, tensor):
            wrong.append(f"{info.name}: numbers")
        bits += 8 * len(stored)
    return Line(name, "equal", f"{len(checkpoint.tensors)} tensors, {bits} bits", not wrong, ", ".join(wrong))


def _stored(checkpoint: Any, info: Any, path: Path) -> bytes:
    """The bytes of a tensor in C order: through the reader where it decodes the type, else from its place."""
    from tollens.subject.dtypes import STORED
    from tollens.subject.strided import gathered

    content = path.read_bytes()

    def fill(offset: int, view: memoryview) -> None:
        view[:] = content[info.offset + offset : info.offset + offset + len(view)]

    if info.strides is None:
        return content[info.offset : info.offset + info.nbytes]
    return bytes(gathered(fill, info, STORED[info.dtype].bits // 8))


def _same_floats(torch: Any, checkpoint: Any, info: Any, tensor: Any) -> bool:
    read = checkpoint.read(info.name)
    exact = (tensor if tensor.dtype == torch.float64 else tensor.to(torch.float32)).contiguous().numpy()
    number = ~np.isnan(exact)
    unsigned = f"u{exact.itemsize}"
    same = np.array_equal(
        read.reshape(-1).view(unsigned)[number.reshape(-1)], exact.reshape(-1).view(unsigned)[number.reshape(-1)]
    )
    return same and read.shape == exact.shape and np.array_equal(np.isnan(read), ~number)


def _nested(torch: Any, path: Path) -> Line:
    """A checkpoint of a training: the model's tensors, the optimiser beside it, the step as text."""
    from tollens.subject.checkpoint import open_checkpoint

    model = torch.nn.Linear(4, 3)
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.ones(2, 4)).sum().backward()
    optimiser.step()
    state = {"model": model.state_dict(), "optimizer": optimiser.state_dict(), "step": 7, "loss": np.float64(0.5)}
    torch.save(state, path)
    found = open_checkpoint(path)
    names = sorted(t.name for t in found.tensors)
    same = all(np.array_equal(found.read(n), model.state_dict()[n].numpy()) for n in names)
    met = names == ["bias", "weight"] and same and found.metadata == {"step": "7"} and len(found.ignored) == 1
    return Line("a training checkpoint", "the model", f"{', '.join(names)}; beside it {found.ignored}", met)


def _listed(torch: Any, path: Path) -> Line:
    from tollens.subject.checkpoint import open_checkpoint

    state = {
        "sparse": torch.eye(4).to_sparse(), "rows": torch.eye(4).to_sparse_csr(),
        "quantised": torch.quantize_per_tensor(torch.ones(2, 3), 0.1, 0, torch.qint8),
        "meta": torch.empty(5, 5, device="meta"), "conjugated": torch.ones(2, 2, dtype=torch.complex64).conj(),
        "half": torch.zeros(2, 2, dtype=torch.complex32),
    }  # fmt: skip
    torch.save(state, path)
    found = {t.name: (t.dtype, t.shape) for t in open_checkpoint(path).tensors}
    wrong = [n for n, t in state.items() if n not in found or found[n][1] != tuple(t.shape)]
    kinds = ", ".join(dtype for dtype, _ in found.values())
    return Line("what is no plain array", "listed", kinds, not wrong, ", ".join(wrong))


Write = Callable[[Path], object]


def _refusals(torch: Any) -> dict[str, tuple[Write, str]]:
    module = torch.nn.Linear(2, 2)
    return {
        "the format before 1.6": (
            lambda p: torch.save({"w": torch.ones(2)}, p, _use_new_zipfile_serialization=False), "pickle_legacy",
        ),
        "TorchScript": (lambda p: torch.jit.save(torch.jit.script(module), p), "torchscript_refused"),
        "a whole module": (lambda p: torch.save(module, p), "pickle_global_refused"),
    }  # fmt: skip


def _refused(name: str, path: Path, write: Write, code: str) -> Line:
    from tollens.core.errors import TollensError
    from tollens.subject.checkpoint import open_checkpoint

    write(path)
    try:
        open_checkpoint(path)
    except TollensError as error:
        return Line(name, code, error.code, error.code == code, error.found)
    return Line(name, code, "read", False)


def _time(torch: Any, path: Path, count: int) -> Line:
    from tollens.subject.checkpoint import open_checkpoint

    torch.save({f"layers.{i}.weight": torch.zeros(8, 8) for i in range(count)}, path)
    ours, theirs = [], []
    for _ in range(5):
        begin = time.perf_counter()
        open_checkpoint(path)
        ours.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        torch.load(path, weights_only=True, mmap=True)
        theirs.append(time.perf_counter() - begin)
    mine, peer = sorted(ours)[2], sorted(theirs)[2]
    return Line(f"opening {count} tensors", "-", f"{mine:.3f} s; torch.load {peer:.3f} s", None, "median of 5 each")


if __name__ == "__main__":
    sys.exit(main())
