"""What a page's uploads may be: bytes and pixels counted before anything is decoded.

A few kilobytes can hold a picture of gigabytes (a decompression bomb), so the size in the file's header is
looked at first, and only formats that browsers show are opened at all.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from hmseg.errors import HmsegError

FORMATS = ("JPEG", "PNG", "WEBP")

LEAST_SIDE = 8

_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


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
        max_held_pixels: pixels that all pages hold together, in units of ``max_pixels``.
        max_results: pictures of results that one page may hold; older ones are forgotten.
    """

    max_mb: float = 20.0
    max_pixels: int = 25_000_000
    max_sessions: int = 8
    max_images: int = 40
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
    """The photo in a file's bytes, upright as browsers show it (the camera's EXIF orientation is followed).

    Args:
        content: of a PNG, JPEG or WebP file.
        limits: bytes and pixels that are taken.

    Returns:
        (H, W, 3) RGB.

    Raises:
        RefusedError: too large, of another format, animated, too deep or damaged.

    Example:
        >>> file = BytesIO()
        >>> Image.new("L", (30, 20), 7).save(file, "PNG")
        >>> decode_image(file.getvalue(), Limits()).shape
        (20, 30, 3)
    """
    with _opened(content, limits) as image:
        if image.mode.startswith(("I", "F")):  # Pillow would clip these to white
            raise RefusedError("this image has 16 or 32 bits per pixel: save it with 8 bits", 415)
        image.load()
        upright = ImageOps.exif_transpose(image)
        return np.array(upright.convert("RGB"), dtype=np.uint8)


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
    with _opened(content, limits, least=1) as image:
        if "A" not in image.getbands():
            raise RefusedError(
                "the mask has no transparency: marked pixels are to be opaque, others transparent"
            )
        height, width = size
        wanted = image.width * height / width
        if abs(wanted - image.height) > 1 + 0.01 * wanted:
            raise RefusedError(
                f"the mask is {image.width} x {image.height} pixels, which is not the shape of the image "
                f"({width} x {height}): choose the mask that belongs to this image"
            )
        alpha = image.getchannel("A").resize((width, height), Image.Resampling.NEAREST)
        mask: NDArray[np.bool_] = np.asarray(alpha) > 127
    if not mask.any():
        raise RefusedError("nothing is marked: paint over the object, or upload its mask")
    return mask


@contextmanager
def _opened(content: bytes, limits: Limits, least: int = LEAST_SIDE) -> Iterator[Image.Image]:
    """The file's still image, not decoded yet; what goes wrong in the block is a refusal, too."""
    if len(content) > limits.max_bytes:
        raise too_many_bytes(limits)
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            _check_size(image, limits, least)
            yield image
    except RefusedError:
        raise
    except _BOMB:
        raise RefusedError(_too_many_pixels(limits), 413) from None
    except UnidentifiedImageError:
        raise RefusedError(
            "this file is no image that can be read here: give a PNG, JPEG or WebP", 415
        ) from None
    except _DAMAGED as error:
        reason = " ".join(str(error).split())[:120]
        raise RefusedError(f"this image is damaged ({reason}): save it anew", 415) from None


def _check_size(image: Image.Image, limits: Limits, least: int) -> None:
    if image.width * image.height > limits.max_pixels:
        raise RefusedError(_too_many_pixels(limits, f"{image.width} x {image.height}"), 413)
    if min(image.size) < least:
        raise RefusedError(
            f"this image is {image.width} x {image.height} pixels: at least {least} a side, please"
        )
    # An MPO is what some cameras write into their .jpg: the photo first, other views of it after.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise RefusedError("this file is an animation: save the frame that you mean", 415)


def _too_many_pixels(limits: Limits, came: str = "far too many") -> str:
    most = limits.max_pixels / 1e6
    return (
        f"this image has {came} pixels, more than the {most:g} million that are taken: make it smaller, or "
        "start the page with a larger max_pixels=…"
    )
