"""Alpha by depth: every layer in file order over the band that chance gives for its shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tollens.publish.svg import BLUE, GREEN, INK, MUTED, PURPLE, VERMILLION, inline_svg
from tollens.run.result import LayerReport, ScanReport

CEILING = 30.0
"""Alpha is drawn up to here; an interval that goes further is cut at the frame and the page says so."""

ATTENTION = frozenset({"q", "k", "v", "o", "qkv", "q_a", "q_b", "kv_a", "kv_b"})
MLP = frozenset({"gate", "up", "down", "gate_up", "router"})
ENDS = frozenset({"embedding", "position_embedding", "token_type_embedding", "patch_embedding", "head", "pooler"})
GROUPS: Mapping[str, tuple[str, str]] = {
    "attention": ("circle", BLUE),
    "mlp": ("square", VERMILLION),
    "embedding or head": ("triangle-up", GREEN),
    "convolution": ("triangle-right", INK),
    "other": ("diamond", PURPLE),
}


def group_of(role: str) -> str:
    """The role group of a layer: its shape and colour in the picture."""
    if role in ATTENTION:
        return "attention"
    if role in MLP:
        return "mlp"
    if role in ENDS:
        return "embedding or head"
    return "convolution" if role == "conv" else "other"


def in_file_order(layers: Sequence[LayerReport]) -> list[LayerReport]:
    return sorted(layers, key=lambda layer: layer.order)


def rows_of(report: ScanReport) -> list[dict[str, Any]]:
    """One row a layer in file order; absent values are absent keys, so that nothing is drawn for them."""
    numbers: dict[str, int] = {}
    for number, finding in enumerate(report.findings, 1):
        numbers.setdefault(finding.layer, number)
    rows = []
    for place, layer in enumerate(in_file_order(report.layers), 1):
        row: dict[str, Any] = {
            "place": place,
            "from": place - 0.5,
            "to": place + 0.5,
            "group": group_of(layer.role),
        }
        if layer.alpha is not None:
            row["alpha"] = _kept(layer.alpha)
        if layer.alpha is not None and layer.alpha_interval is not None:
            row |= {"low": _kept(layer.alpha_interval.low), "high": _kept(layer.alpha_interval.high)}
        if layer.alpha_null is not None:
            row |= {
                "null_low": _kept(layer.alpha_null.low),
                "null_high": _kept(layer.alpha_null.high),
                "null": _kept(layer.alpha_null.median),
            }
        if layer.name in numbers:
            row["finding"] = numbers[layer.name]
        rows.append(row)
    return rows


def cut(report: ScanReport) -> int:
    """How many layers reach beyond the frame."""
    return sum(any(row.get(key) == CEILING for key in ("alpha", "high", "null_high")) for row in rows_of(report))


def depth_svg(report: ScanReport, *, tall: bool, key: str) -> str:
    """The picture as inline SVG: layers left to right, or top to bottom where `tall`, for a narrow screen."""
    import altair as alt

    rows = rows_of(report)
    count = len(rows)
    present = [group for group in GROUPS if any(row["group"] == group for row in rows)]
    along, across = (min(max(count * 9, 260), 1500), 270) if tall else (760, 330)
    place_name, value_name = ("y", "x") if tall else ("x", "y")
    tops = [row[k] for row in rows for k in ("alpha", "high", "null_high") if k in row]
    lows = [row[k] for row in rows for k in ("alpha", "low", "null_low") if k in row]
    domain = [min([1.5, *lows]) * 0.8, max([8.0, *tops]) * (1.1 if tall else 1.25)]
    ticks = [t for t in (1, 1.5, 2, 3, 4, 6, 10, 20, 30) if domain[0] <= t <= domain[1]]
    place_class, value_class = (alt.Y, alt.X) if tall else (alt.X, alt.Y)
    ends = [
        1.0 - max(0.8, 0.012 * count),
        (count + 0.8) * along / (along - 100),
    ]  # the rest is for the labels of the convention lines
    steps = sorted({1, count, *range(every(count), count, every(count))})
    if len(steps) > 2 and steps[-1] - steps[-2] < every(count) / 2:
        steps.pop(-2)
    place_scale = alt.Scale(domain=ends[::-1] if tall else ends, nice=False)
    place_axis = alt.Axis(values=steps, format="d", grid=False, orient="left" if tall else "bottom", titlePadding=8)
    value_axis = alt.Axis(values=ticks, format="~g", orient="top" if tall else "left", titlePadding=8)

    def place(field: str) -> Any:
        return place_class(f"{field}:Q", scale=place_scale, axis=place_axis, title="layer, in file order")

    def value(field: str) -> Any:
        return value_class(
            f"{field}:Q",
            scale=alt.Scale(type="log", domain=domain, nice=False),
            axis=value_axis,
            title="alpha",
        )

    def having(*fields: str) -> Any:
        return alt.Chart(alt.InlineData(values=[row for row in rows if all(field in row for field in fields)]))

    def at(**names: Any) -> dict[str, Any]:
        """Channels by meaning; `from_`/`to` run along the layers, `value2` across them."""
        channel = {
            "place": place_name,
            "place2": place_name + "2",
            "value": value_name,
            "value2": value_name + "2",
        }
        return {channel[name]: encoding for name, encoding in names.items()}

    thickness = max(1.0, min(2.4, along / max(count, 1) / 3))
    size = max(14.0, min(90.0, 18.0 * along / max(count, 1) / 3))
    layers = [
        having("null")
        .mark_rect(color="#dcdcdc")
        .encode(**at(place=place("from"), place2="to:Q", value=value("null_low"), value2="null_high:Q")),
        having("null")
        .mark_rule(color="#8a8a8a", strokeWidth=1.2)
        .encode(**at(place=place("from"), place2="to:Q", value=value("null"))),
    ]
    for convention in (2.0, 6.0):
        layers += _convention(alt, convention, value, tall, along)
    shape = alt.Shape("group:N", scale=alt.Scale(domain=present, range=[GROUPS[g][0] for g in present]), legend=None)
    colour = alt.Color("group:N", scale=alt.Scale(domain=present, range=[GROUPS[g][1] for g in present]), legend=None)
    layers += [
        having("low")
        .mark_rule(strokeWidth=thickness, opacity=1)
        .encode(**at(place=place("place"), value=value("low"), value2="high:Q"), color=colour),
        having("alpha")
        .mark_point(filled=True, opacity=1, size=size, stroke="white", strokeWidth=0.5)
        .encode(**at(place=place("place"), value=value("alpha")), shape=shape, color=colour),
        having("finding", "alpha")
        .mark_point(filled=False, shape="circle", color=INK, strokeWidth=1.8, opacity=1, size=size * 3.5)
        .encode(**at(place=place("place"), value=value("alpha"))),
        *_findings(alt, rows, place, tall, along),
        *_undefined(alt, rows, place, (tall, across)),
    ]
    width, height = (across, along) if tall else (along, across)
    chart = alt.layer(*layers).properties(width=width, height=height)
    return inline_svg(chart, label=_description(report), key=key)


def _convention(alt: Any, at: float, value: Any, tall: bool, along: int) -> list[Any]:
    data = alt.Chart(alt.InlineData(values=[{"at": at}]))
    channel = "x" if tall else "y"
    text = {"y" if tall else "x": alt.value(along - 2)}
    return [
        data.mark_rule(color=MUTED, strokeDash=[3, 3], strokeWidth=1.2).encode(**{channel: value("at")}),
        data.mark_text(
            text=f"{at:g} convention",
            color=INK,
            fontSize=12,
            align="left" if tall else "right",
            angle=270 if tall else 0,
            dy=-7,
        ).encode(**{channel: value("at")}, **text),
    ]


def _findings(alt: Any, rows: Sequence[Mapping[str, Any]], place: Any, tall: bool, along: int) -> list[Any]:
    """A numbered flag at the rim for each layer with a finding; numbers that would overlap are left out."""
    found = [dict(row) for row in rows if "finding" in row]
    if not found:
        return []
    gap, last = 15.0 * len(rows) / along, -1e9
    for row in found:
        row["number"] = str(row["finding"]) if row["place"] - last >= gap else ""
        last = row["place"] if row["number"] else last
    base = alt.Chart(alt.InlineData(values=found)).encode(**{"y" if tall else "x": place("place")})
    other = "x" if tall else "y"
    far = 270 if tall else 0
    inner = {f"{other}": alt.value(far - 16 if tall else 20), f"{other}2": alt.value(0 if tall else 330)}
    return [
        base.mark_rule(color=INK, strokeWidth=0.8, strokeDash=[1, 2]).encode(**inner),
        base.mark_point(
            shape="triangle-left" if tall else "triangle-down", filled=True, color=INK, size=70, opacity=1
        ).encode(**{other: alt.value(far - 14 if tall else 18)}),
        base.mark_text(fontSize=12, fontWeight="bold", color=INK, align="left" if tall else "center").encode(
            **{other: alt.value(far - 8 if tall else 6)}, text="number:N"
        ),
    ]


def _undefined(alt: Any, rows: Sequence[Mapping[str, Any]], place: Any, frame: tuple[bool, int]) -> list[Any]:
    """Crosses at the rim for the layers without an exponent: no position on the axis is theirs."""
    tall, across = frame
    missing = [dict(row) for row in rows if "alpha" not in row]
    if not missing:
        return []
    base = alt.Chart(alt.InlineData(values=missing)).encode(**{"y" if tall else "x": place("place")})
    return [
        base.mark_point(shape="cross", angle=45, size=48, color=INK, filled=True, opacity=1).encode(
            **{"x" if tall else "y": alt.value(7 if tall else across - 7)}
        )
    ]


def every(count: int) -> int:
    """A round distance between labels that leaves at most about ten."""
    return next((step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500) if count / step <= 10), 1000)


def _kept(alpha: float) -> float:
    return min(alpha, CEILING)


def _description(report: ScanReport) -> str:
    """What the picture shows, for those who do not see it."""
    measured = [layer.alpha for layer in report.layers if layer.alpha is not None]
    span = f", from {min(measured):.2f} to {max(measured):.2f}" if measured else ""
    banded = any(layer.alpha_null is not None for layer in report.layers)
    over = ", over the band that iid Gaussian matrices of the same shapes give" if banded else ""
    return (
        f"Alpha of {len(measured)} of {len(report.layers)} layers in file order{span}{over}. The table of all "
        "layers holds the same numbers."
    )
