"""Reads image and mask files, and says in one line what is wrong with those that cannot be used."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from hmseg.errors import DataError

# What Pillow raises on damaged files, by decoder: not all of it is an OSError.
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)

_MASK_KINDS = {
    "RGB": "a colour image",
    "RGBA": "a colour image",
    "LA": "a grey image with transparency",
    "1": "a black and white image",
}


def _load(path: Path, kind: str) -> Image.Image:
    """The decoded file, or a DataError that names it."""
    try:
        with Image.open(path) as image:
            image.load()
            return image
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


def read_image(path: Path) -> NDArray[np.uint8]:
    """Reads a photo as RGB.

    Args:
        path: an 8-bit image file of any colour mode (grey, palette, CMYK, ... are converted).

    Returns:
        (H, W, 3) uint8, writable and owned by the caller.

    Raises:
        DataError: the file is missing, truncated, not an image, or has more than 8 bits per channel.
    """
    image = _load(path, "image")
    if image.mode.startswith(("I", "F")):  # Pillow would clip these to white
        raise DataError(f"image {path} has 16 or 32 bits per pixel, 8 were expected: convert it to 8-bit RGB")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)


def read_label_map(path: Path) -> NDArray[np.uint8]:
    """Reads a mask whose pixels are class numbers.

    Args:
        path: an 8-bit palette or grey image file; of a palette the indices count, not the colours.

    Returns:
        (H, W) uint8, writable and owned by the caller.

    Raises:
        DataError: the file is missing, truncated, not an image, or not one byte of class number per pixel.
    """
    image = _load(path, "mask")
    if image.mode not in ("P", "L"):
        sixteen = image.mode.startswith(("I", "F"))
        came = (
            "an image of 16 or 32 bits per pixel" if sixteen else _MASK_KINDS.get(image.mode, "another kind")
        )
        raise DataError(
            f"mask {path} is {came} (mode {image.mode}), an 8-bit palette or grey image of class numbers was "
            "expected: convert colours or 16-bit values to class numbers"
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
