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

from hmseg.annotations.marked import Drawn
from hmseg.annotations.outlines import Outline
from hmseg.data.displayed import Photo, as_displayed
from hmseg.data.mask_files import object_mask, read_object_mask
from hmseg.data.mask_meaning import Reading, check_reading
from hmseg.data.opening import Still
from hmseg.errors import DataError

Mask = NDArray[np.bool_]
MaskLike = str | PathLike[str] | Image.Image | NDArray[np.generic] | Tensor | Outline | Sequence[Outline]
"""A mask file, a PIL image, an array or a tensor (H, W), a box, polygon or scribble, or several of these."""


def to_mask(
    mask: MaskLike, photo: Photo, what: str = "mask", reading: Reading = "auto", setting: str = "reading"
) -> Mask:
    """The annotation as (H, W) bool, true on the object.

    What files and PIL images mean is read as in a data set of one's own
    (:func:`hmseg.data.mask_meaning.meaning`), as they are displayed; void is not the object. In arrays of
    whole numbers it is all that is not 0, in floating-point ones, which lie in [0, 1], what is above one
    half. Boxes, polygons and scribbles are drawn on the image as it is displayed.

    Args:
        mask: see ``MaskLike``.
        photo: its image; a mask that fits only the stored pixels of it is turned with them.
        what: the mask is, for messages.
        reading: of files and PIL images.
        setting: that chooses it, for messages.

    Raises:
        DataError: a file that can't be read or whose meaning is in doubt, another size than the image's, no
            pixel of the object, NaN.

    Example:
        >>> from hmseg.segmenter import Box
        >>> to_mask(Box(1, 0, 3, 1), Photo(np.zeros((2, 4, 3), np.uint8))).astype(int).tolist()
        [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    reading = check_reading(reading, setting)
    if isinstance(mask, str | PathLike):
        what = f"mask {Path(mask)}"
        found = read_object_mask(Path(mask).expanduser(), reading, setting).object
    elif isinstance(mask, Image.Image):
        found = object_mask(Still(mask, what), reading, setting).object
    elif isinstance(mask, Tensor):
        plain = mask.detach().cpu()
        found = _from_array((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy(), what)
    elif isinstance(mask, np.ndarray):
        found = _from_array(mask, what)
    elif isinstance(mask, Drawn):
        found, what = mask.pixels, f"{mask.where}: what it marks"
    else:
        found = _drawn(mask, photo.sizes.displayed, what)
    found = as_displayed(found, photo, what)
    if not found.any():
        raise DataError(f"{what} is empty: at least one pixel of the object was expected")
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
