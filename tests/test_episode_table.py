"""Tables of episodes: counts as the metric counts them, files as they were written."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from hmseg.episode_table import COLUMNS, episode_rows, read_table, table_of, write_table
from hmseg.errors import DataError
from hmseg.metrics import FewShotIoU


def test_rows_are_those_of_a_loop() -> None:
    torch.manual_seed(1)
    prediction, target, void = (torch.rand(3, 5, 6) > cut for cut in (0.5, 0.6, 0.8))
    target &= ~void
    rows = episode_rows(torch.tensor([4, 0, 2]), torch.tensor([7, 3, 7]), prediction, target, void)
    for number, row in enumerate(rows.tolist()):
        pixels = [
            (bool(p), bool(t))
            for p, t, v in zip(
                *(each[number].flatten().tolist() for each in (prediction, target, void)), strict=True
            )
            if not v
        ]
        assert row[2:4] == [sum(t for _, t in pixels), len(pixels)]
        assert row[4] == sum(not p and not t for p, t in pixels)
        assert row[5] == sum(not p or not t for p, t in pixels)
        assert row[6] == sum(p and t for p, t in pixels)
        assert row[7] == sum(p or t for p, t in pixels)
    assert rows[:, :2].tolist() == [[4, 7], [0, 3], [2, 7]]


def test_scores_come_out_of_rows_as_out_of_masks() -> None:
    prediction, target = torch.rand(6, 8, 8) > 0.5, torch.rand(6, 8, 8) > 0.5
    class_ids = torch.tensor([3, 7, 3, 3, 7, 7])
    whole, added = FewShotIoU((3, 7)), FewShotIoU((3, 7))
    whole.update(prediction, target, None, class_ids)
    rows = episode_rows(torch.arange(6), class_ids, prediction, target, None)
    for part in (rows[:2], rows[2:]):
        added.add(part[:, 1], part[:, 4::2], part[:, 5::2])
        added.compute()  # a kept result must not outlive the next rows
    assert added.compute() == whole.compute()
    assert added.update_called


def test_a_table_survives_its_file(tmp_path: Path) -> None:
    table = np.arange(24).reshape(3, 8)
    path = tmp_path / "new/a.csv.gz"
    write_table(path, table)
    assert (read_table(path) == table).all()
    first = path.read_bytes()
    write_table(path, table)
    assert path.read_bytes() == first  # no time of day in it: git sees no change
    assert gzip.decompress(first).decode().splitlines()[0] == ",".join(COLUMNS)
    write_table(path, table[:0])
    assert read_table(path).shape == (0, 8)
    assert [each.name for each in path.parent.iterdir()] == ["a.csv.gz"]


def test_parts_are_put_in_order_and_the_last_word_counts() -> None:
    first, again = np.full((1, 8), 5), np.full((1, 8), 5)
    again[0, 6] = 9
    table = table_of([first, np.full((1, 8), 2), again])
    assert table[:, 0].tolist() == [2, 5] and table[1, 6] == 9
    assert table_of([]).shape == (0, 8)


@pytest.mark.parametrize("damage", ["missing", "cut", "text", "columns", "row"])
def test_damaged_files_are_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.csv.gz"
    write_table(path, np.arange(16).reshape(2, 8))
    good = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        lines = gzip.decompress(good).decode()
        path.write_bytes(
            {
                "cut": good[:-12],
                "text": b"index,class_id",
                "columns": gzip.compress(b"a,b\n1,2\n"),
                "row": gzip.compress(lines.replace("8,9,", "8,").encode()),
            }[damage]
        )
    with pytest.raises(DataError, match=r"table of episodes .*a.csv.gz can't be read .*: evaluate"):
        read_table(path)
