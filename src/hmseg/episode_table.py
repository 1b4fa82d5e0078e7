"""What each episode of an evaluation came to: pixel counts from which every score can be computed again."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmseg.errors import DataError
from hmseg.files import writing_bytes
from hmseg.metrics import intersections_and_unions
from hmseg.untrusted import opened, parsing

COLUMNS = ("index", "class_id", "foreground", "counted", "inter_bg", "union_bg", "inter_fg", "union_fg")
"""Place in the list of episodes, class, pixels of the query's object, pixels that count (no void), and the
intersections and unions of background and foreground (REFERENCE section 11)."""

_LARGEST = 200 * 10**6  # bytes of text; 20000 episodes have one million

Rows = NDArray[np.int64]
"""(N, 8) in the order of ``COLUMNS``."""


def episode_rows(
    index: Tensor, class_id: Tensor, prediction: Tensor, target: Tensor, void: Tensor | None
) -> Tensor:
    """The rows of a batch; runs on the tensors' device and never waits for it.

    Args:
        index: (B,) places in the list of episodes.
        class_id: (B,).
        prediction: (B, H, W), foreground where not zero.
        target: likewise.
        void: (B, H, W) bool, pixels to leave out; None for none.

    Returns:
        (B, 8) int64, columns as in ``COLUMNS``.

    Example:
        >>> prediction, target = torch.tensor([[[1, 1, 0, 0]]]), torch.tensor([[[1, 0, 0, 1]]])
        >>> episode_rows(torch.tensor([5]), torch.tensor([2]), prediction, target, None)
        tensor([[5, 2, 2, 4, 1, 3, 1, 3]])
    """
    intersection, union = intersections_and_unions(prediction, target, void)  # (B, 2) each
    counted = torch.ones_like(target, dtype=torch.bool) if void is None else ~void.bool()
    foreground = ((target != 0) & counted).sum(dim=(1, 2))
    counts = torch.stack((intersection, union), dim=2).flatten(1)  # (B, 4): background, foreground
    first = torch.stack((index, class_id, foreground, counted.sum(dim=(1, 2))), dim=1)
    return torch.cat((first, counts), dim=1)


def table_of(rows: Iterable[Rows]) -> Rows:
    """One table in the order of the list; of an episode that came twice the last one counts.

    Example:
        >>> later, earlier = np.full((1, 8), 3), np.full((1, 8), 1)
        >>> table_of([later, earlier])[:, 0].tolist()
        [1, 3]
    """
    parts = list(rows)
    if not parts:
        return np.empty((0, len(COLUMNS)), dtype=np.int64)
    every = np.concatenate(parts).astype(np.int64)
    _, last = np.unique(every[::-1, 0], return_index=True)
    return every[::-1][last]


def write_table(path: Path, table: Rows) -> None:
    """Writes ``.csv.gz``, the same bytes for the same table, whole or not at all; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(table.tolist())
    packed = gzip.compress(text.getvalue().encode(), mtime=0)
    with writing_bytes(path) as file:
        file.write(packed)


def read_table(path: Path) -> Rows:
    """Reads what ``write_table`` wrote.

    Raises:
        DataError: it is missing, cut, or not such a table.
    """
    with parsing(lambda why: DataError(f"table of episodes {path} can't be read ({why}): evaluate again")):
        with opened(path) as packed, gzip.open(packed) as unpacked:
            text = unpacked.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise ValueError(f"it unpacks to more than {_LARGEST // 10**6} MB")
        header, *lines = list(csv.reader(text.decode().splitlines()))
        return parse_rows(header, lines)


def parse_rows(header: Sequence[str], lines: Sequence[Sequence[str]]) -> Rows:
    """A table from texts; raises ValueError where they are none."""
    if tuple(header) != COLUMNS:
        raise ValueError(f"its columns are {', '.join(header)[:80]}")
    if any(len(line) != len(COLUMNS) for line in lines):
        raise ValueError("a row is not whole")
    table = np.array([[int(cell) for cell in line] for line in lines], dtype=np.int64)
    return table.reshape(-1, len(COLUMNS))
