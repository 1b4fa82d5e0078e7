"""Drawings as SVG that fit into a page: text stays text, colours follow the page, names don't collide.

Matplotlib draws with stand-in colours; `svg_of` replaces them by custom properties of the page, with values
for where there is no page. Nothing is fetched, and texts are no formulas: names of classes are not ours.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from hmseg.reporting.page import Figure
from hmseg.reporting.setting import MASKINGS, rank
from hmseg.visualise.style import COLOURS, INK, LINE, MORE, QUIET, STYLE

_PROPERTIES = {INK: "--ink", QUIET: "--quiet", LINE: "--line"}
WIDTH = 4.3
"""Of every drawing in inches of 72 units: as wide as a phone shows without shrinking the text much."""


def colours(maskings: Sequence[str]) -> dict[str, str]:
    """A colour for each masking: the four always the same, others in order.

    Example:
        >>> colours(["hybrid", "hybrid (mix=0.25)"])
        {'hybrid': '#23935a', 'hybrid (mix=0.25)': '#9657c7'}
    """
    others = [each for each in sorted(maskings, key=lambda m: (rank(m, MASKINGS), m)) if each not in COLOURS]
    extra = {each: MORE[place % len(MORE)] for place, each in enumerate(others)}
    return {each: COLOURS.get(each) or extra[each] for each in maskings}


@contextmanager
def axes(height: float) -> Iterator[tuple[Canvas, Axes]]:
    """An empty drawing of the house's width, ``height`` inches high, without pyplot's global state."""
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, height))
        yield canvas, canvas.add_subplot()


def svg_of(canvas: Canvas, name: str, title: str, description: str) -> Figure:
    """A finished drawing; call it within `axes`.

    Args:
        canvas: of `axes`.
        name: letters, digits and dashes, unique on the page; begins every id inside.
        title: of the figure; the page sets it above.
        description: what it shows, for readers who don't see it.
    """
    file = io.StringIO()
    canvas.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Figure(name, title, _clean(file.getvalue(), name, description))


def _clean(text: str, name: str, description: str) -> str:
    svg = text[text.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(xlink:href="|url\()#', rf"\1#{name}-", svg)
    for colour, custom in _PROPERTIES.items():
        svg = svg.replace(colour, f"var({custom}, {colour})")
    svg = re.sub(r"font: (?:(\w+) )?([\d.]+px) [^;\"]*", _font, svg)  # matplotlib before 3.11
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', "", svg, count=1)
    svg = re.sub(r"\n\s*", "\n", svg)
    shown = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return svg.replace("<svg", f'<svg role="img" aria-label="{shown}"', 1).strip()


def _font(found: re.Match[str]) -> str:
    weight = f"font-weight: {found[1]}; " if found[1] else ""
    return f"{weight}font-size: {found[2]}"
