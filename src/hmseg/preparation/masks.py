"""Mask files: written whole, as palette PNGs whose indices are class numbers; and looked over."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hmseg.data.opening import size_of
from hmseg.errors import DataError
from hmseg.preparation.files import replacing

_LEVEL = 3  # zlib's: a third of the default's time and four tenths more bytes, of which there are few
FOREGROUND = 128
"""From this grey level on, a pixel of FSS-1000's masks is foreground (REFERENCE section 9)."""


@cache
def voc_palette() -> bytes:
    """PASCAL VOC's 256 colours: the bits of the index, from the lowest, in turn to red, green and blue.

    Example:
        >>> list(voc_palette()[:12])
        [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
    """
    index = np.arange(256)
    colours = np.zeros((256, 3), dtype=np.int64)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
    return colours.astype(np.uint8).tobytes()


def write_mask(labels: NDArray[np.uint8], target: Path) -> None:
    """Write class numbers as a palette PNG in VOC's colours.

    Args:
        labels: (H, W) uint8.
        target: the file; all of it is there or nothing.

    Raises:
        DataError: the disk is full or can't be written.
    """
    image = Image.fromarray(labels, "L")
    image.putpalette(voc_palette())
    with replacing(target) as part:
        image.save(part, "PNG", compress_level=_LEVEL)


class Pair(NamedTuple):
    """What :func:`faults` looks at.

    Attributes:
        image: the photo.
        mask: its mask.
        values: class numbers that may be in the mask; None for masks of grey levels (FSS-1000), which need
            not have the photo's size.
        deep: decode the photo as well; else only its size is read.
    """

    image: Path
    mask: Path
    values: frozenset[int] | None
    deep: bool


def faults(pair: Pair) -> str | None:
    """What is wrong with an image and its mask, None if nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of EXIF tags and the like
        try:
            return _faults(pair)
        except DataError as error:
            return str(error)


def _faults(pair: Pair) -> str | None:
    from hmseg.data.reading import check_same_size, read_image, read_label_map  # imports PyTorch

    if pair.values is None:
        levels = np.asarray(Image.fromarray(read_image(pair.mask)).convert("L"))
        if pair.deep:
            read_image(pair.image)
        return None if (levels >= FOREGROUND).any() else f"mask {pair.mask} has no foreground"
    labels = read_label_map(pair.mask)
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist()
    if strange := sorted(set(present) - pair.values):
        return f"mask {pair.mask} has pixels of {', '.join(map(str, strange[:5]))}, not a class"
    if pair.deep:
        check_same_size(read_image(pair.image), labels, pair.image, pair.mask)
        return None
    return size_fault(pair.image, labels.shape, f"mask {pair.mask.name}")


def size_difference(pair: Pair) -> str | None:
    """The sizes of a photo and its mask where they differ, from the files' headers."""
    try:
        width, height = size_of(pair.mask, "mask")
    except DataError as error:
        return str(error)
    return size_fault(pair.image, (height, width), f"mask {pair.mask.name}")


def size_fault(image: Path, shape: tuple[int, ...], other: str) -> str | None:
    """Whether a photo, of which only the header is read, has another size than what belongs to it.

    Args:
        image: the photo.
        shape: (H, W) that it should have.
        other: what has this shape, for the message.
    """
    try:
        size = size_of(image, "image")
    except DataError as error:
        return str(error)
    if size != (shape[1], shape[0]):
        return f"image {image} is {size[0]}x{size[1]} pixels, its {other} {shape[1]}x{shape[0]}"
    return None
