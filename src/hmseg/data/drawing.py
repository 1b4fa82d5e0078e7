"""Pure drawing functions of the ``shapes`` data set: coverage of polygons, textures, backgrounds, colours.

Geometry is in relative units (the image is the square from 0 to 1), so that a scene looks the same at every
image size. Images under construction are float32 RGB between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_OVERSAMPLING = 4  # coverage of a pixel from 4 x 4 points: edges in 17 steps
_FIXED_POINT = 4  # cv2.fillPoly takes integers with this many fractional bits
_LUMA = np.array([0.299, 0.587, 0.114])


class Patch(NamedTuple):
    """Coverage of one polygon over its bounding box.

    Attributes:
        box: rows and columns of the image that it covers.
        alpha: (h, w) float32 in [0, 1], the covered part of each pixel.
    """

    box: tuple[slice, slice]
    alpha: Floats


def cover(contours: tuple[NDArray[np.float64], ...], size: int, margin: int = 2) -> Patch:
    """Anti-aliased coverage of a polygon, holes included (even-odd rule).

    Args:
        contours: (N, 2) x, y of each contour in relative units; may reach outside the image.
        size: side of the image, pixels.
        margin: pixels added around the bounding box, clipped at the border.

    Example:
        >>> square = np.array([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]])
        >>> patch = cover((square,), 40)
        >>> patch.box, bool((patch.alpha > 0.5).sum() == 400)
        ((slice(8, 32, None), slice(8, 32, None)), True)
    """
    every = np.concatenate(contours) * size
    low = np.clip(np.floor(every.min(axis=0)).astype(int) - margin, 0, size)
    high = np.clip(np.ceil(every.max(axis=0)).astype(int) + margin, low, size)
    width, height = (high - low).tolist()
    box = (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
    if width == 0 or height == 0:
        return Patch(box, np.zeros((height, width), np.float32))
    fine = np.zeros((height * _OVERSAMPLING, width * _OVERSAMPLING), np.uint8)
    unit = 1 << _FIXED_POINT
    corners = [((c * size - low) * _OVERSAMPLING - 0.5) * unit for c in contours]
    # Not LINE_AA: it widens what it fills by up to a pixel, which small objects would feel.
    cv2.fillPoly(fine, [np.round(c).astype(np.int32) for c in corners], (255,), shift=_FIXED_POINT)
    coarse = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    return Patch(box, np.asarray(coarse / np.float32(255), np.float32))


def grid(box: tuple[slice, slice], size: int) -> tuple[Floats, Floats]:
    """Relative x (1, w) and y (h, 1) of the pixel centres of a box."""
    rows, columns = ((np.arange(s.start, s.stop) + 0.5) / size for s in box)
    return columns.astype(np.float32)[None, :], rows.astype(np.float32)[:, None]


def _edge(wave: Floats, gain: float = 2.5) -> Floats:
    """Turns a wave between -1 and 1 into bands between 0 and 1 with soft edges."""
    return np.asarray(np.clip(0.5 + gain * wave, 0, 1), np.float32)


def _stripes(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    return _edge(np.sin(2 * np.pi * u))


def _dots(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    return _edge(np.cos(2 * np.pi * u) + np.cos(2 * np.pi * v) - 0.35, 1.5)


def _checks(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    return _edge(np.sin(np.pi * u) * np.sin(np.pi * v), 4.0)


def _grain(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    speckle = rng.random((64, 64), dtype=np.float32)
    x, y = u * 3.5 + 32, v * 3.5 + 32
    blurred = cv2.remap(speckle, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return _edge(np.asarray(blurred, np.float32) - 0.5, 3.0)


def _gradient(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    return _edge(v, 0.28)


def _rings(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    return _edge(np.cos(2 * np.pi * np.hypot(u, v)))


def _plain(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    return np.zeros_like(u)


def _hatch(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    lines = np.maximum(np.cos(np.pi * 1.3 * (u + v)), np.cos(np.pi * 1.3 * (u - v)))
    return _edge(lines - 0.8, 3.0)


def _chevrons(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    bend = np.abs((u * 0.5) % 1 - 0.5) * 2
    return _edge(np.sin(2 * np.pi * (v * 0.8 + bend)))


def _rays(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    return _edge(np.sin(10 * np.arctan2(v, u)))


TEXTURES: dict[str, Callable[[Floats, Floats, np.random.Generator], Floats]] = {
    "striped": _stripes, "dotted": _dots, "checked": _checks, "grainy": _grain, "shaded": _gradient,
    "ringed": _rings, "plain": _plain, "hatched": _hatch, "chevron": _chevrons, "rayed": _rays,
}  # fmt: skip


def texture(family: str, u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    """Mixing weight of an object's second colour, (h, w) in [0, 1].

    Args:
        family: a key of ``TEXTURES``.
        u: (h, w) first coordinate in the object's own frame, in periods of the pattern.
        v: (h, w) second coordinate.
        rng: for the families that have chance in them.

    Example:
        >>> u, v = np.meshgrid(np.linspace(0, 2, 5, dtype=np.float32), np.zeros(1, np.float32))
        >>> texture("striped", u + 0.25, v, np.random.default_rng(0)).tolist()
        [[1.0, 0.0, 1.0, 0.0, 1.0]]
    """
    return TEXTURES[family](u, v, rng)


def background(size: int, colours: NDArray[np.float64], rng: np.random.Generator) -> Floats:
    """A ground to place objects on: flat, a gradient, clouds, or a weak texture; (size, size, 3).

    Args:
        size: side, pixels.
        colours: (2, 3) RGB in [0, 1] that it mixes.
        rng: kind and form are drawn from it.
    """
    kind = rng.choice(["flat", "gradient", "clouds", "texture"], p=[0.15, 0.25, 0.35, 0.25])
    x, y = grid((slice(0, size), slice(0, size)), size)
    angle, period = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.2)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    u: Floats = np.asarray((x - 0.5) * cos + (y - 0.5) * sin, np.float32)
    v: Floats = np.asarray((y - 0.5) * cos - (x - 0.5) * sin, np.float32)
    base, other = colours.astype(np.float32)
    if kind == "flat":
        weight = np.zeros((size, size), np.float32)
    elif kind == "gradient":
        weight = _edge(u, 1.0)
    elif kind == "clouds":
        coarse = rng.random((5, 5), dtype=np.float32)
        weight = np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)
    else:
        u, v = np.divide(u, period, dtype=np.float32), np.divide(v, period, dtype=np.float32)
        family = str(rng.choice(sorted(TEXTURES)))
        weight = 0.45 * texture(family, u, v, rng)
    return np.asarray(base + weight[..., None] * (other - base), np.float32)


def pick_colour(rng: np.random.Generator, away: NDArray[np.float64], distance: float) -> NDArray[np.float64]:
    """A random RGB colour whose brightness is off by ``distance`` from every row of ``away``, if it can be.

    Args:
        rng: eight candidates are drawn, the first far enough is taken, else the farthest.
        away: (N, 3) RGB in [0, 1].
        distance: of luma, in [0, 1].
    """
    candidates = rng.random((8, 3))
    gaps = np.abs((candidates @ _LUMA)[:, None] - (away @ _LUMA)[None, :]).min(axis=1)
    far = np.flatnonzero(gaps >= distance)
    return np.asarray(candidates[far[0] if far.size else gaps.argmax()])
