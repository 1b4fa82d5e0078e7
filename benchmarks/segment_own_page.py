"""The page and the sheet of ``segment_own.py``."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from timing import spread

from hmseg import Segmenter


def page(record: dict[str, Any]) -> str:
    """A Markdown page."""
    ious = [each["iou"] for each in record["queries"]]
    without, supports = record["without"]["foreground"], record["by_support"]
    alone = list(supports["alone"].values())
    lines = [
        "# Own photos: one annotated cat, ten other photos",
        "",
        f"VOC 2012, cat held out in training; support {record['support']}, the first cat of the fold's list, "
        f"and the next ten as queries, at their own size. {record['network']['masking']}, side "
        f"{record['network']['side']}.",
        "",
        "| photo | IoU, % |",
        "|---|---|",
        *(f"| {each['photo']} | {each['iou']:.1f} |" for each in record["queries"]),
        f"| **mean** | **{statistics.fmean(ious):.1f}** |",
        "",
        f"In ten photos without a cat it calls {statistics.fmean(without):.1f} % of the pixels cat "
        f"({min(without):.1f} to {max(without):.1f}).",
        "",
        "The same support annotated in other ways: "
        + ", ".join(f"{kind} {value:.1f}" for kind, value in record["by_annotation"].items())
        + " % mean IoU.",
        "",
        f"Ten later queries with each of the first five cats as the only support: {min(alone):.1f} to "
        f"{max(alone):.1f} (mean {statistics.fmean(alone):.1f}) % mean IoU; with all five, by the vote: "
        f"{supports['together']:.1f} %.",
        "",
        f"Seconds a query, from its file to its mask at its own size: median of {record['repeats']} rounds "
        "(smallest to largest), each the mean of the queries; ways in turns.",
        "",
        "| side | supports | queries | way | seconds a query | kept is faster | pixels that differ, % |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["timing"]:
        same = [
            each for each in record["timing"] if (each["side"], each["shots"]) == (row["side"], row["shots"])
        ]
        ratio = spread(row["seconds"]).median / spread(same[0]["seconds"]).median
        lines.append(
            f"| {row['side']} | {row['shots']} | {row['queries']} | {row['way']} | {spread(row['seconds'])} "
            f"| {ratio:.1f} x | {100 * row['differing']:.3f} |"
        )
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return "\n".join(
        [
            *lines,
            "",
            f"- command: `{record['command']}`",
            f"- commit: {record['commit']}",
            f"- versions: {versions}",
            f"- hardware: {record['hardware']['cpu']}, {record['hardware']['threads']} of "
            f"{record['hardware']['cores']} cores; load {record['load']}",
            f"- date: {record['date'][:10]}",
            "",
        ]
    )


def sheet(
    segmenter: Segmenter,
    support: Path,
    mask: NDArray[np.bool_],
    queries: Sequence[tuple[str, Path, NDArray[np.bool_]]],
) -> Image.Image:
    """The support and its mask, then each query with what was found (colour) and the truth (line).

    Args:
        segmenter: with the support.
        support: its photo.
        mask: its annotation.
        queries: name, photo and true mask of each.
    """
    columns = 4
    rows = -(-(1 + len(queries)) // columns)
    figure: Figure = plt.figure(figsize=(4 * columns, 3.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns).flatten()
    for axis in axes:
        axis.axis("off")
    axes[0].imshow(Image.open(support).convert("RGB"))
    axes[0].contour(mask, levels=[0.5], colors="yellow", linewidths=2)
    axes[0].set_title("support")
    for axis, (name, photo, truth) in zip(axes[1:], queries, strict=False):
        found = segmenter.predict(photo)
        union = (found.mask | truth).sum()
        axis.imshow(found.overlay())
        axis.contour(truth, levels=[0.5], colors="yellow", linewidths=1)
        axis.set_title(f"{name}: {100 * (found.mask & truth).sum() / max(1, union):.0f} %")
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]
    plt.close(figure)
    return Image.fromarray(picture)
