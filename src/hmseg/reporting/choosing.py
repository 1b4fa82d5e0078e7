"""Which episodes are shown: the best, median and worst of one method."""

from __future__ import annotations

from collections.abc import Sequence

from hmseg.episode_table import COLUMNS, Rows
from hmseg.errors import DataError
from hmseg.reporting.configurations import configurations
from hmseg.reporting.measurement import Measurement
from hmseg.reporting.words import main_view
from hmseg.visualise.choosing import Chosen, choose


def chosen_episodes(table: Rows, count: int) -> list[Chosen]:
    """``count`` episodes of each kind, as `hmseg.visualise.choosing.choose` chooses.

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
    return choose(((index, 100 * i / max(u, 1), size) for index, size, i, u in rows), count)


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
