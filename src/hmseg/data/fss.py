"""FSS-1000: 1000 classes of 10 images, 520 / 240 / 240 classes, no folds (REFERENCE section 9)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.random import RandomState

from hmseg.data.binary import fit_mask, read_grey_mask
from hmseg.data.episode import Sample
from hmseg.data.lists import (
    check_folder,
    check_stem,
    digest_of,
    find_lists,
    judge,
    read_lines,
    refuse_missing,
)
from hmseg.data.reading import read_image
from hmseg.data.source import SPLITS, Listing, Lists, Split, check_no_fold, check_split
from hmseg.errors import DataError

TITLE = "FSS-1000"
_FILES: dict[Split, str] = {"train": "trn.txt", "val": "val.txt", "test": "test.txt"}
_SHARES = {"train": 0.52, "val": 0.24}  # as published; the rest is test
_IMAGES = tuple(str(number) for number in range(1, 11))


def category_listing(
    categories: Sequence[str], first: int, images: Mapping[str, Iterable[str]] | None = None
) -> Listing:
    """Every image of some categories once; their supports are drawn in order of their numbers, as published.

    Args:
        categories: in any order; classes are numbered in the sorted one.
        first: class id of the first of them.
        images: file stems of each category; None for the published ``1`` to ``10``. They come in the order
            of their file names: 1, 10, 2, …

    Example:
        >>> category_listing(["bus", "ant"], first=520).pairs[:3]
        (('ant/1', 520), ('ant/10', 520), ('ant/2', 520))
    """
    pairs = tuple(
        (f"{category}/{stem}", class_id)
        for class_id, category in enumerate(sorted(categories), start=first)
        for stem in sorted(_IMAGES if images is None else images[category])
    )
    return Listing(pairs, test_episodes=len(pairs), numbered=True)


def read_categories(folder: Path) -> dict[Split, tuple[str, ...]]:
    """The categories of each split, from ``trn.txt``, ``val.txt`` and ``test.txt``, sorted.

    Raises:
        DataError: a list is missing or empty, or names a category twice or a place outside the data's folder.
    """
    found: dict[Split, tuple[str, ...]] = {}
    seen: dict[str, str] = {}
    for split, file in _FILES.items():
        names = []
        for number, line in read_lines(folder / file, TITLE):
            where = f"list {folder / file} line {number}"
            name = check_stem(line, where)
            if name in seen:
                raise DataError(f"{where}: {name!r} came, which {seen[name]} has already: mend the lists")
            seen[name] = where
            names.append(name)
        found[split] = tuple(sorted(names))
    return found


def draw_categories(names: Sequence[str], seed: int = 0) -> dict[Split, tuple[str, ...]]:
    """Categories of each split where there are no lists: drawn, in the published shares of 52, 24 and 24 %.

    Example:
        >>> {split: len(some) for split, some in draw_categories([f"c{n}" for n in range(50)]).items()}
        {'train': 26, 'val': 12, 'test': 12}
    """
    ordered = [sorted(names)[place] for place in RandomState(seed).permutation(len(names))]
    train = max(1, round(_SHARES["train"] * len(names)))
    val = train + max(1, round(_SHARES["val"] * len(names)))
    return {
        "train": tuple(sorted(ordered[:train])),
        "val": tuple(sorted(ordered[train:val])),
        "test": tuple(sorted(ordered[val:])),
    }


class FssSource:
    """Reads FSS-1000 from its folder; a :class:`~hmseg.data.source.Source` without folds.

    Classes are numbered through the sorted categories of training, validation and test in turn. Images are
    named ``category/number``. A mask of another size than its image, but of the same shape, is brought to it.

    Args:
        root: folder with ``CATEGORY/N.jpg`` and ``CATEGORY/N.png`` (foreground from 128 on).
        splits: folder with ``trn.txt``, ``val.txt`` and ``test.txt``, or with a folder ``fss`` of them. None:
            ``root/splits``; where that does not exist, the categories that are there are drawn into splits.

    Raises:
        DataError: a folder is missing, or a list is missing or malformed. Files are checked by ``listing``.
    """

    name = "fss"
    folds = 0
    separate_validation = True  # its validation classes are neither trained on nor tested

    def __init__(self, root: str | Path, splits: str | Path | None = None) -> None:
        self.root = Path(root).expanduser()
        check_folder(self.root, "FSS-1000 root", "set dataset.root to the folder with a folder per category")
        self.splits = find_lists(splits, self.root, "fss", tuple(_FILES.values()))
        self._categories = self._drawn() if self.splits is None else read_categories(self.splits)
        self.class_names: tuple[str, ...] = tuple(
            name for split in SPLITS for name in self._categories[split]
        )
        self._listings: dict[Split, Listing] = {}

    def _drawn(self) -> dict[Split, tuple[str, ...]]:
        with os.scandir(self.root) as entries:
            names = [
                entry.name
                for entry in entries
                if entry.is_dir()
                and not entry.name.startswith((".", "__MACOSX"))  # macOS puts it in archives
            ]
        if len(names) < len(SPLITS):
            raise DataError(
                f"{self.root} has {len(names)} folders of categories, at least {len(SPLITS)} were expected: "
                "set dataset.root to the folder with a folder per category"
            )
        return draw_categories(names)

    @cached_property
    def lists(self) -> Lists:
        """``published`` where all three lists are, in any order: classes are numbered alphabetically."""
        if self.splits is None:
            return "own"
        every = ((split, category_listing(self._categories[split], 0)) for split in SPLITS)
        return judge((f"fss/{split}", digest_of(listing)) for split, listing in every)

    def classes(self, split: Split, fold: int | None = None) -> tuple[int, ...]:
        """The class ids of a split: 0 to 519, 520 to 759 and 760 to 999 of the published lists."""
        check_split(split, self.name)
        check_no_fold(TITLE, fold)
        first = self._first(split)
        return tuple(range(first, first + len(self._categories[split])))

    def _first(self, split: Split) -> int:
        return sum(len(self._categories[each]) for each in SPLITS[: SPLITS.index(split)])

    def listing(self, split: Split, fold: int | None = None) -> Listing:
        """Every image of the split's categories once.

        Raises:
            DataError: a fold is given, or a category or mask is missing.
        """
        check_split(split, self.name)
        check_no_fold(TITLE, fold)
        if split not in self._listings:
            images, missing = {}, []
            for category in self._categories[split]:
                photos, masks = self._stems(category)
                images[category] = photos
                if not photos:
                    missing.append(f"{category}/*.jpg")
                missing += [f"{category}/{stem}.png" for stem in sorted(photos - masks)]
                missing += [f"{category}/{stem}.jpg" for stem in sorted(masks - photos)]
            listed = self.splits is not None
            refuse_missing(missing, f"{split} list in {self.splits or self.root}", self.root, listed)
            self._listings[split] = category_listing(self._categories[split], self._first(split), images)
        return self._listings[split]

    def _stems(self, category: str) -> tuple[set[str], set[str]]:
        """Stems of the photos and of the masks of a category, none where its folder is missing."""
        try:
            files = os.listdir(self.root / category)
        except OSError:
            files = []
        return (
            {file.removesuffix(".jpg") for file in files if file.endswith(".jpg")},
            {file.removesuffix(".png") for file in files if file.endswith(".png")},
        )

    def has(self, name: str) -> bool:
        """Is there such an image, ``category/number``, with its mask?"""
        category, _, stem = name.partition("/")
        if category not in self.class_names:
            return False
        return all(stem in stems for stems in self._stems(category))

    def files(self, name: str) -> tuple[Path, Path]:
        """Photo and mask of an image."""
        return self.root / f"{name}.jpg", self.root / f"{name}.png"

    def read(self, name: str, class_id: int) -> Sample:
        """One image and its mask.

        Args:
            name: ``category/number``.
            class_id: that of the category.

        Raises:
            DataError: a file is missing or damaged, the sizes do not go together, the mask is empty, or the
                class is of another category.
        """
        category = name.partition("/")[0]
        if not 0 <= class_id < len(self.class_names) or self.class_names[class_id] != category:
            raise DataError(f"image {name} is not of class {class_id}: it shows {category} only")
        image_path, mask_path = self.files(name)
        image = read_image(image_path)
        mask = fit_mask(read_grey_mask(mask_path), image, mask_path, image_path)
        if not mask.any():
            raise DataError(
                f"mask {mask_path} has no foreground (grey values of 128 and more): mend the mask or take "
                "the image away"
            )
        return Sample(image, mask, np.zeros_like(mask))
