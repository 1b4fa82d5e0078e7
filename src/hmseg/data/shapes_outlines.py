"""The twenty outlines of the ``shapes`` data set: unit-area polygons, each family with its own play.

Each family is a pure function of a generator. Its contours are (N, 2) arrays of x, y; a hole runs the other
way round, so that the signed areas add up. :func:`outline` centres and scales the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Contours = tuple[NDArray[np.float64], ...]
Points = NDArray[np.float64]


def _points(*rows: tuple[float, float]) -> Points:
    return np.array(rows, dtype=np.float64)


def _circle(radius: float = 1.0, x: float = 0.0, y: float = 0.0, count: int = 40) -> Points:
    return _polar(lambda angle: np.full_like(angle, radius), count) + (x, y)


def _polar(radius: Callable[[Points], Any], count: int = 120) -> Points:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.asarray(radius(angle)[:, None] * np.stack((np.cos(angle), np.sin(angle)), axis=1))


def _arc(start: float, stop: float, radius: float = 1.0, x: float = 0.0) -> Points:
    angle = np.linspace(start, stop, 40)
    return radius * np.stack((np.cos(angle), np.sin(angle)), axis=1) + (x, 0.0)


def _star(rng: np.random.Generator) -> Contours:
    radius = np.where(np.arange(10) % 2 == 0, 1.0, rng.uniform(0.38, 0.48))
    angle = np.arange(10) * (np.pi / 5) - np.pi / 2
    return (radius[:, None] * np.stack((np.cos(angle), np.sin(angle)), axis=1),)


def _ring(rng: np.random.Generator) -> Contours:
    return _circle(), _circle(rng.uniform(0.48, 0.6))[::-1]


def _cross(rng: np.random.Generator) -> Contours:
    a = rng.uniform(0.27, 0.36)
    corner = _points((a, a), (a, 1), (-a, 1))
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    return (np.concatenate([corner @ np.linalg.matrix_power(turn, k) for k in range(4)]),)


def _heart(rng: np.random.Generator) -> Contours:
    t = np.arange(80) * (2 * np.pi / 80)
    y = 13 * np.cos(t) - rng.uniform(4.5, 5.5) * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return (np.stack((16 * np.sin(t) ** 3, -y), axis=1),)


def _gear(rng: np.random.Generator) -> Contours:
    teeth, root = rng.integers(7, 10), rng.uniform(0.7, 0.78)
    rim = _polar(lambda angle: root + (1 - root) * np.clip(0.5 + 3 * np.sin(teeth * angle), 0, 1), 240)
    return rim, _circle(0.3)[::-1]


def _crescent(rng: np.random.Generator) -> Contours:
    shift, radius = rng.uniform(0.42, 0.52), 0.8
    x = (1 - radius**2 + shift**2) / (2 * shift)
    outer, inner = np.arccos(x), np.arctan2(np.sqrt(1 - x**2), x - shift)
    rim = _arc(outer, 2 * np.pi - outer)
    return (np.concatenate((rim, _arc(2 * np.pi - inner, inner, radius, shift))),)


def _triangle(rng: np.random.Generator) -> Contours:
    return (_points((-1, 0.8), (1, 0.8), (rng.uniform(-0.25, 0.25), -0.9)),)


def _arrow(rng: np.random.Generator) -> Contours:
    w, neck = rng.uniform(0.22, 0.3), rng.uniform(0.0, 0.15)
    head = [(neck, -0.75), (1.1, 0.0), (neck, 0.75)]
    return (_points((-1.1, w), (-1.1, -w), (neck, -w), *head, (neck, w)),)


def _flower(rng: np.random.Generator) -> Contours:
    core = rng.uniform(0.42, 0.52)
    return (_polar(lambda angle: core + (1 - core) * np.sqrt(np.abs(np.cos(2.5 * angle))), 200),)


def _frame(rng: np.random.Generator) -> Contours:
    square = _points((-1, -1), (1, -1), (1, 1), (-1, 1))
    return square, square[::-1] * rng.uniform(0.5, 0.6)


def _ell(rng: np.random.Generator) -> Contours:
    a, b = rng.uniform(0.5, 0.65), rng.uniform(1.2, 1.5)
    return (_points((0, 0), (a, 0), (a, 2 - a), (b, 2 - a), (b, 2), (0, 2)),)


def _drop(rng: np.random.Generator) -> Contours:
    t = np.arange(80) * (2 * np.pi / 80)
    return (np.stack((rng.uniform(0.95, 1.15) * np.sin(t) * np.sin(t / 2) ** 1.6, -np.cos(t)), axis=1),)


def _bolt(rng: np.random.Generator) -> Contours:
    s = rng.uniform(0.0, 0.12)
    half = [(0.35 + s, -1.2), (-0.6, 0.15), (-0.08, 0.15)]
    return (_points(*half, *[(-x, -y) for x, y in half]),)


def _hourglass(rng: np.random.Generator) -> Contours:
    w = rng.uniform(0.12, 0.2)
    return (_points((-0.8, -1), (0.8, -1), (w, 0), (0.8, 1), (-0.8, 1), (-w, 0)),)


def _ellipse(rng: np.random.Generator) -> Contours:
    return (_circle() * (1.0, rng.uniform(0.5, 0.62)),)


def _pentagon(rng: np.random.Generator) -> Contours:
    angle = np.arange(5) * (2 * np.pi / 5) - np.pi / 2
    return (np.stack((np.cos(angle), rng.uniform(0.9, 1.05) * np.sin(angle)), axis=1),)


def _tee(rng: np.random.Generator) -> Contours:
    w, bar = rng.uniform(0.26, 0.34), rng.uniform(-0.4, -0.3)
    return (_points((-1, -1), (1, -1), (1, bar), (w, bar), (w, 1.1), (-w, 1.1), (-w, bar), (-1, bar)),)


def _wave(rng: np.random.Generator) -> Contours:
    x, height, half = np.linspace(-1.5, 1.5, 60), rng.uniform(0.42, 0.52), rng.uniform(0.24, 0.3)
    line = np.stack((x, height * np.sin(np.pi * x)), axis=1)
    normal = np.stack((-height * np.pi * np.cos(np.pi * x), np.ones_like(x)), axis=1)
    normal *= half / np.linalg.norm(normal, axis=1, keepdims=True)
    return (np.concatenate((line - normal, (line + normal)[::-1])),)


def _wedge(rng: np.random.Generator) -> Contours:
    mouth = rng.uniform(0.6, 0.85)
    return (np.concatenate((_points((-0.05, 0)), _arc(mouth, 2 * np.pi - mouth))),)


def _quincunx(rng: np.random.Generator) -> Contours:
    radius, step = rng.uniform(0.36, 0.42), 0.92
    return tuple(_circle(radius, step * x, step * y) for x, y in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)))


FAMILIES: dict[str, Callable[[np.random.Generator], Contours]] = {
    "star": _star, "ring": _ring, "cross": _cross, "heart": _heart, "gear": _gear,
    "crescent": _crescent, "triangle": _triangle, "arrow": _arrow, "flower": _flower, "frame": _frame,
    "ell": _ell, "drop": _drop, "bolt": _bolt, "hourglass": _hourglass, "ellipse": _ellipse,
    "pentagon": _pentagon, "tee": _tee, "wave": _wave, "wedge": _wedge, "quincunx": _quincunx,
}  # fmt: skip


def area(contours: Contours) -> float:
    """Area inside ``contours`` (even-odd), by the shoelace formula.

    Example:
        >>> area((_points((0, 0), (2, 0), (2, 1), (0, 1)),))
        2.0
    """
    total = 0.0
    for contour in contours:
        (x, y), (x1, y1) = contour.T, contour[-1]
        total += float(x[:-1] @ y[1:] - y[:-1] @ x[1:] + x1 * y[0] - y1 * x[0]) / 2
    return abs(total)


def unit(contours: Contours) -> Contours:
    """Centres ``contours`` on the middle of their bounding box and scales them to area 1."""
    every = np.concatenate(contours)
    middle = (every.min(axis=0) + every.max(axis=0)) / 2
    scale = area(contours) ** -0.5
    return tuple((contour - middle) * scale for contour in contours)


def outline(family: str, rng: np.random.Generator) -> Contours:
    """One member of a family of outlines, of area 1, its bounding box centred on the origin.

    Args:
        family: a key of ``FAMILIES``.
        rng: where its proportions are drawn from.

    Example:
        >>> star = outline("star", np.random.default_rng(0))
        >>> len(star), star[0].shape, round(area(star), 6)
        (1, (10, 2), 1.0)
    """
    return unit(FAMILIES[family](rng))


def blob(rng: np.random.Generator) -> Contours:
    """A smooth nameless lump of area 1, or a bar: clutter that belongs to no class."""
    if rng.random() < 0.4:
        length = rng.uniform(1.5, 2.5)
        return unit((_points((-length, -0.5), (length, -0.5), (length, 0.5), (-length, 0.5)),))
    waves, phases = rng.uniform(-0.16, 0.16, 3), rng.uniform(0, 2 * np.pi, 3)
    orders = np.arange(2, 5)
    return unit((_polar(lambda t: 1 + np.cos(np.outer(t, orders) + phases) @ waves, 60),))
