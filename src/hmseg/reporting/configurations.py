"""Measurements of one setting put together: per fold, over folds, over seeds; and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hmseg.claims import protocol_of, published
from hmseg.episode_table import COLUMNS
from hmseg.reporting.measurement import Measurement
from hmseg.reporting.setting import Setting
from hmseg.reporting.statistics import Contrast, Counts, Interval, interval, mean_and_deviation

_CLASS, _INTER, _UNION = (COLUMNS.index(name) for name in ("class_id", "inter_fg", "union_fg"))


@dataclass(frozen=True, eq=False)
class Configuration:
    """All measurements of one setting.

    Attributes:
        setting: theirs.
        measurements: of all folds and seeds, in order.
    """

    setting: Setting
    measurements: tuple[Measurement, ...]

    @cached_property
    def folds(self) -> tuple[int | None, ...]:
        """Folds that are there."""
        return tuple(
            sorted({one.fold for one in self.measurements}, key=lambda fold: -1 if fold is None else fold)
        )

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of training that are there."""
        return tuple(sorted({one.seed for one in self.measurements}))

    @cached_property
    def missing_folds(self) -> tuple[int, ...]:
        """Folds of the data set of which there is no measurement."""
        known = max((one.folds or 0 for one in self.measurements), default=0)
        return tuple(fold for fold in range(known) if fold not in self.folds)

    @cached_property
    def missing_cells(self) -> tuple[tuple[int | None, int], ...]:
        """(fold, seed) without a measurement, of folds and seeds that are there elsewhere."""
        there = {(one.fold, one.seed) for one in self.measurements}
        return tuple((fold, seed) for fold in self.folds for seed in self.seeds if (fold, seed) not in there)

    def of_fold(self, fold: int | None) -> tuple[Measurement, ...]:
        """Measurements of one fold, all seeds."""
        return tuple(one for one in self.measurements if one.fold == fold)

    def fold_score(self, fold: int | None, key: str = "miou") -> tuple[float, float | None]:
        """Mean and deviation over the seeds of a fold, of ``miou`` or ``fb_iou``."""
        return mean_and_deviation([getattr(one, key) for one in self.of_fold(fold)])

    def score(self, key: str = "miou") -> tuple[float, float | None]:
        """Mean over the folds that are there, deviation over the seeds that have all those folds."""
        mean = float(np.mean([self.fold_score(fold, key)[0] for fold in self.folds]))
        complete = [
            seed for seed in self.seeds if not any(seed == absent for _, absent in self.missing_cells)
        ]
        per_seed = [
            float(np.mean([getattr(one, key) for one in self.measurements if one.seed == seed]))
            for seed in complete
        ]
        return mean, mean_and_deviation(per_seed)[1] if per_seed else None

    @cached_property
    def interval(self) -> Interval | None:
        """Bootstrap interval of the mean over folds; None where a table of episodes is missing."""
        folds = [paired([self.of_fold(fold)], (1.0,)) for fold in self.folds]
        return None if None in folds else interval([fold for fold in folds if fold is not None])

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """Why its numbers can't be set against published ones; empty where they can."""
        setting, found = self.setting, []
        on_it = [claim for claim in published() if claim.benchmark == setting.dataset]
        if not on_it:
            return (f"nothing is published on {setting.dataset}",)
        same = [claim for claim in on_it if claim.model == setting.model]
        protocol = protocol_of((same or on_it)[0])
        if not same:
            found.append(f"no {setting.model} on {setting.dataset} is published")
        if setting.lists != "published":
            found.append(f"{setting.lists} image lists")
        if set(setting.size) != {protocol.size}:
            found.append(f"images of {setting.at if not setting.original_size else _size(setting)}")
        if setting.protocol not in ("hsnet", "ifsl"):
            found.append(f"protocol {setting.protocol}")
        if setting.protocol_seeds != (0,):
            found.append("other episode seeds")
        if setting.episodes != protocol.episodes:
            found.append(f"{setting.episodes} episodes")
        if setting.backbone not in {claim.backbone for claim in on_it}:
            found.append(f"backbone {setting.backbone}")
        if setting.shot not in {claim.shot for claim in on_it}:
            found.append(f"{setting.shot} shots")
        if setting.selection == "clean":
            found.append("checkpoint chosen on other classes")
        if setting.checkpoint == "last":
            found.append("last checkpoint")
        if setting.precision:
            found.append(setting.precision)
        if self.missing_folds:
            found.append(f"{len(self.folds)} of {len(self.folds) + len(self.missing_folds)} folds")
        return tuple(found)


def configurations(measurements: Iterable[Measurement]) -> tuple[Configuration, ...]:
    """Measurements by setting, in a fixed order."""
    grouped: dict[Setting, list[Measurement]] = {}
    for one in measurements:
        grouped.setdefault(one.setting, []).append(one)
    return tuple(Configuration(each, tuple(grouped[each])) for each in sorted(grouped, key=lambda s: s.order))


def paired(methods: Sequence[Sequence[Measurement]], weights: Sequence[float]) -> Contrast | None:
    """Several methods on the same episodes of one fold; each is the mean of its runs.

    Args:
        methods: the runs of each; none of them empty.
        weights: of each method.

    Returns:
        None where a table is missing, or the episodes or classes are not the same.
    """
    runs = [
        (run, weight / len(method)) for method, weight in zip(methods, weights, strict=True) for run in method
    ]
    first = runs[0][0]
    classes = tuple(score.class_id for score in first.classes)
    tables = [run.table for run, _ in runs]
    same = all(
        run.digest == first.digest and tuple(score.class_id for score in run.classes) == classes
        for run, _ in runs
    )
    present = [table for table in tables if table is not None]
    if not same or len(present) < len(tables):
        return None
    ids = present[0][:, _CLASS]
    if any(len(table) != len(ids) or (table[:, _CLASS] != ids).any() for table in present):
        return None
    counts = Counts(
        classes,
        ids,
        np.stack([table[:, _INTER] for table in present], axis=1),
        np.stack([table[:, _UNION] for table in present], axis=1),
    )
    return Contrast(counts, np.array([weight for _, weight in runs]))


def _size(setting: Setting) -> str:
    return f"{'×'.join(map(str, setting.size))} px"
