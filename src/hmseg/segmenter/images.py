"""A user's image, however it comes, as RGB bytes."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hmseg.data.displayed import Photo
from hmseg.data.opening import Still
from hmseg.data.reading import photo_of, read_photo
from hmseg.errors import DataError

ImageLike = str | PathLike[str] | Image.Image | NDArray[np.generic] | Tensor
"""A file, a PIL image, an array (H, W, 3) or (H, W), or a tensor (3, H, W) or (1, H, W)."""

Pixels = NDArray[np.uint8]


def to_pixels(image: ImageLike, what: str = "image") -> Pixels:
    """The image as (H, W, 3) uint8 RGB, as it is displayed.

    Files and PIL images are turned upright as their EXIF orientation says, as viewers and most annotation
    tools show them; more than 8 bits a channel become 8 (:func:`hmseg.data.displayed.eight_bits`).
    Arrays have their channels last, tensors first; numbers are bytes 0 to 255, or floating point in [0, 1].
    Grey becomes RGB, transparency is dropped. Arrays of OpenCV are BGR: turn them round first.

    Args:
        image: see ``ImageLike``.
        what: what it is, for messages.

    Raises:
        DataError: a file that can't be read, NaN, numbers out of range, another shape or type.

    Example:
        >>> to_pixels(np.full((2, 3), 0.5)).shape, to_pixels(torch.ones(3, 4, 5)).max()
        ((2, 3, 3), np.uint8(255))
    """
    return to_photo(image, what).pixels


def to_photo(image: ImageLike, what: str = "image") -> Photo:
    """As :func:`to_pixels`, with the orientation in which the pixels were stored. Raises DataError."""
    if isinstance(image, str | PathLike):
        return read_photo(Path(image).expanduser())
    if isinstance(image, Image.Image):
        return photo_of(Still(image, what))
    if isinstance(image, Tensor):
        return Photo(_from_channels_last(_tensor_to_array(image, what), what))
    if isinstance(image, np.ndarray):
        return Photo(_from_channels_last(image, what))
    raise DataError(
        f"{what}: got {type(image).__name__}, expected a path, a PIL image, an array (H, W, 3) or a tensor "
        "(3, H, W)"
    )


def _tensor_to_array(image: Tensor, what: str) -> NDArray[np.generic]:
    """(C, H, W) or (H, W) as an array with its channels last."""
    if image.ndim == 3 and image.shape[0] not in (1, 3, 4):
        raise DataError(
            f"{what}: a tensor of shape {tuple(image.shape)} came, (3, H, W) was expected, channels first: "
            "permute it, or give an array (H, W, 3)"
        )
    if image.ndim == 3:
        image = image.permute(1, 2, 0)
    plain = image.detach().cpu()
    if plain.dtype in (torch.bfloat16, torch.float16):
        plain = plain.float()
    array: NDArray[np.generic] = plain.numpy()
    return array


def _from_channels_last(array: NDArray[np.generic], what: str) -> Pixels:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or array.size == 0:
        raise DataError(
            f"{what}: an array of shape {array.shape} came, one image (H, W, 3) or (H, W) was expected"
        )
    array = _bytes(array[..., :3], what)
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)), dtype=np.uint8).copy()


def _bytes(array: NDArray[np.generic], what: str) -> NDArray[np.generic]:
    """Numbers as bytes, after a look at their range."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "iuf":
        raise DataError(f"{what}: numbers were expected, got {array.dtype}")
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():  # NaN and infinity reach the extremes
        raise DataError(f"{what} holds NaN or infinity: an image has numbers in [0, 1], or bytes")
    most = 1 if array.dtype.kind == "f" else 255
    if low < 0 or high > most:
        raise DataError(
            f"{what} holds numbers from {low:g} to {high:g} ({array.dtype}), 0 to {most} were expected: give "
            "bytes 0 to 255, or floating point in [0, 1], before any normalisation"
        )
    scaled: NDArray[np.generic] = np.rint(array.astype(np.float32) * (255 / most)).astype(np.uint8)
    return scaled
