"""Does a trap matter, and in which direction: ablation against a matched null, for any forward function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, rel_entr, softmax

from tollens.core.reading import Interval, NullBand
from tollens.instrument.edge import family_level, tw_edge
from tollens.instrument.permutation import PermutationKey, draw_key, shuffle, unshuffle
from tollens.instrument.surgery import gaussian_like

Array: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = Mapping[str, NDArray[np.floating[Any]]]
Forward: TypeAlias = Callable[[Weights, Any], ArrayLike]


class Verdict(StrEnum):
    """What an ablation says of a trap."""

    BENIGN = "benign"
    HARMFUL = "harmful"
    UNDETERMINED = "undetermined"
    ACTIVE = "active, direction unknown"


class AblationParams(msgspec.Struct, frozen=True):
    """How the ablation test is made.

    nulls      random sets of non-outlier modes, at least 30
    draws      replacement draws of the trap and of every null set, at least 5
    tolerance  relative difference allowed between the squared norms of a null set and of the trap
    resamples  bootstrap resamples of the intervals
    level      level of the intervals; the null is cut at 0.95
    min_inputs inputs below which no verdict is given
    alpha_fam, matrices, shuffles  set the level of the edge, as where traps are counted
    replicate  which permutation of the key is cut
    input_law  what the inputs were drawn from, recorded as given
    """

    nulls: int = 40
    draws: int = 5
    tolerance: float = 0.05
    resamples: int = 1000
    level: float = 0.95
    min_inputs: int = 256
    alpha_fam: float = 0.01
    matrices: int = 1
    shuffles: int = 5
    replicate: int = 0
    input_law: str = "not declared"


class Effect(msgspec.Struct, frozen=True):
    """A mean over inputs and replacement draws in nats, its bootstrap interval, and the null of matched
    ablations."""

    value: float
    interval: Interval
    null: NullBand


class AblationResult(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on the trap of one layer and what it rests on.

    `reason`: code where the verdict is undetermined. `modes`: outlier modes that were cut; `share`: their
    part of ||W||_F^2. `jsd`: divergence of the ablated from the intact output, in [0, ln 2]. `gain`:
    decrease of the cross-entropy by the ablation, None without labels. `harmful_as_published`: divergence
    above its null, whatever its direction; a divergence measures change, not harm.
    """

    verdict: Verdict
    layer: str
    inputs: int
    input_law: str
    permutation_id: str
    replicate: int
    modes: int
    share: float
    reason: str | None = None
    jsd: Effect | None = None
    gain: Effect | None = None
    harmful_as_published: bool | None = None


def jensen_shannon(logits: Array, other: Array) -> Array:
    """JSD(softmax(logits), softmax(other)) along the last axis, natural log, in [0, ln 2] (Lin 1991)."""
    p, q = softmax(logits, axis=-1), softmax(other, axis=-1)
    m = 0.5 * (p + q)
    value = 0.5 * (rel_entr(p, m) + rel_entr(q, m)).sum(axis=-1)
    return np.asarray(np.clip(value, 0.0, math.log(2.0)))


def cross_entropy(logits: Array, labels: NDArray[np.integer[Any]]) -> Array:
    """Loss of each input in nats: `logits` (..., K, classes), `labels` (K,)."""
    picked = np.take_along_axis(logits, np.broadcast_to(labels, logits.shape[:-1])[..., None], axis=-1)[..., 0]
    return np.asarray(logsumexp(logits, axis=-1) - picked)


def gaussian_inputs(data: ArrayLike, count: int, rng: np.random.Generator) -> Array:
    """`count` Gaussian inputs with the mean and covariance of the rows of `data` (rows, features)."""
    rows = np.asarray(data, dtype=np.float64)
    centred = rows - rows.mean(axis=0)
    mixed = rng.standard_normal((count, rows.shape[0])) @ centred / math.sqrt(rows.shape[0])
    return np.asarray(rows.mean(axis=0) + mixed)


def matched_set(
    energies: Array, target: float, tolerance: float, rng: np.random.Generator, attempts: int = 50
) -> NDArray[np.int64] | None:
    """Indices of a random set with |sum of energies - target| <= tolerance*target, or None if none was found.

    Modes are taken in random order, those that would overshoot are passed over.
    """
    low, high = target * (1.0 - tolerance), target * (1.0 + tolerance)
    if float(energies.sum()) < low:
        return None
    for _ in range(attempts):
        total, taken = 0.0, []
        for i in rng.permutation(energies.size):
            if total + energies[i] <= high:
                total += float(energies[i])
                taken.append(int(i))
                if total >= low:
                    return np.array(sorted(taken))
    return None


@dataclass(frozen=True, slots=True)
class _Cut:
    """The singular triples of one permuted matrix, split at the edge, and the way back."""

    left: Array
    s: Array
    right: Array
    outliers: int
    key: PermutationKey
    replicate: int

    def component(self, indices: Sequence[int] | NDArray[np.int64]) -> Array:
        """The sum of the named modes in the basis of the weights."""
        part = (self.left[:, indices] * self.s[indices]) @ self.right[indices]
        return unshuffle(part, self.key, self.replicate)


def ablate(
    forward: Forward,
    weights: Weights,
    layer: str,
    inputs: Any,
    labels: ArrayLike | None = None,
    params: AblationParams | None = None,
    *,
    rng: np.random.Generator,
) -> AblationResult:
    """Cut the outlier modes of `weights[layer]`, put noise in their place, and compare with cuts of other
    modes.

    `forward(weights, inputs)` gives logits (K, classes) and must not depend on anything else. The trap is
    all outlier modes of one permuted matrix as published (no centring), un-permuted and replaced by Gaussian
    noise of its element-wise mean and standard deviation. The null cuts random sets of the other modes of
    the same permuted matrix with the same sum of squares and replaces them by the same rule, which cancels
    the effect of the noise.

    benign: the upper bound of the divergence lies below the 95 % quantile of its null. harmful: its lower
    bound lies above, and the loss on the labelled inputs falls by more than 0 and more than the 95 %
    quantile of its null. "active, direction unknown": above, without labels. Everything else is
    undetermined, with a reason.

    The idea is that of arXiv:2605.12394; counts and thresholds are not.

    Raises: KeyError for an unknown layer; ValueError for a layer that is no matrix, fewer than 30 nulls or 5
    draws, logits that are not (K, classes), or labels that do not fit them.
    """
    params = params or AblationParams()
    if params.nulls < 30 or params.draws < 5:
        raise ValueError("the matched null takes at least 30 sets and 5 replacement draws")
    matrix = np.asarray(weights[layer], dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"{layer!r} is not a matrix: shape {matrix.shape}")
    intact = np.asarray(forward(weights, inputs), dtype=np.float64)
    targets = _labels(intact, labels)
    key = draw_key(rng)
    cut = _cut(matrix, key, params)
    energies = cut.s**2
    trap_energy = float(energies[: cut.outliers].sum())

    def result(verdict: Verdict, **fields: Any) -> AblationResult:
        return AblationResult(
            verdict=verdict, layer=layer, inputs=intact.shape[0], input_law=params.input_law,
            permutation_id=key.id, replicate=params.replicate, modes=cut.outliers,
            share=trap_energy / float(energies.sum()) if cut.outliers else 0.0, **fields,
        )  # fmt: skip

    if cut.outliers == 0:
        return result(Verdict.UNDETERMINED, reason="no_trap")
    if intact.shape[0] < params.min_inputs:
        return result(Verdict.UNDETERMINED, reason="too_few_inputs")
    sets = [matched_set(energies[cut.outliers :], trap_energy, params.tolerance, rng) for _ in range(params.nulls)]
    if any(chosen is None for chosen in sets):
        return result(Verdict.UNDETERMINED, reason="no_matched_null")

    def outputs(indices: Sequence[int] | NDArray[np.int64]) -> Array:
        part = cut.component(indices)
        kind = weights[layer].dtype
        edits = (matrix - part + gaussian_like(part, rng) for _ in range(params.draws))
        return np.stack([np.asarray(forward({**weights, layer: e.astype(kind)}, inputs), float) for e in edits])

    trap = outputs(range(cut.outliers))
    null = [outputs(chosen + cut.outliers) for chosen in sets if chosen is not None]
    if not all(np.isfinite(o).all() for o in (intact, trap, *null)):
        return result(Verdict.UNDETERMINED, reason="nonfinite_logits")
    jsd = _effect(jensen_shannon(trap, intact), [jensen_shannon(o, intact) for o in null], params, rng)
    gain = None
    if targets is not None:
        before = cross_entropy(intact, targets)
        decreases = [before - cross_entropy(o, targets) for o in (trap, *null)]
        gain = _effect(decreases[0], decreases[1:], params, rng)
    verdict, reason = judge(jsd, gain)
    published = jsd.interval.low > jsd.null.high
    return result(verdict, reason=reason, jsd=jsd, gain=gain, harmful_as_published=published)


def judge(jsd: Effect, gain: Effect | None) -> tuple[Verdict, str | None]:
    """The verdict that two effects carry, and the reason code if it is undetermined."""
    if jsd.interval.high < jsd.null.high:
        return Verdict.BENIGN, None
    if jsd.interval.low <= jsd.null.high:
        return Verdict.UNDETERMINED, "interval_spans_null"
    if gain is None:
        return Verdict.ACTIVE, None
    if gain.interval.low > max(0.0, gain.null.high):
        return Verdict.HARMFUL, None
    return Verdict.UNDETERMINED, "loss_not_decreased"


def _labels(logits: Array, labels: ArrayLike | None) -> NDArray[np.int64] | None:
    if logits.ndim != 2:
        raise ValueError(f"logits of shape (inputs, classes) are needed; found {logits.shape}")
    if labels is None:
        return None
    targets = np.asarray(labels)
    fits = targets.shape == logits.shape[:1] and np.issubdtype(targets.dtype, np.integer)
    if not fits or targets.min(initial=0) < 0 or targets.max(initial=0) >= logits.shape[1]:
        raise ValueError(f"one label below {logits.shape[1]} for each of {logits.shape[0]} inputs is needed")
    return targets.astype(np.int64)


def _cut(matrix: Array, key: PermutationKey, params: AblationParams) -> _Cut:
    permuted = np.array(matrix, order="C")
    shuffle(permuted, key, params.replicate)
    left, s, right = np.linalg.svd(permuted, full_matrices=False)
    variance, outliers = float(matrix.var()), 0
    if variance > 0.0:
        level = family_level(params.alpha_fam, params.matrices, params.shuffles)
        outliers = int((s**2 > tw_edge(min(matrix.shape), max(matrix.shape), variance, level)).sum())
    return _Cut(left, s, right, outliers, key, params.replicate)


def _effect(values: Array, null: Sequence[Array], params: AblationParams, rng: np.random.Generator) -> Effect:
    """Mean of `values` (draws, K) with the interval of a bootstrap over draws and inputs; quantiles of null
    means."""
    draws, inputs = values.shape
    by_draw = rng.multinomial(draws, np.full(draws, 1.0 / draws), params.resamples) / draws
    by_input = rng.multinomial(inputs, np.full(inputs, 1.0 / inputs), params.resamples) / inputs
    means = np.einsum("bk,bk->b", by_draw @ values, by_input)
    tail = 0.5 * (1.0 - params.level)
    low, high = (float(q) for q in np.quantile(means, [tail, 1.0 - tail]))
    median, least, most = (float(q) for q in np.quantile([v.mean() for v in null], [0.5, 0.05, 0.95]))
    return Effect(
        float(values.mean()),
        Interval(low, high, params.level, "paired bootstrap over inputs and replacement draws"),
        NullBand(median, least, most, len(null), "ablation of random other modes of equal squared norm"),
    )
