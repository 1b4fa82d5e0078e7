"""COCO's outlines as pixels: polygons by pycocotools, run lengths by NumPy, both checked before use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from hmseg.errors import DataError
from hmseg.untrusted import parsing

_HUGE = 2**31
_MAX_LETTERS = 8  # of one number in the compressed text: 40 bits


class Shape(NamedTuple):
    """One annotation.

    Attributes:
        number: the annotation's id, for messages.
        value: what its pixels get, 1 to 254.
        crowd: a region of many objects; painted below all others.
        segmentation: a list of polygons ``[x1, y1, x2, y2, …]``, or run lengths ``{"size", "counts"}``.
    """

    number: object
    value: int
    crowd: bool
    segmentation: Any


def paint(height: int, width: int, shapes: Sequence[Shape], where: str) -> NDArray[np.uint8]:
    """Paint shapes over each other: crowds first, then from most pixels to fewest; of equals the later last.

    Args:
        height: of the image.
        width: of the image.
        shapes: in the order of the file.
        where: beginning of messages: file and image.

    Returns:
        (H, W) uint8; 0 where there is no shape.

    Raises:
        DataError: a shape is not what COCO's format allows; the message names its id.
    """
    runs = [
        runs_of(each.segmentation, height, width, f"{where}: annotation {each.number}") for each in shapes
    ]
    pixels = [int(counts[1::2].sum()) for counts in runs]
    order = sorted(range(len(shapes)), key=lambda place: (not shapes[place].crowd, -pixels[place]))
    labels = np.zeros(width * height, dtype=np.uint8)  # down the columns, as the runs go
    for place in order:
        _fill(labels, runs[place], shapes[place].value)
    return np.ascontiguousarray(labels.reshape(width, height).T)


def check_shape(segmentation: Any, height: int, width: int, where: str) -> None:
    """Raises DataError, which begins with ``where``, for what :func:`paint` can't paint; paints nothing."""
    if isinstance(segmentation, Mapping):
        _checked_runs(segmentation, height, width, where)
        return
    if not isinstance(segmentation, list) or not segmentation:
        raise DataError(f"{where}: expected a list of polygons or run lengths, got {str(segmentation)[:40]}")
    for points in segmentation:
        _polygon(points, height, width, where)


def union(height: int, width: int, runs: Iterable[NDArray[np.int64]]) -> NDArray[np.bool_]:
    """(H, W), true where any of the run lengths of :func:`runs_of` has an object.

    Example:
        >>> union(2, 3, [np.array([0, 1, 5]), np.array([4, 2])]).astype(int).tolist()
        [[1, 0, 1], [0, 0, 1]]
    """
    marked = np.zeros(width * height, dtype=np.bool_)
    for each in runs:
        _fill(marked, each, 1)
    return np.ascontiguousarray(marked.reshape(width, height).T)


def _fill(pixels: NDArray[Any], runs: NDArray[np.int64], value: int) -> None:
    ends = np.cumsum(runs)
    for start, end in zip(ends[:-1:2].tolist(), ends[1::2].tolist(), strict=False):
        pixels[start:end] = value


def runs_of(outline: Any, height: int, width: int, where: str) -> NDArray[np.int64]:
    """Lengths of background and object in turn, down the columns; together the whole image.

    Args:
        outline: a list of polygons ``[x1, y1, x2, y2, …]``, or run lengths ``{"size", "counts"}``.
        height: of the image.
        width: of the image.
        where: beginning of messages.

    Raises:
        DataError: it is neither, or not what COCO's format allows.
    """
    with parsing(lambda why: DataError(f"{where}: its outline can't be painted ({why})")):
        if isinstance(outline, Mapping):
            return _checked_runs(outline, height, width, where)
        if not isinstance(outline, list) or not outline:
            raise DataError(f"{where}: expected a list of polygons or run lengths, got {str(outline)[:40]}")
        polygons = [_polygon(points, height, width, where) for points in outline]
        union = coco.merge(coco.frPyObjects(polygons, height, width))
        return _uncompressed(union["counts"], where)  # decoding to a whole image takes ten times as long


def _polygon(points: Any, height: int, width: int, where: str) -> list[float]:
    """The points, checked: pycocotools takes four numbers for a box and walks to any point, however far."""
    try:
        numbers = np.asarray(points)
    except ValueError:  # lists in lists
        numbers = np.asarray(None)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iuf":
        raise DataError(f"{where}: bad polygon: expected numbers x1, y1, x2, y2, …, got {str(points)[:40]}")
    if len(numbers) % 2:
        raise DataError(f"{where}: bad polygon: {len(numbers)} numbers, an even count was expected")
    if len(numbers) < 6:
        raise DataError(f"{where}: bad polygon: {len(numbers)} numbers, at least 6 were expected")
    if not np.isfinite(numbers).all():
        raise DataError(f"{where}: bad polygon: a coordinate is not a finite number")
    for axis, length in enumerate((width, height)):
        low, high = numbers[axis::2].min(), numbers[axis::2].max()
        # What sticks out a little is cut off at the border; what never enters, or lies far off, is an error.
        if low > length or high < 0 or low < -length or high > 2 * length:
            raise DataError(
                f"{where}: bad polygon: {'xy'[axis]} from {low:g} to {high:g}, outside the image of "
                f"{width}x{height} pixels"
            )
    return numbers.astype(np.float64).tolist()  # type: ignore[no-any-return]


def _checked_runs(runs: Mapping[str, Any], height: int, width: int, where: str) -> NDArray[np.int64]:
    """Run lengths from a file, as a list or in COCO's compressed text."""
    if runs.get("size") != [height, width]:
        raise DataError(f"{where}: run lengths of size {runs.get('size')}, expected [{height}, {width}]")
    given = runs.get("counts")
    if isinstance(given, str) and given.isascii():
        counts = _uncompressed(given.encode(), where)
    elif isinstance(given, list) and all(type(count) is int and abs(count) < _HUGE for count in given):
        counts = np.array(given, dtype=np.int64)
    else:
        raise DataError(f"{where}: bad run lengths: expected whole numbers or COCO's text")
    if len(counts) == 0 or counts.min() < 0 or counts.sum() != height * width:
        raise DataError(
            f"{where}: bad run lengths: expected numbers of at least 0 that cover {height * width} pixels, "
            f"got {counts.sum()} pixels"
        )
    return counts


def _uncompressed(text: bytes, where: str) -> NDArray[np.int64]:
    """COCO's text form: five bits a character, lowest first, the last one's sign extended; from the fourth
    number on, each is the difference to the one before the previous."""
    codes = np.frombuffer(text, dtype=np.uint8).astype(np.int64) - 48
    last = codes & 32 == 0
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if len(ends) == 0 or not last[-1] or codes.min() < 0 or codes.max() > 63 or lengths.max() > _MAX_LETTERS:
        raise DataError(f"{where}: bad run lengths: COCO's compressed text is damaged")
    places = np.arange(len(codes)) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((codes & 31) << (5 * places), starts)
    numbers -= np.where(codes[ends] & 16 != 0, 1 << (5 * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
