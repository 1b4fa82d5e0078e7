"""Validation on classes set aside from training, so that the best checkpoint is not chosen on the test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hmseg.data.episode import Sample
from hmseg.data.source import Listing, Lists, Source, Split
from hmseg.errors import ConfigError, DataError, unknown

SELECTIONS = ("published", "clean")
EVERY = 5
"""Of so many training classes one is set aside: 3 of PASCAL-5i's 15, 12 of COCO-20i's 60."""


def set_aside(classes: tuple[int, ...]) -> tuple[int, ...]:
    """Every fifth training class, the last of each five; at least one where there are two.

    Example:
        >>> set_aside((0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19))
        (4, 14, 19)
        >>> set_aside((0, 1, 2))
        (2,)
    """
    return classes[EVERY - 1 :: EVERY] or classes[-1:]


def select(source: Source, selection: str) -> Source:
    """The source whose validation a run chooses its checkpoint on.

    Args:
        source: of the benchmark.
        selection: ``published``: the source itself, whose validation shows the test's classes (REFERENCE
            section 8); ``clean``: see ``CleanSelection``. FSS-1000 has validation classes of its own, so both
            are the same there.

    Raises:
        ConfigError: an unknown selection.
    """
    if selection not in SELECTIONS:
        raise ConfigError(unknown("selection", selection, SELECTIONS))
    if selection == "published" or getattr(source, "separate_validation", False):
        return source
    return CleanSelection(source)


class CleanSelection:
    """A source that validates on training classes set aside (``set_aside``) and does not train on them.

    Their images come from the training list. An image that shows one of them beside a class that is trained
    stays in training, there as background, as images with held-out classes do in the published lists.

    Args:
        source: of the benchmark.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name, self.class_names, self.folds = source.name, source.class_names, source.folds

    def __getattr__(self, name: str) -> Any:
        """What only some sources have: ``files``, ``test_class_names``."""
        if name.startswith("__") or name == "_source":  # asked for while a worker unpickles it
            raise AttributeError(name)
        return getattr(self._source, name)

    @property
    def lists(self) -> Lists:
        """As of the source: the test's lists are the same."""
        return self._source.lists

    def classes(self, split: Split, fold: int | None) -> tuple[int, ...]:
        """``train``: without those set aside; ``val``: those; ``test``: as of the source.

        Raises:
            DataError: as of the source; or it trains on a single class, so none can be set aside.
        """
        if split == "test":
            return self._source.classes(split, fold)
        every = self._source.classes("train", fold)
        if len(every) < 2:
            raise DataError(
                f"{self.name} trains on {len(every)} class: none can be set aside for validation; give "
                "loader.selection=published"
            )
        aside = set_aside(every)
        return aside if split == "val" else tuple(each for each in every if each not in aside)

    def listing(self, split: Split, fold: int | None) -> Listing:
        """``train`` and ``val``: the source's training list, cut to the classes. Raises DataError."""
        if split == "test":
            return self._source.listing(split, fold)
        classes = frozenset(self.classes(split, fold))
        every = self._source.listing("train", fold)
        return replace(every, pairs=tuple(pair for pair in every.pairs if pair[1] in classes))

    def has(self, name: str) -> bool:
        """As of the source."""
        return self._source.has(name)

    def read(self, name: str, class_id: int) -> Sample:
        """As of the source."""
        return self._source.read(name, class_id)
