"""Numbers and tables of a test."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from pytorch_lightning.loggers import CSVLogger

from hmseg.metrics import Scores
from hmseg.reporting.object_sizes import BINS
from hmseg.tracking.tables import log_test, miou_by_size, size_key

#               index, class, foreground, counted, bg, bg, intersection, union
ROWS = np.array(
    [
        [0, 3, 5, 1000, 0, 0, 1, 4],
        [1, 3, 9, 1000, 0, 0, 5, 8],
        [2, 7, 9, 1000, 0, 0, 9, 10],
        [3, 7, 10, 1000, 0, 0, 1, 10],  # 1 %: the next bin begins
        [4, 7, 900, 1000, 0, 0, 0, 0],
    ]
)


def test_miou_by_size_is_the_mean_over_the_classes_of_a_bin() -> None:
    found = miou_by_size(ROWS)
    assert list(found) == [name for name, _, _ in BINS]
    below, one_to_five, five_to_twenty, more = found.values()
    assert below == (3, pytest.approx((100 * 6 / 12 + 90) / 2))
    assert one_to_five == (1, pytest.approx(10.0))
    assert five_to_twenty == (0, None)
    assert more == (1, 0.0)  # nothing there and nothing found


def test_all_bins_have_metrics_of_their_own() -> None:
    keys = [size_key(name) for name, _, _ in BINS]
    assert keys == [
        "miou_size_below_1",
        "miou_size_1_to_5",
        "miou_size_5_to_20",
        "miou_size_20_and_more",
    ]


def test_a_test_reaches_every_logger_under_its_checkpoints_name(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="log")
    scores = Scores(40.0, 60.0, {3: 30.0, 7: 50.0}, {3: 2, 7: 3})
    small = Scores(10.0, 20.0, {3: 20.0, 7: 0.0}, {3: 2, 7: 0})
    log_test([logger], "best", (scores, small), ["?"] * 8, ROWS, step=12)
    with open(Path(logger.log_dir) / "metrics.csv") as file:
        (row,) = csv.DictReader(file)
    assert {key: float(value) for key, value in row.items()} == {
        "step": 12,
        "test_best/miou": 40.0,
        "test_best/fb_iou": 60.0,
        "test_best/miou_small": 20.0,
        "test_best/miou_size_below_1": 70.0,
        "test_best/miou_size_1_to_5": 10.0,
        "test_best/miou_size_20_and_more": 0.0,
    }
