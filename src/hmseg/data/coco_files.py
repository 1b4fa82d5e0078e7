"""The files of a COCO 2014 folder: photos, and masks from PNG files or painted from the annotation files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from hmseg.data.coco_lists import CLASSES, YEARS, year_of
from hmseg.data.coco_masks import JsonMasks
from hmseg.data.lists import check_folder, names_in
from hmseg.data.presence import Shown, file_state, folder_state, read_shown, shown
from hmseg.data.reading import check_same_size, read_image, read_label_map
from hmseg.errors import DataError

COMPARED = 20
"""Masks that are held against the annotations, where both are there."""
VOID = 255
_UNUSED = frozenset((12, 26, 29, 30, 45, 66, 68, 69, 71, 83))
_CATEGORIES = tuple(number for number in range(1, 91) if number not in _UNUSED)
"""COCO's own category ids, in the order of the classes."""
REMEDY = (
    "mask files hold 1 to 80 in the order of COCO's category ids, which themselves run to 90: make them with "
    "python -m hmseg.prepare dataset=coco, or set dataset.masks=json"
)


def check_contiguous(largest: int, path: str) -> None:
    """Raises DataError for a number that only COCO's own category ids reach."""
    if largest > CLASSES:
        raise DataError(f"mask {path} holds the number {largest}, 1 to {CLASSES} were expected: {REMEDY}")


def _numbers(classes: Iterable[int]) -> str:
    """Classes as masks have them."""
    return ", ".join(str(each + 1) for each in classes) or "none"


def _year(name: str) -> str:
    year = year_of(name)
    if year is None:
        raise DataError(f"image {name!r} came, a name such as COCO_val2014_000000000042 was expected")
    return year


class CocoFiles:
    """Finds and reads photos and masks by the image's name, ``COCO_val2014_000000000042`` for instance.

    Args:
        root: folder with ``train2014`` and ``val2014``; one of them may be missing where it isn't used.
        masks: folder with ``{train,val}2014/NAME.png`` (class + 1, 0 background), or ``json`` to paint them
            from ``root/annotations/instances_{train,val}2014.json``. None: ``root/masks``, else
            ``root/annotations``, where HSNet has them.

    Raises:
        DataError: the root or the masks are not there.
    """

    def __init__(self, root: Path, masks: str | Path | None = None) -> None:
        check_folder(root, "COCO root", "set dataset.root to the folder with train2014 and val2014")
        self.root = root
        self._masks = self._find_masks(masks)
        self._json = {
            year: JsonMasks(root / f"annotations/instances_{year}.json") for year in set(YEARS.values())
        }
        self._names: dict[str, tuple[frozenset[str], frozenset[str]]] = {}

    def _find_masks(self, masks: str | Path | None) -> Path | None:
        """The folder of the PNG masks, None where they are painted."""
        if masks == "json":
            return None
        choices = (
            [self.root / "masks", self.root / "annotations"] if masks is None else [Path(masks).expanduser()]
        )
        for folder in choices:
            if any((folder / year).is_dir() for year in YEARS.values()):
                return folder
        raise DataError(
            f"mask folder {choices[0]} has neither train2014 nor val2014 in it: make the masks (python -m "
            "hmseg.prepare dataset=coco), set dataset.masks to their folder, or to json to have them painted "
            f"from {self.root / 'annotations'}/instances_{{train,val}}2014.json"
        )

    def names(self, year: str) -> frozenset[str]:
        """The images of ``train2014`` or ``val2014`` that have both photo and mask."""
        photos, masked = self._there(year)
        return frozenset(name for name in photos & masked if year_of(name) == year)

    def missing(self, names: Iterable[str], year: str) -> list[str]:
        """The files, below the root, that some images lack."""
        photos, masked = self._there(year)
        kind = f"{self._masks.name}/{year}/{{}}.png" if self._masks else f"{self._json[year].path.name}: {{}}"
        lacking = []
        for name in names:
            if name not in photos:
                lacking.append(f"{year}/{name}.jpg")
            if name not in masked:
                lacking.append(kind.format(name))
        return lacking

    def _there(self, year: str) -> tuple[frozenset[str], frozenset[str]]:
        """Photos and masks, by one look at each folder."""
        if year not in self._names:
            if self._masks is None:
                masked = frozenset(self._json[year].names)
            else:
                masked = names_in(self._masks / year, ".png")
            self._names[year] = names_in(self.root / year, ".jpg"), masked
        return self._names[year]

    def label_map(self, name: str) -> NDArray[np.uint8]:
        """The mask of an image: (H, W) uint8, 0 background, else class + 1. Raises DataError."""
        if self._masks is None:
            return self._json[_year(name)].label_map(name)
        path = self.paths(name)[1]
        labels = read_label_map(path)
        check_contiguous(int(labels.max(where=labels != VOID, initial=0)), str(path))
        return labels

    def read(self, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Photo (H, W, 3) and mask (H, W) of an image. Raises DataError with the file's name."""
        photo, mask = self.paths(name)
        image, labels = read_image(photo), self.label_map(name)
        check_same_size(image, labels, photo, mask)
        return image, labels

    def paths(self, name: str) -> tuple[Path, Path]:
        """The photo, and the file that its mask comes from."""
        year = _year(name)
        mask = self._json[year].path if self._masks is None else self._masks / year / f"{name}.png"
        return self.root / year / f"{name}.jpg", mask

    def presence(self, year: str, names: Sequence[str]) -> Mapping[str, Shown]:
        """Which classes the masks show; see ``hmseg.data.presence``."""
        state = file_state(self._json[year].path) if self._masks is None else ""
        if self._masks is not None:
            state = folder_state(self._masks / year, ".png")
        lock, compared = Lock(), list[bool]()

        def look(name: str) -> Shown:
            with lock:
                if not compared:
                    self._compare(year, names)
                    compared.append(True)
            return shown(self.label_map(name))

        return read_shown(names, look, state, self.root, f"coco-{year}")

    def _compare(self, year: str, names: Sequence[str]) -> None:
        """Refuses masks whose numbers are not those of the annotations, where these are there too.

        Where lists are made from masks everything hangs on their numbers, and up to 80 COCO's own ids look
        like classes. A few masks say enough.
        """
        if self._masks is None or not self._json[year].path.is_file():
            return
        as_classes, as_ids, first = 0, 0, ""
        for name in names[:: max(1, len(names) // COMPARED)]:
            found, expected = shown(self.label_map(name)).any, shown(self._json[year].label_map(name)).any
            if not found or found == expected:
                as_classes += 1
            elif set(found) <= {_CATEGORIES[each] - 1 for each in expected}:
                as_ids += 1
                first = first or (
                    f"mask {self.paths(name)[1]} shows the classes {_numbers(found)}, its annotations in "
                    f"{self._json[year].path} say {_numbers(expected)}"
                )
        if as_ids > as_classes:
            raise DataError(f"{first}: {REMEDY}")

    def __getstate__(self) -> dict[str, object]:
        """Without the names of all files: workers read what they are told to."""
        return {**self.__dict__, "_names": {}}
