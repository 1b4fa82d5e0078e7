"""What a trained network must beat, from the records that hold it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hmseg.reporting.configurations import Configuration
from hmseg.reporting.fields import printable
from hmseg.reporting.measurement import Measurement
from hmseg.reporting.page import Table
from hmseg.reporting.words import ABSENT, fold_name, number, subject

Scores = dict[int | None, tuple[float, float]]


def baselines(members: Sequence[Configuration]) -> list[Table]:
    """A table of the baselines of one group of configurations, on the same episodes; none without them.

    A baseline that doesn't depend on the masking has one line, another one a line for each masking.
    """
    found: dict[str, dict[str, Scores]] = {}
    for one in members:
        for run in one.measurements:
            for name, scores in _of(run):
                found.setdefault(name, {}).setdefault(one.setting.masking, {})[run.fold] = scores
    folds = sorted(
        {fold for one in members for fold in one.folds}, key=lambda fold: -1 if fold is None else fold
    )
    rows = []
    for name, by_masking in found.items():
        independent = all(
            len({scores[fold] for scores in by_masking.values() if fold in scores}) <= 1 for fold in folds
        )
        if independent:
            merged = {fold: scores for each in by_masking.values() for fold, scores in each.items()}
            rows.append(_row(name, merged, folds))
        else:
            rows += [_row(f"{name}, {masking} masking", each, folds) for masking, each in by_masking.items()]
    if not rows:
        return []
    several = [fold_name(fold) for fold in folds] if folds != [None] else []
    title = f"What a training must beat: {subject(members[0].setting)}"
    return [Table(title, ("predictor", *several, "mIoU", "FB-IoU"), tuple(rows))]


def _row(name: str, scores: Scores, folds: Sequence[int | None]) -> tuple[str, ...]:
    per_fold = [number(scores[fold][0]) if fold in scores else ABSENT for fold in folds]
    mean, fb_mean = (sum(each[at] for each in scores.values()) / len(scores) for at in (0, 1))
    return (name, *(per_fold if list(folds) != [None] else ()), number(mean), number(fb_mean))


def _of(run: Measurement) -> Iterable[tuple[str, tuple[float, float]]]:
    """Name and (mIoU, FB-IoU) of each baseline of a record; what was found out for it is left out."""
    stored = run.record.get("baselines")
    for name, scores in stored.items() if isinstance(stored, Mapping) else ():
        miou, fb_iou = (
            (scores.get("miou"), scores.get("fb_iou")) if isinstance(scores, Mapping) else (None, None)
        )
        if isinstance(miou, int | float) and isinstance(fb_iou, int | float):
            yield printable(str(name)).partition(" (")[0], (float(miou), float(fb_iou))
