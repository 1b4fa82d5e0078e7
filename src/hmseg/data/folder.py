"""A user's own images: a folder for each class, with images and masks in it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize

from hmseg.data.displayed import as_displayed
from hmseg.data.episode import Sample
from hmseg.data.lists import check_folder
from hmseg.data.mask_files import SETTING, read_object_mask
from hmseg.data.mask_meaning import ObjectMask, check_reading
from hmseg.data.own_folds import OwnFolds
from hmseg.data.pairs import not_read_note, pair_apart, pair_beside, visible
from hmseg.data.presence import Shown, read_shown
from hmseg.data.reading import read_photo
from hmseg.data.source import Listing, Lists, Split, check_split
from hmseg.errors import DataError

log = logging.getLogger(__name__)


class FolderSource:
    """Reads a folder of classes, the FSS-1000 layout generalised; a :class:`~hmseg.data.source.Source`.

    Each class is a folder ``root/CLASS`` with either ``N.jpg`` and ``N.png`` (or ``N_mask.png``) beside each
    other, or folders ``images`` and ``masks`` with files of the same names (`hmseg.data.pairs`). Photos and
    masks are taken as they are displayed (EXIF); what a mask means: see `hmseg.data.mask_meaning`. Nothing is
    known of other classes in an image. Training takes every image of the trained classes once an epoch, the
    test every image of the held-out ones.

    Args:
        root: the folder of the classes; names beginning with a dot or ``_`` are left out, empty ones too.
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
    own_data = True

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
        self.root = Path(root).expanduser()
        check_folder(self.root, "data root", "set dataset.root to the folder with a folder for each class")
        folders = [each for each in visible(self.root) if each.is_dir() and not each.name.startswith("_")]
        pairs = {normalize("NFC", each.name): _pair_up(each) for each in folders}
        self._pairs = {name: pairs[name] for name in sorted(pairs) if pairs[name]}
        self.class_names: tuple[str, ...] = tuple(self._pairs)
        if empty := [name for name in pairs if not pairs[name]]:
            log.warning(
                "%s: left out %d folders without images (%s)", self.root, len(empty), ", ".join(empty)
            )
        if note := not_read_note(file for each in folders for file in each.rglob("*")):
            log.warning("%s: %s", self.root, note)
        self._folds = OwnFolds("folder", self.class_names, folds, seed, held_out)
        self.folds = folds
        self._checked = False

    def classes(self, split: Split, fold: int | None) -> tuple[int, ...]:
        """``val`` and ``test``: the classes held out in ``fold``; ``train``: all others."""
        check_split(split, self.name)
        return self._folds.classes(split, fold)

    def listing(self, split: Split, fold: int | None) -> Listing:
        """Every image of the split's classes once. Raises DataError for a mask that can't be used."""
        classes = self.classes(split, fold)
        self._check_masks()
        every = ((each, self.class_names[each]) for each in classes)
        return Listing(
            tuple(
                (f"{folder}/{stem}", each) for each, folder in every for stem in sorted(self._pairs[folder])
            )
        )

    def _check_masks(self) -> None:
        """Read every mask once: one that can't be used stops a run before it begins, not in mid-epoch."""
        if self._checked:
            return
        masks = {
            f"{folder}/{stem}": mask
            for folder, found in self._pairs.items()
            for stem, (_, mask) in found.items()
        }
        stamps = ((name, mask.stat()) for name, mask in masks.items())
        text = "".join(f"{name} {stat.st_size} {stat.st_mtime_ns}\n" for name, stat in stamps)
        state = hashlib.sha256(f"{self.reading}\n{text}".encode()).hexdigest()

        def look(name: str) -> Shown:
            self._object(masks[name])
            shown = (self.class_names.index(name.partition("/")[0]),)
            return Shown(shown, shown)

        read_shown(tuple(masks), look, state, self.root, self.name)
        self._checked = True

    def _object(self, path: Path) -> ObjectMask:
        found = read_object_mask(path, self.mask)
        if not found.object.any():
            how = f", read as {SETTING}={self.mask}" if self.mask != "auto" else ""
            raise DataError(f"mask {path} shows no object{how}: mend it or take the image away")
        return found

    def has(self, name: str) -> bool:
        """Is there such an image, ``class/stem``, with its mask?"""
        folder, _, stem = name.partition("/")
        return stem in self._pairs.get(folder, {})

    def files(self, name: str) -> tuple[Path, ...]:
        """Image and mask."""
        if not self.has(name):
            raise DataError(f"{self.root} has no image {name!r} with a mask")
        folder, _, stem = name.partition("/")
        return self._pairs[folder][stem]

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
        photo, found = read_photo(image_path), self._object(mask_path)
        what = f"mask {mask_path}"
        mask, void = (as_displayed(each, photo, what, str(image_path)) for each in found)
        return Sample(photo.pixels, mask, void)


def _pair_up(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Image and mask of each stem."""
    apart = (folder / "images").is_dir() and (folder / "masks").is_dir()
    found = pair_apart(folder / "images", folder / "masks") if apart else pair_beside(folder)
    if found.alike:
        one, other = found.alike[0]
        raise DataError(f"{one.parent} has both {one.name} and {other.name}: keep one of them")
    if alone := sorted(each.name for each in (*found.lone_images, *found.lone_masks)):
        shown = ", ".join(alone[:5]) + (", ..." if len(alone) > 5 else "")
        raise DataError(
            f"class folder {folder} has {len(alone)} files without a partner: {shown}; each image N.jpg "
            "needs a mask N.png or N_mask.png beside it, or put them into images/ and masks/ under the same "
            "names (folders to be left out begin with _)"
        )
    return found.pairs
