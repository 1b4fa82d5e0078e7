"""Photos with masks drawn on them, as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 240
"""Longer side of a picture in pixels."""
QUALITY = 80
_TINT = 0.45
Mask = NDArray[np.bool_]


def with_mask(
    image: NDArray[np.uint8], mask: Mask, colour: str, void: Mask | None = None
) -> NDArray[np.uint8]:
    """The photo paler outside a mask, tinted inside it and with its outline.

    Args:
        image: (H, W, 3).
        mask: (H, W).
        colour: ``#rrggbb``.
        void: (H, W), pixels that don't count; shown grey.

    Returns:
        (H, W, 3), a copy.
    """
    tint = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)], dtype=np.float64)
    grey = image.mean(axis=2, keepdims=True)
    shown = 0.35 * image + 0.45 * grey + 40.0  # outside: half its colour gone
    shown = np.where(mask[..., None], (1 - _TINT) * image + _TINT * tint, shown)
    shown = np.where(outline(mask)[..., None], tint, shown)
    if void is not None:
        shown = np.where(void[..., None], 128.0, shown)
    return shown.clip(0, 255).astype(np.uint8)


def outline(mask: Mask) -> Mask:
    """The mask's pixels that touch, within two pixels, one outside it.

    Example:
        >>> outline(np.ones((7, 7), dtype=bool)).sum()
        np.int64(0)
    """
    inside = mask.copy()
    for _ in range(2):
        padded = np.pad(inside, 1, mode="edge")
        inside = inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside


def data_uri(image: NDArray[np.uint8]) -> str:
    """A picture as JPEG in a data URI, at most ``SIDE`` pixels on its longer side."""
    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
