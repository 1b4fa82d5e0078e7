"""From a coarse score map to a mask whose outline follows the image's edges."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hmseg.errors import ConfigError, unknown

REFINEMENTS = ("none", "grabcut")


class Cut(NamedTuple):
    """How GrabCut is used.

    Attributes:
        side: pixels of the longer side of what is cut: time stays the same however large the image is.
        low: where the score is below, background is sure, whatever the image says.
        high: where it is above, foreground is sure.
        rounds: of colour models and cuts.
    """

    side: int
    low: float
    high: float
    rounds: int


CHOSEN = Cut(side=320, low=0.05, high=0.95, rounds=1)
"""By mIoU and boundary F on VOC photos of training classes."""


def check_refinement(refine: str) -> None:
    """Refuse an unknown name with a ConfigError."""
    if refine not in REFINEMENTS:
        raise ConfigError(unknown("refine", refine, REFINEMENTS))


def refined(
    image: NDArray[np.uint8], foreground: NDArray[np.bool_], score: NDArray[np.float32], refine: str
) -> NDArray[np.bool_]:
    """The mask of one class with its outline moved to the image's edges.

    ``grabcut``: GrabCut (Rother et al., SIGGRAPH 2004; OpenCV's) on the image, made small where it is larger
    than `Cut.side`. Where the score leaves no doubt the decision stands; in between the colours of object
    and background and the edges decide. A mask is never emptied, and the same input gives the same mask.

    Args:
        image: (H, W, 3) RGB.
        foreground: (H, W), what the network decided.
        score: (H, W) in [0, 1].
        refine: one of `REFINEMENTS`; ``none`` returns ``foreground``.

    Returns:
        (H, W).

    Example:
        >>> image = np.zeros((40, 40, 3), np.uint8)
        >>> image[10:30, 10:30] = 200  # the object
        >>> score = cv2.GaussianBlur(np.pad(np.ones((14, 14), np.float32), 13), (15, 15), 0)
        >>> coarse, mask = score > 0.5, refined(image, score > 0.5, score, "grabcut")
        >>> object_ = image[..., 0] > 0
        >>> int((coarse != object_).sum()), int((mask != object_).sum()) < 20  # pixels that are wrong
        (224, True)
    """
    return foreground if refine == "none" else cut(image, foreground, score)


def cut(
    image: NDArray[np.uint8], foreground: NDArray[np.bool_], score: NDArray[np.float32], how: Cut = CHOSEN
) -> NDArray[np.bool_]:
    """GrabCut between what the score leaves no doubt of; arguments as for :func:`refined`."""
    height, width = foreground.shape
    scale = min(1.0, how.side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    claimed = cv2.resize(foreground.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    if claimed.all() or not claimed.any():  # nothing to cut, or too thin to be seen at this size
        return foreground
    certainty = cv2.resize(score, size, interpolation=cv2.INTER_AREA)
    labels = np.where(claimed, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[~claimed & (certainty < how.low)] = cv2.GC_BGD
    labels[claimed & (certainty > how.high)] = cv2.GC_FGD
    small = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    cv2.setRNGSeed(0)  # GrabCut clusters colours from random starts
    colours = (np.zeros((1, 65)), np.zeros((1, 65)))
    cv2.grabCut(small, labels, (0, 0, 1, 1), *colours, how.rounds, cv2.GC_INIT_WITH_MASK)
    inside = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    mask = np.asarray(cv2.resize(inside, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5)
    return mask if mask.any() else foreground
