"""Which images make a training episode: as published, and the options beside it.

Everything is plain data made from a list and a seed; no image is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from numpy.random import RandomState

from hmseg.data.episode import EpisodeSpec
from hmseg.data.protocols import check_draw, draw_apart, own_stream
from hmseg.data.source import Listing
from hmseg.errors import DataError


class TrainingEpisodes(Sequence[EpisodeSpec]):
    """The episodes of one training epoch, each made when asked for; see ``training_episodes``."""

    def __init__(
        self, listing: Listing, shot: int, seed: int, epoch: int, count: int, replacement: bool = True
    ) -> None:
        self._listing, self._shot, self._seed, self._epoch = listing, shot, seed, epoch
        self._count, self._replacement = count, replacement
        self._classes = tuple(listing.by_class)
        self._order = self._shuffled() if listing.draw == "pairs" else None

    def _shuffled(self) -> Sequence[int]:
        """The order in which the pairs come: as many shuffled rounds through the list as are needed."""
        length = len(self._listing.pairs)
        rounds = range(-(-self._count // length))
        # 0 and 1 keep the streams of the orders and of the episodes apart.
        orders = [own_stream(self._seed, self._epoch, 0, turn).permutation(length) for turn in rounds]
        return np.concatenate(orders)[: self._count]  # type: ignore[return-value]  # an array is one

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, position: int) -> EpisodeSpec: ...
    @overload
    def __getitem__(self, position: slice) -> list[EpisodeSpec]: ...

    def __getitem__(self, position: int | slice) -> EpisodeSpec | list[EpisodeSpec]:
        if isinstance(position, slice):
            return [self[each] for each in range(len(self))[position]]
        position = range(len(self))[position]  # IndexError out of range; negative positions counted
        stream = own_stream(self._seed, self._epoch, 1, position)
        query, class_id = self._query(stream, position)
        if self._replacement:
            supports = self._draw(stream, class_id, query)
        else:
            supports = draw_apart(stream, self._listing, class_id, query, self._shot)
        return EpisodeSpec(class_id, query, supports)

    def _query(self, stream: RandomState, position: int) -> tuple[str, int]:
        if self._order is not None:
            return self._listing.pairs[self._order[position]]
        class_id = self._classes[stream.randint(len(self._classes))]
        names = self._listing.by_class[class_id]
        return names[stream.randint(len(names))], class_id

    def _draw(self, stream: RandomState, class_id: int, query: str) -> tuple[str, ...]:
        names = self._listing.by_class[class_id]
        supports: list[str] = []
        while len(supports) < self._shot:
            if (support := names[stream.randint(len(names))]) != query:
                supports.append(support)
        return tuple(supports)

    def __iter__(self) -> Iterator[EpisodeSpec]:
        return (self[position] for position in range(len(self)))


def training_episodes(
    listing: Listing,
    shot: int,
    seed: int,
    epoch: int,
    episodes: int | None = None,
    replacement: bool = True,
) -> Sequence[EpisodeSpec]:
    """The episodes of one training epoch.

    As published (REFERENCE sections 8 and 9): where the list is gone through (PASCAL-5i, FSS-1000), each pair
    is the query once, in shuffled order; where classes are drawn (COCO-20i), the class comes uniformly, then
    an image of it, as many times as there are different images. Supports are drawn uniformly with replacement
    and redrawn only if equal to the query. Unlike there, all of it depends on nothing but (seed, epoch,
    position): workers, batch size and a resumed run do not change it, nor do workers repeat one another.

    Args:
        listing: the training list of a fold.
        shot: supports per episode, at least 1; published: 1.
        seed: 0 or more.
        epoch: 0 or more.
        episodes: length of the epoch; None: as published. Where it is more than the list has, further
            shuffled rounds through the list follow.
        replacement: may a support come twice in an episode, as published? With several shots a repeated
            support says nothing new; false makes all of them different.

    Raises:
        DataError: an empty list, a class with too few images, or a number out of range.

    Example:
        >>> listing = Listing((("a", 0), ("b", 0), ("c", 0)))
        >>> [spec.query for spec in training_episodes(listing, shot=1, seed=0, epoch=0)]
        ['c', 'b', 'a']
    """
    count = listing.epoch if episodes is None else episodes
    check_draw(listing, shot, count, seed, images_per_class=2 if replacement else shot + 1)
    if epoch < 0:
        raise DataError(f"epoch={epoch} came, 0 or more was expected")
    return TrainingEpisodes(listing, shot, seed, epoch, count, replacement)
