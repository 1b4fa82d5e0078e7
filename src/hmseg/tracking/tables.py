"""What W&B shows besides curves: IoU of classes, mIoU by the object's size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pytorch_lightning.loggers import Logger

from hmseg.episode_table import COLUMNS, Rows
from hmseg.metrics import Scores
from hmseg.reporting.object_sizes import BINS, object_share
from hmseg.tracking.run_logger import run_loggers

Sized = dict[str, tuple[int, float | None]]
"""By the name of a bin of sizes: how many episodes, and mIoU over the classes that have any (or None)."""


def miou_by_size(table: Rows) -> Sized:
    """mIoU of the episodes whose object is of about the same size, in percent.

    Args:
        table: (N, 8) rows of ``hmseg.episode_table``.

    Example:
        >>> import numpy as np
        >>> rows = np.array([[0, 3, 5, 1000, 0, 0, 1, 4], [1, 4, 5, 1000, 0, 0, 3, 4]])
        >>> miou_by_size(rows)["below 1 %"], miou_by_size(rows)["20 % and more"]
        ((2, 50.0), (0, None))
    """
    share, found = object_share(table), {}
    for name, low, high in BINS:
        rows = table[(share >= low) & (share < high)]
        found[name] = (len(rows), _miou(rows))
    return found


def _miou(rows: Rows) -> float | None:
    classes, inter, union = (rows[:, COLUMNS.index(name)] for name in ("class_id", "inter_fg", "union_fg"))
    seen = sorted(set(classes.tolist()))
    each = [inter[classes == one].sum() / max(1, union[classes == one].sum()) for one in seen]
    return float(100 * sum(each) / len(each)) if each else None


def class_table(scores: Scores, names: Sequence[str]) -> Any:
    """A W&B table of the IoU of each class."""
    import wandb

    rows = [[names[each], iou, scores.episodes[each]] for each, iou in scores.per_class.items()]
    return wandb.Table(columns=["class", "IoU", "episodes"], data=rows)


def size_table(sizes: Sized) -> Any:
    """A W&B table of the mIoU by the object's size."""
    import wandb

    rows = [[name, miou, episodes] for name, (episodes, miou) in sizes.items()]
    return wandb.Table(columns=["object's share of the image", "mIoU", "episodes"], data=rows)


def log_test(
    loggers: Sequence[Logger],
    which: str,
    scores: tuple[Scores, Scores],
    names: Sequence[str],
    table: Rows | None,
    step: int,
) -> None:
    """Logs the test of a checkpoint as ``test_<which>/…``: numbers everywhere, tables to W&B.

    Args:
        loggers: of the run.
        which: ``best``, ``last`` or ``other``.
        scores: of all episodes, and of those with a small object.
        names: of the classes, by id.
        table: of the episodes; None for none.
        step: of the training that the checkpoint is of.
    """
    overall, small = scores
    sizes = {} if table is None else miou_by_size(table)
    values = {"miou": overall.miou, "fb_iou": overall.fb_iou, "miou_small": small.miou_seen}
    values |= {size_key(name): miou for name, (_, miou) in sizes.items() if miou is not None}
    for logger in loggers:
        logger.log_metrics({f"test_{which}/{name}": value for name, value in values.items()}, step=step)
        logger.finalize("success")  # writes it: this may be the last that the logger hears
    for run in run_loggers(loggers):
        tables = {f"test_{which}/classes": class_table(overall, names)}
        if sizes:
            tables[f"test_{which}/sizes"] = size_table(sizes)
        run.log_step(tables, step)


def size_key(name: str) -> str:
    """The metric of a bin of sizes.

    Example:
        >>> size_key("1 to 5 %")
        'miou_size_1_to_5'
    """
    return "_".join(("miou_size", *re.findall(r"\w+", name)))
