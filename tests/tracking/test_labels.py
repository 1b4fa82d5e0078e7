"""What runs are called."""

from __future__ import annotations

from typing import Any

import pytest

from hmseg.config import compose_plain
from hmseg.tracking.labels import labels_of


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return compose_plain("masking=hybrid_soft", "shot=5", "seed=3")


def test_all_that_runs_are_told_apart_by_is_in_the_labels(config: dict[str, Any]) -> None:
    labels = labels_of(config, "train", "mine")
    assert labels.plain() == {
        "kind": "train",
        "experiment": "mine",
        "model": "hsnet",
        "masking": "hybrid (mix=0.25)",
        "dataset": "shapes",
        "backbone": "mobilenet_v2",
        "fold": 0,
        "shot": 5,
        "seed": 3,
    }
    assert labels.tags == [
        "train",
        "model=hsnet",
        "masking=hybrid (mix=0.25)",
        "dataset=shapes",
        "backbone=mobilenet_v2",
        "shot=5",
    ]
    assert labels.name == "hybrid (mix=0.25) fold 0 seed 3"


def test_runs_that_differ_in_masking_fold_and_seed_are_of_one_group(config: dict[str, Any]) -> None:
    other = {**config, "fold": 2, "seed": 9, "masking": {"_target_": "hmseg.masking.NoMasking"}}
    assert labels_of(config, "train").experiment == labels_of(other, "evaluate").experiment
    assert labels_of(config, "train").job_type != labels_of(other, "train").job_type


def test_a_data_set_without_folds_and_parts_of_ones_own(config: dict[str, Any]) -> None:
    own = {"_target_": "mine.networks.Deep" + "er" * 40}
    labels = labels_of({**config, "fold": None, "backbone": own, "model": own}, "evaluate")
    assert (labels.job_type, labels.name) == ("no fold", "evaluate hybrid (mix=0.25) seed 3")
    assert labels.backbone == "Deep" + "er" * 40
    assert max(map(len, labels.tags)) == 64  # W&B refuses longer ones
