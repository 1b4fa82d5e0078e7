"""From the logits of K supports to scores and a decision at the image's own size (REFERENCE section 7)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hmseg.errors import ConfigError, unknown

AGGREGATIONS = ("vote", "mean_logits", "mean_probability", "concat")


def decide(logits: Tensor, size: tuple[int, int], aggregation: str = "vote") -> tuple[Tensor, Tensor]:
    """What one class's supports say about each pixel of a query.

    The logits are resized bilinearly to ``size`` and then aggregated, as in the evaluation at original size;
    support by support, so that memory doesn't grow with their number.

    - ``vote``: foreground is the published decision: the supports that say foreground, divided by the
      largest such count in the image, reach one half. The score is their mean foreground probability.
    - ``mean_probability``: the same score; foreground where it is above one half.
    - ``mean_logits``: the score is the probability of the mean margin; foreground where it is above a half.
    - ``concat``: there is one set of logits for all supports.

    With one support all are the same: its probability, foreground above one half.

    Args:
        logits: (K, 2, h, w).
        size: height and width of the query.
        aggregation: one of the above.

    Returns:
        Foreground (H, W) bool, and score (H, W) float32 in [0, 1].

    Raises:
        ConfigError: an unknown aggregation.

    Example:
        >>> doubt, sure = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 9.0])
        >>> logits = torch.stack([doubt, sure]).view(2, 2, 1, 1)
        >>> foreground, score = decide(logits, (1, 1), "vote")
        >>> foreground.item(), round(score.item(), 3)
        (True, 0.634)
    """
    if aggregation not in AGGREGATIONS:
        raise ConfigError(unknown("aggregation", aggregation, AGGREGATIONS))
    shots = len(logits)
    margins, probabilities = (torch.zeros(size, device=logits.device) for _ in range(2))
    votes = torch.zeros(size, dtype=torch.int32, device=logits.device)
    for each in logits.float():
        own = F.interpolate(each[None], size=size, mode="bilinear", align_corners=True)[0]
        margin = own[1] - own[0]  # above 0 exactly where the argmax is foreground
        margins += margin
        probabilities += margin.sigmoid()  # of two logits: the softmax's second entry
        votes += margin > 0
    score = (margins / shots).sigmoid() if aggregation == "mean_logits" else probabilities / shots
    if aggregation == "mean_probability" and shots > 1:
        return score > 0.5, score
    if aggregation == "mean_logits":
        return margins > 0, score
    return votes / votes.max().clamp(min=1) >= 0.5, score


def label(foreground: NDArray[np.bool_], scores: NDArray[np.float32]) -> NDArray[np.int32]:
    """One label per pixel from the decisions of C classes.

    A pixel that no class claims is background, 0. One that several claim goes to the class of the highest
    score, of equal ones to the first.

    Args:
        foreground: (C, H, W) bool.
        scores: (C, H, W).

    Returns:
        (H, W) int32, class number c + 1 in the order of ``foreground``.

    Example:
        >>> claimed = np.array([[[True, True, False]], [[True, True, False]]])
        >>> label(claimed, np.array([[[0.6, 0.9, 0.1]], [[0.6, 0.95, 0.2]]], np.float32)).tolist()
        [[1, 2, 0]]
    """
    labels = np.zeros(scores.shape[1:], dtype=np.int32)
    best = np.full(scores.shape[1:], -1, dtype=np.float32)
    for number, (claimed, score) in enumerate(zip(foreground, scores, strict=True), start=1):
        wins = claimed & (score > best)
        labels[wins], best[wins] = number, score[wins]
    return labels
