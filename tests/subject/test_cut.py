from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tollens.subject import cut as module
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.cut import Cut, block, folded, load


@st.composite
def cuts(draw: st.DrawFn) -> tuple[int, Cut]:
    """(numbers in the tensor, a cut of it)."""
    fold = tuple(draw(st.lists(st.integers(1, 6), min_size=2, max_size=4)))
    pick = tuple(
        draw(st.integers(0, n - 1).flatmap(lambda a, n=n: st.tuples(st.just(a), st.integers(a + 1, n)))) for n in fold
    )
    axes = tuple(draw(st.permutations(range(len(fold)))))
    start, rest = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    sizes = [pick[a][1] - pick[a][0] for a in axes]
    at = draw(st.integers(0, len(sizes)))
    shape = (int(np.prod(sizes[:at])), int(np.prod(sizes[at:])))
    return start + int(np.prod(fold)) + rest, Cut(start, fold, pick, axes, shape)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    cuts(),
    st.sampled_from(["f4", "f8"]),
    st.sampled_from(["f4", "f8", "f2"]),
    st.integers(1, 64),
    st.integers(1, 64),
)
def test_a_cut_is_what_numpy_slicing_gives(
    tmp_path_factory: pytest.TempPathFactory,
    case: tuple[int, Cut],
    dtype: str,
    stored: str,
    run: int,
    panel: int,
) -> None:
    count, cut = case
    folder = tmp_path_factory.mktemp("cut")
    numbers = np.random.default_rng(count).integers(-99, 99, count).astype(stored)
    save_file({"w": numbers}, folder / "m.safetensors")
    np.savez_compressed(folder / "m.npz", w=numbers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RUN", run)
        patch.setattr(module, "PANEL", panel)
        for name in ("m.safetensors", "m.npz"):
            c = open_checkpoint(folder / name)
            found = load(c.source, c.info("w"), cut, np.dtype(dtype))
            piece = numbers[cut.start : cut.start + int(np.prod(cut.fold))].reshape(cut.fold)
            expected = piece[tuple(slice(*p) for p in cut.pick)].transpose(cut.axes).reshape(cut.shape)
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == dtype
            assert found.flags.c_contiguous
            assert found.flags.owndata


@pytest.mark.parametrize("order", ["C", "F"])
def test_fortran_ordered_members_are_cut_alike(tmp_path: Path, order: str) -> None:
    w = np.asarray(np.arange(24.0, dtype=np.float32).reshape(4, 6), order=order)  # type: ignore[call-overload]
    e = np.asarray(np.arange(24.0).reshape(2, 3, 4), order=order)  # type: ignore[call-overload]
    np.savez(tmp_path / "m.npz", w=w, e=e)
    c = open_checkpoint(tmp_path / "m.npz")
    f4 = np.dtype("f4")
    np.testing.assert_array_equal(load(c.source, c.info("w"), block(0, 4, 6), f4), w)
    np.testing.assert_array_equal(load(c.source, c.info("w"), block(6, 2, 6), f4), w[1:3])
    columns = folded((4, 6), {1: (2, 4)}, (0,), (1,))
    np.testing.assert_array_equal(load(c.source, c.info("w"), columns, f4), w[:, 2:4])
    np.testing.assert_array_equal(load(c.source, c.info("e"), block(12, 3, 4), f4), e[1])


def test_only_an_unbroken_piece_is_contiguous() -> None:
    assert block(5, 2, 3).contiguous
    assert not folded((4, 6), {1: (2, 4)}, (0,), (1,)).contiguous
    assert not folded((4, 6), {}, (1,), (0,)).contiguous


def test_a_long_run_is_read_without_what_lies_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tollens.subject import file

    save_file({"w": np.zeros((8, 3, 2048), dtype=np.float32)}, tmp_path / "m.safetensors")
    c = open_checkpoint(tmp_path / "m.safetensors")
    read: list[int] = []
    plain = file.Regular.read_into
    monkeypatch.setattr(file.Regular, "read_into", lambda b, at, view: read.append(len(view)) or plain(b, at, view))
    load(c.source, c.info("w"), folded((8, 3, 2048), {1: (1, 2)}, (0,), (2,)), np.dtype("f4"))
    assert sum(read) == 8 * 2048 * 4
