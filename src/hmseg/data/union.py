"""Several sources in one training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hmseg.data.episode import Sample
from hmseg.data.source import Listing, Lists, Source, Split, class_names_of
from hmseg.errors import DataError

SEPARATOR = ":"
"""Between the name of another source and that of its image."""


class UnionSource:
    """A main source, which is validated and tested, and others, whose images are trained on beside its own.

    Classes of one name are one class. What the main source validates or tests in a fold is trained on in
    none of the others; their images that show it beside another class stay, there as background, as in the
    published lists. Of the others everything is taken that they train on in any of their folds; of one with
    the very classes and folds of the main source, what it trains on in the same fold. So classes that
    ``held_out`` names in the only fold of another source are left out. Validation and test episodes are
    those of the main source alone, to the letter.

    Args:
        main: whose folds there are.
        others: by a short name, with which the names of their images begin.

    Raises:
        DataError: the name of another source can't be told from an image's.
    """

    name = "union"
    lists: Lists = "own"

    def __init__(self, main: Source, others: Mapping[str, Source]) -> None:
        if bad := [each for each in others if not each or SEPARATOR in each]:
            raise DataError(
                f"dataset.source.others: {bad[0]!r} came, a name without '{SEPARATOR}' was expected"
            )
        self.main, self.others = main, dict(others)
        self.folds = main.folds
        every = (name for source in (main, *self.others.values()) for name in source.class_names)
        self.class_names: tuple[str, ...] = tuple(dict.fromkeys(every))
        self._ids = {
            key: tuple(map(self.class_names.index, source.class_names)) for key, source in self.others.items()
        }
        readings = (getattr(source, "reading", "") for source in (main, *self.others.values()))
        self.reading = "; ".join((*self.class_names, *readings))  # a cache's masks go by the ids of classes
        if tuple(main.class_names) != self.class_names[: len(main.class_names)]:
            raise DataError(
                f"{main.name}: two classes have one name, so those of others can't be told from them"
            )

    def __getattr__(self, name: str) -> Any:
        """What only some sources have, of the main one: ``test_class_names``, ``separate_validation``."""
        if name not in ("test_class_names", "separate_validation"):
            raise AttributeError(name)
        return getattr(self.main, name)

    def classes(self, split: Split, fold: int | None) -> tuple[int, ...]:
        """``train``: the main source's and the others'; ``val`` and ``test``: the main source's."""
        own = self.main.classes(split, fold)
        if split != "train":
            return own
        held_out = self._held_out(fold)
        others = {
            ids[each]
            for key, ids in self._ids.items()
            for each_fold in self._folds(key, fold)
            for each in self.others[key].classes("train", each_fold)
        }
        return tuple(sorted({*own, *(each for each in others if self.class_names[each] not in held_out)}))

    def listing(self, split: Split, fold: int | None) -> Listing:
        """``train``: the main source's list, then the others'; ``val``, ``test``: the main source's."""
        own = self.main.listing(split, fold)
        if split != "train":
            return own
        classes = frozenset(self.classes("train", fold))
        pairs = dict.fromkeys(own.pairs)
        for key, ids in self._ids.items():
            for each_fold in self._folds(key, fold):
                found = self.others[key].listing("train", each_fold).pairs
                pairs |= dict.fromkeys((f"{key}{SEPARATOR}{name}", ids[each]) for name, each in found)
        return replace(own, pairs=tuple(pair for pair in pairs if pair[1] in classes))

    def _held_out(self, fold: int | None) -> frozenset[str]:
        """Names of the classes that the main source validates or tests."""
        splits: tuple[Split, ...] = ("val", "test")
        return frozenset(
            class_names_of(self.main, split)[each]
            for split in splits
            for each in self.main.classes(split, fold)
        )

    def _folds(self, key: str, fold: int | None) -> list[int | None]:
        """The folds of another source whose training lists are taken."""
        other = self.others[key]
        if (other.folds, tuple(other.class_names)) == (self.main.folds, tuple(self.main.class_names)):
            return [fold]
        return list(range(other.folds)) if other.folds else [None]

    def _of(self, name: str) -> tuple[Source, str, tuple[int, ...] | None]:
        """The source of an image, its name there, and the ids here of its classes; None: the same."""
        key, found, rest = name.partition(SEPARATOR)
        if found and key in self.others:
            return self.others[key], rest, self._ids[key]
        return self.main, name, None

    def has(self, name: str) -> bool:
        """Is there such an image, with its annotation?"""
        source, own, _ = self._of(name)
        return source.has(own)

    def files(self, name: str) -> tuple[Path, ...]:
        """The image, and what its masks are made from. Raises DataError where the source has no files."""
        source, own, _ = self._of(name)
        if not hasattr(source, "files"):
            raise DataError(f"{source.name} makes its images: they have no files")
        found: tuple[Path, ...] = source.files(own)
        return found

    def read(self, name: str, class_id: int) -> Sample:
        """One image and the mask of one class, by its id here. Raises DataError."""
        source, own, ids = self._of(name)
        if ids is None:
            return source.read(own, class_id)
        if class_id not in ids:
            raise DataError(f"image {name} is not of class {class_id}: {source.name} has no such class")
        return source.read(own, ids.index(class_id))
