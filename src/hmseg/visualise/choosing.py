"""Which episodes are shown: the best, median and worst. Without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

KINDS = ("best", "median", "worst")


class Chosen(NamedTuple):
    """One episode: ``best``, ``median`` or ``worst``, its place in the list, its IoU in percent."""

    kind: str
    episode: int
    iou: float


def choose(episodes: Iterable[tuple[int, float, int]], count: int) -> list[Chosen]:
    """``count`` episodes of each kind, or fewer of a short list, none twice.

    Of equal IoUs the larger objects count as worse: an object that is large and missed says more.

    Args:
        episodes: place in the list, IoU in percent, pixels of the object; those without an object are left
            out.
        count: of each kind, at least 1.

    Example:
        >>> [tuple(one) for one in choose([(n, 10.0 * n, 100) for n in range(7)], 1)]
        [('best', 6, 60.0), ('median', 3, 30.0), ('worst', 0, 0.0)]
    """
    ranked = sorted((iou, -size, index) for index, iou, size in episodes if size > 0)
    count = min(count, len(ranked) // 3)
    middle = (len(ranked) - count) // 2
    parts = {
        "best": ranked[len(ranked) - count :][::-1],
        "median": ranked[middle : middle + count],
        "worst": ranked[:count],
    }
    return [Chosen(kind, index, iou) for kind in KINDS for iou, _, index in parts[kind]]
