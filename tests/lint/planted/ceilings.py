"""What a machine, stored bits, a matrix and a number of samples allow."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from .normal import upper_quantile
from .printing import Box, Printed, clipped, corners, count, measure, setting, uniform_log
from .problem import Problem, form

_BYTE = Fraction(8)


def bytes_moved(rng: np.random.Generator) -> Problem:
    """speedup <= (bytes before / bytes after) / u, with a measured share u of the bandwidth."""
    before = uniform_log(rng, 1e6, 1e12)
    fields = {
        "bytes_before": measure(rng, before, "B"),
        "bytes_after": measure(rng, before / uniform_log(rng, 1.2, 10), "B"),
        "bandwidth_share_before": measure(rng, rng.uniform(0.2, 0.97), "share", (1, 3), measured=True),
    }
    share = clipped(fields["bandwidth_share_before"].box, 0, 1)
    high = corners(lambda b, a, u: b / a / u, fields["bytes_before"].box, fields["bytes_after"].box, share)[1]
    return Problem("ceiling.bytes", fields, "speedup", form(rng, high), high=high, floor=0)


def amdahl(rng: np.random.Generator) -> Problem:
    """speedup <= 1 / ((1 - f) + f / s), s infinite unless it is given."""
    fields = {"fraction": measure(rng, rng.uniform(0.05, 0.97), "share", (1, 4))}
    share = clipped(fields["fraction"].box, 0, 1)
    if rng.random() < 0.5:
        fields["local_speedup"] = measure(rng, uniform_log(rng, 1.3, 200))
        high = corners(lambda f, s: 1 / ((1 - f) + f / s), share, fields["local_speedup"].box)[1]
    else:
        high = 1 / (1 - share[1]) if share[1] < 1 else None  # all of it may be accelerated
    return Problem("ceiling.amdahl", fields, "speedup", form(rng, high or 2), high=high, floor=0)


def roofline(rng: np.random.Generator) -> Problem:
    """time >= max(bytes / bandwidth, flop / peak), shared by the devices."""
    pairs = {"bytes": ("B", "bandwidth", "B/s", 1e6, 1e12, 2e10, 8e12),
             "flop": ("FLOP", "peak", "FLOP/s", 1e8, 1e15, 1e12, 2e15)}  # fmt: skip
    chosen = [("bytes",), ("flop",), ("bytes", "flop")][int(rng.integers(0, 3))]
    fields: dict[str, Any] = {}
    devices = int(rng.choice([1, 1, 2, 8]))
    if devices > 1:
        fields |= {"devices": count(devices), "link_bandwidth": measure(rng, 9e11, "B/s")}
    low = Fraction(0)
    for name in chosen:
        dimension, rate, per, least, most, slow, fast = pairs[name]
        fields[name] = measure(rng, uniform_log(rng, least, most), dimension)
        fields[rate] = measure(rng, uniform_log(rng, slow, fast), per)
        low = max(low, corners(lambda a, b: a / b, fields[name].box, fields[rate].box)[0] / devices)
    return Problem("ceiling.roofline", fields, "time", form(rng, low, "s"), low=low, floor=0)


def smoothing(rng: np.random.Generator) -> Problem:
    """radius <= sigma z, P(Z > z) = 1 - alpha^(1/n): the bound when all n draws agree."""
    n = int(uniform_log(rng, 30, 1e6))
    sigma, alpha = str(rng.choice(["0.12", "0.25", "0.5", "1.00"])), str(rng.choice(["0.001", "0.01", "0.05"]))
    high = float(sigma) * upper_quantile(-math.expm1(math.log(float(alpha)) / n))
    fields = {"sigma": setting(sigma), "alpha": setting(alpha), "n": count(n)}
    return Problem("ceiling.smoothing", fields, "radius", form(rng, high), high=high, floor=0)


def _width(rng: np.random.Generator, *bits: str) -> tuple[Printed, Box]:
    """A format of a whole number of bits is a setting; a mean such as 1.58 bit is rounded."""
    text = str(rng.choice(bits))
    if "." in text:
        made = measure(rng, float(text), "bit", (3, 3), plain=True)
        return made, made.box
    if int(text) % 8 == 0 and rng.random() < 0.4:
        made = setting(str(int(text) // 8), "B", _BYTE)
    else:
        made = setting(text, "bit")
    return made, made.box


def compression(rng: np.random.Generator) -> Problem:
    """A file holds entries * bits + scales * scale_bits; the ratio is bits in over bits out."""
    entries = int(uniform_log(rng, 1e4, 1e9))
    scales = entries // int(rng.choice([16, 32, 64, 128]))
    bits, width = _width(rng, "2", "3", "4", "8", "1.58")
    scale_bits, scale = _width(rng, "16", "32", "8")
    fields = {"entries": count(entries, str(rng.choice(["count", "parameter"]))), "bits": bits, "scales": count(scales),
              "scale_bits": scale_bits}  # fmt: skip
    stored = [entries * b + scales * scale[0] for b in width]
    if rng.random() < 0.5:
        low = stored[0] / 8
        return Problem("ceiling.compression", fields, "size", form(rng, low, "B"), low=low, floor=0)
    fields["bits_in"], raw = _width(rng, "16", "32")
    high = entries * raw[1] / stored[0]
    return Problem("ceiling.compression", fields, "ratio", form(rng, high), high=high, floor=0)


def bits(rng: np.random.Generator) -> Problem:
    """ratio <= bits_in / ((1 - f) b_low + f b_high + index + scale_bits / block); f is rounded, and so is the index,
    which is a mean over all entries and no format."""
    share = measure(rng, rng.uniform(0.01, 0.5), "share", (1, 4))
    f = clipped(share.box, 0, 1)
    fields: dict[str, Any] = {"f": share}
    fields["b_low"], low = _width(rng, "1", "2", "3", "4", "1.58")
    fields["b_high"], top = _width(rng, "8", "16")
    fields["bits_in"], raw = _width(rng, "16", "32")
    least = corners(lambda s, a, b: (1 - s) * a + s * b, f, low, top)[0]
    if rng.random() < 0.4:
        fields["index"] = measure(rng, rng.uniform(0.2, 2.0), "bit", (1, 3), plain=True)
        least += fields["index"].box[0]
    if rng.random() < 0.5:
        fields["scale_bits"], scale = _width(rng, "16", "32", "8")
        block = int(rng.choice([16, 32, 64, 128]))
        fields["block"] = count(block)
        least += scale[0] / block
    high = raw[1] / least
    return Problem("ceiling.bits", fields, "ratio", form(rng, high), high=high, floor=0)


def stable_rank(rng: np.random.Generator) -> Problem:
    """1 <= ||A||_F^2 / ||A||_2^2 <= rank <= min(m, n)."""
    rows, columns = (int(uniform_log(rng, 3, 5000)) for _ in range(2))
    rank = int(rng.integers(2, min(rows, columns) + 1))
    fields: dict[str, Any] = {}
    high = min(rows, columns)
    if rng.random() < 0.6:
        fields["shape"] = (count(rows), count(columns))
    if not fields or rng.random() < 0.4:
        fields["rank"], high = count(rank), rank
    return Problem("ceiling.srank", fields, "stable_rank", form(rng, high, "1", (3, 5)), 1, high, 0)


def experts(rng: np.random.Generator) -> Problem:
    """Whatever the routing, a batch of B tokens that take k of E experts each uses from k to min(E, k B) of them."""
    total, k, batch = int(rng.choice([8, 16, 64, 128])), int(rng.integers(1, 7)), int(rng.integers(1, 24))
    fields = {"experts": count(total), "k": count(k), "batch": count(batch)}
    high = min(total, k * batch)
    return Problem("ceiling.experts", fields, "distinct", form(rng, high, "1", (2, 4)), k, high, 0)


PROBLEMS = {
    "ceiling.bytes": bytes_moved, "ceiling.amdahl": amdahl, "ceiling.roofline": roofline,
    "ceiling.smoothing": smoothing, "ceiling.compression": compression, "ceiling.bits": bits,
    "ceiling.srank": stable_rank, "ceiling.experts": experts,
}  # fmt: skip
