"""Plans scenes of the ``shapes`` data set: what stands where, in relative units, before a pixel is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hmseg.data.drawing import pick_colour
from hmseg.data.shapes_outlines import FAMILIES, Contours, blob, outline

CLUTTER = -1
"""Label of what belongs to no class."""

CLASSES: tuple[tuple[str, str], ...] = (
    ("striped", "star"), ("dotted", "ring"), ("plain", "cross"), ("checked", "heart"), ("grainy", "gear"),
    ("hatched", "crescent"), ("ringed", "triangle"), ("shaded", "arrow"), ("rayed", "flower"),
    ("chevron", "frame"),
    ("dotted", "ell"), ("striped", "drop"), ("plain", "bolt"), ("ringed", "hourglass"), ("rayed", "ellipse"),
    ("checked", "pentagon"), ("hatched", "tee"), ("shaded", "wave"), ("chevron", "wedge"),
    ("grainy", "quincunx"),
)  # fmt: skip
"""(texture, outline) of each class; five to a fold. A texture occurs twice, in different folds."""

PER_FOLD = 5
SMALL_SHARE = 0.38  # of images whose main class is planned below 2 % of the image
SMALL, LARGE = (0.005, 0.018), (0.035, 0.22)  # planned area of the main class, part of the image
_REACH = 0.47  # largest half-extent of a main object


@dataclass(frozen=True)
class Part:
    """One object of a scene.

    Attributes:
        label: its class, or ``CLUTTER``.
        contours: unit-area outline in its own frame.
        matrix: (2, 2), takes its own frame to relative units: scale, shear, flip and rotation.
        centre: (2,) relative x, y.
        texture: a key of ``drawing.TEXTURES``.
        period: period of the texture in its own frame.
        colours: (2, 3) RGB in [0, 1].
        shade: (2,) change of brightness per unit of its own frame.
        shadow: strength of the shadow it casts, 0 for none.
        seed: of the chance within its texture.
    """

    label: int
    contours: Contours
    matrix: NDArray[np.float64]
    centre: NDArray[np.float64]
    texture: str
    period: float
    colours: NDArray[np.float64]
    shade: NDArray[np.float64]
    shadow: float
    seed: int

    def placed(self) -> Contours:
        """Its contours in relative units of the image."""
        return tuple(contour @ self.matrix.T + self.centre for contour in self.contours)

    def grown(self, factor: float) -> Part:
        """The same object, larger."""
        return replace(self, matrix=self.matrix * factor)


@dataclass(frozen=True)
class Plan:
    """A scene as parts, from back to front.

    Attributes:
        label: the main class.
        ground: (2, 3) RGB of the background.
        behind: distractors and clutter that the main objects stand in front of.
        mains: objects of the main class, one or more.
        occluders: for each thing in front of the main objects, places to try in turn.
    """

    label: int
    ground: NDArray[np.float64]
    behind: tuple[Part, ...]
    mains: tuple[Part, ...]
    occluders: tuple[tuple[Part, ...], ...]


class Planner:
    """Draws the plan of one scene; the number of draws does not depend on the image size.

    Args:
        rng: generator of this scene's layout.
        difficulty: in [0, 1], more distractors, occlusion and turning, less contrast.
    """

    def __init__(self, rng: np.random.Generator, difficulty: float) -> None:
        self._rng = rng
        self._difficulty = difficulty
        first = rng.random(3)
        # The two ground colours are kept alike, so that objects can stand out from both.
        self._ground = np.stack((first, np.clip(first + rng.uniform(-0.22, 0.22, 3), 0, 1)))

    def plan(self, label: int) -> Plan:
        """The plan of a scene whose main class is ``label``.

        Distractors come from the fold of ``label`` only: a training scene of another fold then never shows
        a held-out class, as background or otherwise, and in a test scene every distractor is as novel to
        the network as the target is.
        """
        rng, hard = self._rng, self._difficulty
        first = label - label % PER_FOLD
        peers = [other for other in range(first, first + PER_FOLD) if other != label]
        mains = self._mains(label)
        points = [part.centre for part in mains]
        palette = mains[0].colours
        rivals = int(rng.integers(round(2 * hard), round(1 + 4 * hard) + 1))
        lumps = int(rng.integers(0, 2 + round(2 * hard)))
        labels = rng.permutation(np.append(rng.choice(peers, rivals), np.full(lumps, CLUTTER)))
        behind = tuple(self._behind(other, points, palette) for other in labels.tolist())
        count = int(rng.random() < 0.15 + 0.5 * hard) + int(rng.random() < 0.4 * hard)
        occluders = tuple(
            self._occluder(mains[int(rng.integers(len(mains)))], peers, palette) for _ in range(count)
        )
        return Plan(label, self._ground, behind, mains, occluders)

    def _mains(self, label: int) -> tuple[Part, ...]:
        rng = self._rng
        low, high = SMALL if rng.random() < SMALL_SHARE else LARGE
        total = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        # Each of several instances keeps an area that its texture can be seen on.
        count = min(int(rng.choice([1, 2, 3], p=[0.72, 0.2, 0.08])), max(1, int(total / SMALL[0])))
        shares = rng.uniform(0.7, 1.3, count)
        points: list[NDArray[np.float64]] = []
        parts = []
        for share in shares / shares.sum():
            part = self._part(label, total * float(share), away=self._ground)
            half = np.abs(np.concatenate(part.placed()) - part.centre).max(axis=0)
            part = part.grown(min(1.0, _REACH / float(half.max())))
            half = np.minimum(half, _REACH)
            part = replace(part, centre=self._spot(points, half + 0.01, 1 - half - 0.01))
            points.append(part.centre)
            parts.append(part)
        return tuple(parts)

    def _behind(
        self, label: int, points: Sequence[NDArray[np.float64]], palette: NDArray[np.float64]
    ) -> Part:
        """A distractor, or clutter, that keeps its distance from ``points`` and may leave the image."""
        low, high = (0.008, 0.09) if label != CLUTTER else (0.002, 0.03)
        size = float(np.exp(self._rng.uniform(np.log(low), np.log(high))))
        part = self._part(label, size, self._ground, palette)
        return replace(part, centre=self._spot(points, np.full(2, 0.05), np.full(2, 0.95)))

    def _occluder(self, main: Part, peers: list[int], palette: NDArray[np.float64]) -> tuple[Part, ...]:
        """Something in front of ``main``: four places, each less in the way than the one before."""
        rng = self._rng
        label = int(rng.choice(peers)) if rng.random() < 0.5 else CLUTTER
        size = float(np.abs(np.linalg.det(main.matrix)))
        part = self._part(label, size * rng.uniform(0.3, 0.8), main.colours, palette)
        angle, reach = rng.uniform(0, 2 * np.pi), np.sqrt(size) * rng.uniform(0.4, 0.7)
        away = np.array([np.cos(angle), np.sin(angle)]) * reach
        return tuple(
            replace(part, centre=main.centre + away * step).grown(0.9**tries)
            for tries, step in enumerate((1.0, 1.3, 1.6, 1.9))
        )

    def _spot(
        self, points: Sequence[NDArray[np.float64]], low: NDArray[np.float64], high: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """A centre between ``low`` and ``high``: of four, the one farthest from ``points``."""
        tries = self._rng.uniform(low, high, (4, 2))
        if not points:
            return np.asarray(tries[0])
        gaps = np.linalg.norm(tries[:, None] - np.stack(points)[None], axis=2).min(axis=1)
        return np.asarray(tries[gaps.argmax()])

    def _part(
        self,
        label: int,
        size: float,
        away: NDArray[np.float64],
        palette: NDArray[np.float64] | None = None,
    ) -> Part:
        """An object of area ``size`` (part of the image) in the middle, in colours apart from ``away``."""
        rng = self._rng
        family, form = CLASSES[label] if label != CLUTTER else (str(rng.choice(["plain", "shaded"])), "")
        contours = outline(form, rng) if form in FAMILIES else blob(rng)
        # Distractors often wear the main object's colours, so that colour alone finds nothing.
        same = rng.random() < 0.2 + 0.6 * self._difficulty
        colours = self._colours(away)
        if palette is not None and same and label != CLUTTER:
            colours = palette
        side = np.sqrt(size)
        return Part(
            label, contours, self._pose() * side, np.full(2, 0.5), family,
            period=max(float(rng.uniform(0.24, 0.34)), 0.024 / side),
            colours=colours, shade=rng.normal(0, 0.12, 2),
            shadow=float(rng.uniform(0.2, 0.5) * (rng.random() < 0.4)), seed=int(rng.integers(2**31)),
        )  # fmt: skip

    def _colours(self, away: NDArray[np.float64]) -> NDArray[np.float64]:
        rng, gap = self._rng, 0.32 - 0.2 * self._difficulty
        one = pick_colour(rng, away, gap)
        return np.stack((one, pick_colour(rng, one[None], gap + 0.15)))

    def _pose(self) -> NDArray[np.float64]:
        """Rotation, mild shear and aspect, and half the time a mirror; determinant 1 or -1."""
        rng = self._rng
        angle = np.deg2rad(rng.uniform(-1, 1) * (10 + 60 * self._difficulty))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        aspect, shear = np.exp(rng.uniform(-0.16, 0.16)), rng.uniform(-0.15, 0.15)
        mirror = np.diag([rng.choice([-1.0, 1.0]), 1.0])
        return np.asarray(turn @ np.array([[aspect, shear], [0.0, 1 / aspect]]) @ mirror)
