"""VOC photos by class, and pairs of query and support drawn of them by a fixed seed."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmseg import Segmenter
from hmseg.data.reading import read_image, read_label_map

VOID = 255
TRAINING_FOLDS, REPORTED_FOLDS = (0, 2), (1, 3)
"""Of PASCAL-5i: numbers are chosen on the classes of the first, and reported on those of the second."""
CLASSES_A_FOLD = 5

Pair = tuple[int, str, str]
"""Class, query, support."""


class Photos:
    """Photos and label maps of one or several VOC folders.

    Args:
        roots: folders with ``JPEGImages``, ``SegmentationClassAug`` and ``splits``.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = roots

    def image(self, name: str) -> NDArray[np.uint8]:
        """(H, W, 3)."""
        return read_image(self._find(f"JPEGImages/{name}.jpg"))

    def labels(self, name: str) -> NDArray[np.uint8]:
        """(H, W): 0 background, 1 to 20, `VOID`."""
        return read_label_map(self._find(f"SegmentationClassAug/{name}.png"))

    def by_class(self, folds: Sequence[int], splits: Sequence[str] = ("trn", "val")) -> dict[int, list[str]]:
        """Names of the photos that the published lists have of each class of the folds, in their order."""
        found: dict[int, dict[str, None]] = defaultdict(dict)
        for path in [
            path for root in self.roots for split in splits for path in root.glob(f"splits/{split}/*.txt")
        ]:
            for line in path.read_text().split():
                name, number = line.split("__")
                if (int(number) - 1) // CLASSES_A_FOLD in folds:
                    found[int(number)][name] = None
        return {number: sorted(names) for number, names in sorted(found.items())}

    def _find(self, name: str) -> Path:
        return next((path for root in self.roots if (path := root / name).is_file()), self.roots[0] / name)


def draw_pairs(by_class: dict[int, list[str]], queries: int, seed: int = 0) -> list[Pair]:
    """Class, query and another photo as its support: at most so many queries of a class.

    Example:
        >>> draw_pairs({3: ["a", "b"], 4: ["alone"]}, queries=1)
        [(3, 'a', 'b')]
    """
    random_ = random.Random(seed)
    pairs = []
    for number, names in by_class.items():
        for query in random_.sample(names, min(queries, len(names))) if len(names) > 1 else ():
            pairs.append((number, query, random_.choice([name for name in names if name != query])))
    return pairs


def network_of(segmenter: Segmenter) -> str:
    """Head, backbone and side, for the page."""
    network = segmenter.network
    head, backbone = (type(each).__name__ for each in (network.head, network.backbone))
    return f"{head} on {backbone} at {segmenter.side} pixels"
