"""Which episodes each device goes through."""

from __future__ import annotations

import pytest

from hmseg.data.episode import EpisodeSpec
from hmseg.data.sampler import TrainSampler, eval_items
from hmseg.data.source import Listing
from hmseg.data.training_draws import training_episodes
from hmseg.errors import DataError

LISTING = Listing(tuple((f"train{c}_{number}", c) for c in range(4) for number in range(5)))  # 20 pairs


def sampler(
    batch_size: int = 3, episodes: int | None = None, rank: int = 0, world_size: int = 1
) -> TrainSampler:
    return TrainSampler(LISTING, 1, 0, batch_size, episodes, rank, world_size)


def items_of(epoch: int) -> list[tuple[int, EpisodeSpec, int]]:
    """What a sampler gives of a whole epoch, the tail included."""
    drawn = training_episodes(LISTING, 1, 0, epoch)
    return [(position, spec, epoch) for position, spec in enumerate(drawn)]


def test_sampler_gives_the_epoch_in_full_batches() -> None:
    items = list(sampler(batch_size=3))
    assert items == items_of(0)[:18]
    assert len(sampler(batch_size=3)) == 18


def test_sampler_follows_its_epoch() -> None:
    drawn = sampler(batch_size=2)
    first = list(drawn)
    drawn.set_epoch(4)
    assert list(drawn) == items_of(4) != first


def test_sampler_skips() -> None:
    drawn = sampler(batch_size=3)
    whole = list(drawn)
    drawn.skip = 6
    assert list(drawn) == whole[6:] and len(drawn) == 18


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("skip", [0, 2])
def test_devices_share_an_epoch_without_overlap(world_size: int, skip: int) -> None:
    shares = [sampler(2, None, rank, world_size) for rank in range(world_size)]
    for share in shares:
        share.skip = skip
    drawn = [list(share) for share in shares]
    length = 20 // (2 * world_size) * 2
    assert [len(items) for items in drawn] == [length - skip] * world_size
    together = sorted(item for items in drawn for item in items)
    whole = items_of(0)
    assert together == whole[skip * world_size : length * world_size]


def test_sampler_passes_replacement_on() -> None:
    drawn = TrainSampler(LISTING, 4, 0, 1, replacement=False)
    assert all(len(set(item[1].supports)) == 4 for item in drawn)
    assert not all(len(set(item[1].supports)) == 4 for item in TrainSampler(LISTING, 4, 0, 1))


def test_epoch_that_fills_no_batch_is_refused() -> None:
    with pytest.raises(DataError, match=r"20 training episodes .* batch of 11 on each of 2 .* 22 or more"):
        sampler(batch_size=11, world_size=2)
    assert len(sampler(batch_size=11, episodes=22, world_size=2)) == 11


@pytest.mark.parametrize("world_size", [1, 2, 3, 7, 11])
def test_evaluation_is_shared_without_padding_or_duplicates(world_size: int) -> None:
    specs = [EpisodeSpec(0, str(number), ("s",)) for number in range(10)]
    shares = [eval_items(specs, rank, world_size) for rank in range(world_size)]
    assert sorted(item for share in shares for item in share) == list(enumerate(specs))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_recipes_can_be_asked_for_by_position() -> None:
    drawn = sampler(batch_size=2)
    drawn.set_epoch(3)
    items = items_of(3)
    assert drawn.specs([7, 0]) == [items[7][1], items[0][1]]
