"""A user's own images with a COCO-style annotation file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hmseg.data.displayed import as_displayed, read_sizes
from hmseg.data.episode import Sample
from hmseg.data.lists import check_folder
from hmseg.data.own_annotations import OwnAnnotations, existing
from hmseg.data.own_folds import OwnFolds
from hmseg.data.presence import Shown, check_novel, file_state, read_shown, without
from hmseg.data.reading import read_photo
from hmseg.data.source import Draw, Listing, Lists, Split, check_split
from hmseg.errors import DataError, unknown

log = logging.getLogger(__name__)
_RULES = ("any", "grid")


class CocoJsonSource:
    """Reads images and a COCO-style ``instances`` file; a :class:`~hmseg.data.source.Source`.

    Classes are the file's categories in order of their ids, but for those that no image is listed for. Every
    image is listed once for each class that it shows, and named by its path. A class's mask is the union of
    its own outlines (`hmseg.data.own_annotations`); all are painted once to make the lists (kept in
    ``images/.hmseg``). The same images serve training and test; what differs is the class.

    Args:
        images: folder of the images; ``file_name`` in the file is relative to it and may not leave it.
        annotations: the JSON file.
        folds: how many.
        seed: of drawing the classes into folds.
        held_out: the classes of each fold by name, instead of drawing them; ``folds`` lists.
        rule: which classes of an image are listed: ``any`` with a pixel, or by the ``grid`` of stride 32 that
            comes closest to the published lists (``hmseg.data.presence``), for images of 400 pixels and more.
        novel: ``keep`` or ``drop`` training images that also show a held-out class.
        draw: ``pairs`` goes through the list, ``class`` draws the class first, as COCO-20i does.
        strict: refuse a file with images, outlines or categories that can't be used, instead of leaving
            these out.

    Raises:
        DataError: a folder, the file or an image is missing, the file contradicts itself, or folds can't be
            made.
    """

    name = "coco_json"
    lists: Lists = "own"
    own_data = True

    def __init__(
        self,
        images: str | Path,
        annotations: str | Path,
        folds: int = 4,
        seed: int = 0,
        held_out: Sequence[Sequence[str]] | None = None,
        rule: str = "any",
        novel: str = "keep",
        draw: Draw = "pairs",
        strict: bool = False,
    ) -> None:
        self.root = Path(images).expanduser()
        self.reading = "displayed, unions"  # other than that, kept images are not the same
        check_folder(self.root, "image folder", "set dataset.images to the folder that file_name starts from")
        for option, value, known in (("draw", draw, ("pairs", "class")), ("rule", rule, _RULES)):
            if value not in known:
                raise DataError(unknown(f"value of dataset.{option}", value, known))
        self.folds, self.rule, self.draw = folds, rule, draw
        self.novel = check_novel(novel)
        self._own = OwnAnnotations(annotations)
        self._paths = {file: existing(self.root, file) for file in self._own.files}
        self._check_images()
        state = f"{file_state(self._own.path)} unions"
        what = self._own.path.stem
        self._presence = read_shown(self._own.files, self._look, state, self.root, what)
        listed = {each for found in self._presence.values() for each in self._listed(found)}
        self._places = tuple(sorted(listed))
        self.class_names: tuple[str, ...] = tuple(self._own.class_names[place] for place in self._places)
        self._tell_left_out(strict)
        self._folds = OwnFolds(self.name, self.class_names, folds, seed, held_out)

    def _look(self, file: str) -> Shown:
        """What an image shows; DataError where the image has another size than the file says."""
        (height, width), sizes = self._own.size(file), read_sizes(self._paths[file])
        if sizes.fitting((height, width)) is None:
            raise DataError(
                f"{file} is {width}x{height} pixels in {self._own.path}, the image {self._paths[file]} has "
                f"{sizes.displayed[1]}x{sizes.displayed[0]}: give the images that were annotated"
            )
        return self._own.shown(file)

    def _listed(self, found: Shown) -> tuple[int, ...]:
        return found.any if self.rule == "any" else found.listed

    def _check_images(self) -> None:
        missing = [file for file, path in self._paths.items() if not path.is_file()]
        if missing:
            shown = ", ".join(missing[:5]) + ", …" * (len(missing) > 5)
            raise DataError(
                f"{len(missing)} of {len(self._paths)} images of the annotation file {self._own.path} are "
                f"not in {self.root}: {shown}; complete the folder, set dataset.images to the one that "
                "file_name starts from, or take them out of the file"
            )

    def _tell_left_out(self, strict: bool) -> None:
        """One line for all that is not used; an error where that is not wanted."""
        notes = []
        if bad := self._own.left_out:
            notes.append(f"{len(bad)} of its {self._own.outlines} outlines and images (the first: {bad[0]})")
        if empty := [name for name in self._own.class_names if name not in self.class_names]:
            many = "class" if len(empty) == 1 else "classes"
            notes.append(f"{len(empty)} {many} for which no image is listed ({', '.join(empty)})")
        if notes and strict:
            raise DataError(
                f"annotation file {self._own.path} has {' and '.join(notes)}: mend it, or set "
                "dataset.strict=false to leave them out"
            )
        if notes:
            log.warning("annotation file %s: left out %s", self._own.path, " and ".join(notes))

    def classes(self, split: Split, fold: int | None) -> tuple[int, ...]:
        """``val`` and ``test``: the classes held out in ``fold``; ``train``: all others."""
        check_split(split, self.name)
        return self._folds.classes(split, fold)

    def listing(self, split: Split, fold: int | None) -> Listing:
        """The images of the split's classes, in the order of the file. Raises DataError."""
        classes = {self._places[each]: each for each in self.classes(split, fold)}
        pairs = (
            (name, classes[place])
            for name, found in self._presence.items()
            for place in self._listed(found)
            if place in classes
        )
        listing = Listing(tuple(pairs), self.draw)
        if split == "train" and self.novel == "drop":
            held_out = [self._places[each] for each in self.classes("test", fold)]
            return without(listing, self._presence, held_out)
        return listing

    def has(self, name: str) -> bool:
        """Is there such an image in the annotation file?"""
        return name in self._paths

    def files(self, name: str) -> tuple[Path, ...]:
        """The image, and the annotation file."""
        if name not in self._paths:
            raise DataError(f"{self._own.path} has no image {name!r}")
        return self._paths[name], self._own.path

    def read(self, name: str, class_id: int) -> Sample:
        """One image and the mask of one class, both as displayed.

        Args:
            name: its path below the folder of the images.
            class_id: place among the classes.

        Raises:
            DataError: the image is missing, damaged or of another size than the file says, or the class is
                not in the image.
        """
        path, annotations = self.files(name)
        if not 0 <= class_id < len(self.class_names):
            raise DataError(f"there is no class {class_id}: {annotations} has {len(self.class_names)}")
        photo, mask = read_photo(path), self._own.mask(name, self._places[class_id])
        mask = as_displayed(mask, photo, f"{name} in {annotations}", "the file")
        if not mask.any():
            raise DataError(
                f"image {name} shows nothing of class {class_id} ({self.class_names[class_id]}) in "
                f"{annotations}: take it out of the list of the class"
            )
        return Sample(photo.pixels, mask, np.zeros_like(mask))
