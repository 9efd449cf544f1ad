from __future__ import annotations

import numpy as np
import pytest

from tollens.subject.convolution import groups, is_transposed, parts
from tollens.subject.cut import Cut


def taken(stored: np.ndarray, cut: Cut) -> np.ndarray:
    piece = stored.reshape(-1)[cut.start : cut.start + int(np.prod(cut.fold))].reshape(cut.fold)
    return piece[tuple(slice(*p) for p in cut.pick)].transpose(cut.axes).reshape(cut.shape)


W = np.random.default_rng(0).standard_normal((6, 4, 3, 2))


def test_flat_is_out_by_everything_else() -> None:
    [(label, cut)] = parts("conv.weight", W.shape, 1, "flat")
    assert (label, cut.contiguous) == ("", True)
    np.testing.assert_array_equal(taken(W, cut), W.reshape(6, 24))


def test_slices_are_one_matrix_per_kernel_position_and_keep_the_energy() -> None:
    found = {label: taken(W, cut) for label, cut in parts("conv.weight", W.shape, 1, "slices")}
    assert list(found) == [f"s{i}" for i in range(6)]
    np.testing.assert_array_equal(found["s3"], W[:, :, 1, 1])
    assert sum((m**2).sum() for m in found.values()) == pytest.approx((W**2).sum(), rel=1e-12)  # no hidden factor


def test_a_transposed_kernel_has_its_first_axes_exchanged() -> None:
    [(_, cut)] = parts("conv_transpose.weight", W.shape, 1, "flat")
    np.testing.assert_array_equal(taken(W, cut), W.swapaxes(0, 1).reshape(4, 36))


def test_groups_are_separate_matrices() -> None:
    found = dict(parts("conv.weight", W.shape, 2, "flat"))
    assert list(found) == ["g0", "g1"]
    np.testing.assert_array_equal(taken(W, found["g1"]), W[3:].reshape(3, 24))
    sliced = dict(parts("conv.weight", W.shape, 2, "slices"))
    np.testing.assert_array_equal(taken(W, sliced["g1,s5"]), W[3:, :, 2, 1])
    turned = dict(parts("deconv.weight", W.shape, 2, "flat"))
    np.testing.assert_array_equal(taken(W, turned["g1"]), W[3:].swapaxes(0, 1).reshape(4, 18))


def test_depthwise_groups_become_rows() -> None:
    w = np.arange(12.0).reshape(4, 1, 3)
    count = groups("mixer.conv1d.weight", w.shape, None)
    found = parts("mixer.conv1d.weight", w.shape, count, "flat")
    assert [(label, cut.shape) for label, cut in found] == [(f"g{i}", (1, 3)) for i in range(4)]
    np.testing.assert_array_equal(taken(w, found[2][1]), w[2])


def test_groups_are_known_from_names_and_configuration_only() -> None:
    assert groups("features.0.weight", (32, 1, 3, 3), None) == 1  # a grey image has one channel too
    assert groups("block.dwconv.weight", (32, 1, 7, 7), None) == 32
    assert groups("encoder.pos_conv_embed.conv.weight", (768, 48, 128), {"num_conv_pos_embedding_groups": 16}) == 16
    assert groups("encoder.pos_conv_embed.conv.weight", (768, 48, 128), {"num_conv_pos_embedding_groups": 7}) == 1


@pytest.mark.parametrize(
    ("name", "turned"),
    [
        ("up.conv_transpose.weight", True),
        ("ConvTranspose1d.weight", True),
        ("deconv1.weight", True),
        ("conv1.weight", False),
    ],
)
def test_transposed_by_name(name: str, turned: bool) -> None:
    assert is_transposed(name) is turned
