"""A user's own images: a folder for each class, with images and masks in it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from hmseg.data.displayed import as_displayed
from hmseg.data.episode import Sample
from hmseg.data.lists import check_folder
from hmseg.data.mask_files import SETTING, read_object_mask
from hmseg.data.mask_meaning import check_reading
from hmseg.data.own_folds import OwnFolds
from hmseg.data.reading import read_photo
from hmseg.data.source import Listing, Lists, Split, check_split
from hmseg.errors import DataError

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
MASKS = (".png", ".bmp", ".tif", ".tiff", ".gif")
_BESIDE = (".jpg", ".jpeg")
"""Images in one folder with their masks: masks are never JPEGs, whose values are blurred."""


class FolderSource:
    """Reads a folder of classes, the FSS-1000 layout generalised; a :class:`~hmseg.data.source.Source`.

    Each class is a folder ``root/CLASS`` with either ``N.jpg`` and ``N.png`` beside each other, or folders
    ``images`` and ``masks`` with files of the same names. Photos and masks are taken as they are displayed
    (EXIF); what a mask means: see ``hmseg.data.mask_meaning``. Nothing is known of other classes in an
    image. Training takes every image of the trained classes once an epoch, the test every image of the
    held-out ones.

    Args:
        root: the folder of the classes; names beginning with a dot or ``_`` are left out.
        folds: how many.
        seed: of drawing the classes into folds.
        held_out: the classes of each fold by name, instead of drawing them; ``folds`` lists.
        mask: what the pixels of the masks mean, see ``hmseg.data.mask_meaning.meaning``.

    Raises:
        ConfigError: ``mask`` is no such reading.
        DataError: the folder is missing, has too few classes, or has images without masks or the other way.
    """

    name = "folder"
    lists: Lists = "own"

    def __init__(
        self,
        root: str | Path,
        folds: int = 4,
        seed: int = 0,
        held_out: Sequence[Sequence[str]] | None = None,
        mask: str | int = "auto",
    ) -> None:
        self.mask = check_reading(mask, SETTING)
        self.reading = f"displayed, masks {self.mask}"  # other than that, kept images are not the same
        self.root = Path(root)
        check_folder(self.root, "data root", "set dataset.root to the folder with a folder for each class")
        with os.scandir(self.root) as entries:
            found = [each.name for each in entries if each.is_dir() and each.name[0] not in "._"]
        self._pairs = {name: _pair_up(self.root / name) for name in sorted(found)}
        self.class_names: tuple[str, ...] = tuple(self._pairs)
        self._folds = OwnFolds("folder", self.class_names, folds, seed, held_out)
        self.folds = folds

    def classes(self, split: Split, fold: int | None) -> tuple[int, ...]:
        """``val`` and ``test``: the classes held out in ``fold``; ``train``: all others."""
        check_split(split, self.name)
        return self._folds.classes(split, fold)

    def listing(self, split: Split, fold: int | None) -> Listing:
        """Every image of the split's classes once."""
        classes = self.classes(split, fold)
        every = ((each, self.class_names[each]) for each in classes)
        return Listing(
            tuple(
                (f"{folder}/{stem}", each) for each, folder in every for stem in sorted(self._pairs[folder])
            )
        )

    def has(self, name: str) -> bool:
        """Is there such an image, ``class/stem``, with its mask?"""
        folder, _, stem = name.partition("/")
        return stem in self._pairs.get(folder, {})

    def files(self, name: str) -> tuple[Path, ...]:
        """Image and mask."""
        if not self.has(name):
            raise DataError(f"{self.root} has no image {name!r} with a mask")
        folder, _, stem = name.partition("/")
        return tuple(self.root / folder / file for file in self._pairs[folder][stem])

    def read(self, name: str, class_id: int) -> Sample:
        """One image and its mask.

        Args:
            name: ``class/stem``.
            class_id: that of the folder.

        Raises:
            DataError: a file is missing or damaged, the sizes differ, the mask is empty, or the class is of
                another folder.
        """
        image_path, mask_path = self.files(name)
        folder = name.partition("/")[0]
        if not 0 <= class_id < len(self.class_names) or self.class_names[class_id] != folder:
            raise DataError(f"image {name} is not of class {class_id}: only {folder} is known of it")
        photo, found = read_photo(image_path), read_object_mask(mask_path, self.mask)
        what = f"mask {mask_path}"
        mask, void = (as_displayed(each, photo, what, str(image_path)) for each in found)
        if not mask.any():
            how = f", read as {SETTING}={self.mask}" if self.mask != "auto" else ""
            raise DataError(f"{what} shows no object{how}: mend it or take the image away")
        return Sample(photo.pixels, mask, void)


def _pair_up(folder: Path) -> Mapping[str, tuple[str, str]]:
    """Image and mask of each stem, as paths below the class's folder."""
    apart = (folder / "images").is_dir() and (folder / "masks").is_dir()
    images = _by_stem(folder / "images" if apart else folder, IMAGES if apart else _BESIDE)
    masks = _by_stem(folder / "masks" if apart else folder, MASKS)
    alone = [f"{images[stem]} (no mask)" for stem in sorted(images.keys() - masks.keys())]
    alone += [f"{masks[stem]} (no image)" for stem in sorted(masks.keys() - images.keys())]
    if alone or not images:
        shown = ", ".join(alone[:5]) + (", ..." if len(alone) > 5 else "")
        what = f"{len(alone)} files without a partner: {shown}" if alone else "no images"
        raise DataError(
            f"class folder {folder} has {what}; each image N.jpg needs a mask N.png beside it, or put them "
            "into images/ and masks/ under the same names (folders to be left out begin with _)"
        )
    prefix = ("images/", "masks/") if apart else ("", "")
    return {stem: (f"{prefix[0]}{images[stem]}", f"{prefix[1]}{masks[stem]}") for stem in images}


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted(os.listdir(folder)):
        stem, suffix = os.path.splitext(file)
        if suffix.lower() in suffixes and not file.startswith("."):
            if stem in found:
                raise DataError(f"{folder} has both {found[stem]} and {file}: keep one of them")
            found[stem] = file
    return found
