"""Episode lists: the published ones to the letter, and the strict one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hmseg.data.coco_lists import held_out, listing_of, read_coco_lists
from hmseg.data.episode import EpisodeSpec
from hmseg.data.fss import category_listing, read_categories
from hmseg.data.pascal_lists import read_list
from hmseg.data.protocols import PROTOCOLS, digest, episodes, find_protocol, seeded_episodes
from hmseg.data.source import Listing
from hmseg.errors import ConfigError, DataError

BY_CLASS = Listing((("a", 2), ("b", 2), ("c", 2), *((f"d{number}", 5) for number in range(30))), draw="class")
LISTING = Listing(tuple((f"{letter}{number}", c) for c, letter in enumerate("ab") for number in range(6)))


def published_listings(splits: Path) -> Iterator[tuple[str, Listing]]:
    """The test list of every setting of REFERENCE section 10, by its name there."""
    by_class = read_coco_lists(splits / "coco", "val", 0)
    categories = read_categories(splits / "fss")
    for fold in range(4):
        yield f"pascal fold{fold}", read_list(splits / "pascal", "val", fold)
        yield f"coco fold{fold}", listing_of(by_class, held_out(fold))
    yield "fss val", category_listing(categories["val"], 520)
    yield "fss test", category_listing(categories["test"], 760)


def test_all_published_episodes(shared: Path) -> None:
    """Digests of all 36 settings: 20 of hsnet, 16 of ifsl, which has none for FSS-1000."""
    listings = dict(published_listings(shared / "splits"))
    count = 0
    for protocol in ("hsnet", "ifsl"):
        reference = json.loads((shared / f"reference/episodes_{protocol}.json").read_text())
        for setting, expected in reference.items():
            name, _, shots = setting.rpartition(" ")
            listing = listings[name]
            assert expected["episodes"] == listing.test_episodes
            specs = seeded_episodes(protocol, listing, int(shots.removesuffix("shot")), None, seeds=[0])
            assert [spec.line().rstrip("\n") for spec in specs[:5]] == expected["first"], setting
            assert digest(specs) == expected["sha256"], (protocol, setting)
            count += 1
    assert count == 36


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


def test_classes_are_drawn_uniformly_where_the_list_says_so() -> None:
    for protocol in PROTOCOLS:
        drawn = episodes(protocol, BY_CLASS, 1, 400)
        counts = Counter(spec.class_id for spec in drawn)
        assert set(counts) == {2, 5} and min(counts.values()) > 160  # 200 expected of each
        assert len({spec.query for spec in drawn if spec.class_id == 5}) > 25
        for spec in drawn:
            assert spec.query not in spec.supports
            assert {spec.query, *spec.supports} <= set(BY_CLASS.by_class[spec.class_id])


def test_hsnet_takes_class_query_and_supports_from_one_stream() -> None:
    stream = np.random.RandomState(7)
    for spec in episodes("hsnet", BY_CLASS, 2, 30, seed=7):
        class_id = int(stream.choice([2, 5], 1, replace=False)[0])
        names = list(BY_CLASS.by_class[class_id])
        query = stream.choice(names, 1, replace=False)[0]
        assert (spec.class_id, spec.query) == (class_id, query)
        for support in spec.supports:
            while (drawn := stream.choice(names, 1, replace=False)[0]) == query:
                pass
            assert support == drawn


def test_ifsl_is_seeded_with_the_index_where_classes_are_drawn() -> None:
    drawn = episodes("ifsl", BY_CLASS, 2, 70)
    assert drawn[:33] != drawn[33:66]  # nothing comes again with the list of 33 pairs
    assert drawn[0] == episodes("hsnet", BY_CLASS, 2, 1, seed=0)[0]
    assert drawn[17] == episodes("hsnet", BY_CLASS, 2, 1, seed=17)[0]


def test_strict_supports_differ_where_classes_are_drawn_too() -> None:
    drawn = episodes("strict", BY_CLASS, 2, 60)
    assert all(len({spec.query, *spec.supports}) == 3 for spec in drawn)
    assert drawn[:9] == episodes("strict", BY_CLASS, 2, 9)


def test_several_seeds_come_one_after_the_other() -> None:
    together = seeded_episodes("hsnet", LISTING, 2, 5, seeds=(4, 0))
    assert together == episodes("hsnet", LISTING, 2, 5, seed=4) + episodes("hsnet", LISTING, 2, 5, seed=0)
    short = Listing(LISTING.pairs, test_episodes=7)
    assert len(seeded_episodes("strict", short, 1, None, seeds=(0, 1))) == 14
