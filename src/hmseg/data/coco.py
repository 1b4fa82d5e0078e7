"""COCO-20i: COCO 2014 photos, 80 contiguous classes in 4 folds, no void (REFERENCE section 9)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from hmseg.data import coco_lists
from hmseg.data.coco_files import CocoFiles
from hmseg.data.coco_lists import FOLDS, YEARS, ByClass, listing_of, read_coco_lists, year_of
from hmseg.data.episode import Sample
from hmseg.data.lists import find_lists, judge, refuse_missing
from hmseg.data.presence import check_novel, rule_listing, without
from hmseg.data.source import Listing, Lists, Split, check_fold, check_split
from hmseg.errors import DataError

CLASS_NAMES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
_TITLE = "COCO-20i"


class CocoSource:
    """Reads COCO-20i from a COCO 2014 folder; a :class:`~hmseg.data.source.Source`.

    Fold f holds out the classes f, f + 4, f + 8, … Training draws from train2014, validation and test from
    val2014. A pixel of the class asked for is foreground, any other is background; there is no void.

    Args:
        root: folder with ``train2014``, ``val2014``, and masks or annotations.
        splits: folder with the lists: ``train2014.txt`` and ``val2014.txt``, or HSNet's pickles
            ``{trn,val}/fold{0..3}.pkl``, or either in a folder ``coco``. None: ``root/splits``; where that
            does not exist, lists are made from the masks by the rule of ``hmseg.data.presence``.
        masks: folder of the masks, or ``json``; see ``CocoFiles``.
        novel: ``keep`` training images that also show a held-out class, as published, or ``drop`` them.

    Raises:
        DataError: a folder is missing or an option unknown. Lists and files are checked when a list is asked
            for.

    Example:
        >>> source = CocoSource("COCO2014", splits="splits")  # doctest: +SKIP
        >>> source.listing("val", 0).by_class[72][0]  # doctest: +SKIP
        'COCO_val2014_000000507081'
    """

    name = "coco"
    class_names: tuple[str, ...] = CLASS_NAMES
    folds = FOLDS

    def __init__(
        self,
        root: str | Path,
        splits: str | Path | None = None,
        masks: str | Path | None = None,
        novel: str = "keep",
    ) -> None:
        self.novel = check_novel(novel)
        self.root = Path(root).expanduser()
        self._files = CocoFiles(self.root, masks)
        self.splits = find_lists(splits, self.root, "coco", (*coco_lists.TEXT, *coco_lists.PICKLES))
        self._by_class: dict[tuple[str, int | None], ByClass] = {}
        self._listings: dict[tuple[str, int], Listing] = {}

    @cached_property
    def lists(self) -> Lists:
        """``published`` where all lists of all folds are; reads them."""
        if self.splits is None:
            return "own"
        return judge(self._digests())

    def _digests(self) -> Iterator[tuple[str, str]]:
        """Key and digest of every list; a class that several folds share is written out once."""
        splits: tuple[Split, ...] = ("val", "train")
        for split in splits:
            lines: dict[int, dict[int, bytes]] = {}
            for fold in range(FOLDS):
                by_class = self._read(split, fold)
                if id(by_class) not in lines:
                    lines[id(by_class)] = coco_lists.lines_of(by_class)
                written = lines[id(by_class)]
                classes = self.classes(split, fold)
                text = b"".join(written.get(each, b"") for each in classes)
                yield f"coco/{split}/{fold}", hashlib.sha256(text).hexdigest()

    def classes(self, split: Split, fold: int | None) -> tuple[int, ...]:
        """``train``: the 60 classes of the other folds; ``val`` and ``test``: the 20 held out."""
        check_split(split, self.name)
        fold = check_fold(_TITLE, FOLDS, fold)
        return coco_lists.trained(fold) if split == "train" else coco_lists.held_out(fold)

    def listing(self, split: Split, fold: int | None) -> Listing:
        """The images of each class of the split, in the order of the lists; drawn by class.

        Raises:
            DataError: the fold does not exist, a list is malformed, or files that it names are missing.
        """
        classes = self.classes(split, fold)
        fold, year = check_fold(_TITLE, FOLDS, fold), YEARS[split]
        if (year, fold) not in self._listings:
            if self.splits is None:
                listing = self._made(year, classes)
            else:
                listing = self._listed(split, fold)
                lists = f"{split} lists of fold {fold} in {self.splits}"
                refuse_missing(self._files.missing(listing.images, year), lists, self.root)
            if split == "train" and self.novel == "drop":
                presence = self._files.presence(year, sorted(self._files.names(year)))
                listing = without(listing, presence, coco_lists.held_out(fold))
            self._listings[year, fold] = listing
        return self._listings[year, fold]

    def _listed(self, split: Split, fold: int) -> Listing:
        return listing_of(self._read(split, fold), self.classes(split, fold))

    def _read(self, split: Split, fold: int) -> ByClass:
        """The lists as they stand in the files, each of which is read once."""
        assert self.splits is not None
        year = YEARS[split]
        key = (year, None if coco_lists.is_text(self.splits) else fold)
        if key not in self._by_class:
            self._by_class[key] = read_coco_lists(self.splits, split, fold)
        return self._by_class[key]

    def _made(self, year: str, classes: tuple[int, ...]) -> Listing:
        """The list that the rule makes of all images that are there."""
        names = sorted(self._files.names(year))
        if not names:
            raise DataError(
                f"{self.root} has no images of {year} with masks, and no lists were given: complete the "
                "folder, or set dataset.splits to the folder of the COCO lists"
            )
        return rule_listing(self._files.presence(year, names), "class", classes, draw="class")

    def has(self, name: str) -> bool:
        """Is there such an image, with a mask?"""
        year = year_of(name)
        return year is not None and name in self._files.names(year)

    def files(self, name: str) -> tuple[Path, ...]:
        """The photo, and the file that its mask comes from. Raises DataError for what is no image name."""
        return self._files.paths(name)

    def read(self, name: str, class_id: int) -> Sample:
        """One image and the mask of one class.

        Args:
            name: such as ``COCO_val2014_000000000042``.
            class_id: 0 to 79.

        Raises:
            DataError: a file is missing or damaged, the sizes differ, or the class is not in the mask.
        """
        image, labels = self._files.read(name)
        mask = labels == class_id + 1
        if not mask.any():
            raise DataError(
                f"the mask of {name} ({self.files(name)[1]}) has no pixel of class {class_id} "
                f"({self.class_names[class_id]}), which the list promises: mend the mask or take the image "
                "out of the list of the class"
            )
        return Sample(image, mask, np.zeros_like(mask))

    def __getstate__(self) -> dict[str, object]:
        """Without the lists: workers read what they are told to."""
        return {**self.__dict__, "_by_class": {}, "_listings": {}}
