"""What stored bits, a matrix and a number of samples allow."""

from __future__ import annotations

import math
from statistics import NormalDist

from tollens.lint.check import Check, Comparison, Direct, Subtype, at_least, at_most, lacking, unchecked
from tollens.lint.domain import AT_LEAST_ONE, NOT_NEGATIVE, OPEN_SHARE, POSITIVE, SHARE, each_inside, inside, said
from tollens.lint.fields import Fields
from tollens.lint.interval import Range, as_range, between, lowest
from tollens.lint.law import Example
from tollens.lint.registry import invariant
from tollens.lint.shown import number_text

__all__ = ["bits_per_entry", "compression", "smoothing", "stable_rank"]

_NORMAL = NormalDist()
_MEBIBYTE = 8 * 2**20
_MOST = 2.0**53
_STORED = {"entries": "67108864", "bits": "4", "scales": "2097152", "scale_bits": "4 B"}
_MILLE = {"n": "100000", "alpha": "0.001"}


def _widths(f: Fields, parts: dict[str, Range], *names: str) -> dict[str, Range]:
    """Widths in bit. A whole number of bits is a format and exact; 1.58 bit is a rounded mean."""
    made = {}
    for name in names:
        if name in parts:
            quantity = f.given(name)
            bits = parts[name] * (8 if f.unit(name) == "B" else 1)
            whole = quantity.exact is None and quantity.number.is_integer and bits.high < _MOST
            made[name] = as_range(round(bits.middle)) if whole else bits
    return made


def _index(f: Fields, parts: dict[str, Range]) -> Range:
    """Bits of index for an entry: a mean over all of them, so that a whole number is rounded like any other."""
    return parts.get("index", as_range(0.0)) * (8 if f.unit("index") == "B" else 1)


@invariant(
    id="ceiling.compression",
    formula="size >= entries * bits + scales * scale_bits; ratio <= entries * bits_in / size",
    needs={"entries": "count", "bits": "bit|B", "scales": "count", "scale_bits": "bit|B"},
    optional={"bits_in": "bit|B", "ratio": "1", "size": "B"},
    one_of=(("ratio", "size"),),
    assumes=("codes of fixed width, without entropy coding",),
    violation=Subtype.IMPOSSIBLE,
    reference="Gersho and Gray, Vector Quantization and Signal Compression (1992), section 5.2",
    known=(
        Example(
            {**_STORED, "bits_in": "16", "ratio": "4.0"},
            "refuted/impossible", {"bound": 3.2}, 1e-9, "scales take 8 MiB",
            derivation="16 * 64 * 2048 scales of 4 B, one for 32 entries: 16 / (4 + 32/32)",
        ),
        Example(
            {**_STORED, "bits_in": "16", "ratio": "3.2"},
            "undetermined/consistent", {"bound": 3.2}, 1e-9,
        ),
        Example(
            {**_STORED, "size": "32.0 MiB"},
            "refuted/impossible", {"bound": 40 * 2**20}, 1e-3,
        ),
        Example(
            {**_STORED, "size": "40.0 MiB"},
            "undetermined/consistent", {"bound": 40 * 2**20}, 1e-3,
        ),
        Example(
            {**_STORED, "ratio": "4.0"},
            "unchecked", witness="missing field bits_in",
        ),
    ),
)  # fmt: skip
def compression(f: Fields) -> Check:
    """A file that can be decoded holds every code and every scale: entries * bits + scales * scale_bits, or more.
    What was entries * bits_in is then at most bits_in / (bits + scale_bits * scales / entries) times larger.
    """
    sizes = dict.fromkeys(("entries", "bits", "bits_in", "ratio", "size"), POSITIVE)
    parts = inside(f, **sizes, scales=NOT_NEGATIVE, scale_bits=NOT_NEGATIVE)
    if isinstance(parts, Direct):
        return parts
    if "ratio" in parts and "bits_in" not in parts:
        return lacking("bits_in")
    width = _widths(f, parts, "bits", "scale_bits", "bits_in")
    scales = parts["scales"] * width["scale_bits"]
    remark = f"scales take {number_text((scales / _MEBIBYTE).middle)} MiB"
    made: list[Comparison] = []
    if "size" in parts:
        least = (parts["entries"] * width["bits"] + scales) / 8
        made.append(at_least(parts["size"], least, ("size", "codes + scales"), unit="B", remark=remark))
    if "ratio" in parts:
        most = width["bits_in"] / (width["bits"] + scales / parts["entries"])
        made.append(at_most(parts["ratio"], most, ("ratio", "bits_in / bits_out"), remark=remark))
    return made


@invariant(
    id="ceiling.bits",
    formula="bits per entry = (1-f) b_low + f b_high + index + scale_bits / block; ratio <= bits_in / that",
    needs={"f": "1", "b_low": "bit|B", "b_high": "bit|B", "bits_in": "bit|B", "ratio": "1"},
    optional={"index": "bit|B", "scale_bits": "bit|B", "block": "count"},
    assumes=("codes of fixed width, without entropy coding; index is per entry",),
    violation=Subtype.IMPOSSIBLE,
    reference="Gersho and Gray, Vector Quantization and Signal Compression (1992), section 5.2",
    known=(
        Example(
            {"f": "0.125", "b_low": "1", "b_high": "16", "bits_in": "16", "ratio": "6.24"}, "refuted/impossible",
            {"bound": 5.565}, 1e-3, "2.875 bit per entry", derivation="7/8 * 1 + 1/8 * 16 = 2.875; 16 / 2.875 = 5.5652",
        ),
        Example(
            {"f": "0.125", "b_low": "1", "b_high": "16", "bits_in": "16", "ratio": "5.5"}, "undetermined/consistent",
            {"bound": 5.565}, 1e-3,
        ),
        Example(
            {"f": "0", "b_low": "4", "b_high": "4", "bits_in": "2 B", "scale_bits": "16", "block": "32",
             "ratio": "4.0"},
            "refuted/impossible", {"bound": 3.555556}, witness="4.5 bit per entry",
        ),
        Example(
            {"f": "0.125", "b_low": "1", "b_high": "16", "bits_in": "16", "ratio": "5.58"}, "undetermined/consistent",
            derivation="f may be .1245, which gives 16 / 2.8675 = 5.5798 > 5.575",
        ),
        Example(
            {"f": "0.125", "b_low": "1", "b_high": "16", "bits_in": "16", "ratio": "5.60"}, "refuted/impossible",
            derivation="5.595 > 5.5798",
        ),
        Example(
            {"f": "0.125", "b_low": "1", "b_high": "16", "bits_in": "16", "ratio": "5.5", "scale_bits": "16"},
            "unchecked", witness="missing field block",
        ),
    ),
)  # fmt: skip
def bits_per_entry(f: Fields) -> Check:
    """Of the entries the share f has b_high bits and the rest b_low; each pays for its index and its part of a scale.
    The mean is (1-f) b_low + f b_high + index + scale_bits / block = b_low + f (b_high - b_low) + ..., and a file
    of bits_in per entry is at most bits_in / mean times larger. An index or scale that is not given counts as none.
    """
    sizes = dict.fromkeys(("b_low", "b_high", "index", "scale_bits"), NOT_NEGATIVE)
    parts = inside(f, f=SHARE, bits_in=POSITIVE, ratio=POSITIVE, block=AT_LEAST_ONE, **sizes)
    if isinstance(parts, Direct):
        return parts
    if ("scale_bits" in parts) != ("block" in parts):
        return lacking("block" if "scale_bits" in parts else "scale_bits")
    width = _widths(f, parts, "b_low", "b_high", "scale_bits", "bits_in")
    share, low, high = parts["f"], width["b_low"], width["b_high"]
    # Each of f, b_low and b_high enters with a sign that is known from the corners: the mean is linear in each.
    corners = [(1 - as_range(s)) * low + as_range(s) * high for s in (share.low, share.high)]
    bits = Range(min(c.low for c in corners), max(c.high for c in corners)) + _index(f, parts)
    if "block" in parts:
        bits = bits + width["scale_bits"] / parts["block"]
    ratio = width["bits_in"] / Range(max(bits.low, 0.0), bits.high)
    return at_most(
        parts["ratio"], ratio, ("ratio", "bits_in / bits_out"), remark=f"{number_text(bits.middle)} bit per entry"
    )


@invariant(
    id="ceiling.srank",
    formula="1 <= ||A||_F^2 / ||A||_2^2 <= rank <= min(m, n)",
    needs={"stable_rank": "1"},
    optional={"rank": "count", "shape": "count[]"},
    one_of=(("rank", "shape"),),
    estimates=False,
    violation=Subtype.IMPOSSIBLE,
    reference="Rudelson and Vershynin, Sampling from large matrices, Journal of the ACM 54(4) (2007)",
    known=(
        Example({"stable_rank": "12.4", "rank": "8"}, "refuted/impossible", {"bound": 8.0}, 1e-9),
        Example({"stable_rank": "7.9", "rank": "8"}, "undetermined/consistent", {"bound": 8.0}, 1e-9),
        Example({"stable_rank": "0.8", "rank": "8"}, "refuted/impossible", {"bound": 1.0}, 1e-9),
        Example({"stable_rank": "70.3", "shape": ["64", "768"]}, "refuted/impossible", {"bound": 64.0}, 1e-9),
        Example(
            {"stable_rank": "5.0", "rank": "80", "shape": ["64", "768"]},
            "refuted/impossible", witness="rank = 80",
        ),
        Example({"stable_rank": "64.04", "shape": ["64", "768"]}, "refuted/impossible", {"margin": -0.04}, 1e-9),
        Example({"stable_rank": "64.1", "rank": "64"}, "refuted/impossible", {"margin_rounded": -0.05}, 1e-9),
        Example({"stable_rank": "0.97", "rank": "~1"}, "refuted/impossible", {"bound": 1.0}, 1e-9),
        Example({"stable_rank": "1.0", "rank": "1"}, "undetermined/consistent"),
        Example({"stable_rank": "5.0", "shape": ["64"]}, "unchecked", witness="shape has 1 side"),
    ),
)  # fmt: skip
def stable_rank(f: Fields) -> Check:
    """||A||_F^2 is the sum of the squared singular values, ||A||_2^2 the largest of them.
    Their quotient is at least 1, and at most the number of singular values that are not 0, the rank.
    The rank is at most the number of rows and of columns.
    """
    parts = inside(f, rank=AT_LEAST_ONE)
    if isinstance(parts, Direct):
        return parts
    made = [at_least(f.stable_rank, as_range(1.0), ("stable_rank", "least"))]
    rank = parts.get("rank")
    if rank is not None:
        made.append(at_most(f.stable_rank, rank, ("stable_rank", "rank")))
    given = f.list("shape")
    if given:
        sides = each_inside(given, AT_LEAST_ONE)
        if sides is None or len(sides) != 2:
            wrong = said(AT_LEAST_ONE) if sides is None else f"has {len(sides)} side{'s' * (len(sides) != 1)}, not 2"
            return unchecked(f"cannot be checked: shape {wrong}")
        made.append(at_most(f.stable_rank, lowest(*sides), ("stable_rank", "min(m, n)")))
        if rank is not None:
            made.append(at_most(rank, lowest(*sides), ("rank", "min(m, n)")))
    return made


def largest_radius(n: float, alpha: float) -> float:
    """The normal quantile of alpha^(1/n), 0 where that is below a half.

    Taken from the upper tail 1 - alpha^(1/n) = -expm1(ln(alpha) / n), which keeps its digits for large n.
    """
    tail = -math.expm1(math.log(alpha) / n)
    if tail <= 0.0:
        return math.inf
    return 0.0 if tail > 0.5 + 1e-12 else max(-_NORMAL.inv_cdf(tail), 0.0) + 1e-12


@invariant(
    id="ceiling.smoothing",
    formula="radius <= sigma * Phi^-1(alpha^(1/n))",
    needs={"sigma": "1", "n": "count", "alpha": "1", "radius": "1"},
    exact=("sigma", "alpha"),
    assumes=("normal noise, the 2-norm, and a bound from n draws that all agree", "radius is of one input"),
    violation=Subtype.IMPOSSIBLE,
    reference="Cohen, Rosenfeld and Kolter, Certified adversarial robustness via randomized smoothing, ICML (2019)",
    known=(
        Example(
            {"sigma": "0.25", **_MILLE, "radius": "1.2"},
            "refuted/impossible", {"bound": 0.95286}, 1e-4,
        ),
        Example(
            {"sigma": "0.5", **_MILLE, "radius": "2.0"},
            "refuted/impossible", {"bound": 1.90573}, 1e-4,
        ),
        Example(
            {"sigma": "1", **_MILLE, "radius": "3.0"},
            "undetermined/consistent", {"bound": 3.81146}, 1e-4,
        ),
        Example(
            {"sigma": "1", "n": "100000", "alpha": "0.1 %", "radius": "3.8"},
            "undetermined/consistent", {"bound": 3.81146}, 1e-4,
        ),
        Example(
            {"sigma": "1", **_MILLE, "radius": "3.82"},
            "refuted/impossible", derivation="3.815 > 3.81146",
        ),
        Example({"sigma": "1", **_MILLE, "radius": "3.815"}, "refuted/impossible"),
        Example(
            {"sigma": "1", "n": "5", "alpha": "0.001", "radius": "0.1"},
            "refuted/impossible", {"bound": 0.0}, derivation=".001^.2 = .251 < 1/2",
        ),
    ),
)  # fmt: skip
def smoothing(f: Fields) -> Check:
    """The certified radius is sigma * Phi^-1(p), p a lower confidence bound on the chance of the leading class.
    If all of n draws agree, any bound at confidence 1 - alpha has p <= alpha^(1/n): for a larger p' the chance of
    n agreeing draws would exceed alpha while the bound lies above p'. Fewer agreeing draws only lower it.
    Below a half nothing is certified.
    """
    parts = inside(f, sigma=POSITIVE, n=AT_LEAST_ONE, alpha=OPEN_SHARE, radius=NOT_NEGATIVE)
    if isinstance(parts, Direct):
        return parts
    n, alpha = parts["n"], parts["alpha"]
    quantile = between(largest_radius(n.low, alpha.low), largest_radius(n.high, alpha.high)).widened(1e-12)
    ceiling = parts["sigma"] * quantile if quantile.high > 0.0 else as_range(0.0)
    return at_most(parts["radius"], ceiling, ("radius", "sigma * Phi^-1(alpha^(1/n))"))
