"""The report's drawings: validation curves, bars of classes and object sizes, differences with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from hmseg.reporting.curves import Curve
from hmseg.reporting.drawing import axes, colours, svg_of
from hmseg.reporting.measurement import Validation
from hmseg.reporting.page import Figure
from hmseg.reporting.statistics import Interval
from hmseg.visualise.style import INK, LINE, QUIET

MAX_POINTS = 200
"""Of one curve; more are thinned out."""
MAX_CLASSES = 24
Scale = tuple[str, Callable[[Validation], float | None]]


def curve_figure(name: str, title: str, runs: Sequence[Curve], seconds: bool) -> Figure | None:
    """Validation mIoU of several runs against epochs or against the hours trained; None without points."""
    unit, divisor = _unit(runs) if seconds else ("epoch", 1.0)
    lines = {id(run): _points(run, seconds, divisor) for run in runs}
    if not any(lines.values()):
        return None
    palette = colours(list(dict.fromkeys(run.common.masking for run in runs)))
    with axes(2.9) as (canvas, ax):
        for run in runs:
            points = lines[id(run)]
            if points:
                colour = palette[run.common.masking]
                ax.plot(*zip(*points, strict=True), color=colour, linewidth=1.5, solid_joinstyle="round")
                best = max(points, key=lambda point: point[1])
                ax.plot(*best, "o", color=colour, markersize=4.5)
        ax.set(xlabel=unit, ylabel="validation mIoU (%)")
        ax.grid(axis="y")
        ax.set_ylim(bottom=0)
        ax.set_xlim(left=0)
        _legend(ax, palette)
        text = "; ".join(
            f"{run.common.masking}, seed {run.seed}: best {run.best.miou:.1f} at epoch {run.best.epoch}"
            for run in runs
        )
        return svg_of(canvas, name, title, f"{title}. {text}")


def _unit(runs: Sequence[Curve]) -> tuple[str, float]:
    longest = max((point.seconds or 0 for run in runs for point in run.points), default=0)
    return ("hours of training", 3600.0) if longest > 2 * 3600 else ("minutes of training", 60.0)


def _points(run: Curve, seconds: bool, divisor: float) -> list[tuple[float, float]]:
    kept = [point for point in run.points if not seconds or point.seconds is not None]
    step = max(1, math.ceil(len(kept) / MAX_POINTS))
    thinned = [
        p for place, p in enumerate(kept) if place % step == 0 or p == run.best or place == len(kept) - 1
    ]
    return [((p.seconds or 0.0) / divisor if seconds else float(p.epoch), p.miou) for p in thinned]


def class_figure(name: str, title: str, values: Mapping[str, Mapping[str, float]]) -> Figure:
    """Bars of IoU per class, one for each masking.

    Args:
        name: of the figure.
        title: of the figure.
        values: by masking, IoU in percent by class, at most ``MAX_CLASSES`` of which are drawn.
    """
    classes = list(dict.fromkeys(each for row in values.values() for each in row))[:MAX_CLASSES]
    palette, thick = colours(list(values)), 0.82 / len(values)
    with axes(0.75 + len(classes) * max(0.28, 0.13 * len(values))) as (canvas, ax):
        for place, (masking, row) in enumerate(values.items()):
            centres = [n + (place - (len(values) - 1) / 2) * thick for n in range(len(classes))]
            ax.barh(centres, [row.get(each, 0.0) for each in classes], thick * 0.9, color=palette[masking])
        ax.set_yticks(range(len(classes)), [_short(each) for each in classes], color=INK)
        ax.invert_yaxis()
        ax.set_xlim(left=0)
        ax.set(xlabel="IoU (%)")
        ax.grid(axis="x")
        _legend(ax, palette)
        text = "; ".join(
            f"{masking}: " + ", ".join(f"{each} {row[each]:.1f}" for each in classes if each in row)
            for masking, row in values.items()
        )
        return svg_of(canvas, name, title, f"{title}. {text}")


def size_figure(
    name: str, title: str, bins: Sequence[str], values: Mapping[str, Sequence[Interval]]
) -> Figure:
    """Bars of mIoU in bins of object size with intervals, one for each masking."""
    palette, wide = colours(list(values)), 0.82 / len(values)
    with axes(2.9) as (canvas, ax):
        for place, (masking, row) in enumerate(values.items()):
            centres = [n + (place - (len(values) - 1) / 2) * wide for n in range(len(bins))]
            kept = [(x, one) for x, one in zip(centres, row, strict=True) if math.isfinite(one.value)]
            ax.bar([x for x, _ in kept], [one.value for _, one in kept], wide * 0.9, color=palette[masking])
            for x, one in kept:
                ax.plot((x, x), (one.low, one.high), color=INK, linewidth=1)
        ax.set_xticks(range(len(bins)), bins, color=INK)
        ax.set_xlim(-0.5, len(bins) - 0.5)
        ax.set(xlabel="share of the query that the object takes", ylabel="mIoU (%)")
        ax.set_ylim(bottom=0)
        ax.grid(axis="y")
        _legend(ax, palette)
        text = "; ".join(
            f"{masking}: " + ", ".join(f"{each} {one.value:.1f}" for each, one in zip(bins, row, strict=True))
            for masking, row in values.items()
        )
        return svg_of(canvas, name, title, f"{title}. {text}")


def difference_figure(name: str, title: str, rows: Sequence[tuple[str, str, Interval]]) -> Figure:
    """Differences of mIoU as dots with their intervals around a line at zero.

    Args:
        name: of the figure.
        title: of the figure.
        rows: label, masking whose colour the dot has, difference.
    """
    palette = colours(list(dict.fromkeys(masking for _, masking, _ in rows)))
    with axes(0.8 + 0.27 * len(rows)) as (canvas, ax):
        ax.axvline(0, color=QUIET, linewidth=1)
        for place, (_, masking, one) in enumerate(rows):
            ax.plot((one.low, one.high), (place, place), color=palette[masking], linewidth=2)
            ax.plot(one.value, place, "o", color=palette[masking], markersize=5.5)
        ax.set_yticks(range(len(rows)), [label for label, _, _ in rows], color=INK)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.spines["left"].set_visible(False)
        ax.grid(axis="x", color=LINE)
        ax.set(xlabel="points of mIoU")
        text = "; ".join(
            f"{label} {one.value:+.1f} ({one.low:+.1f} to {one.high:+.1f})" for label, _, one in rows
        )
        return svg_of(canvas, name, title, f"{title}. {text}")


def _legend(ax: Axes, palette: Mapping[str, str]) -> None:
    """Below the drawing, so that it never hides a value."""
    handles = [Line2D([], [], color=colour, linewidth=4, label=name) for name, colour in palette.items()]
    columns = 4 if max(map(len, palette)) < 9 else 2
    canvas = ax.figure
    canvas.legend(
        handles=handles, loc="outside lower left", ncols=columns, handlelength=0.9, columnspacing=1.3
    )


def _short(text: str) -> str:
    return text if len(text) <= 22 else f"{text[:21]}…"
