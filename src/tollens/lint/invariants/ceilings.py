"""What a machine allows: bytes to move, the part that is not accelerated, bandwidth and peak."""

from __future__ import annotations

import math

from tollens.lint.check import Check, Comparison, Direct, Relation, Subtype, at_least, at_most, lacking, unchecked
from tollens.lint.domain import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, SHARE, inside
from tollens.lint.fields import Fields
from tollens.lint.interval import INF, Range, as_range, between, highest, lowest
from tollens.lint.law import Example
from tollens.lint.registry import invariant
from tollens.lint.shown import number_text

__all__ = ["amdahl", "bytes_moved", "experts", "roofline"]

_TOKEN = {"bytes": "16.0 GB", "flop": "16.0 GFLOP", "bandwidth": "3.35 TB/s", "peak": "989 TFLOP/s"}
LOCAL_SPEEDUP = (math.ulp(0.0), INF)


def _links(f: Fields) -> Direct | None:
    """What a check on several devices lacks."""
    devices, link = f.maybe("devices"), f.maybe("link_bandwidth")
    if devices is None and link is not None:
        return lacking("devices")
    return lacking("link_bandwidth") if devices is not None and devices.high > 1.0 and link is None else None


def _unexplained(f: Fields, name: str, share: float) -> str:
    """The part of a measured time that its lower bound leaves over."""
    if f.given(name).measured is not True or not 0.0 <= share <= 1.0:
        return ""
    return f"the model leaves {number_text(round(100 * share, 2))} % of the time unexplained"


def _share(part: Range, whole: Range) -> float:
    return part.middle / whole.middle if whole.middle > 0.0 else INF


@invariant(
    id="ceiling.bytes",
    formula="speedup <= (bytes_before / bytes_after) / bandwidth_share_before",
    needs={"speedup": "1", "bytes_before": "B|bit", "bytes_after": "B|bit"},
    optional={
        "bandwidth_share_before": "1", "devices": "count", "link_bandwidth": "B/s", "bound": "word",
    },
    assumes=("the same machine before and after", "bytes are those that go to and from its memory"),
    violation=Subtype.IMPOSSIBLE,
    reference="Williams, Waterman and Patterson, Roofline, Communications of the ACM 52(4) (2009)",
    known=(
        Example(
            {"speedup": "3.0", "bytes_before": "16.0 GB", "bytes_after": "8.0 GB", "bandwidth_share_before": "0.90!"},
            "refuted/impossible", {"bound": 2.222222},
        ),
        Example(
            {"speedup": "3.0", "bytes_before": "16.0 GB", "bytes_after": "8.0 GB"},
            "undetermined/model_based", {"bound": 2.0}, witness="speedup = 3",
        ),
        Example(
            {"speedup": "3.0", "bytes_before": "16.0 GB", "bytes_after": "8.0 GB", "bandwidth_share_before": "0.90"},
            "undetermined/model_based", {"bound": 2.0},
        ),
        Example(
            {"speedup": "2.0", "bytes_before": "64.0 bit", "bytes_after": "36.0 bit",
             "bandwidth_share_before": "1.00!"},
            "refuted/impossible", {"bound": 1.7778}, 1e-4,
            derivation="2:4 sparsity in bf16: of four entries two are kept, 32 bit, with 2 bit of index each",
        ),
        Example(
            {"speedup": "1.60!", "bytes_before": "8.00", "bytes_after": "36.0 bit"},
            "undetermined/consistent", {"bound": 1.7778}, 1e-4, "leaves 10 % of the time unexplained",
        ),
        Example(
            {"speedup": "2.3", "bytes_before": "16.0 GB", "bytes_after": "8.0 GB", "bandwidth_share_before": "0.90!"},
            "undetermined/consistent", derivation="(16.05 / 7.95) / .895 = 2.2557 > 2.25",
        ),
        Example(
            {"speedup": "3.0", "bytes_before": "16.0 GB", "bytes_after": "8.0 GB", "devices": "8"},
            "unchecked", witness="link_bandwidth",
        ),
    ),
)  # fmt: skip
def bytes_moved(f: Fields) -> Check:
    """The old kernel moved its bytes at the share u of the bandwidth W: t_before = bytes_before / (u W).
    The new one moves its own at W at best: t_after >= bytes_after / W.
    So t_before / t_after <= (bytes_before / bytes_after) / u, whatever else either of them does.
    u counts if it was measured; otherwise it is taken as 1, the claim that memory alone bounds the old kernel.
    Several devices of the same kind before and after leave the ratio as it is; links between them can only cost time.
    """
    size = {"speedup": POSITIVE, "bytes_before": POSITIVE, "bytes_after": POSITIVE}
    parts = inside(f, **size, bandwidth_share_before=SHARE, devices=AT_LEAST_ONE, link_bandwidth=POSITIVE)
    gap = parts if isinstance(parts, Direct) else _links(f)
    if isinstance(parts, Direct) or gap is not None:
        return gap or unchecked("")
    share = parts.get("bandwidth_share_before")
    measured = share is not None and f.given("bandwidth_share_before").measured is True
    if f.word("bound") not in (None, "memory") and not measured:
        return unchecked(f"does not apply: bound = {f.word('bound')}")
    before, after = (parts[n] * (8 if f.unit(n) == "B" else 1) for n in ("bytes_before", "bytes_after"))
    ceiling = (before / after) / (share if share is not None and measured else as_range(1.0))
    need = "measure bandwidth_share_before and state measured = true"
    return at_most(
        parts["speedup"], ceiling, ("speedup", "(bytes_before / bytes_after) / u"),
        model=None if measured else f"{need}; until then u = 1 is assumed",
        remark=_unexplained(f, "speedup", 1 - _share(parts["speedup"], ceiling)),
        settle=None if measured else need,
    )  # fmt: skip


@invariant(
    id="ceiling.amdahl",
    formula="speedup <= 1 / ((1 - f) + f / s)",
    needs={"fraction": "1", "speedup": "1"},
    optional={"local_speedup": "1"},
    assumes=("the same work before and after; fraction is the share of the time before", "the rest is not accelerated"),
    violation=Subtype.IMPOSSIBLE,
    reference="Amdahl, Validity of the single processor approach, AFIPS Spring Joint Computer Conference (1967)",
    known=(
        Example({"fraction": "0.33", "speedup": "2.0"}, "refuted/impossible", {"bound": 1.4925}, 1e-4),
        Example({"fraction": "0.33", "speedup": "1.4"}, "undetermined/consistent", {"bound": 1.4925}, 1e-4),
        Example(
            {"fraction": "0.33", "speedup": "2.0", "local_speedup": "inf"},
            "refuted/impossible", {"bound": 1.4925}, 1e-4,
        ),
        Example({"fraction": "50 %", "speedup": "1.5", "local_speedup": "2.0"}, "refuted/impossible", {"bound": 4 / 3}),
        Example(
            {"fraction": "0.33", "speedup": "1.5"},
            "undetermined/consistent", derivation="1 / (1 - .335) = 1.5038",
        ),
        Example({"fraction": "0.33", "speedup": "1.6"}, "refuted/impossible", derivation="1.55 > 1 / (1 - .335)"),
        Example({"fraction": "1.0", "speedup": "90"}, "undetermined/consistent", derivation="nothing is left over"),
        Example(
            {"fraction": "0.500", "speedup": "1.50!"}, "undetermined/consistent", {"bound": 2.0},
            witness="leaves 25 % of the time unexplained",
        ),
    ),
)  # fmt: skip
def amdahl(f: Fields) -> Check:
    """Of a time t the share f is made s times shorter: t_after >= (1 - f) t + f t / s.
    The speed-up is at most 1 / ((1 - f) + f / s) = 1 / (1 - f (1 - 1/s)), and 1 / (1 - f) for any s.
    """
    parts = inside(f, fraction=SHARE, speedup=POSITIVE, local_speedup=LOCAL_SPEEDUP)
    if isinstance(parts, Direct):
        return parts
    left = 1.0 - parts["fraction"] * (1.0 - 1.0 / parts.get("local_speedup", as_range(INF)))
    ceiling = 1.0 / Range(max(left.low, 0.0), max(left.high, 0.0))
    remark = _unexplained(f, "speedup", 1 - _share(parts["speedup"], ceiling)) if math.isfinite(ceiling.high) else ""
    return at_most(parts["speedup"], ceiling, ("speedup", "1 / ((1 - f) + f / s)"), remark=remark)


@invariant(
    id="ceiling.roofline",
    formula="time >= max(bytes / bandwidth, flop / peak)",
    needs={"time": "s"},
    optional={
        "bytes": "B", "flop": "FLOP", "bandwidth": "B/s", "peak": "FLOP/s", "devices": "count",
        "link_bandwidth": "B/s", "link_bytes": "B",
    },
    one_of=(("bytes", "flop"),),
    assumes=(
        "bytes go to and from the memory that bandwidth belongs to; peak is that of the number format used",
        "bytes and flop are those of all devices, shared without waste; bandwidth and peak those of one",
    ),
    violation=Subtype.IMPOSSIBLE,
    reference="Williams, Waterman and Patterson, Roofline, Communications of the ACM 52(4) (2009)",
    known=(
        Example(
            {**_TOKEN, "time": "4.0 ms"},
            "refuted/impossible", {"bound": 4.776e-3}, 4.8e-6,
            "compute 0.016178 ms, memory 4.77612 ms, ridge 295.224 FLOP/B",
            derivation="8e9 weights of 2 B and 2 FLOP each, one token: 16e9 / 3.35e12 s and 16e9 / 989e12 s",
        ),
        Example(
            {**_TOKEN, "time": "6.0 ms!"},
            "undetermined/consistent", {"bound": 4.776e-3}, 4.8e-6, "leaves 20.4 % of the time unexplained",
        ),
        Example(
            {"flop": "16.0 GFLOP", "peak": "989 TFLOP/s", "time": "12 us"},
            "refuted/impossible", {"bound": 1.6178e-5}, 1.7e-8,
        ),
        Example(
            {"bytes": "15.9 GB", "bandwidth": "3.35 TB/s", "time": "4.7 ms"}, "undetermined/consistent",
            derivation="15.9 / 3.35 = 4.746, but 15.85 / 3.355 = 4.724 < 4.75",
        ),
        Example(
            {"bytes": "16.0 GB", "bandwidth": "3.35 TB/s", "time": "4.7 ms"},
            "refuted/impossible", derivation="15.95 / 3.355 = 4.754",
        ),
        Example({"bytes": "16.0 GB", "time": "4.6 ms"}, "unchecked", witness="missing field bandwidth"),
        Example(
            {"bytes": "160 GB", "bandwidth": "3.35 TB/s", "time": "8 ms", "devices": "8"},
            "unchecked", witness="link_bandwidth",
        ),
        Example(
            {"bytes": "160 GB", "bandwidth": "3.35 TB/s", "time": "4.0 ms", "devices": "8",
             "link_bandwidth": "900 GB/s"},
            "refuted/impossible", {"bound": 5.970e-3}, 6e-6,
        ),
    ),
)  # fmt: skip
def roofline(f: Fields) -> Check:
    """The bytes take at least bytes / bandwidth, the operations at least flop / peak; both may run at once.
    So the time is at least the longer of the two; D devices share either without waste at best.
    What must cross a link between devices takes at least link_bytes / link_bandwidth.
    Below flop / bytes = peak / bandwidth, the ridge, the bytes decide.
    """
    sizes = dict.fromkeys(("time", "bytes", "flop", "link_bytes"), NOT_NEGATIVE)
    rates = dict.fromkeys(("bandwidth", "peak", "link_bandwidth"), POSITIVE)
    parts = inside(f, **sizes, **rates, devices=AT_LEAST_ONE)
    if isinstance(parts, Direct):
        return parts
    pairs = (("bytes", "bandwidth", "memory"), ("flop", "peak", "compute"), ("link_bytes", "link_bandwidth", "links"))
    missing = [rate for size, rate, _ in pairs if size in parts and rate not in parts]
    gap = lacking(*missing) if missing else _links(f)
    if gap is not None:
        return gap
    devices = parts.get("devices", as_range(1.0))
    floors = {
        said: parts[size] / (parts[rate] * (devices if said != "links" else 1.0))
        for size, rate, said in pairs
        if size in parts
    }
    bound = highest(*floors.values())
    notes = []
    if len(floors) > 1:
        notes.append(", ".join(f"{said} {1e3 * floors[said].middle:.6g} ms" for said in sorted(floors)))
    if "bandwidth" in parts and "peak" in parts:
        notes.append(f"ridge {number_text((parts['peak'] / parts['bandwidth']).middle)} FLOP/B")
    over = _unexplained(f, "time", 1 - _share(bound, parts["time"]))
    remark = "; ".join([*([", ".join(notes)] if notes else []), *([over] if over else [])])
    return at_least(parts["time"], bound, ("time", f"max({', '.join(sorted(floors))})"), unit="s", remark=remark)


def expected_experts(experts: float, k: float, batch: float) -> float:
    """E (1 - (1 - k/E)^B) for B >= 1 and k <= E; it rises in all three."""
    return experts if k >= experts else -experts * math.expm1(batch * math.log1p(-k / experts))


@invariant(
    id="ceiling.experts",
    formula="distinct experts of a batch B: E (1 - (1 - k/E)^B) under uniform independent routing",
    needs={"experts": "count", "k": "count", "batch": "count", "distinct": "1"},
    assumes=("one layer; each token takes k of E experts",),
    violation=Subtype.MODEL_BASED,
    reference="Feller, An Introduction to Probability Theory and Its Applications, volume 1 (1968), section IV.2",
    known=(
        Example(
            {"experts": "64", "k": "6", "batch": "1", "distinct": "6.0"},
            "undetermined/consistent", {"computed": 6}, 1e-2,
        ),
        Example(
            {"experts": "64", "k": "6", "batch": "4", "distinct": "20.8"},
            "undetermined/consistent", {"computed": 20.83}, 1e-2,
        ),
        Example(
            {"experts": "64", "k": "6", "batch": "8", "distinct": "12"},
            "undetermined/model_based", {"computed": 34.88}, 1e-2,
        ),
        Example(
            {"experts": "64", "k": "6", "batch": "32", "distinct": "61"},
            "undetermined/consistent", {"computed": 61.26}, 1e-2,
        ),
        Example(
            {"experts": "64", "k": "6", "batch": "4", "distinct": "25"},
            "refuted/impossible", {"bound": 24.0}, 1e-9,
        ),
        Example({"experts": "64", "k": "6", "batch": "4", "distinct": "5"}, "refuted/impossible", {"bound": 6.0}, 1e-9),
        Example({"experts": "4", "k": "6", "batch": "4", "distinct": "4"}, "unchecked"),
    ),
)  # fmt: skip
def experts(f: Fields) -> Check:
    """A token leaves a given expert out with probability 1 - k/E, a batch of B independent ones with its B-th power.
    The expected number that is used is E (1 - (1 - k/E)^B). Real routing is neither uniform nor independent.
    For any routing the number is at least k and at most min(E, k B).
    """
    parts = inside(f, experts=AT_LEAST_ONE, k=AT_LEAST_ONE, batch=AT_LEAST_ONE, distinct=NOT_NEGATIVE)
    if isinstance(parts, Direct):
        return parts
    total, k, batch, distinct = (parts[name] for name in ("experts", "k", "batch", "distinct"))
    if k.above(total):
        return unchecked("cannot be checked: k exceeds experts")
    sure = [
        at_most(distinct, lowest(total, k * batch), ("distinct", "min(E, k B)")),
        at_least(distinct, k, ("distinct", "k")),
    ]
    broken = [c for c in sure if c.violated]
    if broken:
        return broken
    low = expected_experts(total.low, min(k.low, total.low), batch.low)
    high = expected_experts(total.high, min(k.high, total.high), batch.high)
    model = "count the experts: uniform independent routing is assumed"
    return Comparison(
        Relation.EQUAL, distinct, between(low, high).widened(1e-12), ("distinct", "E (1 - (1 - k/E)^B)"),
        Subtype.CONTRADICTED, model=model,
    )  # fmt: skip
