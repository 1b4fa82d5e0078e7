"""Ways to move outlines to the image's edges: IoU and boundary F on VOC photos at their own size, and time.

Only photos of training classes (folds 0 and 2 of PASCAL-5i): defaults are chosen here, and the classes of
folds 1 and 3 are kept for figures that are reported. Supports and queries are drawn by a fixed seed. Ways
that need OpenCV's contrib build (guided filter, fast global smoother) are left out where it isn't installed.

    python benchmarks/refinement.py results/refinement --root VOC2012 VOC2012_extra
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from timing import footer, made_on, write
from voc_pairs import TRAINING_FOLDS, VOID, Pair, Photos, draw_pairs, network_of

from hmseg import Segmenter
from hmseg.segmenter import refining

Mask = NDArray[np.bool_]
Way = Callable[[NDArray[np.uint8], Mask, NDArray[np.float32]], Mask]
TOLERANCE = 0.008
"""Of the boundary F, in diagonals of the image, as DAVIS has it (Perazzi et al., CVPR 2016)."""
EPS = 1e-4 * 255**2
"""Of the guided filter: the variance of colours below which it smooths."""


def grabcut(side: int, low: float, high: float, rounds: int) -> Way:
    """The package's, with other numbers."""

    def way(image: NDArray[np.uint8], foreground: Mask, score: NDArray[np.float32]) -> Mask:
        return refining.cut(image, foreground, score, refining.Cut(side, low, high, rounds))

    return way


def guided(radius: int) -> Way:
    """He et al., ECCV 2010, on the scores at full size."""
    return lambda image, _, score: cv2.ximgproc.guidedFilter(image, score, radius, EPS) > 0.5


def smoothed(strength: float) -> Way:
    """Fast global smoother (Min et al., TIP 2014) on the scores at full size."""
    return lambda image, _, score: cv2.ximgproc.fastGlobalSmootherFilter(image, score, strength, 5) > 0.5


def ways() -> dict[str, Way]:
    """By the name that the table has."""
    chosen = refining.CHOSEN
    found: dict[str, Way] = {"none": lambda image, foreground, score: foreground}
    found["grabcut (default)"] = partial(refining.cut, how=chosen)
    for side in (210, 500):
        found[f"grabcut at {side} px"] = grabcut(side, *chosen[1:])
    for low, high in ((0.02, 0.98), (0.1, 0.9), (0.15, 0.85), (0.25, 0.75)):
        found[f"grabcut, sure below {low} and above {high}"] = grabcut(chosen.side, low, high, chosen.rounds)
    found["grabcut, 3 rounds"] = grabcut(*chosen[:3], 3)
    if hasattr(cv2, "ximgproc"):
        found |= {f"guided filter, radius {radius}": guided(radius) for radius in (8, 32)}
        found |= {f"fast global smoother, {strength:g}": smoothed(strength) for strength in (500.0, 2000.0)}
    return found


def boundary_f(mask: Mask, truth: Mask, counts: Mask) -> float:
    """F of the outlines' pixels that have one of the other's within `TOLERANCE`, in percent; 0 without any.

    Example:
        >>> square = np.pad(np.ones((20, 20), bool), 10)
        >>> everywhere = np.ones_like(square)
        >>> boundary_f(square, square, everywhere), boundary_f(~everywhere, square, everywhere)
        (100.0, 0.0)
    """
    reach = max(1, round(TOLERANCE * float(np.hypot(*truth.shape))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    edges = [outline(each) & counts for each in (mask, truth)]
    near = [cv2.dilate(each.astype(np.uint8), disc) > 0 for each in edges]
    if not edges[0].any() or not edges[1].any():
        return 0.0
    precision = float((edges[0] & near[1]).sum() / edges[0].sum())
    recall = float((edges[1] & near[0]).sum() / edges[1].sum())
    return 200 * precision * recall / max(precision + recall, 1e-9)


def outline(mask: Mask) -> Mask:
    """The mask's pixels with a neighbour outside it."""
    return np.asarray(mask & (cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0))


def measure(
    segmenter: Segmenter, photos: Photos, pairs: Sequence[Pair], chosen: Mapping[str, Way]
) -> dict[str, Any]:
    """For each way mean IoU over classes, mean boundary F over photos, and median seconds."""
    sums: dict[str, dict[int, NDArray[np.int64]]] = {
        name: defaultdict(lambda: np.zeros(2, np.int64)) for name in chosen
    }
    edges, seconds = ({name: [] for name in chosen} for _ in range(2))
    for number, query, support in pairs:
        image, labels = photos.image(query), photos.labels(query)
        found = segmenter.fit(photos.image(support), photos.labels(support) == number).predict(image)
        counts, truth = labels != VOID, labels == number
        for name, way in chosen.items():
            started = time.perf_counter()
            mask = way(image, found.foreground[0], found.scores[0])
            seconds[name].append(time.perf_counter() - started)
            sums[name][number] += ((mask & truth & counts).sum(), ((mask | truth) & counts).sum())
            edges[name].append(boundary_f(mask, truth, counts))
    return {
        name: {
            "miou": round(
                100 * statistics.fmean(both / max(1, either) for both, either in sums[name].values()), 1
            ),
            "boundary_f": round(statistics.fmean(edges[name]), 1),
            "milliseconds": round(1000 * statistics.median(seconds[name]), 1),
        }
        for name in chosen
    }


def page(record: Mapping[str, Any]) -> str:
    """The record as a table."""
    lines = [
        "# Outlines",
        "",
        f"{record['photos']} photos of training classes (folds 0 and 2), one support each, at their own "
        f"size; the network is {record['network']}. Boundary F within {TOLERANCE:.1%} of the "
        "diagonal.",
        "",
        "| refine | mIoU | boundary F | ms a photo |",
        "|---|---|---|---|",
        *(
            f"| {name} | {row['miou']:.1f} | {row['boundary_f']:.1f} | {row['milliseconds']:.0f} |"
            for name, row in record["ways"].items()
        ),
        "",
        *footer(record),
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write OUT.json and OUT.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="path of the results without an ending")
    parser.add_argument("--root", type=Path, nargs="+", required=True, help="VOC2012 folders")
    parser.add_argument("--ckpt", type=Path, help="of the network; the bundled one if none is given")
    parser.add_argument("--queries", type=int, default=25, help="most of a class")
    given = parser.parse_args(argv)
    cv2.setNumThreads(1)
    photos = Photos(given.root)
    pairs = draw_pairs(photos.by_class(TRAINING_FOLDS), given.queries)
    segmenter = Segmenter.from_checkpoint(given.ckpt, device="cpu", refine="none", presence=-1)
    record = {
        "network": network_of(segmenter),
        "photos": len(pairs),
        "ways": measure(segmenter, photos, pairs, ways()),
        **made_on(opencv=cv2.__version__),
    }
    write(given.out.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    write(given.out.with_suffix(".md"), page(record))


if __name__ == "__main__":
    main()
