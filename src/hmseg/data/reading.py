"""Reads photos and label maps: of the published benchmarks as they are stored, of one's own as displayed."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.io import decode_jpeg

from hmseg.data.displayed import Photo, eight_bits
from hmseg.data.opening import Still, open_file, turned
from hmseg.errors import DataError

Pixels = NDArray[np.uint8]

_MASK_KINDS = {
    "RGB": "a colour image",
    "RGBA": "a colour image",
    "LA": "a grey image with transparency",
    "1": "a black and white image",
}


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
            with Image.open(buffer, formats=("JPEG",)) as again:
                if decoded is None or not np.array_equal(decoded, np.array(again)):
                    return False
    return True


def _torchvision_decode(data: NDArray[np.uint8]) -> Pixels | None:
    """(H, W, channels) of the bytes of a JPEG file; None where torchvision cannot decode them."""
    try:
        decoded: Pixels = decode_jpeg(torch.from_numpy(data)).permute(1, 2, 0).numpy()
    except (RuntimeError, AttributeError):  # a damaged file; a torchvision without its image library
        return None
    return decoded


def _fast_jpeg(still: Still) -> Pixels | None:
    """Pillow's pixels in half the time; None where only Pillow can say what they are."""
    if still.content is None or still.image.format != "JPEG" or still.image.mode != "RGB":
        return None
    if not _decodes_as_pillow():
        return None
    pixels = _torchvision_decode(np.frombuffer(bytearray(still.content), np.uint8))
    width, height = still.image.size
    return pixels if pixels is not None and pixels.shape == (height, width, 3) else None


def _rgb(still: Still) -> Pixels:
    """(H, W, 3) of 8 bits a channel, as stored."""
    if (fast := _fast_jpeg(still)) is not None:
        return fast
    image = still.decoded()
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB, Pillow warns
    return np.array(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)


def read_image(path: Path) -> Pixels:
    """Reads a photo of a published benchmark as RGB, to the bit as Pillow does.

    The orientation that a camera may have noted (EXIF) is ignored, as in the published code: masks are drawn
    on the pixels as they are stored. For one's own photos see :func:`read_photo`.

    Args:
        path: an 8-bit still image of any colour mode (grey, palette, CMYK, ... are converted).

    Returns:
        (H, W, 3) uint8, writable and owned by the caller.

    Raises:
        DataError: the file is missing, truncated, animated, not an image, or has more than 8 bits a channel.
    """
    still = open_file(path, "image")
    if still.deep:  # Pillow would clip these to white
        raise DataError(f"image {path} has 16 or 32 bits per pixel, 8 were expected: convert it to 8-bit RGB")
    return _rgb(still)


def read_photo(path: Path) -> Photo:
    """Reads a photo of one's own as it is displayed: upright, 8 bits a channel.

    Args:
        path: a still image of `hmseg.data.opening.FORMATS`; of more bits see
            :func:`hmseg.data.displayed.eight_bits`.

    Raises:
        DataError: the file is missing, truncated, animated, too large, or not an image.
    """
    return photo_of(open_file(path, "image"))


def photo_of(still: Still) -> Photo:
    """As :func:`read_photo`, of an image that is open; the pixels are owned by the caller."""
    pixels = eight_bits(still.deep_pixels(), still.what) if still.deep else _rgb(still)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    upright = turned(pixels, still.left_to_turn).astype(np.uint8, copy=False)
    return Photo(upright, still.orientation)


def read_label_map(path: Path) -> NDArray[np.uint8]:
    """Reads a mask whose pixels are class numbers, as they are stored.

    Args:
        path: an 8-bit palette or grey image file; of a palette the indices count, not the colours.

    Returns:
        (H, W) uint8, writable and owned by the caller.

    Raises:
        DataError: the file is missing, truncated, not an image, animated, or not one byte of class number per
            pixel.
    """
    still = open_file(path, "mask")
    mode = still.image.mode
    if mode not in ("P", "L"):
        sixteen = mode.startswith(("I", "F"))
        kind = _MASK_KINDS.get(mode, "another kind")
        came = "an image of 16 or 32 bits per pixel" if sixteen else kind
        raise DataError(
            f"mask {path} is {came} (mode {mode}), an 8-bit palette or grey image of class numbers "
            "was expected: convert colours or 16-bit values to class numbers"
        )
    return np.array(still.decoded(), dtype=np.uint8)


def check_same_size(image: Pixels, mask: NDArray[np.uint8], image_path: Path, mask_path: Path) -> None:
    """Raises DataError unless the (H, W) mask has the height and width of the (H, W, 3) image."""
    if image.shape[:2] != mask.shape:
        height, width = mask.shape
        raise DataError(
            f"mask {mask_path} is {width}x{height} pixels, {image.shape[1]}x{image.shape[0]} were expected, "
            f"the size of {image_path}: replace one of them so that they belong together"
        )
