"""Episode lists: the published ones to the letter, the strict one, and the draws of training."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hmseg.data.episode import EpisodeSpec
from hmseg.data.pascal import read_list
from hmseg.data.protocols import PROTOCOLS, digest, episodes, find_protocol, training_episodes
from hmseg.data.source import Listing
from hmseg.errors import ConfigError, DataError

LISTING = Listing(tuple((f"{letter}{number}", c) for c, letter in enumerate("ab") for number in range(6)))


@pytest.mark.parametrize("protocol", ["hsnet", "ifsl"])
@pytest.mark.parametrize("fold", range(4))
@pytest.mark.parametrize("shot", [1, 5])
def test_published_episodes(shared: Path, protocol: str, fold: int, shot: int) -> None:
    listing = read_list(shared / "splits/pascal", "val", fold)
    reference = json.loads((shared / f"reference/episodes_{protocol}.json").read_text())
    expected = reference[f"pascal fold{fold} {shot}shot"]
    specs = episodes(protocol, listing, shot, expected["episodes"])
    assert [spec.line().rstrip("\n") for spec in specs[:5]] == expected["first"]
    assert digest(specs) == expected["sha256"]


def test_hsnet_stream_is_one_choice_from_the_list_at_a_time() -> None:
    stream = np.random.RandomState(3)
    for spec in episodes("hsnet", LISTING, 2, 30, seed=3):
        names = list(LISTING.by_class[spec.class_id])
        for support in spec.supports:
            while (drawn := stream.choice(names, 1, replace=False)[0]) == spec.query:
                pass
            assert support == drawn


def test_ifsl_episodes_come_again_with_the_list() -> None:
    specs = episodes("ifsl", LISTING, 5, 24)
    assert specs[:12] == specs[12:]
    assert episodes("hsnet", LISTING, 5, 24)[:12] != episodes("hsnet", LISTING, 5, 24)[12:]


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_queries_are_the_list_cycled_and_supports_of_its_class(protocol: str) -> None:
    specs = episodes(protocol, LISTING, 3, 30)
    assert [(spec.query, spec.class_id) for spec in specs] == [LISTING.pairs[i % 12] for i in range(30)]
    for spec in specs:
        assert len(spec.supports) == 3 and spec.query not in spec.supports
        assert set(spec.supports) <= set(LISTING.by_class[spec.class_id])


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_seed_changes_the_supports(protocol: str) -> None:
    drawn = [digest(episodes(protocol, LISTING, 3, 20, seed)) for seed in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1] and len(set(drawn)) == 3


def test_published_protocols_repeat_supports_and_strict_does_not() -> None:
    def repeats(protocol: str) -> bool:
        return any(len(set(spec.supports)) < 5 for spec in episodes(protocol, LISTING, 5, 20))

    assert repeats("hsnet") and repeats("ifsl") and not repeats("strict")


def test_strict_draws_every_image_of_the_class_equally_often() -> None:
    drawn = Counter(
        spec.supports[0] for spec in episodes("strict", LISTING, 1, 12 * 200) if spec.query == "a0"
    )
    assert set(drawn) == {"a1", "a2", "a3", "a4", "a5"}
    assert min(drawn.values()) > 20  # 40 expected of each; the streams are fixed


def test_strict_episode_does_not_depend_on_the_others() -> None:
    assert episodes("strict", LISTING, 5, 40)[:7] == episodes("strict", LISTING, 5, 7)


def test_strict_episodes_are_frozen() -> None:
    """A change of the stream would silently change every number that was ever published with it."""
    assert episodes("strict", LISTING, 2, 2) == [
        EpisodeSpec(0, "a0", ("a4", "a1")),
        EpisodeSpec(0, "a1", ("a2", "a0")),
    ]


def test_an_image_named_twice_counts_once() -> None:
    twice = Listing((("a", 0), ("a", 0), ("b", 0)))
    assert {spec.supports for spec in episodes("strict", twice, 1, 6)} == {("a",), ("b",)}
    with pytest.raises(DataError, match="class 0 has 2 images in this list, 2-shot .* need 3"):
        episodes("strict", twice, 2, 1)


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_class_without_a_second_image(protocol: str) -> None:
    """The published code would redraw the query for ever."""
    listing = Listing((("a", 0), ("b", 0), ("c", 7), ("c", 7)))
    with pytest.raises(DataError, match="class 7 has 1 image in this list, 1-shot .* need 2 "):
        episodes(protocol, listing, 1, 1)


def test_five_shots_need_six_images_only_in_strict() -> None:
    listing = Listing(LISTING.pairs[:5])
    assert len(episodes("hsnet", listing, 5, 10)) == 10
    with pytest.raises(
        DataError, match="class 0 has 5 images in this list, 5-shot .* need 6 .*lower the shot"
    ):
        episodes("strict", listing, 5, 10)


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_bad_numbers_and_empty_lists(protocol: str) -> None:
    with pytest.raises(DataError, match="image list is empty"):
        episodes(protocol, Listing(()), 1, 1)
    with pytest.raises(DataError, match="shot=0 came, at least 1"):
        episodes(protocol, LISTING, 0, 1)
    with pytest.raises(DataError, match="0 episodes were asked for, at least 1"):
        episodes(protocol, LISTING, 1, 0)
    with pytest.raises(DataError, match="seed=-1 came"):
        episodes(protocol, LISTING, 1, 1, seed=-1)


def test_unknown_protocol_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown protocol 'strikt': did you mean 'strict'"):
        find_protocol("strikt")
    with pytest.raises(ConfigError, match="known: hsnet, ifsl, strict"):
        episodes("coco", LISTING, 1, 1)


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
