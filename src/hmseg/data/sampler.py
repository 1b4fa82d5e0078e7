"""Which episodes each device goes through, in training and in an evaluation."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from torch.utils.data import Sampler

from hmseg.data.dataset import Item
from hmseg.data.episode import EpisodeSpec
from hmseg.data.source import Listing
from hmseg.data.training_draws import training_episodes
from hmseg.errors import DataError


def eval_items(
    specs: Sequence[EpisodeSpec], rank: int = 0, world_size: int = 1, done: Collection[int] = ()
) -> list[Item]:
    """The share of one device of a fixed episode list: every episode once over all devices, none padded.

    Those at the positions ``done`` are left out; their places stay theirs.

    Example:
        >>> specs = [EpisodeSpec(0, name, ("s",)) for name in "abc"]
        >>> [(index, spec.query) for index, spec in eval_items(specs, rank=0, world_size=2)]
        [(0, 'a'), (2, 'c')]
    """
    items: list[Item] = [(index, spec) for index, spec in enumerate(specs) if index not in done]
    return items[rank::world_size]


class TrainSampler(Sampler[Item]):
    """Goes through the training episodes of an epoch, in full batches, equally many on every device.

    Positions are dealt to the devices in turn; the tail that does not fill a batch on all of them is left out
    (another one each epoch).

    Args:
        listing: the training list.
        shot: supports per episode.
        seed: of all epochs.
        batch_size: episodes per device and step.
        episodes: length of an epoch before the tail is left out; None: as published.
        rank: number of this device.
        world_size: number of devices.
        replacement: may a support come twice in an episode?

    Attributes:
        epoch: which epoch the next pass goes through.
        skip: how many episodes of this device the next pass leaves out at its beginning.

    Raises:
        DataError: the epoch does not fill one batch on each device.
    """

    def __init__(
        self,
        listing: Listing,
        shot: int,
        seed: int,
        batch_size: int,
        episodes: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        replacement: bool = True,
    ) -> None:
        self.epoch = 0
        self.skip = 0
        self._draw = partial(
            training_episodes, listing, shot, seed, episodes=episodes, replacement=replacement
        )
        self._rank, self._world_size = rank, world_size
        total = len(self._draw(epoch=0))  # checks list and numbers
        self._length = total // (batch_size * world_size) * batch_size
        if self._length == 0:
            raise DataError(
                f"an epoch of {total} training episodes does not fill one batch of {batch_size} on each of "
                f"{world_size} device(s): lower the batch size or set train_episodes to "
                f"{batch_size * world_size} or more"
            )

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch of the next pass. In a training loop the loader does so."""
        self.epoch = epoch

    def specs(self, positions: Sequence[int]) -> list[EpisodeSpec]:
        """The recipes at some positions of this epoch."""
        drawn = self._draw(epoch=self.epoch)
        return [drawn[position] for position in positions]

    def __len__(self) -> int:
        """Episodes of a whole pass on this device."""
        return self._length

    def __iter__(self) -> Iterator[Item]:
        epoch, drawn = self.epoch, self._draw(epoch=self.epoch)
        first = self._rank + self.skip * self._world_size
        for index in range(first, self._length * self._world_size, self._world_size):
            yield index, drawn[index], epoch
