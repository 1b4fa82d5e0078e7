"""Which episodes are shown: the best, median and worst of one method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hmseg.episode_table import COLUMNS, Rows
from hmseg.errors import DataError
from hmseg.reporting.configurations import configurations
from hmseg.reporting.measurement import Measurement
from hmseg.reporting.words import main_view


class Chosen(NamedTuple):
    """One episode: ``best``, ``median`` or ``worst``, its place in the list, its IoU in percent."""

    kind: str
    episode: int
    iou: float


def chosen_episodes(table: Rows, count: int) -> list[Chosen]:
    """``count`` episodes of each kind, or fewer of a short list, none twice.

    Of equal IoUs the larger objects count as worse: an object that is large and missed says more.

    Args:
        table: of the method that chooses.
        count: of each kind, at least 1.

    Example:
        >>> import numpy as np
        >>> table = np.array([[n, 0, 10, 100, 0, 0, n, 10] for n in range(7)])
        >>> [(one.kind, one.episode) for one in chosen_episodes(table, 1)]
        [('best', 6), ('median', 3), ('worst', 0)]
    """
    columns = [COLUMNS.index(name) for name in ("index", "foreground", "inter_fg", "union_fg")]
    rows = [tuple(map(int, row)) for row in table[:, columns]]
    ranked = sorted((100 * i / max(u, 1), -size, index) for index, size, i, u in rows if size > 0)
    count = min(count, len(ranked) // 3)
    middle = (len(ranked) - count) // 2
    parts = {
        "best": ranked[len(ranked) - count :][::-1],
        "median": ranked[middle : middle + count],
        "worst": ranked[:count],
    }
    return [Chosen(kind, index, iou) for kind, part in parts.items() for iou, _, index in part]


def shared_measurements(measurements: Sequence[Measurement], checksums: Sequence[str]) -> list[Measurement]:
    """For each checkpoint its measurement on a list of episodes that all of them were tested on.

    Args:
        measurements: of the report.
        checksums: SHA-256 of the checkpoints.

    Raises:
        DataError: a checkpoint has no record with a table, or they share no list of episodes.
    """
    shown = [run for one in main_view(configurations(measurements)) for run in one.measurements]
    by_checkpoint = [
        [run for run in shown if _can_be_drawn(run) and _sha256(run) == checksum] for checksum in checksums
    ]
    for place, runs in enumerate(by_checkpoint):
        if not runs:
            raise DataError(
                f"examples: no record with a table of episodes is of checkpoint {place + 1}: evaluate it at "
                "the network's size first, by a protocol, and give the records of that"
            )
    for first in by_checkpoint[0]:
        same = [
            next(
                (
                    run
                    for run in runs
                    if run.digest == first.digest and run.setting.size == first.setting.size
                ),
                None,
            )
            for runs in by_checkpoint
        ]
        if None not in same:
            return [run for run in same if run is not None]
    raise DataError(
        "examples: the two checkpoints were not tested on the same episodes: evaluate both on them"
    )


def _can_be_drawn(run: Measurement) -> bool:
    """A manifest's episodes are in a file that the record doesn't hold."""
    return run.table_path is not None and run.setting.protocol != "manifest"


def _sha256(run: Measurement) -> str:
    found = run.record.get("checkpoint")
    return str(found.get("sha256")) if isinstance(found, dict) else ""
