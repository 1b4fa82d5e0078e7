"""Results as PNG pictures, made to lie over the photo, which the page has itself.

Arrays in, bytes out. Layers for the page are at most `SHOWN` pixels wide or high; what is downloaded has the
image's own size.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hmseg.visualise.pictures import enlarged, heat, shares

SHOWN = 960
"""Most pixels a side of what the page shows."""
SMOOTH = 480
"""Likewise of what has no edges: half as many are enough."""

COLOURS = ("#e4572e", "#2a78d6", "#d9a400", "#12959f", "#9657c7", "#4f9a2f", "#c5497f", "#7a5c3e")
"""Of the classes, in the order of their names' first appearance; they repeat after the last."""

KEPT, GAINED, LOST = (255, 255, 255, 105), (47, 128, 237, 215), (240, 120, 20, 215)
"""Marked by both maskings, by this one alone, by the other one alone."""

_INSIDE, _EDGE = 120, 255

Labels = NDArray[np.integer]
Floats = NDArray[np.float32]


def colour_of(index: int) -> tuple[int, int, int]:
    """The colour of the class of this index (0 is the first class) as RGB.

    Example:
        >>> colour_of(0), colour_of(len(COLOURS)) == colour_of(0)
        ((228, 87, 46), True)
    """
    code = COLOURS[index % len(COLOURS)]
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def shown_size(height: int, width: int, most: int = SHOWN) -> tuple[int, int]:
    """(height, width) of at most ``most`` pixels a side, of the same shape, never enlarged.

    Example:
        >>> shown_size(3000, 4000), shown_size(30, 40)
        ((720, 960), (30, 40))
    """
    scale = min(1.0, most / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def overlay_layer(labels: Labels) -> bytes:
    """Classes in their colours, see-through, with a firm outline.

    Args:
        labels: (H, W), 0 background, then classes.
    """
    return _saved(_coloured(_shrunk(labels), 2))


def mask_layer(labels: Labels) -> bytes:
    """Classes in their colours on black, nothing of the photo."""
    return png(_palette()[_shrunk(labels)])


def marked_layer(mask: NDArray[np.bool_]) -> bytes:
    """A mask (H, W) for the page's canvas: white and opaque on the object, transparent elsewhere."""
    small = _shrunk(mask)[..., None] * np.uint8(255)
    return png(np.repeat(small, 4, axis=2))


def change_layer(labels: Labels, other: Labels) -> bytes:
    """Where this result differs from another one: `GAINED` and `LOST`, and `KEPT` where both mark the same.

    A pixel that both mark as different classes counts as gained.
    """
    now, before = _shrunk(labels), _shrunk(other)
    layer = np.zeros((*now.shape, 4), np.uint8)
    layer[(now > 0) & (now == before)] = KEPT
    layer[(now > 0) & (now != before)] = GAINED
    layer[(now == 0) & (before > 0)] = LOST
    return png(layer)


def heat_layer(
    values: Floats, size: tuple[int, int], most: float, mask: NDArray[np.bool_] | None = None
) -> bytes:
    """Values in the colours of `hmseg.visualise.heat`, smooth as networks see them; see-through where low.

    Args:
        values: (h, w) of any plane, corners on the image's corners.
        size: (height, width) of the image; the layer has its shape.
        most: what is brightest, above 0.
        mask: (height, width); its outline is drawn, if given.
    """
    large = enlarged(values.astype(np.float32), shown_size(*size, SMOOTH))
    strength = (large / most).clip(0, 1) ** 0.7  # weak ones are to be seen, too
    layer = np.concatenate((heat(large, most), (40 + 215 * strength).astype(np.uint8)[..., None]), axis=2)
    return png(_outlined(layer, mask))


def share_layer(filled: Floats, mask: NDArray[np.bool_]) -> bytes:
    """Where hybrid masking took which, in the colours of `hmseg.visualise.shares`; paler where all is filled.

    Args:
        filled: (h, w) in [0, 1].
        mask: (height, width) of the image; the layer has its shape, and its outline.
    """
    height, width = mask.shape
    large = enlarged(filled, shown_size(height, width, SMOOTH), smooth=False)
    alpha = np.where(large < 1, 225, 85).astype(np.uint8)
    return png(_outlined(np.concatenate((shares(large), alpha[..., None]), axis=2), mask))


def mask_file(labels: Labels) -> bytes:
    """The label map as a palette PNG of its own size: indices are the classes."""
    image = Image.fromarray(labels.astype(np.uint8))
    image = image.convert("P")
    image.putpalette(_palette().flatten().tolist())
    return _saved(image)


def labels_of(file: bytes) -> NDArray[np.uint8]:
    """The label map in a file of :func:`mask_file`."""
    with Image.open(BytesIO(file), formats=("PNG",)) as image:
        return np.array(image, dtype=np.uint8)


def overlay_file(image: NDArray[np.uint8], labels: NDArray[np.uint8]) -> bytes:
    """The photo (H, W, 3) with classes (H, W) in their colours, as the page shows it, at its own size."""
    width = max(1, round(max(labels.shape) / SHOWN)) * 2
    layer = _coloured(labels, width)
    return _saved(Image.alpha_composite(Image.fromarray(image).convert("RGBA"), layer).convert("RGB"))


def png(pixels: NDArray[np.uint8]) -> bytes:
    """(H, W, 3 or 4) as a PNG file."""
    return _saved(Image.fromarray(pixels))


def _saved(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG", compress_level=4)
    return file.getvalue()


def _outlined(layer: NDArray[np.uint8], mask: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """The layer (h, w, 4) with a white line around a mask of any size."""
    if mask is not None:
        image = Image.fromarray(mask.astype(np.uint8))
        small = np.asarray(image.resize(layer.shape[1::-1], Image.Resampling.NEAREST))
        layer[_edges(small, 1)] = 255
    return layer


def _shrunk(labels: Labels | NDArray[np.bool_]) -> NDArray[np.uint8]:
    height, width = shown_size(*labels.shape)
    image = Image.fromarray(labels.astype(np.uint8))
    return np.asarray(image.resize((width, height), Image.Resampling.NEAREST))


def _coloured(labels: NDArray[np.uint8], width: int) -> Image.Image:
    """Classes (H, W) in their colours, see-through, outlines ``width`` pixels wide within them."""
    layer = np.zeros((*labels.shape, 4), np.uint8)
    layer[..., :3] = _palette()[labels]
    layer[..., 3] = np.where(labels > 0, np.where(_edges(labels, width), _EDGE, _INSIDE), 0)
    return Image.fromarray(layer)


def _edges(labels: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """Pixels of which a neighbour within ``width`` rows or columns is of another class."""
    edge = np.zeros(labels.shape, bool)
    for step in range(1, width + 1):
        for axis in (0, 1):
            ahead, behind = np.moveaxis(labels, axis, 0)[step:], np.moveaxis(labels, axis, 0)[:-step]
            differ = ahead != behind
            np.moveaxis(edge, axis, 0)[step:] |= differ
            np.moveaxis(edge, axis, 0)[:-step] |= differ
    return edge


@cache
def _palette() -> NDArray[np.uint8]:
    """(256, 3): black, then the classes' colours."""
    return np.array([(0, 0, 0), *(colour_of(index) for index in range(255))], np.uint8)
