"""The house's colours and matplotlib settings, and the empty sheets that figures are drawn on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

INK, QUIET, LINE = "#1b1b1a", "#6f6e69", "#dcdad4"
COLOURS = {"none": "#8b9099", "feature": "#3a76d8", "input": "#dd7a12", "hybrid": "#23935a"}
"""Of the four maskings."""
MORE = ("#9657c7", "#12959f", "#c5497f", "#8d8a1e", "#b0623a", "#5f6fb0")
"""Of variations and of maskings that are not shipped."""
TRUTH = "#e6c229"
"""Of given masks: supports, and what the query should be."""

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hmseg",
    "text.parse_math": False,  # names of classes are not ours: a $ is a $
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": QUIET,
    "axes.labelsize": 9.5,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 4.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
}
PANEL = 2.15
"""Width of a picture on a sheet, in inches."""
_TITLES = 0.34
"""Height above and below a picture for its words, in inches."""


@contextmanager
def sheet(
    rows: int, columns: int, ratio: float, title: str, colour_bars: int = 0
) -> Iterator[tuple[Figure, list[list[Axes]]]]:
    """A sheet of pictures, ``rows`` x ``columns`` of them, without pyplot's global state.

    Args:
        rows: of pictures.
        columns: of pictures.
        ratio: height of a picture through its width.
        title: of the sheet; "" for none.
        colour_bars: how many rows of colour bars the sheet has room for.
    """
    height = rows * (PANEL * ratio + _TITLES) + 0.3 * bool(title) + 0.55 * colour_bars
    with matplotlib.rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.035, h_pad=0.035, wspace=0.02, hspace=0.02)
        figure = Figure(figsize=(columns * PANEL + 0.1, height), dpi=120, layout=layout)
        if title:
            figure.suptitle(title, x=0.008, ha="left", fontsize=11, fontweight="bold")
        yield figure, figure.subplots(rows, columns, squeeze=False).tolist()


def show(axes: Axes, picture: NDArray[np.uint8], title: str, below: str = "", colour: str = INK) -> None:
    """One picture with words above it and, quieter, below it; ``colour`` is that of the words above."""
    axes.imshow(picture)
    axes.set_title(title, color=colour)
    axes.set_xlabel(below, loc="left", fontsize=8.5, labelpad=3)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def readable(colour: str) -> str:
    """A masking's colour as that of a text: the ink for the grey one."""
    return INK if colour == COLOURS["none"] else colour


def clear(rest: Sequence[Axes]) -> None:
    """Nothing where no picture is."""
    for axes in rest:
        axes.set_axis_off()
