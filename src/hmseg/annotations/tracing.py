"""From masks to polygons that people can edit: one line around each piece, its holes slit open."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1.0
"""Pixels that a line may run off the mask's edge: a straight edge at any angle then needs two points."""
Points = NDArray[np.int32]
"""(N, 2) corners of pixels, x and y; the last one joins the first."""


def polygons(mask: NDArray[np.bool_], tolerance: float = TOLERANCE) -> list[Points]:
    """The outline of each connected piece of a mask, along the edges of its pixels.

    Formats whose objects are single lines have no holes. A piece with holes becomes one line that goes into
    each hole by a slit and comes back by the same slit, as Ultralytics joins the parts of an object: by the
    even-odd rule, which pycocotools, OpenCV and Qt follow, the hole stays empty.

    Args:
        mask: (H, W).
        tolerance: pixels that a line may run off the edge, to have fewer points; 0: none, the polygons
            painted by pycocotools are the mask.

    Returns:
        A polygon of at least three points for each piece; pieces that touch at a corner only are one.

    Example:
        >>> mask = np.zeros((4, 5), np.bool_)
        >>> mask[1:3, 1:4] = True
        >>> [each.tolist() for each in polygons(mask)]
        [[[1, 1], [1, 3], [4, 3], [4, 1]]]
    """
    # Each pixel as 2 x 2: a line through their centres then tells a pixel's left edge from its right one.
    fine = np.pad(mask, 1).astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    lines, tree = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    edges = [_simplified(((line + 1) // 2 - 1).astype(np.int32), tolerance) for line in lines]
    found = []
    for place, line in enumerate(edges):
        _, _, child, parent = tree[0][place]
        if parent < 0:
            holes = []
            while child >= 0:
                holes.append(edges[child])
                child = tree[0][child][0]
            found.append(_slit(line, holes))
    return found


def _simplified(line: NDArray[np.int32], tolerance: float) -> Points:
    """With fewer points, but never so few that nothing is left."""
    fewer = cv2.approxPolyDP(line, tolerance, True)
    if len(fewer) < 3:
        fewer = cv2.approxPolyDP(line, 0, True)
    return np.asarray(fewer[:, 0], dtype=np.int32)


def _slit(line: Points, holes: list[Points]) -> Points:
    """The outer line, from its corners into the holes that are nearest to them, and back."""
    if not holes:
        return line
    from scipy.spatial import KDTree  # takes a while to import

    tree = KDTree(line)
    ways: dict[int, list[Points]] = {}
    for hole in holes:
        distances, corners = tree.query(hole)
        first = int(distances.argmin())
        corner = int(corners[first])
        turned = np.roll(hole, -first, axis=0)
        ways.setdefault(corner, []).append(np.concatenate((turned, turned[:1], line[corner : corner + 1])))
    parts = [
        part for corner in range(len(line)) for part in (line[corner : corner + 1], *ways.get(corner, ()))
    ]
    return np.concatenate(parts)
