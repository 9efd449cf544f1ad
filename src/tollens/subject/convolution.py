"""Convolution kernels as matrices: flat, tap by tap, or group by group, without any hidden factor."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from tollens.subject.cut import Cut, folded
from tollens.subject.huggingface import integer, scopes

ConvView: TypeAlias = Literal["flat", "slices"]
Parts = list[tuple[str, Cut]]

NAMED = re.compile(r"(^|[._])conv(\d?d)?(_|\d|\.|$)|conv[a-z_]*\d*\.weight$|(^|\.)patch_embed", re.IGNORECASE)
TRANSPOSED = re.compile(r"conv_?transpose|transposed_?conv|deconv|conv_tr(\.|_|$)", re.IGNORECASE)
DEPTHWISE = re.compile(r"depth_?wise|dw_?conv|conv_?dw|mixer\.conv1d|short_?conv", re.IGNORECASE)
GROUPED = (("pos_conv_embed", "num_conv_pos_embedding_groups"),)


def is_transposed(name: str) -> bool:
    return TRANSPOSED.search(name) is not None


def groups(name: str, shape: tuple[int, ...], config: Mapping[str, Any] | None) -> int:
    """Groups of a kernel where its name or the configuration tells; 1 otherwise.

    A stored kernel (out, in / groups, k...) does not say how many groups it has.
    """
    if DEPTHWISE.search(name) and shape[1] == 1:
        return shape[0]
    for part, key in GROUPED:
        if part in name:
            for scope in scopes(config):
                count = integer(scope, key)
                if count is not None and shape[0] % count == 0:
                    return count
    return 1


def parts(name: str, shape: tuple[int, ...], count: int, view: ConvView) -> Parts:
    """The matrices of a kernel (out, in, k...) with `count` groups; a transposed one (in, out, k...) has its
    first two axes exchanged first.

    `flat`: out x (in * prod k), one per group. `slices`: prod k matrices out x in, per group. The name of the
    only matrix is empty; others are `g3` (group), `s2` (kernel position in C order) or `g3,s2`.
    """
    turned = is_transposed(name)
    taps = math.prod(shape[2:])
    if turned:  # (in, out / groups, k...): each group takes a share of the inputs
        fold = (count, shape[0] // count, shape[1], taps)
        out_axis, in_axis = 2, 1
    else:
        fold = (count, shape[0] // count, shape[1], taps)
        out_axis, in_axis = 1, 2
    found: Parts = []
    for g in range(count):
        label = f"g{g}" if count > 1 else ""
        chosen = fold[1:]
        start = g * math.prod(chosen)
        rows, cols = (out_axis - 1,), (in_axis - 1, 2)
        if view == "flat" or taps == 1:
            found.append((label, folded(chosen, {}, rows, cols, start)))
            continue
        for s in range(taps):
            cut = folded(chosen, {2: (s, s + 1)}, rows, cols, start)
            found.append((f"{label},s{s}" if label else f"s{s}", cut))
    return found
