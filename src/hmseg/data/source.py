"""What a benchmark must offer: its classes, its folds, its image lists, and one annotated image by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal, Protocol, runtime_checkable

from hmseg.data.episode import Sample

Split = Literal["train", "val"]


@dataclass(frozen=True)
class Listing:
    """An ordered list of (image, class) pairs: the ground from which episodes are drawn.

    Attributes:
        pairs: (image name, 0-based class id), in the order of the published list. An image stands in it
            once for each of its classes.
    """

    pairs: tuple[tuple[str, int], ...]

    @cached_property
    def by_class(self) -> Mapping[int, tuple[str, ...]]:
        """The image names of each class, in list order; classes ascending.

        Example:
            >>> dict(Listing((("b", 1), ("a", 0), ("c", 1))).by_class)
            {0: ('a',), 1: ('b', 'c')}
        """
        grouped: dict[int, list[str]] = {}
        for name, class_id in self.pairs:
            grouped.setdefault(class_id, []).append(name)
        return MappingProxyType({class_id: tuple(grouped[class_id]) for class_id in sorted(grouped)})


@runtime_checkable
class Source(Protocol):
    """Reads one benchmark. Cheap to copy to loader workers: it holds lists and paths, not images.

    Attributes:
        name: short name of the benchmark, as in results.
        class_names: name of every class, by 0-based class id.
        folds: number of folds.
    """

    name: str
    class_names: tuple[str, ...]
    folds: int

    def fold_classes(self, fold: int) -> tuple[int, ...]:
        """The classes held out in ``fold``: never trained on, tested on. Raises DataError out of range."""
        ...

    def listing(self, split: Split, fold: int) -> Listing:
        """``train``: the training lists of all other folds; ``val``: the test list of ``fold``."""
        ...

    def read(self, name: str, class_id: int) -> Sample:
        """One image with the mask of one class, at its own size. Raises DataError with the file's name."""
        ...
