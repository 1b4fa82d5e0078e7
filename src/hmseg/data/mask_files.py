"""The one place where a user's mask files are read, by data set, `predict`, `Segmenter` and page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from hmseg.data.displayed import as_bools, eight_bits
from hmseg.data.mask_meaning import MaskPixels, ObjectMask, Reading, meaning
from hmseg.data.opening import Still, open_file, turned

SETTING = "dataset.mask"


def read_object_mask(path: Path, reading: Reading = "auto", setting: str = SETTING) -> ObjectMask:
    """The object in a mask file, as the file is displayed.

    Args:
        path: a still image of `hmseg.data.opening.FORMATS`, of any mode.
        reading: what its pixels mean; see :func:`hmseg.data.mask_meaning.meaning`.
        setting: that chooses the reading, for messages.

    Returns:
        (H, W) object and void; both may be empty.

    Raises:
        DataError: the file is missing or damaged, or what it means is in doubt.
    """
    return object_mask(open_file(path, "mask"), reading, setting)


def object_mask(still: Still, reading: Reading = "auto", setting: str = SETTING) -> ObjectMask:
    """As :func:`read_object_mask`, of an image that is open."""
    found = meaning(mask_pixels(still), reading, still.what, setting)
    mask, void = (as_bools(turned(each, still.left_to_turn)) for each in found)
    return ObjectMask(mask, void)


def mask_pixels(still: Still) -> MaskPixels:
    """The mask's pixels as stored: numbers, colours and transparency. Raises DataError."""
    lossy = still.image.format in ("JPEG", "MPO")
    if still.deep:
        deep = still.deep_pixels()
        if deep.ndim == 3:
            return _plain(Image.fromarray(eight_bits(deep, still.what)), lossy)
        whole = deep if deep.dtype.kind in "ui" else eight_bits(deep, still.what)
        return MaskPixels(np.asarray(whole, dtype=np.int64), lossy=lossy)
    return _plain(still.decoded(), lossy)


def _plain(image: Image.Image, lossy: bool) -> MaskPixels:
    alpha = None
    if "A" in image.getbands() or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    if image.mode in ("1", "L", "LA"):
        grey = np.asarray(image.getchannel("L") if image.mode == "LA" else image)
        return MaskPixels(grey.astype(np.uint8), None, alpha, lossy)
    numbers = np.asarray(image) if image.mode == "P" else None
    colours = np.asarray((image.convert("RGBA") if alpha is not None else image).convert("RGB"))
    return MaskPixels(numbers, colours, alpha, lossy)
