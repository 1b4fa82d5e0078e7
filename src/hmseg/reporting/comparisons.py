"""Paired differences: the same episodes, the same draws, one thing changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from hmseg.reporting.configurations import Configuration, paired
from hmseg.reporting.setting import Setting
from hmseg.reporting.statistics import Contrast, Interval, interval


@dataclass(frozen=True)
class Difference:
    """``method`` less ``other``.

    Attributes:
        common: what both have in common; the compared attribute is blank.
        method: value of the compared attribute.
        other: likewise.
        per_fold: by fold.
        mean: over these folds.
    """

    common: Setting
    method: str
    other: str
    per_fold: dict[int | None, Interval]
    mean: Interval


@dataclass(frozen=True)
class Unpaired:
    """A pair that can't be compared, and why."""

    common: Setting
    method: str
    other: str
    reason: str


def differences(
    configurations: Iterable[Configuration], attribute: str, reference: str | None = None
) -> tuple[list[Difference], list[Unpaired]]:
    """Each pair of configurations that differ in one attribute alone.

    Args:
        configurations: in order; of a pair, the later one is the method and the earlier one the other.
        attribute: of the setting, such as ``masking``.
        reference: only pairs with this value.

    Returns:
        Differences, and pairs that share no fold with the same episodes and their tables.
    """
    groups: dict[Setting, list[Configuration]] = {}
    for one in configurations:
        groups.setdefault(one.setting.without(attribute), []).append(one)
    found: list[Difference] = []
    unpaired: list[Unpaired] = []
    for common, members in groups.items():
        for other, method in combinations(members, 2):
            names = getattr(method.setting, attribute), getattr(other.setting, attribute)
            if reference is not None and reference not in names:
                continue
            folds = contrasts(method, other)
            if folds:
                per_fold = {fold: interval([each]) for fold, each in folds.items()}
                mean = interval(list(folds.values()))
                found.append(Difference(common, *names, per_fold, mean))
            else:
                unpaired.append(Unpaired(common, *names, _reason(method, other)))
    return found, unpaired


def contrasts(method: Configuration, other: Configuration) -> dict[int | None, Contrast]:
    """``method`` less ``other`` on each fold where both have the same episodes and tables of them.

    Where both have a seed in common, only common seeds count.
    """
    found = {}
    for fold in (each for each in method.folds if each in other.folds):
        mine, theirs = method.of_fold(fold), other.of_fold(fold)
        if common := {one.seed for one in mine} & {one.seed for one in theirs}:
            mine, theirs = (tuple(one for one in each if one.seed in common) for each in (mine, theirs))
        contrast = paired([mine, theirs], (1.0, -1.0))
        if contrast is not None:
            found[fold] = contrast
    return found


def _reason(method: Configuration, other: Configuration) -> str:
    shared: Sequence[int | None] = [fold for fold in method.folds if fold in other.folds]
    if not shared:
        return "no fold in common"
    tables = all(
        one.table_path is not None
        for each in (method, other)
        for fold in shared
        for one in each.of_fold(fold)
    )
    return "not the same episodes" if tables else "tables of episodes are missing"
