"""Views with strides, against numpy's own strided arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from tollens.subject import strided
from tollens.subject.source import Source
from tollens.subject.strided import gathered
from tollens.subject.tensor import TensorInfo

VIEWS = {
    "transposed": ((7, 5), (1, 7), 0),
    "sliced": ((5, 3), (7, 1), 2),
    "stepped": ((4, 3), (14, 2), 1),
    "expanded": ((6, 4), (0, 1), 3),
    "permuted": ((2, 3, 4), (1, 8, 2), 0),
    "windows": ((5, 3), (1, 1), 4),
    "one": ((1, 1), (99, 1), 5),
    "a side of one with a step beyond any file": ((1, 5, 7), (2**62, 1, 5), 0),
    "scalar": ((), (), 8),
    "empty": ((0, 4), (4, 1), 0),
}


def described(shape: tuple[int, ...], strides: tuple[int, ...], start: int, dtype: str, width: int) -> TensorInfo:
    return TensorInfo("w", shape, dtype, "data", start * width, int(np.prod(shape)) * width, strides)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("span", [1, 4, 1 << 20])
def test_elements_come_in_c_order(view: str, span: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strided, "SPAN", span)
    storage = np.arange(60, dtype="<u2")
    shape, strides, start = VIEWS[view]
    data, last = storage.tobytes(), 0

    def fill(offset: int, target: memoryview) -> None:
        nonlocal last
        begin = 2 * start + offset
        target[:] = data[begin : begin + len(target)]
        last = max(last, begin + len(target))

    expected = as_strided(storage[start:], shape, [2 * s if n > 1 else 0 for n, s in zip(shape, strides, strict=True)])
    got = gathered(fill, described(shape, strides, start, "F16", 2), 2)
    assert bytes(got) == np.ascontiguousarray(expected).tobytes()
    assert last <= len(data)


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16", "F64"])
def test_a_transposed_tensor_is_read_bit_for_bit(dtype: str, tmp_path: Path) -> None:
    width = {"F32": 4, "BF16": 2, "F16": 2, "F64": 8}[dtype]
    codes = np.random.default_rng(0).integers(0, 256, 30 * width, dtype=np.uint8)
    codes[-width:] = 255  # a NaN with every payload bit
    (tmp_path / "data").write_bytes(codes.tobytes())
    source = Source(tmp_path, "raw")
    turned = source.read(described((5, 6), (1, 5), 0, dtype, width))
    plain = source.read(TensorInfo("w", (6, 5), dtype, "data", 0, 30 * width))
    bits: NDArray[np.uint8] = np.ascontiguousarray(turned.T).view(np.uint8)
    assert np.array_equal(bits, plain.view(np.uint8))
