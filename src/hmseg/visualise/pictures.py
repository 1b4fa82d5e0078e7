"""Pictures of masks and of feature maps, as arrays of pixels; without PyTorch and without figures."""

from __future__ import annotations

from functools import cache

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap
from numpy.typing import NDArray

from hmseg.visualise.style import COLOURS

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

HEAT = "magma"
"""Matplotlib's name of the colours of activations and correlations: black is nothing."""
_TINT = 0.45


def with_mask(image: Pixels, mask: Mask, colour: str, void: Mask | None = None) -> Pixels:
    """The photo paler outside a mask, tinted inside it and with its outline.

    Args:
        image: (H, W, 3).
        mask: (H, W).
        colour: ``#rrggbb``.
        void: (H, W), pixels that don't count; shown grey.

    Returns:
        (H, W, 3), a copy.
    """
    tint = rgb(colour)
    grey = image.mean(axis=2, keepdims=True)
    shown = 0.35 * image + 0.45 * grey + 40.0  # outside: half its colour gone
    shown = np.where(mask[..., None], (1 - _TINT) * image + _TINT * tint, shown)
    shown = np.where(outline(mask)[..., None], tint, shown)
    if void is not None:
        shown = np.where(void[..., None], 128.0, shown)
    return shown.clip(0, 255).astype(np.uint8)


def outline(mask: Mask, width: int = 2) -> Mask:
    """The mask's pixels that touch, within ``width`` pixels, one outside it.

    Example:
        >>> outline(np.ones((7, 7), dtype=bool)).sum()
        np.int64(0)
    """
    inside = mask.copy()
    for _ in range(width):
        padded = np.pad(inside, 1, mode="edge")
        inside = inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside


def outlined(picture: Pixels, mask: Mask, colour: str = "#ffffff", width: int = 1) -> Pixels:
    """A copy with the mask's outline drawn on it."""
    return np.where(outline(mask, width)[..., None], rgb(colour).astype(np.uint8), picture)


def rgb(colour: str) -> NDArray[np.float64]:
    """Red, green and blue (3,), 0 to 255, of ``#rrggbb``.

    Example:
        >>> rgb("#ff8000").tolist()
        [255.0, 128.0, 0.0]
    """
    return np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)], dtype=np.float64)


def enlarged(values: Floats, size: tuple[int, int], smooth: bool = True) -> Floats:
    """A feature plane at an image's size; its corner positions lie on the image's corner pixels.

    That is where the networks put them: ``interpolate(mode="bilinear", align_corners=True)``.

    Args:
        values: (h, w).
        size: height and width of the image.
        smooth: bilinear; else each pixel has the nearest position's value, so that positions can be seen.

    Returns:
        (height, width) float32.

    Example:
        >>> enlarged(np.array([[0.0, 1.0]], dtype=np.float32), (1, 5)).tolist()
        [[0.0, 0.25, 0.5, 0.75, 1.0]]
    """
    places = [np.linspace(0, here - 1, there) for here, there in zip(values.shape, size, strict=True)]
    if not smooth:
        rows, columns = (np.rint(each).astype(np.int64) for each in places)
        return values[rows][:, columns].astype(np.float32)
    lines = _between(values.astype(np.float64), places[0])
    return _between(lines.T, places[1]).T.astype(np.float32)


def _between(values: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows at fractional places."""
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, len(values) - 1)
    share = (places - below)[:, None]
    return values[below] * (1 - share) + values[above] * share


def heat(values: Floats, most: float) -> Pixels:
    """Colours of values from 0 (black) to ``most`` (nearly white) and beyond.

    Args:
        values: any shape.
        most: above 0.

    Returns:
        (*shape, 3).

    Example:
        >>> heat(np.array([0.0, 2.0], dtype=np.float32), most=2.0).tolist()
        [[0, 0, 3], [251, 252, 191]]
    """
    return _coloured(matplotlib.colormaps[HEAT], values / max(most, 1e-12))


def shares(values: Floats) -> Pixels:
    """Colours of shares: 0 is feature masking's blue, 1 input masking's orange.

    Args:
        values: any shape, in [0, 1].

    Returns:
        (*shape, 3).
    """
    return _coloured(share_colours(), values)


@cache
def share_colours() -> LinearSegmentedColormap:
    """The colours of `shares`."""
    return LinearSegmentedColormap.from_list("shares", [COLOURS["feature"], "#eeebe4", COLOURS["input"]])


def _coloured(colours: Colormap, values: Floats) -> Pixels:
    pixels: Pixels = colours(values.clip(0, 1), bytes=True)[..., :3]  # integers would be places in the list
    return pixels


def over_photo(photo: Pixels, values: Floats, most: float) -> Pixels:
    """Heat over a grey photo: where the value is 0 the photo is left, at ``most`` and above only the heat.

    Args:
        photo: (H, W, 3).
        values: (h, w) of any plane, at least 0; see `enlarged`.
        most: above 0.

    Returns:
        (H, W, 3).
    """
    large = enlarged(values, (photo.shape[0], photo.shape[1]))
    share = (large / max(most, 1e-12)).clip(0, 1)[..., None] ** 0.7  # weak ones are to be seen, too
    grey = 0.75 * photo.mean(axis=2, keepdims=True)
    shown: Pixels = ((1 - share) * grey + share * heat(large, most)).astype(np.uint8)
    return shown


def filled_over_photo(photo: Pixels, filled: Floats) -> Pixels:
    """`shares` over a grey photo, each position one rectangle; pale where everything is filled.

    Args:
        photo: (H, W, 3).
        filled: (h, w) of any plane, in [0, 1].

    Returns:
        (H, W, 3).
    """
    large = enlarged(filled, (photo.shape[0], photo.shape[1]), smooth=False)
    strength = np.where(large[..., None] < 1, 0.9, 0.3)
    grey = 0.6 * photo.mean(axis=2, keepdims=True) + 60.0
    shown: Pixels = ((1 - strength) * grey + strength * shares(large)).clip(0, 255).astype(np.uint8)
    return shown
