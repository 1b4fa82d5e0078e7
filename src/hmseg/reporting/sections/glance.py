"""The main results in few lines: maskings below each other, shots and aggregations beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from hmseg.reporting.configurations import Configuration
from hmseg.reporting.page import Cell, Table
from hmseg.reporting.setting import AGGREGATIONS, Setting, rank
from hmseg.reporting.words import ABSENT, join, shared, spread, swatch

Column = tuple[int, str, int]
"""Shots, aggregation, episodes."""


def glance(every: Sequence[Configuration]) -> list[Table]:
    """A table for each model, backbone and data set: mIoU of best checkpoints at the network's size.

    None where it would have a single column: the whole table says it as shortly.
    """
    shown = [one for one in every if one.setting.checkpoint != "last" and not one.setting.original_size]
    groups: dict[Setting, list[Configuration]] = {}
    for one in shown:
        groups.setdefault(one.setting.without("masking", "shot", "aggregation", "episodes"), []).append(one)
    return [table for members in groups.values() if (table := _table(members)) is not None]


def _table(members: Sequence[Configuration]) -> Table | None:
    columns = sorted({_column(one) for one in members}, key=_order)
    if len(columns) < 2:
        return None
    by_masking: dict[str, dict[Column, Configuration]] = {}
    for one in members:
        by_masking.setdefault(one.setting.masking, {})[_column(one)] = one
    rows: list[tuple[Cell | str, ...]] = []
    for masking, found in by_masking.items():
        cells = [spread(*found[each].score()) if each in found else ABSENT for each in columns]
        rows.append((Cell(masking, swatch(masking)), *cells))
    folds = sorted({str(fold) for one in members for fold in one.folds if fold is not None})
    of = f"mean over the folds {', '.join(folds)}" if len(folds) > 1 else ""
    common, _ = shared([one.setting for one in members])
    counted = len({episodes for _, _, episodes in columns}) > 1
    header = ("masking", *(_header(column, counted) for column in columns))
    return Table(f"At a glance, mIoU: {join(common, of)}", header, tuple(rows))


def _column(one: Configuration) -> Column:
    return one.setting.shot, one.setting.aggregation, one.setting.episodes


def _order(column: Column) -> tuple[int, int, int]:
    shot, way, episodes = column
    return shot, rank(way, AGGREGATIONS), episodes


def _header(column: Column, counted: bool) -> str:
    shot, way, episodes = column
    return join(f"{shot}-shot", way.replace("_", " "), f"{episodes} episodes" if counted else "")
