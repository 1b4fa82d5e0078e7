"""What an evaluation leaves behind: a table for the reader, a JSON record for everything else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hmseg.files import writing
from hmseg.metrics import Scores


def scores_record(scores: Scores, names: Sequence[str]) -> dict[str, Any]:
    """Scores as plain data, with class names.

    Example:
        >>> scores_record(Scores(25.0, 40.0, {1: 25.0}, {1: 3}), ("ant", "bee"))["per_class"]
        [{'class_id': 1, 'name': 'bee', 'iou': 25.0, 'episodes': 3}]
    """
    return {
        "miou": scores.miou,
        "fb_iou": scores.fb_iou,
        "episodes": sum(scores.episodes.values()),
        "per_class": [
            {"class_id": each, "name": names[each], "iou": iou, "episodes": scores.episodes[each]}
            for each, iou in scores.per_class.items()
        ],
    }


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record to a temporary name beside ``path`` and move it there: never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as file:
        json.dump(record, file, indent=1)
        file.write("\n")


def print_classes(title: str, scores: Scores, names: Sequence[str]) -> None:
    """IoU of every class, then mIoU and FB-IoU, to standard output."""
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    table.add_column("IoU %", justify="right")
    table.add_column("episodes", justify="right")
    for each, iou in scores.per_class.items():
        table.add_row(names[each], f"{iou:.2f}", str(scores.episodes[each]))
    table.add_section()
    total = str(sum(scores.episodes.values()))
    table.add_row("[bold]mIoU", f"[bold]{scores.miou:.2f}", total)
    table.add_row("[bold]FB-IoU", f"[bold]{scores.fb_iou:.2f}", total)
    Console(soft_wrap=True).print(table)


def print_comparison(title: str, rows: Mapping[str, tuple[Scores, Scores]]) -> None:
    """Several predictors on the same episodes: overall, and on small objects."""
    table = Table(title=title, title_justify="left")
    table.add_column("method")
    for column in ("mIoU %", "FB-IoU %", "mIoU % on small objects"):
        table.add_column(column, justify="right")
    for name, (overall, small) in rows.items():
        table.add_row(name, f"{overall.miou:.2f}", f"{overall.fb_iou:.2f}", f"{small.miou_seen:.2f}")
    Console(soft_wrap=True).print(table)
