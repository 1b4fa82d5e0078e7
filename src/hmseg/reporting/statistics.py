"""mIoU of per-episode sums, and how far chance reaches: the bootstrap over episodes within class. NumPy only.

The episodes of a test are a sample; other episodes of the same classes would give other scores. Each class's
own episodes are drawn again, as many as there are, with replacement; intersections and unions are summed per
class and divided; the classes' IoUs are averaged. Methods scored on the same episodes get the same draws, so
that what makes an episode hard for both cancels in their difference. Folds are drawn independently and
averaged. What another *training* would change is not in these intervals: for that there are several seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmseg.errors import DataError

RESAMPLES = 2000
LEVEL = 0.95
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """A value with the interval in which the bootstrap's middle 95 % lie."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Is zero outside?"""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Counts:
    """Foreground sums of the same N episodes under M methods.

    Attributes:
        classes: the C classes of the mean, whether they have an episode or not.
        class_ids: (N,) int64.
        intersection: (N, M) int64, pixels.
        union: (N, M) int64, pixels.

    Raises:
        DataError: lengths that do not fit, or an episode of a class that is not among ``classes``.

    Example:
        >>> one = np.array([[3], [0], [2]])
        >>> counts = Counts((4, 7), np.array([4, 4, 7]), one, np.array([[4], [2], [2]]))
        >>> miou(counts)
        array([75.])
    """

    classes: tuple[int, ...]
    class_ids: Ints
    intersection: Ints
    union: Ints

    def __post_init__(self) -> None:
        shape = self.intersection.shape
        if len(shape) != 2 or self.union.shape != shape or self.class_ids.shape != shape[:1]:
            raise DataError(
                f"sums of shapes {self.class_ids.shape}, {shape}, {self.union.shape}: expected (N,), (N, M) "
                "and (N, M)"
            )
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise DataError(f"classes are {list(self.classes)}: expected different class ids")
        if strangers := set(self.class_ids.tolist()) - set(self.classes):
            raise DataError(
                f"episodes of the classes {sorted(strangers)}, which are not among the scored ones"
            )


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of the methods of one fold: their mean, or the difference of two means.

    Attributes:
        counts: sums of M methods.
        weights: (M,) float64; (0.5, 0.5, -1) is the mean of two runs less a third.
    """

    counts: Counts
    weights: Floats


def miou(counts: Counts) -> Floats:
    """(M,) mIoU in percent (REFERENCE section 11); a class without episodes scores 0."""
    columns = [_ratio(counts.intersection[rows].sum(0), counts.union[rows].sum(0)) for rows in _rows(counts)]
    mean: Floats = 100 * np.mean(columns, axis=0)
    return mean


def resampled(counts: Counts, resamples: int = RESAMPLES, seed: int | Sequence[int] = 0) -> Floats:
    """(R, M) mIoU in percent of R draws of the episodes; every method gets the same draws.

    Args:
        counts: of M methods.
        resamples: R, at least 1.
        seed: of the draws: equal seeds and episodes give equal draws.
    """
    rows = _rows(counts)
    total = np.zeros((resamples, counts.union.shape[1]))
    draws = _draws(tuple(map(len, rows)), resamples, tuple(np.atleast_1d(seed).tolist()))
    for own, often in zip(rows, draws, strict=True):
        weights = often.astype(np.float64)  # (R, n); exact below 2**53, many times faster than integers
        total += _ratio(weights @ counts.intersection[own], weights @ counts.union[own])
    return 100 * total / len(counts.classes)


@lru_cache(maxsize=16)
def _draws(sizes: tuple[int, ...], resamples: int, seed: tuple[int, ...]) -> tuple[NDArray[np.uint16], ...]:
    """How often each of a class's n episodes is drawn, (R, n) for each class; kept for other methods."""
    generator = np.random.default_rng(seed)
    found = []
    for n in sizes:
        often = generator.multinomial(n, np.full(n, 1 / n), resamples) if n else np.zeros((resamples, 0))
        found.append(often.astype(np.uint16))
    return tuple(found)


def interval(
    folds: Sequence[Contrast], resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> Interval:
    """Mean over folds of a contrast, with its percentile interval.

    Args:
        folds: one contrast for each fold, at least one.
        resamples: draws.
        level: share of the draws inside.
        seed: of the draws; each fold has a stream of its own.

    Example:
        >>> counts = Counts((4,), np.array([4, 4]), np.array([[3, 3], [0, 0]]), np.array([[4, 4], [2, 2]]))
        >>> interval([Contrast(counts, np.array([1.0, -1.0]))])
        Interval(value=0.0, low=0.0, high=0.0)
    """
    return _interval(folds, np.ones(len(folds)), resamples, level, seed)


def seen_interval(
    folds: Sequence[Contrast], resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> Interval:
    """The same as a mean over all folds' classes that have an episode; NaN where none has."""
    seen = [Contrast(_seen(each.counts), each.weights) for each in folds if len(each.counts.class_ids)]
    if not seen:
        return Interval(np.nan, np.nan, np.nan)
    return _interval(seen, np.array([len(each.counts.classes) for each in seen]), resamples, level, seed)


def _interval(
    folds: Sequence[Contrast],
    shares: NDArray[Any],
    resamples: int,
    level: float,
    seed: int,
) -> Interval:
    value = np.average([miou(each.counts) @ each.weights for each in folds], weights=shares)
    draws = [
        resampled(each.counts, resamples, (seed, fold)) @ each.weights for fold, each in enumerate(folds)
    ]
    outside = 50 * (1 - level)
    low, high = np.percentile(np.average(draws, axis=0, weights=shares), (outside, 100 - outside))
    return Interval(float(value), float(low), float(high))


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and the sample standard deviation where there are two values or more.

    Example:
        >>> mean_and_deviation([40.0, 44.0]), mean_and_deviation([40.0])
        ((42.0, 2.8284271247461903), (40.0, None))
    """
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def select(counts: Counts, rows: NDArray[np.bool_]) -> Counts:
    """The episodes where ``rows`` (N,) is true."""
    return Counts(counts.classes, counts.class_ids[rows], counts.intersection[rows], counts.union[rows])


def _seen(counts: Counts) -> Counts:
    seen = set(counts.class_ids.tolist())
    kept = tuple(each for each in counts.classes if each in seen)
    return Counts(kept, counts.class_ids, counts.intersection, counts.union)


def _rows(counts: Counts) -> list[Ints]:
    """The episodes of each class."""
    return [np.flatnonzero(counts.class_ids == each) for each in counts.classes]


def _ratio(intersection: NDArray[Any], union: NDArray[Any]) -> Floats:
    ratio: Floats = intersection / np.maximum(union, 1)
    return ratio
