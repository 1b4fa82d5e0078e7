"""What a benchmark must offer: its classes, its folds, its image lists, and one annotated image by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from types import MappingProxyType
from typing import Literal, Protocol, get_args, runtime_checkable

from hmseg.data.episode import Sample
from hmseg.errors import DataError, unknown

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
Draw = Literal["pairs", "class"]
Lists = Literal["published", "own"]
"""Whether the image lists of a source are the published ones, to the letter."""


@dataclass(frozen=True)
class Listing:
    """An ordered list of (image, class) pairs: the ground from which episodes are drawn.

    Attributes:
        pairs: (image name, 0-based class id), in the order of the published list. An image stands in it
            once for each of its classes.
        draw: how queries come: ``pairs`` goes through the list (PASCAL-5i, FSS-1000), ``class`` draws the
            class uniformly and then an image of it (COCO-20i, whose classes differ a hundredfold in size).
        test_episodes: how many episodes a published test takes of it.
        numbered: do supports come from the images of a class in order of their numbers (1, 2, …, 10), though
            the list has them in order of their names (1, 10, 2, …)? So the published FSS-1000 code draws.
    """

    pairs: tuple[tuple[str, int], ...]
    draw: Draw = "pairs"
    test_episodes: int = 1000
    numbered: bool = False

    @cached_property
    def by_class(self) -> Mapping[int, tuple[str, ...]]:
        """The image names of each class, in list order (``numbered``: by number); classes ascending.

        Example:
            >>> dict(Listing((("b", 1), ("a", 0), ("c", 1))).by_class)
            {0: ('a',), 1: ('b', 'c')}
            >>> dict(Listing((("ant/1", 0), ("ant/10", 0), ("ant/2", 0)), numbered=True).by_class)
            {0: ('ant/1', 'ant/2', 'ant/10')}
        """
        grouped: dict[int, list[str]] = {}
        for name, class_id in self.pairs:
            grouped.setdefault(class_id, []).append(name)
        if self.numbered:
            for names in grouped.values():
                names.sort(key=lambda name: (len(name), name))
        return MappingProxyType({class_id: tuple(grouped[class_id]) for class_id in sorted(grouped)})

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The different images, in order of their first place in the list."""
        return tuple(dict.fromkeys(name for name, _ in self.pairs))

    @property
    def epoch(self) -> int:
        """Episodes of a published training epoch: each pair once, or as many as there are images.

        Example:
            >>> pairs = (("a", 0), ("a", 1), ("b", 1))
            >>> Listing(pairs).epoch, Listing(pairs, draw="class").epoch
            (3, 2)
        """
        return len(self.pairs) if self.draw == "pairs" else len(self.images)

    def __getstate__(self) -> dict[str, object]:
        """The list alone: what was derived from it is made again where it is wanted."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@runtime_checkable
class Source(Protocol):
    """Reads one benchmark. Cheap to copy to loader workers: it holds lists and paths, not images.

    Attributes:
        name: short name of the benchmark, as in results.
        class_names: name of every class, by 0-based class id. A source whose test is on another data set has
            ``test_class_names`` too; see ``class_names_of``.
        folds: number of folds; 0 for none, and then the fold is None everywhere.
        lists: ``published`` where its image lists are the published ones to the letter, else ``own``.

    A source of a user's own data may have ``own_data = True`` (a run shows its first masks in a picture, and
    a mean is over classes that have an episode) and ``reading``, a text that changes where the same files
    are read otherwise, so that kept images are made again.
    """

    name: str
    class_names: tuple[str, ...]
    folds: int

    @property
    def lists(self) -> Lists:
        """See above; a property, so that lists need not be read before they are asked for."""
        ...

    def classes(self, split: Split, fold: int | None) -> tuple[int, ...]:
        """The classes that ``split`` draws from; ``train`` shares none with the others.

        Raises DataError where the fold does not exist, is missing, or is given to a benchmark without folds.
        """
        ...

    def listing(self, split: Split, fold: int | None) -> Listing:
        """The list of ``split``. Raises DataError, naming lists or files that are missing or malformed."""
        ...

    def has(self, name: str) -> bool:
        """Is there an image of this name, with its annotation? Never looks outside the data's own folders."""
        ...

    def read(self, name: str, class_id: int) -> Sample:
        """One image with the mask of one class, at its own size. Raises DataError with the file's name."""
        ...


def class_names_of(source: Source, split: Split) -> tuple[str, ...]:
    """The class names of a split, by class id; only a test on another data set has others.

    Example:
        >>> from hmseg.data.shapes import ShapesSource
        >>> class_names_of(ShapesSource(), "test")[0]
        'striped star'
    """
    other: tuple[str, ...] | None = getattr(source, "test_class_names", None)
    return other if split == "test" and other is not None else source.class_names


def check_split(split: str, source: str) -> None:
    """Raises DataError unless the split is ``train``, ``val`` or ``test``."""
    if split not in SPLITS:
        raise DataError(unknown(f"split of {source}", split, SPLITS))


def check_fold(source: str, folds: int, fold: int | None) -> int:
    """The fold, where it is one of a benchmark's.

    Args:
        source: name of the benchmark for the message.
        folds: how many there are, at least 1.
        fold: what was asked for.

    Raises:
        DataError: out of range, or none was given.

    Example:
        >>> check_fold("PASCAL-5i", 4, 3)
        3
    """
    if fold is None:
        raise DataError(f"fold=null came, {source} has folds 0 to {folds - 1}: give one of them")
    if fold not in range(folds):
        raise DataError(f"fold {fold} does not exist: {source} has folds 0 to {folds - 1}")
    return fold


def check_no_fold(source: str, fold: int | None) -> None:
    """Raises DataError where a fold is given to a benchmark that has none."""
    if fold is not None:
        raise DataError(f"fold={fold} came, {source} has no folds: give fold=null")
