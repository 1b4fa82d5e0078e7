"""A user's own images with a COCO-style annotation file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from hmseg.data.coco_masks import JsonMasks
from hmseg.data.displayed import as_displayed
from hmseg.data.episode import Sample
from hmseg.data.lists import check_folder, refuse_missing
from hmseg.data.own_folds import OwnFolds
from hmseg.data.presence import Shown, check_novel, file_state, read_presence, without
from hmseg.data.reading import read_photo
from hmseg.data.source import Draw, Listing, Lists, Split, check_split
from hmseg.errors import DataError, unknown

_RULES = ("any", "grid")


class CocoJsonSource:
    """Reads images and a COCO-style ``instances`` file; a :class:`~hmseg.data.source.Source`.

    Classes are the file's categories in order of their ids, at most 254. Every image is listed once for each
    class that it shows. Masks are painted as ``hmseg.data.coco_masks`` says, all of them once to make the
    lists (kept in ``images/.hmseg``). The same images serve training and test; what differs is the class.

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

    Raises:
        DataError: a folder, the file or an image is missing, the file contradicts itself, or folds can't be
            made. Bad polygons are found when the masks are first painted.
    """

    name = "coco_json"
    lists: Lists = "own"

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
    ) -> None:
        self.root = Path(images)
        self.reading = "displayed"
        check_folder(self.root, "image folder", "set dataset.images to the folder that file_name starts from")
        for option, value, known in (("draw", draw, ("pairs", "class")), ("rule", rule, _RULES)):
            if value not in known:
                raise DataError(unknown(f"value of dataset.{option}", value, known))
        self._masks = JsonMasks(annotations).load()
        self.class_names: tuple[str, ...] = self._masks.class_names
        if len(set(self.class_names)) != len(self.class_names):
            raise DataError(f"{annotations}: two categories have one name: rename one of them")
        self._folds = OwnFolds(self.name, self.class_names, folds, seed, held_out)
        self.folds, self.rule, self.draw = folds, rule, draw
        self.novel = check_novel(novel)
        self._paths = {PurePosixPath(file).stem: self.root / _inside(file) for file in self._masks.files}

    def classes(self, split: Split, fold: int | None) -> tuple[int, ...]:
        """``val`` and ``test``: the classes held out in ``fold``; ``train``: all others."""
        check_split(split, self.name)
        return self._folds.classes(split, fold)

    @cached_property
    def _presence(self) -> Mapping[str, Shown]:
        """What the images show; that they are all there is seen to first."""
        missing = [str(path.relative_to(self.root)) for path in self._paths.values() if not path.is_file()]
        refuse_missing(missing, f"annotation file {self._masks.path}", self.root)
        state = file_state(self._masks.path)
        return read_presence(
            self._masks.names, self._masks.label_map, state, self.root, self._masks.path.stem
        )

    def listing(self, split: Split, fold: int | None) -> Listing:
        """The images of the split's classes, in the order of the file. Raises DataError."""
        classes = frozenset(self.classes(split, fold))
        pairs = (
            (name, each)
            for name, found in self._presence.items()
            for each in (found.any if self.rule == "any" else found.listed)
            if each in classes
        )
        listing = Listing(tuple(pairs), self.draw)
        if split == "train" and self.novel == "drop":
            return without(listing, self._presence, self.classes("test", fold))
        return listing

    def has(self, name: str) -> bool:
        """Is there such an image in the annotation file?"""
        return name in self._paths

    def files(self, name: str) -> tuple[Path, ...]:
        """The image, and the annotation file."""
        if name not in self._paths:
            raise DataError(f"{self._masks.path} has no image {name!r}")
        return self._paths[name], self._masks.path

    def read(self, name: str, class_id: int) -> Sample:
        """One image and the mask of one class.

        Args:
            name: stem of its ``file_name``.
            class_id: place of the category in order of the ids.

        Raises:
            DataError: the image is missing, damaged or of another size than the file says, an annotation is
                bad, or the class is not in the image.
        """
        path, annotations = self.files(name)
        photo, labels = read_photo(path), self._masks.label_map(name)
        mask = as_displayed(labels == class_id + 1, photo, f"{path.name} in {annotations}", "the file")
        if not mask.any():
            raise DataError(
                f"image {name} shows nothing of class {class_id} ({self.class_names[class_id]}) in "
                f"{annotations}: take it out of the list of the class"
            )
        return Sample(photo.pixels, mask, np.zeros_like(mask))


def _inside(file: str) -> PurePosixPath:
    """A ``file_name`` that stays in the folder of the images."""
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or "\\" in file or "\0" in file or not path.name:
        raise DataError(f"file_name {file!r} leaves the image folder: a path inside it was expected")
    return path
