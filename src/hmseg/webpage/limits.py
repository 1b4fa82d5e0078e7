"""What a page's uploads may be: bytes and pixels counted before anything is decoded.

A few kilobytes can hold a picture of gigabytes (a decompression bomb), so the size in the file's header is
looked at first, and only formats that browsers show are opened at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hmseg.data.mask_files import object_mask
from hmseg.data.mask_meaning import check_reading
from hmseg.data.opening import Still, TooLargeError, open_still
from hmseg.data.reading import photo_of
from hmseg.errors import ConfigError, DataError, HmsegError

FORMATS = ("JPEG", "PNG", "WEBP")

LEAST_SIDE = 8


class RefusedError(HmsegError):
    """A request that the page can't serve; the message is shown on the page.

    Attributes:
        status: HTTP's number for it.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Limits:
    """How much the server takes.

    Attributes:
        max_mb: most 10^6 bytes of one upload.
        max_pixels: most pixels of one image, decoded.
        max_sessions: pages at once; the one that was used longest ago is forgotten for a new one.
        max_images: images that one page may hold.
        max_supports: supports that one page may hold.
        max_encoded: encoded supports that all pages hold together, counted once for each masking.
        max_held_pixels: pixels that all pages hold together, in units of ``max_pixels``.
        max_results: pictures of results that one page may hold; older ones are forgotten.
    """

    max_mb: float = 20.0
    max_pixels: int = 25_000_000
    max_sessions: int = 8
    max_images: int = 40
    max_supports: int = 20
    max_encoded: int = 80
    max_held_pixels: int = 8
    max_results: int = 600

    @property
    def max_bytes(self) -> int:
        """Most bytes of one upload."""
        return int(self.max_mb * 1e6)


def too_many_bytes(limits: Limits) -> RefusedError:
    """The refusal of a file that is too large."""
    return RefusedError(
        f"this file has more than {limits.max_mb:g} MB, which is the most that is taken: save it smaller, or "
        "start the page with a larger max_mb=…",
        413,
    )


def decode_image(content: bytes, limits: Limits) -> NDArray[np.uint8]:
    """The photo in a file's bytes, as :func:`hmseg.data.reading.read_photo` reads it: as browsers show it.

    Args:
        content: of a PNG, JPEG or WebP file.
        limits: bytes and pixels that are taken.

    Returns:
        (H, W, 3) RGB.

    Raises:
        RefusedError: too large, of another format, animated or damaged.

    Example:
        >>> from io import BytesIO
        >>> file = BytesIO()
        >>> Image.new("L", (30, 20), 7).save(file, "PNG")
        >>> decode_image(file.getvalue(), Limits()).shape
        (20, 30, 3)
    """
    with _opened(content, limits, "this file", LEAST_SIDE) as still:
        return photo_of(still).pixels


def decode_mask(content: bytes, size: tuple[int, int], limits: Limits) -> NDArray[np.bool_]:
    """The mask that the page's canvas sends: opaque where the object is.

    Args:
        content: a PNG with transparency, of the image's shape but perhaps smaller, as a canvas is.
        size: (height, width) of the image.
        limits: bytes and pixels that are taken.

    Returns:
        (height, width), by the nearest pixel.

    Raises:
        RefusedError: not such a file, of another shape, or nothing is marked.
    """
    return _marked(_mask(content, size, limits, "opaque"), size)


def read_mask(content: bytes, size: tuple[int, int], limits: Limits, reading: str) -> NDArray[np.bool_]:
    """The object in a mask file of the user's, by the rules of `hmseg.data.mask_meaning`.

    Args:
        content: a PNG, JPEG or WebP file of the image's shape.
        size: (height, width) of the image.
        limits: bytes and pixels that are taken.
        reading: what its pixels mean; ``auto`` refuses what has two readings.

    Returns:
        (height, width), by the nearest pixel.

    Raises:
        RefusedError: not such a file, of another shape, in doubt, or without an object.
    """
    return _marked(_mask(content, size, limits, reading), size)


def _mask(content: bytes, size: tuple[int, int], limits: Limits, reading: str) -> NDArray[np.bool_]:
    try:
        chosen = check_reading(reading, "meaning of a mask")
    except ConfigError as error:
        raise RefusedError(str(error)) from None
    with _opened(content, limits, "this mask") as still:
        mask = object_mask(still, chosen, "Meaning").object
    (height, width), (rows, columns) = size, mask.shape
    wanted = columns * height / width
    if abs(wanted - rows) > 1 + 0.01 * wanted:
        raise RefusedError(
            f"this mask is {columns} x {rows} pixels, which is not the shape of the image "
            f"({width} x {height}): choose the mask that belongs to it"
        )
    return mask


def _marked(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask at the image's (height, width)."""
    image = Image.fromarray(mask.astype(np.uint8)).resize(size[::-1], Image.Resampling.NEAREST)
    scaled = np.asarray(image) > 0
    if not scaled.any():
        raise RefusedError("nothing is marked: paint over the object, or upload its mask")
    return scaled


@contextmanager
def _opened(content: bytes, limits: Limits, what: str, least: int = 1) -> Iterator[Still]:
    """The file's still image, not decoded yet; what goes wrong in the block is a refusal, too."""
    if len(content) > limits.max_bytes:
        raise too_many_bytes(limits)
    try:
        still = open_still(content, what, FORMATS)
        _check_size(still.image, limits, least)
        yield still
    except RefusedError:
        raise
    except TooLargeError:
        raise RefusedError(_too_many_pixels(limits), 413) from None
    except DataError as error:
        raise RefusedError(str(error), 415) from None


def _check_size(image: Image.Image, limits: Limits, least: int) -> None:
    if image.width * image.height > limits.max_pixels:
        raise RefusedError(_too_many_pixels(limits, f"{image.width} x {image.height}"), 413)
    if min(image.size) < least:
        raise RefusedError(
            f"this image is {image.width} x {image.height} pixels: at least {least} a side, please"
        )


def _too_many_pixels(limits: Limits, came: str = "far too many") -> str:
    most = limits.max_pixels / 1e6
    return (
        f"this image has {came} pixels, more than the {most:g} million that are taken: make it smaller, or "
        "start the page with a larger max_pixels=…"
    )
