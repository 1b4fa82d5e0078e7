"""Masks of one object each: foreground or not, in the several ways in which such files are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hmseg.data.reading import opened
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
    with opened(path, "mask") as image:
        return np.asarray(_grey(f"mask {path}", image) >= THRESHOLD)


def read_object_mask(path: Path) -> NDArray[np.bool_]:
    """A mask of a user's own: what is foreground depends on how the file is written.

    Palette: every index but 0, whatever its colour. Grey or colour: values of 128 and more; where the file
    holds 0 and 1 only, 1 is foreground.

    Args:
        path: an 8-bit or black-and-white image.

    Returns:
        (H, W) bool.

    Raises:
        DataError: the file is missing, damaged, or has more than 8 bits per channel.
    """
    with opened(path, "mask") as image:
        return object_pixels(image, f"mask {path}")


def object_pixels(image: Image.Image, what: str) -> NDArray[np.bool_]:
    """As :func:`read_object_mask`, of an image that is open already.

    Args:
        image: any.
        what: it is, for messages.
    """
    if image.mode == "P":
        return np.asarray(np.asarray(image) != 0)
    grey = _grey(what, image)
    return np.asarray(grey == 1 if grey.max(initial=0) == 1 else grey >= THRESHOLD)


def _grey(what: str, image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith(("I", "F")):  # Pillow would clip these to white
        raise DataError(f"{what} has 16 or 32 bits per pixel, 8 were expected: save it with values 0 and 255")
    return np.asarray(image if image.mode == "L" else image.convert("L"), dtype=np.uint8)


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
