"""Paints planned scenes of the ``shapes`` data set: image, class of every pixel, void borders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hmseg.data.drawing import Floats, Patch, background, cover, grid, texture
from hmseg.data.shapes_plan import CLUTTER, Part, Plan

MIN_VISIBLE = 0.4
"""Part of the main class's pixels that occluders leave visible, at least."""

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


class Scene(NamedTuple):
    """A rendered scene.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) int16, class of each pixel, -1 where there is none.
        void: (H, W) bool, the one-pixel border around objects, which evaluation leaves out.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int16]
    void: NDArray[np.bool_]


def min_pixels(size: int) -> int:
    """Fewest visible pixels of the main class in a scene: 24 at 160 pixels, never below 6.

    Example:
        >>> min_pixels(32), min_pixels(160), min_pixels(320)
        (6, 24, 96)
    """
    return max(6, round(24 * (size / 160) ** 2))


class _Canvas:
    """Class and void border of each pixel, kept up while parts are laid on each other."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.labels = np.full((size, size), CLUTTER, np.int16)
        self.void = np.zeros((size, size), np.bool_)
        self.layers: list[tuple[Part, Patch]] = []

    def lay(self, part: Part) -> None:
        """Puts ``part`` on top; pixels are its own where it covers more than half."""
        patch = cover(part.placed(), self.size)
        labels, void = self.labels[patch.box], self.void[patch.box]
        inside = patch.alpha > 0.5
        if inside.any():
            labels[inside] = part.label
            void[inside] = False
            if part.label != CLUTTER:
                # The border lies outside the front object: small and thin objects keep all their pixels.
                void[_dilate(inside) & ~inside] = True
        self.layers.append((part, patch))

    def fork(self) -> _Canvas:
        """A copy to try a part on."""
        other = _Canvas.__new__(_Canvas)
        other.size, other.labels, other.void = self.size, self.labels.copy(), self.void.copy()
        other.layers = list(self.layers)
        return other

    def borders(self) -> NDArray[np.bool_]:
        """The void borders: between objects as they were laid, on the ground next to what is visible.

        The ground is gone over again because clutter may have hidden an object but not its border, and
        has an edge of its own where it hides a part of one.
        """
        objects = self.labels != CLUTTER
        return np.asarray(np.where(objects, self.void, _dilate(objects)))

    def visible(self, label: int) -> int:
        """Pixels of a class, void border left out."""
        return int(np.count_nonzero((self.labels == label) & ~self.void))


def _dilate(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(cv2.dilate(mask.view(np.uint8), _CROSS), np.uint8).view(np.bool_)


def _lay_behind(plan: Plan, size: int) -> _Canvas:
    canvas = _Canvas(size)
    for part in plan.behind:
        canvas.lay(part)
    return canvas


def _compose(plan: Plan, size: int) -> _Canvas:
    """Lays all parts; an occluder that would hide too much moves on, and is left out after its last place."""
    back, floor = _lay_behind(plan, size), min_pixels(size)
    # Growing is for tiny images, where a thin object may cover half of no pixel.
    for factor in (1.0, 1.4, 2.0, 2.8, 4.0):
        canvas = back.fork()
        for part in plan.mains:
            canvas.lay(part.grown(factor))
        whole = canvas.visible(plan.label)
        if whole >= floor:
            break
    for places in plan.occluders:
        for part in places:
            trial = canvas.fork()
            trial.lay(part)
            if trial.visible(plan.label) >= max(MIN_VISIBLE * whole, floor):
                canvas = trial
                break
    return canvas


def _colour(part: Part, patch: Patch, size: int) -> Floats:
    """(h, w, 3) colours of a part over its patch, textured and shaded in its own frame."""
    x, y = grid(patch.box, size)
    dx, dy = x - float(part.centre[0]), y - float(part.centre[1])
    # In periods of the texture; Python floats, which leave float32 arrays as they are.
    (a, b), (c, d) = np.linalg.inv(part.matrix * part.period).tolist()
    u, v = a * dx + b * dy, c * dx + d * dy
    weight = texture(part.texture, u, v, np.random.default_rng(part.seed))
    base, other = part.colours.astype(np.float32)
    shade_u, shade_v = (part.shade * part.period).tolist()
    light = 1 + shade_u * u + shade_v * v
    return np.asarray((base + weight[..., None] * (other - base)) * light[..., None], np.float32)


def _cast_shadow(image: Floats, part: Part, patch: Patch) -> None:
    """Darkens the surroundings of a part, to the lower right and blurred."""
    size = image.shape[0]
    side = np.sqrt(abs(float(np.linalg.det(part.matrix)))) * size
    shift = max(1, round(0.08 * side))
    rows, columns = (slice(min(s.start + shift, size), min(s.stop + shift, size)) for s in patch.box)
    alpha = patch.alpha[: rows.stop - rows.start, : columns.stop - columns.start]
    if alpha.size:
        soft = np.asarray(cv2.blur(alpha, (shift | 1, shift | 1), borderType=cv2.BORDER_CONSTANT), np.float32)
        image[rows, columns] *= (1 - part.shadow * soft)[..., None]


def _paint(image: Floats, layers: Sequence[tuple[Part, Patch]]) -> None:
    for part, patch in layers:
        if not patch.alpha.any():
            continue
        if part.shadow:
            _cast_shadow(image, part, patch)
        area = image[patch.box]
        area += patch.alpha[..., None] * (_colour(part, patch, image.shape[0]) - area)


def _light(image: Floats, difficulty: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light that falls off across the scene, exposure, contrast and sensor noise; then bytes."""
    size = image.shape[0]
    gain, across, down = rng.uniform((0.8, -0.35, -0.35), (1.15, 0.35, 0.35)).tolist()
    contrast = rng.uniform(1 - 0.5 * difficulty, 1.0)
    sigma = rng.uniform(0.005, 0.012 + 0.06 * difficulty)
    x, y = grid((slice(0, size), slice(0, size)), size)
    slope = gain + across * (x - 0.5) + down * (y - 0.5)
    lit = image * (255 * contrast * slope)[..., None]
    lit += rng.standard_normal(lit.shape, dtype=np.float32) * (255 * sigma)
    lit += 255 * 0.5 * (1 - contrast) + 0.5
    return np.asarray(np.clip(lit, 0, 255, out=lit), np.uint8)


def render(plan: Plan, size: int, difficulty: float, rng: np.random.Generator) -> Scene:
    """Draws ``plan`` at ``size`` x ``size`` pixels.

    Args:
        plan: from ``Planner.plan``.
        size: side of the image, pixels.
        difficulty: in [0, 1], of noise and contrast.
        rng: generator of background, light and noise.
    """
    canvas = _compose(plan, size)
    image = background(size, plan.ground, rng)
    _paint(image, canvas.layers)
    return Scene(_light(image, difficulty, rng), canvas.labels, canvas.borders())
