"""One object, annotated in the several ways that a segmenter takes, made from its exact mask."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hmseg import Box, Polygon, Scribble

STROKES = 5
"""Points of the scribble."""


def annotations(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Mask, polygon, box and scribble of an object.

    The polygon simplifies the largest outline to within 2 % of its length; the scribble joins, at five places
    across the object, the point farthest from its edge.

    Args:
        mask: (H, W), true on the object.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(outlines, key=cv2.contourArea)
    simple = cv2.approxPolyDP(largest, 0.02 * cv2.arcLength(largest, True), True)[:, 0] + 0.5
    corners = [(float(x), float(y)) for x, y in simple]
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    shares = (np.arange(STROKES) + 0.5) / STROKES
    across = np.rint(columns[0] + shares * (columns[-1] - columns[0])).astype(int)
    points = [(float(x) + 0.5, float(inside[:, x].argmax()) + 0.5) for x in across]
    return {
        "exact mask": mask,
        f"polygon of {len(corners)} points": Polygon(corners),
        "box": box,
        f"scribble through {STROKES} points": Scribble(points),
    }
