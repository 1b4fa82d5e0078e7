"""Annotations drawn by hand: boxes, polygons and scribbles, and how they become pixels.

Points are (x, y) in pixels from the upper left corner; pixel column c covers x from c to c + 1, so its centre
is at c + 0.5. What sticks out of the image is cut off.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hmseg.data.coco_shapes import Shape, paint
from hmseg.errors import DataError

Point = tuple[float, float]
_FIXED_POINT = 4  # cv2 draws integers with this many fractional bits


class Outline(ABC):
    """An annotation that is not yet pixels."""

    @abstractmethod
    def drawn(self, size: tuple[int, int], what: str = "mask") -> NDArray[np.bool_]:
        """(H, W) bool for an image of ``size`` = (H, W); ``what`` begins the messages of DataError."""


@dataclass(frozen=True)
class Box(Outline):
    """All pixels whose centres lie between two corners.

    Example:
        >>> Box(1, 0, 3, 2).drawn((2, 4)).astype(int).tolist()
        [[0, 1, 1, 0], [0, 1, 1, 0]]
    """

    left: float
    top: float
    right: float
    bottom: float

    def drawn(self, size: tuple[int, int], what: str = "mask") -> NDArray[np.bool_]:
        """(H, W) bool; DataError for a box without width or height, or beyond the image."""
        corners = (self.left, self.top, self.right, self.bottom)
        _numbers(corners, what)
        if self.right <= self.left or self.bottom <= self.top:
            raise DataError(f"{what}: Box{corners} has no area: left < right and top < bottom were expected")
        _check_inside((self.left, self.right), (self.top, self.bottom), size, f"{what}: Box{corners}")
        y, x = (np.arange(length) + 0.5 for length in size)
        rows, columns = (y >= self.top) & (y < self.bottom), (x >= self.left) & (x < self.right)
        return np.asarray(rows[:, None] & columns[None])


@dataclass(frozen=True)
class Polygon(Outline):
    """What a closed line surrounds, as COCO's own tools draw it.

    Args:
        points: at least three (x, y).

    Example:
        >>> Polygon([(0, 0), (4, 0), (4, 2), (0, 2)]).drawn((3, 4)).astype(int).tolist()
        [[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]
    """

    points: Sequence[Point]

    def drawn(self, size: tuple[int, int], what: str = "mask") -> NDArray[np.bool_]:
        """(H, W) bool; DataError for fewer than three points or a place beyond the image."""
        points = _points(self.points, 3, f"{what}: Polygon")
        shape = Shape("of a polygon", 1, False, [points.flatten().tolist()])
        return np.asarray(paint(*size, [shape], what) > 0)


@dataclass(frozen=True)
class Scribble(Outline):
    """A stroke: the line through the points, as thick as a brush; one point makes a dot.

    The stroke itself is the mask, nothing grows from it, so draw over most of the object.

    Args:
        points: (x, y), in the order of drawing.
        width: of the brush, pixels; None: a fiftieth of the image's longer side, at least 3.

    Example:
        >>> Scribble([(0.5, 1.5), (3.5, 1.5)], width=1).drawn((3, 4)).astype(int).tolist()
        [[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
    """

    points: Sequence[Point]
    width: float | None = None

    def drawn(self, size: tuple[int, int], what: str = "mask") -> NDArray[np.bool_]:
        """(H, W) bool; DataError for no point, a brush without width, or a place beyond the image."""
        points = _points(self.points, 1, f"{what}: Scribble")
        width = max(3.0, max(size) / 50) if self.width is None else self.width
        if not (math.isfinite(width) and 0 < width <= max(size)):
            raise DataError(f"{what}: Scribble: a width of {width:g} came, 0 to {max(size)} was expected")
        _check_inside(points[:, 0], points[:, 1], size, f"{what}: Scribble")
        canvas = np.ones(size, dtype=np.uint8)
        fixed = np.rint((points - 0.5) * (1 << _FIXED_POINT)).astype(np.int32)  # cv2 counts from centres
        if len(points) == 1:
            fixed = np.repeat(fixed, 2, axis=0)
        cv2.polylines(canvas, [fixed], False, (0,), 1, cv2.LINE_8, _FIXED_POINT)
        # Not a thick line of cv2, which is two pixels wider than it is told.
        distance = cv2.distanceTransform(canvas, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return np.asarray(distance <= (width - 1) / 2) if width > 1 else canvas == 0


def _numbers(values: Sequence[float], what: str) -> None:
    if not all(isinstance(each, int | float | np.number) and math.isfinite(each) for each in values):
        raise DataError(f"{what}: finite numbers were expected, got {values}")


def _points(points: Sequence[Point], least: int, what: str) -> NDArray[np.float64]:
    """(N, 2), checked."""
    try:
        array = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.ndim != 2 or array.shape[1] != 2 or len(array) < least:
        raise DataError(f"{what}: at least {least} points (x, y) were expected, got {str(points)[:60]}")
    if not np.isfinite(array).all():
        raise DataError(f"{what}: a coordinate is NaN or infinite")
    return array


def _check_inside(
    x: Sequence[float] | NDArray[np.float64],
    y: Sequence[float] | NDArray[np.float64],
    size: tuple[int, int],
    what: str,
) -> None:
    """Part of it, at least, must lie in the image; far off is a mistake too (another image's numbers)."""
    for axis, values, length in (("x", x, size[1]), ("y", y, size[0])):
        low, high = min(values), max(values)
        if low >= length or high < 0 or low < -length or high > 2 * length:
            raise DataError(
                f"{what}: {axis} from {low:g} to {high:g}, outside the image of {size[1]}x{size[0]} pixels"
            )
