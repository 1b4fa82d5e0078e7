"""COCO -> PASCAL: trained on a COCO-20i fold, tested on the VOC classes it never saw (REFERENCE 9)."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from hmseg.data.coco import CLASS_NAMES as COCO_NAMES
from hmseg.data.coco import CocoSource
from hmseg.data.coco_lists import FOLDS, held_out, trained, year_of
from hmseg.data.episode import Sample
from hmseg.data.pascal import CLASS_NAMES as VOC_NAMES
from hmseg.data.pascal import PascalSource
from hmseg.data.source import Listing, Lists, Split, check_fold, check_split

NOVEL_CLASSES = (
    (0, 3, 8, 10, 11, 14),
    (1, 5, 12, 17),
    (2, 6, 15, 16, 18, 19),
    (4, 7, 9, 13),
)
"""VOC classes (0-based) that are not among the training classes of each COCO fold."""


class Coco2PascalSource:
    """COCO-20i for training and validation, PASCAL for the test; a :class:`~hmseg.data.source.Source`.

    Class ids are COCO's in training and validation, and VOC's, 0-based, in the test. The test list of a fold
    holds the pairs of its VOC classes from all four PASCAL validation lists, in order of the image's name.

    Args:
        coco: the COCO 2014 folder; looked at when training or validation asks for it, so a test needs none.
        pascal: the VOC2012 folder.
        splits: folder with the lists of both in ``coco`` and ``pascal``; None: each data set's own.
        masks: as of ``CocoSource``.
        novel: as of ``CocoSource``.

    Raises:
        DataError: as of both.
    """

    name = "coco2pascal"
    class_names: tuple[str, ...] = COCO_NAMES
    test_class_names: tuple[str, ...] = VOC_NAMES
    folds = FOLDS

    def __init__(
        self,
        coco: str | Path,
        pascal: str | Path,
        splits: str | Path | None = None,
        masks: str | Path | None = None,
        novel: str = "keep",
    ) -> None:
        self._coco = (coco, splits, masks, novel)
        self.pascal = PascalSource(pascal, splits)

    @cached_property
    def coco(self) -> CocoSource:
        """The source of training and validation. Raises DataError where its folder can't be used."""
        return CocoSource(*self._coco)

    @property
    def lists(self) -> Lists:
        """``published`` where those of both are; of PASCAL alone where there is no COCO to train on."""
        if self.pascal.lists == "own" or not Path(self._coco[0]).expanduser().is_dir():
            return self.pascal.lists
        return self.coco.lists

    def classes(self, split: Split, fold: int | None) -> tuple[int, ...]:
        """``train`` and ``val``: those of the COCO fold; ``test``: its VOC classes."""
        check_split(split, self.name)
        fold = check_fold("COCO -> PASCAL", FOLDS, fold)
        if split == "test":
            return NOVEL_CLASSES[fold]
        return trained(fold) if split == "train" else held_out(fold)

    def listing(self, split: Split, fold: int | None) -> Listing:
        """``train``, ``val``: the COCO fold's; ``test``: the pairs of its VOC classes. Raises DataError."""
        classes = self.classes(split, fold)
        if split != "test":
            return self.coco.listing(split, fold)
        every = (pair for each in range(self.pascal.folds) for pair in self.pascal.listing("val", each).pairs)
        return Listing(tuple(sorted(pair for pair in every if pair[1] in classes)))

    def has(self, name: str) -> bool:
        """Is there such an image in either?"""
        return (self.coco if year_of(name) else self.pascal).has(name)

    def files(self, name: str) -> tuple[Path, ...]:
        """The photo, and the file that its mask comes from."""
        return (self.coco if year_of(name) else self.pascal).files(name)

    def read(self, name: str, class_id: int) -> Sample:
        """One image and the mask of one class, COCO's or VOC's as its name says. Raises DataError."""
        return (self.coco if year_of(name) else self.pascal).read(name, class_id)
