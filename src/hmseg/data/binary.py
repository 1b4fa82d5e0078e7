"""Masks of one object each, as the published FSS-1000 code reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmseg.data.opening import open_file
from hmseg.errors import DataError

THRESHOLD = 128
"""Grey values from here on are foreground: as published for FSS-1000 (REFERENCE section 9)."""


def read_grey_mask(path: Path) -> NDArray[np.bool_]:
    """A mask as the published FSS-1000 code reads it: made grey, foreground from 128 on.

    Args:
        path: an 8-bit image of any colour mode (FSS-1000 has grey, RGB and RGBA ones).

    Returns:
        (H, W) bool.

    Raises:
        DataError: the file is missing, damaged, or has more than 8 bits per channel.
    """
    still = open_file(path, "mask")
    if still.deep:  # Pillow would clip these to white
        raise DataError(
            f"mask {path} has 16 or 32 bits per pixel, 8 were expected: save it with values 0 and 255"
        )
    image = still.decoded()
    return np.asarray(np.asarray(image if image.mode == "L" else image.convert("L")) >= THRESHOLD)


def fit_mask(
    mask: NDArray[np.bool_], image: NDArray[np.uint8], mask_path: Path, image_path: Path
) -> NDArray[np.bool_]:
    """The mask at the size of its image; where files differ in it, the published FSS-1000 code never notices.

    Args:
        mask: (h, w).
        image: (H, W, 3).
        mask_path: for the message.
        image_path: for the message.

    Returns:
        (H, W), the nearest pixel of each.

    Raises:
        DataError: the two differ in shape by more than 5 %, so they do not belong together.

    Example:
        >>> image = np.zeros((2, 4, 3), np.uint8)
        >>> fit_mask(np.array([[True, False]]), image, Path("1.png"), Path("1.jpg")).astype(int).tolist()
        [[1, 1, 0, 0], [1, 1, 0, 0]]
    """
    (height, width), (rows, columns) = image.shape[:2], mask.shape
    if (height, width) == (rows, columns):
        return mask
    if not 0.95 < (width * rows) / (height * columns) < 1.05:
        raise DataError(
            f"mask {mask_path} is {columns}x{rows} pixels, {width}x{height} were expected (or a multiple), "
            f"the size of {image_path}: replace one of them so that they belong together"
        )
    nearest = np.ix_(np.arange(height) * rows // height, np.arange(width) * columns // width)
    return np.ascontiguousarray(mask[nearest])
