"""Inline SVG of a Vega-Lite chart: scalable, with names of its own, drawn without a browser or a network."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from html import escape
from typing import TYPE_CHECKING

from tollens.core.errors import TollensError
from tollens.core.extras import install_command

if TYPE_CHECKING:
    import altair as alt

INK, MUTED, GRID = "#1a1a1a", "#595959", "#e3e3e3"
BLUE, SKY, GREEN, VERMILLION, PURPLE, ORANGE = (
    "#0072B2",
    "#56B4E9",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#E69F00",
)
"""Told apart without colour vision (Okabe and Ito, 2008); every mark also has its own shape or dash."""


def inline_svg(chart: alt.LayerChart | alt.FacetChart, *, label: str, key: str, text: int = 13) -> str:
    """The chart as one <svg> element that scales with its container.

    `label` says in words what is drawn; `key` is a prefix for ids, distinct among the charts of a page;
    `text` is the size of its labels in units of its own width. Raises TollensError `extra_missing`.
    """
    try:
        import vl_convert
    except ModuleNotFoundError as error:
        raise extra_missing(error) from error
    styled = (
        chart.configure(background="transparent", font="sans-serif", padding=2, aria=False)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=INK,
            titleColor=INK,
            labelFontSize=text,
            titleFontSize=text,
            titleFontWeight="normal",
            gridColor=GRID,
            domainColor=MUTED,
            tickColor=MUTED,
            tickSize=4,
            labelPadding=4,
        )
    )
    svg = str(vl_convert.vegalite_to_svg(styled.to_dict(validate=False)))
    return _own(svg, label, key)


def unchecked() -> AbstractContextManager[None]:
    """Inside, altair does not check the parts of a chart against its schema, which costs more than drawing.

    Raises TollensError `extra_missing`.
    """
    try:
        import altair.utils.schemapi as schemapi
    except ModuleNotFoundError as error:
        raise extra_missing(error) from error
    return schemapi.debug_mode(False)


def _own(svg: str, label: str, key: str) -> str:
    """Drop the fixed size for the view box, say what is shown, and keep ids apart from other charts."""
    opening, body = svg.split(">", 1)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', opening)
    if box is None:
        raise ValueError("the chart has no view box")
    body = re.sub(r'(<[^>]*?\bid=")', rf"\1{key}-", body)
    body = body.replace("url(#", f"url(#{key}-").replace(' role="graphics-object"', "")
    body = re.sub(r' aria-roledescription="[^"]*"| target="[^"]*"| aria-hidden="true"', "", body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {box[1]} {box[2]}" style="max-width:{float(box[1]) * 1.3:.0f}px" role="img" '
        f'aria-label="{escape(label)}">{body}'
    )


def extra_missing(error: ModuleNotFoundError) -> TollensError:
    return TollensError(
        "extra_missing",
        "HTML report",
        expected="the report extra",
        found=f"no module {error.name}",
        fix=f"Install it: {install_command('report')}",
    )
