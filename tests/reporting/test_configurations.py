"""Folds and seeds put together; what is missing; what can't be compared with papers."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest

from hmseg.episode_table import Rows
from hmseg.reporting.configurations import Configuration, configurations
from hmseg.reporting.gathering import from_records
from hmseg.reporting.setting import masking_label
from made_evaluations import record, write_records

Made = tuple[dict[str, Any], Rows]


def only(tmp_path: Path, *made: Made) -> Configuration:
    (one,) = configurations(from_records(write_records(tmp_path / "a.jsonl", list(made))).measurements)
    return one


def test_mean_over_folds_and_deviation_over_seeds(tmp_path: Path) -> None:
    made = {(fold, seed): record(fold=fold, seed=seed) for fold in (0, 2) for seed in (0, 1, 4)}
    one = only(tmp_path, *made.values())
    value = {key: found["miou"] for key, (found, _) in made.items()}
    assert (one.folds, one.seeds, one.missing_folds, one.missing_cells) == ((0, 2), (0, 1, 4), (1, 3), ())
    assert one.fold_score(2) == pytest.approx(
        (statistics.mean(v := [value[2, s] for s in (0, 1, 4)]), statistics.stdev(v))
    )
    per_seed = [(value[0, seed] + value[2, seed]) / 2 for seed in (0, 1, 4)]
    assert one.score() == pytest.approx((statistics.mean(per_seed), statistics.stdev(per_seed)))
    assert one.interval is not None and one.interval.value == pytest.approx(one.score()[0])
    assert one.interval.low < one.score()[0] < one.interval.high


def test_a_seed_that_lacks_a_fold_is_named_and_not_in_the_deviation(tmp_path: Path) -> None:
    one = only(tmp_path, record(fold=0), record(fold=1), record(fold=0, seed=1))
    assert one.missing_cells == ((1, 1),)
    assert one.score()[1] is None


def test_without_a_table_there_is_no_interval(tmp_path: Path) -> None:
    one = only(tmp_path, record())
    assert one.interval is not None
    next((tmp_path / "a.episodes").iterdir()).unlink()
    one = only(tmp_path / ".", record())
    next((tmp_path / "a.episodes").iterdir()).unlink()
    (gone,) = configurations(from_records(tmp_path / "a.jsonl").measurements)
    assert gone.interval is None


def test_remarks_say_why_numbers_stand_apart(tmp_path: Path) -> None:
    assert only(tmp_path, record()).remarks == (
        "own image lists", "images of 160×160 px", "60 episodes", "backbone resnet50_caffe", "1 of 4 folds",
    )  # fmt: skip


def test_nothing_stands_apart_on_the_published_protocol(tmp_path: Path) -> None:
    made = []
    for fold in range(4):
        found, rows = record(fold=fold, episodes=1000)
        found["test"] |= {"lists": "published", "size": [400, 400]}
        found["config"]["backbone"]["name"] = "resnet50"
        made.append((found, rows))
    assert only(tmp_path, *made).remarks == ()


def test_a_data_set_of_one_s_own_has_nothing_published(tmp_path: Path) -> None:
    found, rows = record()
    found["test"] |= {"dataset": "shapes"}
    assert only(tmp_path, (found, rows)).remarks == ("nothing is published on shapes",)


def test_masking_labels() -> None:
    assert masking_label({"_target_": "hmseg.masking.NoMasking"}) == "none"
    published = {"relu": "before", "threshold": 0.0, "mix": None, "remask": False, "levels": None}
    assert masking_label({"_target_": "hmseg.masking.HybridMasking", **published, "fill": "mean"}) == "hybrid"
    deep = {"_target_": "hmseg.masking.HybridMasking", **published, "levels": [4, 3], "relu": "after"}
    assert masking_label(deep) == "hybrid (levels=[4, 3], relu=after)"
