from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import deserialize
from safetensors.numpy import save

from tollens.subject.checkpoint import open_checkpoint

DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "I64": np.int64,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
NAMES = st.text(st.characters(categories=["L", "N"], include_characters="._/-"), min_size=1, max_size=20)


def stored(dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    numbers = np.random.default_rng(seed).integers(0, 100, shape)
    return np.asarray(numbers).astype(DTYPES[dtype])


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        NAMES.filter(lambda n: n != "__metadata__"),
        st.tuples(st.sampled_from(sorted(DTYPES)), SHAPES),
        min_size=1,
        max_size=5,
    ),
    st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)
def test_what_the_reference_library_writes_is_read_alike(
    tmp_path: Path, specs: dict[str, tuple[str, tuple[int, ...]]], metadata: dict[str, str] | None
) -> None:
    tensors = {name: stored(d, shape, i) for i, (name, (d, shape)) in enumerate(specs.items())}
    content = save(tensors, metadata=metadata)
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    checkpoint = open_checkpoint(path)
    reference = dict(deserialize(content))
    assert {t.name for t in checkpoint.tensors} == set(reference)
    for t in checkpoint.tensors:
        theirs = reference[t.name]
        assert (list(t.shape), t.dtype) == (theirs["shape"], theirs["dtype"])
        assert content[t.offset : t.offset + t.nbytes] == bytes(theirs["data"])
        if t.dtype in ("I64", "U8", "BOOL"):
            continue
        ours = checkpoint.read(t.name)
        assert ours.dtype == (np.float64 if t.dtype == "F64" else np.float32)
        np.testing.assert_array_equal(ours, tensors[t.name].astype(ours.dtype))


def test_the_limits_are_those_of_the_format() -> None:
    from tollens.subject import safetensors

    assert safetensors.MAX_HEADER == 100_000_000


@pytest.mark.parametrize("name", ["__metadata__", "ordinary"])
def test_metadata_are_no_tensor(tmp_path: Path, name: str) -> None:
    (tmp_path / "m.safetensors").write_bytes(save({"w": np.ones(2)}, metadata={name: "x"}))
    assert [t.name for t in open_checkpoint(tmp_path / "m.safetensors").tensors] == ["w"]
