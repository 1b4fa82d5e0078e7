"""Which images make an episode: the published test protocols, a strict one, and the draws of training.

Everything here is plain data made from a list and a seed; no image is read. The streams are NumPy's legacy
``RandomState``, whose results are frozen for all NumPy versions, so that an episode list never changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.random import MT19937, RandomState, SeedSequence

from hmseg.data.episode import EpisodeSpec
from hmseg.data.source import Listing
from hmseg.errors import ConfigError, DataError, unknown

Protocol = Callable[[Listing, int, int, int], list[EpisodeSpec]]


def _stream(*entropy: int) -> RandomState:
    """An independent stream for each tuple of non-negative numbers."""
    return RandomState(MT19937(SeedSequence(entropy)))


def _check(listing: Listing, shot: int, episodes: int, seed: int, images_per_class: int) -> None:
    if not listing.pairs:
        raise DataError("the image list is empty, so no episode can be drawn: check the lists of this fold")
    if shot < 1:
        raise DataError(f"shot={shot} came, at least 1 was expected: an episode needs a support image")
    if episodes < 1:
        raise DataError(f"{episodes} episodes were asked for, at least 1 was expected")
    if not 0 <= seed < 2**32:
        raise DataError(f"seed={seed} came, a number from 0 to 2**32 - 1 was expected")
    for class_id, names in listing.by_class.items():
        if (count := len(set(names))) < images_per_class:
            raise DataError(
                f"class {class_id} has {count} image{'s' if count > 1 else ''} in this list, {shot}-shot "
                f"episodes drawn so need {images_per_class} (a query and its supports): add images, lower "
                "the shot, or leave the class out"
            )


def _draw_published(stream: RandomState, names: Sequence[str], query: str, shot: int) -> tuple[str, ...]:
    """Supports one at a time, with replacement, redrawn only if equal to the query.

    ``choice(n, 1, replace=False)`` takes the same numbers from the stream as ``choice(list, 1, ...)``, which
    the published code calls. Where the query is the only image of its class, the published code redraws for
    ever; here ``_check`` refuses such a list first.
    """
    supports: list[str] = []
    while len(supports) < shot:
        support = names[int(stream.choice(len(names), 1, replace=False)[0])]
        if support != query:
            supports.append(support)
    return tuple(supports)


def hsnet_episodes(listing: Listing, shot: int, episodes: int, seed: int = 0) -> list[EpisodeSpec]:
    """Test episodes of the published HSNet and VAT (REFERENCE section 10).

    The list cycled as queries; supports from one stream in episode order, with replacement, so duplicates
    among the supports happen.

    Args:
        listing: the test list of a fold.
        shot: supports per episode, at least 1.
        episodes: number of episodes, at least 1; published: 1000.
        seed: of the stream; published: 0.

    Raises:
        DataError: an empty list, a class without a second image, or a number out of range.

    Example:
        >>> listing = Listing((("a", 0), ("b", 0), ("c", 0)))
        >>> [spec.line() for spec in hsnet_episodes(listing, shot=1, episodes=2)]
        ['0 a c\\n', '0 b c\\n']
    """
    _check(listing, shot, episodes, seed, images_per_class=2)
    stream = RandomState(seed)
    drawn = []
    for index in range(episodes):
        query, class_id = listing.pairs[index % len(listing.pairs)]
        supports = _draw_published(stream, listing.by_class[class_id], query, shot)
        drawn.append(EpisodeSpec(class_id, query, supports))
    return drawn


def ifsl_episodes(listing: Listing, shot: int, episodes: int, seed: int = 0) -> list[EpisodeSpec]:
    """Test episodes of the published ASNet (iFSL): as ``hsnet``, re-seeded for each episode.

    The seed is the query's place in the list. So once the list has been cycled, the same episodes come again:
    1000 episodes of a list of 346 are 346 different ones (the digests of the published lists confirm it).
    Seed 0 is the published protocol; any other gives each place the stream of (seed, place).
    Arguments and errors as of ``hsnet_episodes``. Source: REFERENCE section 10.
    """
    _check(listing, shot, episodes, seed, images_per_class=2)
    drawn = []
    for index in range(episodes):
        entry = index % len(listing.pairs)
        query, class_id = listing.pairs[entry]
        stream = RandomState(entry if seed == 0 else [seed, entry])
        supports = _draw_published(stream, listing.by_class[class_id], query, shot)
        drawn.append(EpisodeSpec(class_id, query, supports))
    return drawn


def strict_episodes(listing: Listing, shot: int, episodes: int, seed: int = 0) -> list[EpisodeSpec]:
    """Test episodes with ``shot`` different supports, none of them the query.

    The list cycled as queries, as in the published protocols. Each episode has its own stream, of (seed,
    index), so it depends neither on the other episodes nor on workers or batch size. Arguments as of
    ``hsnet_episodes``.

    Raises:
        DataError: an empty list, a class of fewer than ``shot`` + 1 images, or a number out of range.
    """
    _check(listing, shot, episodes, seed, images_per_class=shot + 1)
    drawn = []
    for index in range(episodes):
        query, class_id = listing.pairs[index % len(listing.pairs)]
        others = [name for name in dict.fromkeys(listing.by_class[class_id]) if name != query]
        chosen = _stream(seed, index).permutation(len(others))[:shot]
        drawn.append(EpisodeSpec(class_id, query, tuple(others[position] for position in chosen)))
    return drawn


PROTOCOLS: dict[str, Protocol] = {"hsnet": hsnet_episodes, "ifsl": ifsl_episodes, "strict": strict_episodes}


def find_protocol(name: str) -> Protocol:
    """The protocol of a name; raises ConfigError with the nearest name if there is none."""
    if name not in PROTOCOLS:
        raise ConfigError(unknown("protocol", name, PROTOCOLS))
    return PROTOCOLS[name]


def episodes(protocol: str, listing: Listing, shot: int, episodes: int, seed: int = 0) -> list[EpisodeSpec]:
    """Test episodes of a protocol by its name: ``hsnet``, ``ifsl`` or ``strict``.

    Raises:
        ConfigError: an unknown protocol.
        DataError: as of the protocol.

    Example:
        >>> episodes("strict", Listing((("a", 3), ("b", 3))), shot=1, episodes=1)
        [EpisodeSpec(class_id=3, query='a', supports=('b',))]
    """
    return find_protocol(protocol)(listing, shot, episodes, seed)


def digest(specs: Iterable[EpisodeSpec]) -> str:
    """SHA-256 over all lines ``CLASS QUERY SUPPORT...``, as in REFERENCE section 10.

    Example:
        >>> digest([EpisodeSpec(0, "a", ("b",))])[:8]
        '3bbdf77a'
    """
    return hashlib.sha256("".join(spec.line() for spec in specs).encode()).hexdigest()


class TrainingEpisodes(Sequence[EpisodeSpec]):
    """The episodes of one training epoch, each made when asked for; see ``training_episodes``."""

    def __init__(self, listing: Listing, shot: int, seed: int, epoch: int, count: int) -> None:
        self._listing, self._shot, self._seed, self._epoch = listing, shot, seed, epoch
        rounds = range(-(-count // len(listing.pairs)))
        # 0 and 1 keep the streams of the orders and of the supports apart.
        orders = [_stream(seed, epoch, 0, turn).permutation(len(listing.pairs)) for turn in rounds]
        self._order = np.concatenate(orders)[:count]

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, position: int) -> EpisodeSpec: ...
    @overload
    def __getitem__(self, position: slice) -> list[EpisodeSpec]: ...

    def __getitem__(self, position: int | slice) -> EpisodeSpec | list[EpisodeSpec]:
        if isinstance(position, slice):
            return [self[each] for each in range(len(self))[position]]
        position = range(len(self))[position]  # IndexError out of range; negative positions counted
        query, class_id = self._listing.pairs[self._order[position]]
        names = self._listing.by_class[class_id]
        stream = _stream(self._seed, self._epoch, 1, position)
        supports: list[str] = []
        while len(supports) < self._shot:
            if (support := names[stream.randint(len(names))]) != query:
                supports.append(support)
        return EpisodeSpec(class_id, query, tuple(supports))

    def __iter__(self) -> Iterator[EpisodeSpec]:
        return (self[position] for position in range(len(self)))


def training_episodes(
    listing: Listing, shot: int, seed: int, epoch: int, episodes: int | None = None
) -> Sequence[EpisodeSpec]:
    """The episodes of one training epoch.

    Each pair is the query once, in shuffled order; supports are drawn uniformly with replacement and redrawn
    only if equal to the query, as in the published training. Unlike there, order and supports depend on
    nothing but (seed, epoch, position): workers, batch size and a resumed run do not change them, nor do
    workers repeat one another.

    Args:
        listing: the training list of a fold.
        shot: supports per episode, at least 1; published: 1.
        seed: 0 or more.
        epoch: 0 or more.
        episodes: length of the epoch; None: each pair once. Where it is more than the list has, further
            shuffled rounds through the list follow.

    Raises:
        DataError: an empty list, a class without a second image, or a number out of range.

    Example:
        >>> listing = Listing((("a", 0), ("b", 0), ("c", 0)))
        >>> [spec.query for spec in training_episodes(listing, shot=1, seed=0, epoch=0)]
        ['c', 'b', 'a']
    """
    count = len(listing.pairs) if episodes is None else episodes
    _check(listing, shot, count, seed, images_per_class=2)
    if epoch < 0:
        raise DataError(f"epoch={epoch} came, 0 or more was expected")
    return TrainingEpisodes(listing, shot, seed, epoch, count)
