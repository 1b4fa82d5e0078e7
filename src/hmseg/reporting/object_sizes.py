"""mIoU against the size of the query's object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmseg.episode_table import COLUMNS, Rows
from hmseg.reporting.comparisons import contrasts
from hmseg.reporting.configurations import Configuration, paired
from hmseg.reporting.statistics import Contrast, Interval, seen_interval, select

BINS: tuple[tuple[str, float, float], ...] = (
    ("below 1 %", 0.0, 0.01),
    ("1 to 5 %", 0.01, 0.05),
    ("5 to 20 %", 0.05, 0.20),
    ("20 % and more", 0.20, np.inf),
)
"""Name, and share of the counted pixels: from, below."""


@dataclass(frozen=True)
class SizeBin:
    """What one bin holds.

    Attributes:
        name: of the bin.
        episodes: in it.
        classes: that have an episode in it.
        value: mIoU over these classes, or a difference of two; NaN where the bin is empty.
    """

    name: str
    episodes: int
    classes: int
    value: Interval


def size_bins(configuration: Configuration) -> list[SizeBin] | None:
    """mIoU in each bin, over all folds' classes; None where a table is missing."""
    folds = {fold: paired([configuration.of_fold(fold)], (1.0,)) for fold in configuration.folds}
    tables = {fold: configuration.of_fold(fold)[0].table for fold in folds}
    return _bins(folds, tables)


def size_differences(method: Configuration, other: Configuration) -> list[SizeBin] | None:
    """The difference of two methods in each bin, paired; None where no fold can be compared."""
    folds = contrasts(method, other)
    return _bins(dict(folds), {fold: method.of_fold(fold)[0].table for fold in folds})


def _bins(
    folds: dict[int | None, Contrast | None], tables: dict[int | None, Rows | None]
) -> list[SizeBin] | None:
    contrasts_ = [each for each in folds.values() if each is not None]
    shares = [object_share(table) for table in tables.values() if table is not None]
    if not contrasts_ or len(contrasts_) < len(folds) or len(shares) < len(folds):
        return None
    return [_bin(name, low, high, contrasts_, shares) for name, low, high in BINS]


def object_share(table: Rows) -> NDArray[np.float64]:
    """(N,) share of the counted pixels that the object takes, in [0, 1]."""
    foreground, counted = table[:, COLUMNS.index("foreground")], table[:, COLUMNS.index("counted")]
    share: NDArray[np.float64] = foreground / np.maximum(counted, 1)
    return share


def _bin(
    name: str, low: float, high: float, folds: Sequence[Contrast], shares: Sequence[NDArray[np.float64]]
) -> SizeBin:
    parts = [
        Contrast(select(each.counts, (share >= low) & (share < high)), each.weights)
        for each, share in zip(folds, shares, strict=True)
    ]
    episodes = sum(len(part.counts.class_ids) for part in parts)
    seen = sum(len(set(part.counts.class_ids.tolist())) for part in parts)
    return SizeBin(name, episodes, seen, seen_interval(parts))
