"""The image lists of COCO-20i: HSNet's pickles or the text form, as listings (REFERENCE section 9)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hmseg.data.lists import read_lines
from hmseg.data.pickles import read_plain_pickle
from hmseg.data.source import Listing, Split
from hmseg.errors import DataError

CLASSES, FOLDS = 80, 4
YEARS: dict[Split, str] = {"train": "train2014", "val": "val2014", "test": "val2014"}
"""The folder of images that a split draws from."""
TEXT, PICKLES = ("train2014.txt", "val2014.txt"), ("trn", "val")
"""What a folder of lists holds, in either form."""

_NAME = re.compile(r"COCO_(train2014|val2014)_\d{12}")
_PICKLED = re.compile(r"(?:.*/)?(COCO_(?:train|val)2014_\d{12})(?:\.jpg|\.png)?")

ByClass = Mapping[int, list[str]]


def held_out(fold: int) -> tuple[int, ...]:
    """The classes fold, fold + 4, fold + 8, …

    Example:
        >>> held_out(1)[:3], len(held_out(1))
        ((1, 5, 9), 20)
    """
    return tuple(range(fold, CLASSES, FOLDS))


def trained(fold: int) -> tuple[int, ...]:
    """The classes that are not held out."""
    return tuple(each for each in range(CLASSES) if each % FOLDS != fold)


def year_of(name: str) -> str | None:
    """``train2014`` or ``val2014``, whichever an image is of; None for what is no image name.

    Example:
        >>> year_of("COCO_val2014_000000000042"), year_of("../secret")
        ('val2014', None)
    """
    found = _NAME.fullmatch(name)
    return found[1] if found else None


def is_text(folder: Path) -> bool:
    """Are a folder's lists in the text form, rather than pickles?"""
    return not (folder / "val").is_dir() or any((folder / name).exists() for name in TEXT)


def listing_of(by_class: ByClass, classes: tuple[int, ...]) -> Listing:
    """The images of some classes, class by class in the order of the published lists."""
    pairs = tuple((name, each) for each in classes for name in by_class.get(each, ()))
    return Listing(pairs, draw="class")


def lines_of(by_class: ByClass) -> dict[int, bytes]:
    """The lines of each class that ``hmseg.data.lists.digest_of`` is over.

    Example:
        >>> lines_of({3: ["a", "b"]})
        {3: b'a 3\\nb 3\\n'}
    """
    return {each: "".join(f"{name} {each}\n" for name in names).encode() for each, names in by_class.items()}


def read_coco_lists(folder: Path, split: Split, fold: int) -> ByClass:
    """Image names by class, for the classes of one fold's split (the text form: for all classes).

    Args:
        folder: with ``train2014.txt`` and ``val2014.txt``, else ``trn/fold0.pkl`` to ``val/fold3.pkl``.
        split: ``train``, or ``val`` and ``test``, which are one.
        fold: 0 to 3.

    Raises:
        DataError: a list is missing, malformed, or holds a class or image that does not belong there.
    """
    year = YEARS[split]
    if is_text(folder):
        return _read_text(folder / f"{year}.txt", year)
    path = folder / ("trn" if split == "train" else "val") / f"fold{fold}.pkl"
    return _checked(
        read_plain_pickle(path), path, trained(fold) if split == "train" else held_out(fold), year
    )


def _read_text(path: Path, year: str) -> ByClass:
    """Lines of a class and the numbers of its images."""
    by_class: dict[int, list[str]] = {}
    shared: dict[str, str] = {}  # an image of several classes is one string in memory
    for number, line in read_lines(path, "COCO-20i"):
        words = line.split()
        if not all(word.isascii() and word.isdigit() and len(word) <= 12 for word in words):
            odd = next(word for word in words if not (word.isascii() and word.isdigit() and len(word) <= 12))
            raise DataError(
                f"list {path} line {number}: {odd[:40]!r} came, a class and numbers of images were expected "
                "(such as 0 507224 400190): mend the line"
            )
        class_id = int(words[0])
        if class_id >= CLASSES or class_id in by_class:
            again = "again" if class_id in by_class else f"but classes go from 0 to {CLASSES - 1}"
            raise DataError(f"list {path} line {number}: class {class_id} came, {again}: mend the line")
        names = (f"COCO_{year}_{word.zfill(12)}" for word in words[1:])
        by_class[class_id] = [shared.setdefault(name, name) for name in names]
    return by_class


def _checked(content: Any, path: Path, classes: tuple[int, ...], year: str) -> ByClass:
    """HSNet's dict of class -> paths such as ``val2014/COCO_val2014_000000000042.jpg``."""
    if not isinstance(content, dict) or not all(type(key) is int for key in content):
        raise DataError(f"list {path}: expected a dict of class numbers and lists of images")
    by_class: dict[int, list[str]] = {}
    shared: dict[str, str] = {}
    for class_id, images in content.items():
        if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
            raise DataError(f"list {path}: class {class_id} holds no list of image names")
        if images and class_id not in classes:
            raise DataError(
                f"list {path}: class {class_id} came, which is not of this fold and split: is it in the "
                "place of another list?"
            )
        found = [_PICKLED.fullmatch(image) for image in images]
        names = [match[1] for match in found if match is not None and f"_{year}_" in match[1]]
        if len(names) != len(images):
            odd = next(i for i, m in zip(images, found, strict=True) if m is None or f"_{year}_" not in m[1])
            raise DataError(
                f"list {path}: {odd[:80]!r} came, an image of {year} was expected (such as "
                f"{year}/COCO_{year}_000000000042.jpg)"
            )
        by_class[class_id] = [shared.setdefault(name, name) for name in names]
    return by_class
