"""A user's annotation, however it comes, as a mask of the image's size."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hmseg.annotations.outlines import Outline
from hmseg.data.binary import THRESHOLD, object_pixels
from hmseg.data.reading import opened
from hmseg.errors import DataError, first_line

Mask = NDArray[np.bool_]
MaskLike = str | PathLike[str] | Image.Image | NDArray[np.generic] | Tensor | Outline | Sequence[Outline]
"""A PNG file, a PIL image, an array or a tensor (H, W), a box, polygon or scribble, or several of these."""


def to_mask(mask: MaskLike, size: tuple[int, int], what: str = "mask") -> Mask:
    """The annotation as (H, W) bool, true on the object.

    In files and PIL images the object is what a data set of one's own has as such
    (:func:`hmseg.data.binary.read_object_mask`): of a palette every index but 0, of grey and colours 128 and
    more, or 1 where there are 0 and 1 only; what is transparent is not. In arrays of whole numbers it is all
    that is not 0, in floating-point ones, which lie in [0, 1], what is above one half.

    Args:
        mask: see ``MaskLike``.
        size: height and width of its image.
        what: what it is, for messages.

    Raises:
        DataError: a file that can't be read, another size than the image's, no pixel of the object, NaN.

    Example:
        >>> from hmseg.segmenter import Box
        >>> to_mask(Box(1, 0, 3, 1), (2, 4)).astype(int).tolist()
        [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    if isinstance(mask, str | PathLike):
        what = f"mask {Path(mask)}"
        found = _read(Path(mask).expanduser())
    elif isinstance(mask, Image.Image):
        found = _from_pil(mask, what)
    elif isinstance(mask, Tensor):
        plain = mask.detach().cpu()
        found = _from_array((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy(), what)
    elif isinstance(mask, np.ndarray):
        found = _from_array(mask, what)
    else:
        found = _drawn(mask, size, what)
    if found.shape != size:
        raise DataError(
            f"{what} is {found.shape[1]}x{found.shape[0]} pixels, its image {size[1]}x{size[0]} (upright, as "
            "EXIF says): give a mask of the image's size"
        )
    if not found.any():
        grey = ", in grey files 128 or more, or 1" if isinstance(mask, str | PathLike | Image.Image) else ""
        raise DataError(f"{what} is empty: at least one pixel of the object was expected{grey}")
    return found


def _drawn(mask: object, size: tuple[int, int], what: str) -> Mask:
    outlines = [mask] if isinstance(mask, Outline) else mask
    if not isinstance(outlines, list | tuple) or not outlines:
        raise DataError(
            f"{what}: got {type(mask).__name__}, expected a path, a PIL image, an array or tensor (H, W), or "
            "hmseg's Box, Polygon or Scribble, or a list of these"
        )
    result = np.zeros(size, dtype=np.bool_)
    for each in outlines:
        if not isinstance(each, Outline):
            raise DataError(
                f"{what}: got a list with {type(each).__name__}: Box, Polygon and Scribble can be listed; "
                "for several images give a list of images too"
            )
        result |= each.drawn(size, what)
    return result


def _read(path: Path) -> Mask:
    with opened(path, "mask") as image:
        return _from_pil(image, f"mask {path}")


def _from_pil(image: Image.Image, what: str) -> Mask:
    try:
        found = object_pixels(image, what)
        if image.mode in ("LA", "PA", "RGBA"):
            found = np.asarray(found & (np.asarray(image.getchannel("A")) >= THRESHOLD))
    except (OSError, SyntaxError) as error:  # Pillow decodes when first asked for pixels
        raise DataError(f"{what} is damaged ({first_line(error)}): open the original file") from error
    return found


def _from_array(array: NDArray[np.generic], what: str) -> Mask:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what}: numbers were expected, got {array.dtype}")
    object_ = _above_half(array, what) if array.dtype.kind == "f" else np.asarray(array != 0)
    if object_.ndim == 3 and object_.shape[2] == 3:  # colours
        object_ = np.asarray(object_.any(axis=2))
    if object_.ndim == 3 and 1 in (object_.shape[0], object_.shape[2]):
        object_ = object_[0] if object_.shape[0] == 1 else object_[..., 0]
    if object_.ndim != 2:
        raise DataError(f"{what}: an array of shape {array.shape} came, (height, width) was expected")
    return object_


def _above_half(array: NDArray[np.generic], what: str) -> Mask:
    numbers = array.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise DataError(f"{what} holds NaN or infinity: numbers in [0, 1] were expected")
    if numbers.size and (numbers.min() < 0 or numbers.max() > 1):
        raise DataError(
            f"{what} holds numbers from {numbers.min():g} to {numbers.max():g}: floating-point masks lie in "
            "[0, 1]; for others give a condition, e.g. mask > 0"
        )
    return np.asarray(numbers > 0.5)
