"""Photos and masks as they are displayed, and more than 8 bits as 8; without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmseg.data.opening import open_file, turned
from hmseg.errors import DataError

Pixels = NDArray[np.uint8]
Size = tuple[int, int]
"""Height and width."""
_DEPTHS = (8, 10, 12, 14, 16)
"""Bits of cameras and microscopes, whose numbers are all stored in 16."""


class Sizes(NamedTuple):
    """Height and width of a photo; they differ where the camera was held upright.

    Attributes:
        displayed: as viewers show it.
        stored: as the pixels lie in the file.
    """

    displayed: Size
    stored: Size

    def fitting(self, size: object) -> Size | None:
        """Which of the two an annotation of this size was made for; None for neither.

        Example:
            >>> Sizes((4, 3), (3, 4)).fitting((3, 4)), Sizes((4, 3), (4, 3)).fitting((3, 4))
            ((3, 4), None)
        """
        return next((each for each in self if each == size), None)


def sizes_of(displayed: Size, orientation: int) -> Sizes:
    """The sizes of a photo of which the displayed one and EXIF's orientation are known."""
    return Sizes(displayed, (displayed[1], displayed[0]) if orientation >= 5 else displayed)


def read_sizes(path: Path) -> Sizes:
    """The sizes of an image file, of which no more is decoded than is needed.

    Raises:
        DataError: it can't be read, or is no image.
    """
    still = open_file(path, "image")
    width, height = still.image.size
    turned_here = still.left_to_turn >= 5  # the header of a TIFF has the displayed size
    return sizes_of((width, height) if turned_here else (height, width), still.orientation)


class Photo(NamedTuple):
    """A photo as it is displayed.

    Attributes:
        pixels: (H, W, 3) RGB.
        orientation: EXIF's, 1 to 8: how the stored pixels were turned.
    """

    pixels: Pixels
    orientation: int = 1

    @property
    def sizes(self) -> Sizes:
        """As displayed and as stored."""
        return sizes_of((self.pixels.shape[0], self.pixels.shape[1]), self.orientation)


def eight_bits(values: NDArray[np.generic], what: str) -> Pixels:
    """Numbers of more than 8 bits as bytes.

    White is the largest number of 8, 10, 12, 14 or 16 bits, the fewest that hold the image's largest: cameras
    and microscopes store 12 bits in files of 16. Floating-point numbers lie in [0, 1], else they are taken
    as whole ones.

    Args:
        values: any shape, whole numbers or floating point.
        what: it is, for messages.

    Raises:
        DataError: NaN, numbers below 0, or above 65535.

    Example:
        >>> eight_bits(np.array([0, 2048, 4095], np.uint16), "image"), eight_bits(np.array([0, 9.0]), "image")
        (array([  0, 128, 255], dtype=uint8), array([0, 9], dtype=uint8))
    """
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not np.isfinite([low, high]).all() or low < 0 or high > 2**16 - 1:
        raise DataError(
            f"{what} holds numbers from {low:g} to {high:g}, 0 to 65535 (or floating point in [0, 1]) were "
            "expected: save it with 8 bits a channel"
        )
    if values.dtype.kind == "f" and high <= 1:
        white = 1.0
    else:
        white = next(2.0**bits - 1 for bits in _DEPTHS if high <= 2**bits - 1)
    return np.asarray(np.rint(values.astype(np.float32) * (255 / white)), dtype=np.uint8)


def as_displayed(
    mask: NDArray[np.bool_], photo: Photo, what: str, of: str = "its image"
) -> NDArray[np.bool_]:
    """A mask that belongs to a photo, turned as the photo where it fits only the photo's stored pixels.

    A mask of the displayed size is taken as it is; so is one of a square photo, or of one turned by half,
    where the sizes say nothing.

    Args:
        mask: (h, w).
        photo: that it belongs to.
        what: the mask is, for messages.
        of: the photo is, for messages.

    Returns:
        (H, W), of the photo's displayed size.

    Raises:
        DataError: it has neither size.
    """
    size = photo.sizes.fitting((mask.shape[0], mask.shape[1]))
    if size is not None:
        return mask if size == photo.sizes.displayed else as_bools(turned(mask, photo.orientation))
    height, width = photo.sizes.displayed
    raise DataError(
        f"{what} is {mask.shape[1]}x{mask.shape[0]} pixels, {width}x{height} were expected, the size of {of}"
        f"{' as displayed' * (photo.orientation >= 5)}: replace one of them so that they belong together"
    )


def as_bools(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """The same values, known to be true or false."""
    return np.asarray(values, dtype=np.bool_)
