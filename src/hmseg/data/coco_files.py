"""The files of a COCO 2014 folder: photos, and masks from PNG files or painted from the annotation files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmseg.data.coco_lists import YEARS, year_of
from hmseg.data.coco_masks import JsonMasks
from hmseg.data.lists import check_folder, names_in
from hmseg.data.presence import Shown, file_state, folder_state, read_presence
from hmseg.data.reading import check_same_size, read_image, read_label_map
from hmseg.errors import DataError


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
        choices = [self.root / "masks", self.root / "annotations"] if masks is None else [Path(masks)]
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
        return read_label_map(self.paths(name)[1])

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
        return read_presence(names, self.label_map, state, self.root, f"coco-{year}")

    def __getstate__(self) -> dict[str, object]:
        """Without the names of all files: workers read what they are told to."""
        return {**self.__dict__, "_names": {}}
