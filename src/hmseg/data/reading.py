"""Reads image and mask files, and says in one line what is wrong with those that cannot be used."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torchvision.io import decode_jpeg

from hmseg.errors import DataError, HmsegError

# What Pillow raises on damaged files, by decoder: not all of it is an OSError.
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)

_MASK_KINDS = {
    "RGB": "a colour image",
    "RGBA": "a colour image",
    "LA": "a grey image with transparency",
    "1": "a black and white image",
}


@contextmanager
def opened(path: Path, kind: str) -> Iterator[Image.Image]:
    """The file as a still image, not decoded yet, for a ``with`` block.

    Args:
        path: of the file.
        kind: what it is, in messages: ``image`` or ``mask``.

    Raises:
        DataError: the file is missing, may not be read, is not an image or holds several; or what was done
            with it in the block failed, because it is damaged.
    """
    try:
        with Image.open(path) as image:
            _check_still(image, path, kind)
            yield image
    except HmsegError:
        raise
    except FileNotFoundError:
        raise DataError(
            f"{kind} {path} does not exist: check the data folder and the list naming it"
        ) from None
    except IsADirectoryError:
        raise DataError(
            f"{kind} {path} is a folder, a file was expected: remove it or restore the file"
        ) from None
    except PermissionError:
        raise DataError(f"{kind} {path} may not be read: change its permissions") from None
    except UnidentifiedImageError:
        raise DataError(
            f"{kind} {path} is not an image that Pillow can read: replace it by the original file"
        ) from None
    except _DECODING_ERRORS as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{kind} {path} is damaged ({reason}): replace it by the original file") from None


def _check_still(image: Image.Image, path: Path, kind: str) -> None:
    """Animations and files of several pages are refused: nothing says which frame a mask belongs to.

    In an MPO file (JPEG of some cameras) the first frame is the photo and the others are views of it.
    """
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise DataError(
            f"{kind} {path} has {frames} frames ({image.format}), a still image was expected: save the frame "
            "that belongs to the data as a file of its own"
        )


@cache
def _decodes_as_pillow() -> bool:
    """Does torchvision's JPEG decoder give Pillow's pixels on this machine?

    It does where both are built with libjpeg-turbo, as their published wheels are; that is tried out on small
    images of every usual kind rather than trusted.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    noise = Image.fromarray(pixels)
    for image in (noise, noise.resize((53, 37), Image.Resampling.BICUBIC, box=(0, 0, 13, 9))):
        for subsampling, progressive, quality in product((0, 1, 2), (False, True), (60, 95)):
            buffer = BytesIO()
            image.save(buffer, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
            decoded = _torchvision_decode(np.frombuffer(buffer.getvalue(), np.uint8).copy())
            if decoded is None or not np.array_equal(decoded, np.array(Image.open(buffer))):
                return False
    return True


def _torchvision_decode(data: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """(H, W, channels) of the bytes of a JPEG file; None where torchvision cannot decode them."""
    try:
        decoded: NDArray[np.uint8] = decode_jpeg(torch.from_numpy(data)).permute(1, 2, 0).numpy()
    except (RuntimeError, AttributeError):  # a damaged file; a torchvision without its image library
        return None
    return decoded


def _fast_jpeg(path: Path, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """Pillow's pixels in half the time; None where only Pillow can say what they are."""
    if not _decodes_as_pillow():
        return None
    pixels = _torchvision_decode(np.fromfile(path, dtype=np.uint8))
    width, height = size
    return pixels if pixels is not None and pixels.shape == (height, width, 3) else None


def read_image(path: Path) -> NDArray[np.uint8]:
    """Reads a photo as RGB, to the bit as Pillow does.

    The orientation that a camera may have noted (EXIF) is ignored, as in the published code: masks are drawn
    on the pixels as they are stored.

    Args:
        path: an 8-bit still image of any colour mode (grey, palette, CMYK, ... are converted).

    Returns:
        (H, W, 3) uint8, writable and owned by the caller.

    Raises:
        DataError: the file is missing, truncated, animated, not an image, or has more than 8 bits a channel.
    """
    with opened(path, "image") as image:
        if image.mode.startswith(("I", "F")):  # Pillow would clip these to white
            raise DataError(
                f"image {path} has 16 or 32 bits per pixel, 8 were expected: convert it to 8-bit RGB"
            )
        if image.format == "JPEG" and image.mode == "RGB":
            pixels = _fast_jpeg(path, image.size)
            if pixels is not None:
                return pixels
        return np.array(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)


def read_label_map(path: Path) -> NDArray[np.uint8]:
    """Reads a mask whose pixels are class numbers.

    Args:
        path: an 8-bit palette or grey image file; of a palette the indices count, not the colours.

    Returns:
        (H, W) uint8, writable and owned by the caller.

    Raises:
        DataError: the file is missing, truncated, not an image, animated, or not one byte of class number per
            pixel.
    """
    with opened(path, "mask") as image:
        if image.mode not in ("P", "L"):
            sixteen = image.mode.startswith(("I", "F"))
            kind = _MASK_KINDS.get(image.mode, "another kind")
            came = "an image of 16 or 32 bits per pixel" if sixteen else kind
            raise DataError(
                f"mask {path} is {came} (mode {image.mode}), an 8-bit palette or grey image of class numbers "
                "was expected: convert colours or 16-bit values to class numbers"
            )
        return np.array(image, dtype=np.uint8)


def check_same_size(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], image_path: Path, mask_path: Path
) -> None:
    """Raises DataError unless the (H, W) mask has the height and width of the (H, W, 3) image."""
    if image.shape[:2] != mask.shape:
        height, width = mask.shape
        raise DataError(
            f"mask {mask_path} is {width}x{height} pixels, {image.shape[1]}x{image.shape[0]} were expected, "
            f"the size of {image_path}: replace one of them so that they belong together"
        )
