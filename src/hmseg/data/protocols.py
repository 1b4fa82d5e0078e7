"""Which images make a test episode: the published protocols, and a strict one.

Everything here is plain data made from a list and a seed; no image is read. The streams are NumPy's legacy
``RandomState``, whose results are frozen for all NumPy versions, so that an episode list never changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from numpy.random import MT19937, RandomState, SeedSequence

from hmseg.data.episode import EpisodeSpec
from hmseg.data.source import Listing
from hmseg.errors import ConfigError, DataError, unknown

Protocol = Callable[[Listing, int, int, int], list[EpisodeSpec]]


def own_stream(*entropy: int) -> RandomState:
    """An independent stream for each tuple of non-negative numbers."""
    return RandomState(MT19937(SeedSequence(entropy)))


def check_draw(listing: Listing, shot: int, episodes: int, seed: int, images_per_class: int) -> None:
    """Raises DataError unless every class has so many different images and all numbers are in range."""
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
    ever; here ``check_draw`` refuses such a list first.
    """
    supports: list[str] = []
    while len(supports) < shot:
        support = names[int(stream.choice(len(names), 1, replace=False)[0])]
        if support != query:
            supports.append(support)
    return tuple(supports)


def _draw_query(stream: RandomState, listing: Listing, index: int) -> tuple[str, int]:
    """The query of an episode and its class: the list's next entry, or a class and an image of it drawn.

    As above, ``choice(n, 1, replace=False)`` takes from the stream what the published code takes.
    """
    if listing.draw == "pairs":
        return listing.pairs[index % len(listing.pairs)]
    classes = tuple(listing.by_class)
    class_id = classes[int(stream.choice(len(classes), 1, replace=False)[0])]
    names = listing.by_class[class_id]
    return names[int(stream.choice(len(names), 1, replace=False)[0])], class_id


def hsnet_episodes(listing: Listing, shot: int, episodes: int, seed: int = 0) -> list[EpisodeSpec]:
    """Test episodes of the published HSNet and VAT (REFERENCE section 10).

    The list cycled as queries (COCO-20i: a class drawn, then a query of it); everything from one stream in
    episode order; supports with replacement, so duplicates among them happen.

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
    check_draw(listing, shot, episodes, seed, images_per_class=2)
    stream = RandomState(seed)
    drawn = []
    for index in range(episodes):
        query, class_id = _draw_query(stream, listing, index)
        supports = _draw_published(stream, listing.by_class[class_id], query, shot)
        drawn.append(EpisodeSpec(class_id, query, supports))
    return drawn


def ifsl_episodes(listing: Listing, shot: int, episodes: int, seed: int = 0) -> list[EpisodeSpec]:
    """Test episodes of the published ASNet (iFSL): as ``hsnet``, re-seeded for each episode.

    The seed is the query's place in the list. So once the list has been cycled, the same episodes come again:
    1000 episodes of a list of 346 are 346 different ones (the digests of the published lists confirm it).
    Where queries are drawn (COCO-20i), the seed is the episode's index.
    Seed 0 is the published protocol; any other gives each place the stream of (seed, place).
    Arguments and errors as of ``hsnet_episodes``. Source: REFERENCE section 10.
    """
    check_draw(listing, shot, episodes, seed, images_per_class=2)
    drawn = []
    for index in range(episodes):
        entry = index % len(listing.pairs) if listing.draw == "pairs" else index
        stream = RandomState(entry if seed == 0 else [seed, entry])
        query, class_id = _draw_query(stream, listing, index)
        supports = _draw_published(stream, listing.by_class[class_id], query, shot)
        drawn.append(EpisodeSpec(class_id, query, supports))
    return drawn


def draw_apart(
    stream: RandomState, listing: Listing, class_id: int, query: str, shot: int
) -> tuple[str, ...]:
    """Different supports, none of them the query."""
    others = [name for name in dict.fromkeys(listing.by_class[class_id]) if name != query]
    return tuple(others[position] for position in stream.permutation(len(others))[:shot])


def strict_episodes(listing: Listing, shot: int, episodes: int, seed: int = 0) -> list[EpisodeSpec]:
    """Test episodes with ``shot`` different supports, none of them the query.

    The list cycled as queries, or class and query drawn, as in the published protocols. Each episode has its
    own stream, of (seed, index), so it depends neither on the other episodes nor on workers or batch size.
    Arguments as of ``hsnet_episodes``.

    Raises:
        DataError: an empty list, a class of fewer than ``shot`` + 1 images, or a number out of range.
    """
    check_draw(listing, shot, episodes, seed, images_per_class=shot + 1)
    drawn = []
    for index in range(episodes):
        stream = own_stream(seed, index)
        query, class_id = _draw_query(stream, listing, index)
        drawn.append(EpisodeSpec(class_id, query, draw_apart(stream, listing, class_id, query, shot)))
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


def seeded_episodes(
    protocol: str, listing: Listing, shot: int, episodes: int | None, seeds: Sequence[int]
) -> list[EpisodeSpec]:
    """The episodes of several seeds, one after the other.

    Args:
        protocol: as of ``find_protocol``.
        listing: the test list of a fold.
        shot: supports per episode.
        episodes: number for each seed; None: as a published test of this list.
        seeds: of the protocol.

    Example:
        >>> listing = Listing((("a", 0), ("b", 0)), test_episodes=2)
        >>> [spec.query for spec in seeded_episodes("strict", listing, 1, None, seeds=(0, 1))]
        ['a', 'b', 'a', 'b']
    """
    draw, count = find_protocol(protocol), listing.test_episodes if episodes is None else episodes
    return [spec for seed in seeds for spec in draw(listing, shot, count, seed)]


def digest(specs: Iterable[EpisodeSpec]) -> str:
    """SHA-256 over all lines ``CLASS QUERY SUPPORT...``, as in REFERENCE section 10.

    Example:
        >>> digest([EpisodeSpec(0, "a", ("b",))])[:8]
        '3bbdf77a'
    """
    return hashlib.sha256("".join(spec.line() for spec in specs).encode()).hexdigest()
