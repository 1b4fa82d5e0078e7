"""Pairs on the same episodes, and object sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hmseg.reporting.comparisons import differences
from hmseg.reporting.configurations import Configuration, configurations
from hmseg.reporting.gathering import from_records
from hmseg.reporting.object_sizes import object_share, size_bins, size_differences
from made_evaluations import record, several, write_records


def read(tmp_path: Path, made: list) -> tuple[Configuration, ...]:  # type: ignore[type-arg]
    return configurations(from_records(write_records(tmp_path / "a.jsonl", made)).measurements)


def test_every_pair_of_maskings_on_common_ground(tmp_path: Path) -> None:
    found, unpaired = differences(read(tmp_path, several()), "masking")
    assert unpaired == []
    assert len(found) == 6 * 5  # pairs, times settings
    for one in found:
        assert one.common.masking == "" and set(one.per_fold) == {1, 3}
        mean = np.mean([fold.value for fold in one.per_fold.values()])
        assert one.mean.value == pytest.approx(mean)
        assert one.mean.high - one.mean.low < max(fold.high - fold.low for fold in one.per_fold.values())
    names = [(one.method, one.other) for one in found[:6]]
    assert names[0] == ("feature", "none") and names[-1] == ("hybrid", "input")


def test_common_seeds_alone_are_paired(tmp_path: Path) -> None:
    made = [record("Feature"), record("Hybrid"), record("Hybrid", seed=1)]
    (one,), _ = differences(read(tmp_path, made), "masking")
    assert one.mean.value == pytest.approx(made[1][0]["miou"] - made[0][0]["miou"])


def test_aggregations_and_a_reference(tmp_path: Path) -> None:
    every = read(tmp_path, several())
    found, _ = differences(every, "aggregation")
    assert {(one.method, one.other) for one in found} == {("mean_probability", "vote")}
    assert len(found) == 4
    only, _ = differences(every, "masking", reference="feature")
    assert len(only) == 3 * 5


@pytest.mark.parametrize(
    "reason", ["not the same episodes", "tables of episodes are missing", "no fold in common"]
)
def test_what_can_t_be_paired_is_named(tmp_path: Path, reason: str) -> None:
    (found, rows), other = record("Feature"), record("Hybrid")
    if reason == "no fold in common":
        found, rows = record("Feature", fold=0)
    elif reason == "not the same episodes":
        found["test"] |= {"digest": "0" * 64}
    path = write_records(tmp_path / "a.jsonl", [(found, rows), other])
    if reason == "tables of episodes are missing":
        (tmp_path / f"a.episodes/{found['id']}.csv.gz").unlink()
    compared, (one,) = differences(configurations(from_records(path).measurements), "masking")
    assert compared == []
    assert (one.method, one.other, one.reason) == ("hybrid", "feature", reason)


def test_size_bins_by_a_loop(tmp_path: Path) -> None:
    made = [record(fold=fold, episodes=90) for fold in (1, 3)]
    (one,) = read(tmp_path, made)
    bins = size_bins(one)
    assert bins is not None
    edges = (0, 0.01, 0.05, 0.2, 2)
    for found, low, high in zip(bins, edges, edges[1:], strict=False):
        ious, episodes = [], 0
        for _, rows in made:
            for class_id in np.unique(rows[:, 1]):
                kept = [r for r in rows if r[1] == class_id and low <= r[2] / r[3] < high]
                episodes += len(kept)
                if kept:
                    ious.append(sum(int(r[6]) for r in kept) / sum(int(r[7]) for r in kept))
        assert (found.episodes, found.classes) == (episodes, len(ious))
        assert found.value.value == pytest.approx(100 * np.mean(ious))
        assert found.value.low <= found.value.value <= found.value.high
    assert sum(found.episodes for found in bins) == 180


def test_an_empty_bin_has_no_value(tmp_path: Path) -> None:
    found, rows = record()
    rows[:, 2] = rows[:, 3] // 2
    (one,) = read(tmp_path, [(found, rows)])
    bins = size_bins(one)
    assert bins is not None
    assert [each.episodes for each in bins] == [0, 0, 0, 60]
    assert np.isnan(bins[0].value.value) and bins[3].value.value > 0
    assert (object_share(rows) == 0.5).all()


def test_differences_in_bins_are_differences_of_bins(tmp_path: Path) -> None:
    feature, hybrid = read(
        tmp_path, [record("Feature", fold=f) for f in (1, 3)] + [record(fold=f) for f in (1, 3)]
    )
    mine, theirs, both = size_bins(hybrid), size_bins(feature), size_differences(hybrid, feature)
    assert mine and theirs and both
    for one, other, difference in zip(mine, theirs, both, strict=True):
        assert difference.value.value == pytest.approx(one.value.value - other.value.value)
        assert difference.episodes == one.episodes
