"""PASCAL-5i: VOC 2012 photos, SegmentationClassAug masks, 20 classes in 4 folds (REFERENCE section 9)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmseg.data.episode import Sample
from hmseg.data.lists import (
    check_folder,
    digest_of,
    find_lists,
    judge,
    names_in,
    read_lines,
    refuse_missing,
)
from hmseg.data.pascal_lists import FOLDS, TITLE, held_out, joined, others, read_list, trained
from hmseg.data.presence import Shown, check_novel, folder_state, read_presence, rule_listing, without
from hmseg.data.reading import check_same_size, read_image, read_label_map
from hmseg.data.source import Listing, Lists, Split, check_fold, check_split
from hmseg.errors import DataError

VOID = 255
CLASS_NAMES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle",
    "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person",
    "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_HELD_BACK = Path("ImageSets/Segmentation/val.txt")
_LISTS: tuple[Split, ...] = ("train", "val")


class PascalSource:
    """Reads PASCAL-5i from a VOC2012 folder; a :class:`~hmseg.data.source.Source`.

    A pixel of the class asked for is foreground, any other class is background, 255 is void.

    Args:
        root: folder with ``JPEGImages/NAME.jpg`` and ``SegmentationClassAug/NAME.png`` (0 background, 1 to 20
            the class plus one, 255 void).
        splits: folder with the lists ``trn/fold{0..3}.txt`` and ``val/fold{0..3}.txt``, or with a folder
            ``pascal`` of them. None: ``root/splits``; where that does not exist, lists are made from the
            masks by the rule of ``hmseg.data.presence``: validation of VOC's own validation images
            (``ImageSets/Segmentation/val.txt``), training of all others.
        novel: ``keep`` training images that also show a held-out class, as published, or ``drop`` them.
        partial: lists may be empty: some of the benchmark's images, for training beside others
            (``hmseg.data.union``).

    Raises:
        DataError: a folder is missing, or a list is missing, empty or malformed. Whether the images named in
            a list exist is checked by ``listing``.
    """

    name = "pascal"
    class_names: tuple[str, ...] = CLASS_NAMES
    folds = FOLDS

    def __init__(
        self, root: str | Path, splits: str | Path | None = None, novel: str = "keep", partial: bool = False
    ) -> None:
        self.novel = check_novel(novel)
        self._partial = partial
        self.root = Path(root).expanduser()
        self._images = self.root / "JPEGImages"
        self._masks = self.root / "SegmentationClassAug"
        check_folder(self.root, "PASCAL root", "set dataset.root to the VOC2012 folder")
        check_folder(self._images, "image folder", "dataset.root must be a VOC2012 folder with JPEGImages")
        check_folder(
            self._masks,
            "mask folder",
            "dataset.root must be a VOC2012 folder with SegmentationClassAug beside it; python -m "
            "hmseg.prepare dataset=pascal makes it",
        )
        self.splits = find_lists(splits, self.root, "pascal", ("trn", "val"))
        self._lists = self._read_lists() if self.splits is not None else {}
        self._listings: dict[tuple[bool, int], Listing] = {}

    def _read_lists(self) -> dict[tuple[Split, int], Listing]:
        assert self.splits is not None
        return {
            (split, fold): read_list(self.splits, split, fold, self._partial)
            for split in _LISTS
            for fold in range(FOLDS)
        }

    @cached_property
    def lists(self) -> Lists:
        """``published`` where all eight lists are."""
        if not self._lists:
            return "own"
        return judge(
            (f"pascal/{split}/{fold}", digest_of(each)) for (split, fold), each in self._lists.items()
        )

    def classes(self, split: Split, fold: int | None) -> tuple[int, ...]:
        """``train``: the classes of the other folds; ``val`` and ``test``: 5 fold to 5 fold + 4."""
        check_split(split, self.name)
        fold = check_fold(TITLE, FOLDS, fold)
        return trained(fold) if split == "train" else held_out(fold)

    def listing(self, split: Split, fold: int | None) -> Listing:
        """``train``: the training lists of the other folds, in fold order; else the val list of ``fold``.

        Raises:
            DataError: the fold does not exist, or images or masks that the list names are missing.
        """
        check_split(split, self.name)
        fold = check_fold(TITLE, FOLDS, fold)
        key = (split == "train", fold)
        if key not in self._listings:
            listing = self._listed(split, fold) if self._lists else self._made(split, fold)
            if split == "train" and self.novel == "drop":
                listing = without(listing, self._presence(), held_out(fold))
            self._listings[key] = listing
        return self._listings[key]

    def _listed(self, split: Split, fold: int) -> Listing:
        if split == "train":
            listing = joined(self._lists["train", each] for each in others(fold))
        else:
            listing = self._lists["val", fold]
        images, masks = self._there
        missing = [
            file
            for name in listing.images
            for file, there in (
                (f"{self._images.name}/{name}.jpg", name in images),
                (f"{self._masks.name}/{name}.png", name in masks),
            )
            if not there
        ]
        refuse_missing(missing, f"{split} lists of fold {fold} in {self.splits}", self.root)
        return listing

    def _made(self, split: Split, fold: int) -> Listing:
        """What the rule lists: validation in order of names, training in order of classes, as published."""
        if not (self.root / _HELD_BACK).is_file():
            raise DataError(
                f"{self.root} has neither fold lists (splits) nor VOC's own list of validation images "
                f"({_HELD_BACK}) to make them from: set dataset.splits to the folder of the PASCAL-5i lists"
            )
        held_back = {line for _, line in read_lines(self.root / _HELD_BACK, "VOC 2012")}
        train = split == "train"
        presence = {
            name: found for name, found in self._presence().items() if (name not in held_back) == train
        }
        if not train:
            return rule_listing(presence, "name", held_out(fold))
        return joined(rule_listing(presence, "class", held_out(each)) for each in others(fold))

    def _presence(self) -> Mapping[str, Shown]:
        names = sorted(frozenset.intersection(*self._there))
        state = folder_state(self._masks, ".png")
        return read_presence(names, self._label_map, state, self.root, "pascal")

    def _label_map(self, name: str) -> NDArray[np.uint8]:
        return read_label_map(self._masks / f"{name}.png")

    def has(self, name: str) -> bool:
        """Is there such an image, with a mask?"""
        return all(name in names for names in self._there)

    @cached_property
    def _there(self) -> tuple[frozenset[str], frozenset[str]]:
        """Photos and masks, by one look at each folder."""
        return names_in(self._images, ".jpg"), names_in(self._masks, ".png")

    def files(self, name: str) -> tuple[Path, Path]:
        """Photo and mask of an image."""
        return self._images / f"{name}.jpg", self._masks / f"{name}.png"

    def read(self, name: str, class_id: int) -> Sample:
        """Reads one image and the mask of one class.

        Args:
            name: file stem as in the lists.
            class_id: 0 to 19.

        Returns:
            The sample at its own size.

        Raises:
            DataError: a file is missing or damaged, the sizes differ, or the class is not in the mask.
        """
        image_path, mask_path = self.files(name)
        image, labels = read_image(image_path), read_label_map(mask_path)
        check_same_size(image, labels, image_path, mask_path)
        mask = labels == class_id + 1
        if not mask.any():
            raise DataError(
                f"mask {mask_path} has no pixel of class {class_id} ({self.class_names[class_id]}, value "
                f"{class_id + 1}), which the list promises: mend the mask or take the line out of the list"
            )
        return Sample(image, mask, labels == VOID)
