"""The draws of training: as published, and their options."""

from __future__ import annotations

from collections import Counter

import pytest

from hmseg.data.source import Listing
from hmseg.data.training_draws import training_episodes
from hmseg.errors import DataError

LISTING = Listing(tuple((f"{letter}{number}", c) for c, letter in enumerate("ab") for number in range(6)))
BY_CLASS = Listing((("a", 2), ("b", 2), ("c", 2), *((f"d{number}", 5) for number in range(30))), draw="class")


def test_training_epoch_has_each_pair_once() -> None:
    specs = training_episodes(LISTING, 1, seed=0, epoch=0)
    assert len(specs) == 12
    drawn = [(spec.query, spec.class_id) for spec in specs]
    assert sorted(drawn) == sorted(LISTING.pairs) and tuple(drawn) != LISTING.pairs
    assert all(spec.query not in spec.supports for spec in specs)


def test_training_episode_depends_on_seed_epoch_and_position_only() -> None:
    specs = training_episodes(LISTING, 2, seed=5, epoch=3)
    backwards = [specs[position] for position in reversed(range(12))]
    assert backwards[::-1] == list(specs) == list(training_episodes(LISTING, 2, 5, 3))
    assert specs[-1] == specs[11] and specs[2:4] == [specs[2], specs[3]]
    with pytest.raises(IndexError):
        specs[12]
    others = [training_episodes(LISTING, 2, 5, 4), training_episodes(LISTING, 2, 6, 3)]
    assert all(list(other) != list(specs) for other in others)


def test_supports_of_training_are_drawn_with_replacement() -> None:
    drawn = [spec.supports for epoch in range(20) for spec in training_episodes(LISTING, 3, 0, epoch)]
    repeated = sum(len(set(supports)) < 3 for supports in drawn) / len(drawn)
    assert 0.42 < repeated < 0.62  # 1 - 4/5 * 3/5 = 0.52 expected of 240 draws


@pytest.mark.parametrize("count", [1, 7, 12])
def test_shorter_epochs_are_the_beginning_of_the_whole_one(count: int) -> None:
    whole = training_episodes(LISTING, 1, seed=0, epoch=2)
    assert list(training_episodes(LISTING, 1, 0, 2, episodes=count)) == list(whole)[:count]


def test_longer_epochs_go_on_with_further_shuffled_rounds() -> None:
    specs = list(training_episodes(LISTING, 1, seed=0, epoch=2, episodes=30))
    rounds = [[spec.query for spec in specs[start : start + 12]] for start in (0, 12, 24)]
    assert sorted(rounds[0]) == sorted(rounds[1]) == sorted(name for name, _ in LISTING.pairs)
    assert len(rounds[2]) == len(set(rounds[2])) == 6 and rounds[0] != rounds[1]


def test_training_refuses_what_it_cannot_draw() -> None:
    with pytest.raises(DataError, match="class 1 has 1 image in this list"):
        training_episodes(Listing((("a", 0), ("b", 0), ("c", 1))), 1, 0, 0)
    with pytest.raises(DataError, match="image list is empty"):
        training_episodes(Listing(()), 1, 0, 0)
    with pytest.raises(DataError, match="0 episodes were asked for"):
        training_episodes(LISTING, 1, 0, 0, episodes=0)
    with pytest.raises(DataError, match="epoch=-1 came"):
        training_episodes(LISTING, 1, 0, epoch=-1)


def test_classes_come_uniformly_and_an_epoch_has_as_many_as_there_are_images() -> None:
    shared = Listing((*BY_CLASS.pairs, ("d0", 2)), draw="class")
    assert len(training_episodes(shared, 1, seed=0, epoch=0)) == 33  # d0 counts once
    specs = training_episodes(BY_CLASS, 2, seed=0, epoch=0, episodes=600)
    counts = Counter(spec.class_id for spec in specs)
    assert min(counts.values()) > 250  # 300 expected of each
    queries = Counter(spec.query for spec in specs if spec.class_id == 5)
    assert len(queries) == 30 and max(queries.values()) < 30  # 10 expected of each
    for spec in specs:
        assert spec.query not in spec.supports
        assert {spec.query, *spec.supports} <= set(BY_CLASS.by_class[spec.class_id])


def test_drawn_classes_depend_on_seed_epoch_and_position_only() -> None:
    specs = training_episodes(BY_CLASS, 1, seed=1, epoch=2)
    assert [specs[position] for position in (20, 3, 20)] == [list(specs)[20], specs[3], specs[20]]
    assert list(training_episodes(BY_CLASS, 1, 1, 2, episodes=5)) == list(specs)[:5]
    assert list(training_episodes(BY_CLASS, 1, 1, 3)) != list(specs)


@pytest.mark.parametrize("listing", [LISTING, BY_CLASS])
def test_supports_without_replacement_differ(listing: Listing) -> None:
    specs = training_episodes(listing, 2, seed=0, epoch=0, episodes=100, replacement=False)
    assert all(len({spec.query, *spec.supports}) == 3 for spec in specs)
    again = training_episodes(listing, 2, seed=0, epoch=0, episodes=100, replacement=False)
    assert [again[position] for position in range(100)] == list(specs)
    queries = [spec.query for spec in specs]
    assert queries == [spec.query for spec in training_episodes(listing, 2, 0, 0, 100)]  # only the supports


def test_without_replacement_a_class_needs_as_many_images() -> None:
    with pytest.raises(DataError, match="class 2 has 3 images in this list, 3-shot episodes drawn so need 4"):
        training_episodes(BY_CLASS, 3, 0, 0, replacement=False)
    assert training_episodes(BY_CLASS, 3, 0, 0)[0].supports
