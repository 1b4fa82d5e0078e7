"""A user's own COCO file: each class's mask is the union of its own outlines; what can't be used is counted.

COCO's label maps (`hmseg.data.coco_masks`) give every pixel to one annotation, as the published masks do. On
one's own data that takes the head from the bear where both are classes; here outlines may overlap.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from hmseg.data.coco_masks import parse_coco
from hmseg.data.coco_shapes import check_shape, runs_of, union
from hmseg.data.opening import MOST_PIXELS
from hmseg.data.presence import GRID_PIXELS, STRIDE, Shown
from hmseg.errors import DataError

_FAST = 1  # zlib's level


class OwnAnnotations:
    """The images, classes and outlines of one file.

    An image is its path below the images' folder. Left out and counted are images without a usable size or
    listed twice, and outlines that are no area, of an image or category that isn't listed, or beyond their
    image; of several outlines of one annotation only the bad ones.

    Args:
        path: the JSON file.

    Attributes:
        class_names: of all categories, in the order of their ids.
        files: paths of the images with ``/``, in the order of the file.
        left_out: a line for each thing that can't be used.
        outlines: how many there are, bad ones too.

    Raises:
        DataError: the file is missing, damaged or contradicts itself, or an image leaves the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.left_out: list[str] = []
        self.outlines = 0
        content = parse_coco(self.path)
        places, self.class_names = _categories(content, self.path)
        sizes, images = self._images(content["images"])
        outlines = self._outlines(content["annotations"], places, sizes, images)
        self.files = tuple(sizes)
        records = [
            zlib.compress(json.dumps([*sizes[file], outlines.get(file, {})]).encode(), _FAST)
            for file in self.files
        ]
        self._offsets = np.cumsum([0, *map(len, records)], dtype=np.int64)
        self._records = b"".join(records)

    @cached_property
    def _index(self) -> Mapping[str, int]:
        return {file: place for place, file in enumerate(self.files)}

    def _images(
        self, listed: Iterable[Mapping[str, Any]]
    ) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
        """(height, width) by path, and path by image id."""
        sizes: dict[str, tuple[int, int]] = {}
        paths: dict[str, str] = {}
        for image in listed:
            key, name = _key(image.get("id")), image.get("file_name")
            height, width = image.get("height"), image.get("width")
            if not isinstance(name, str) or not name:
                self.left_out.append(f"image {key} has no file_name")
                continue
            file = path_inside(name)
            if type(height) is not int or type(width) is not int or min(height, width) < 1:
                came = f"({height}, {width})"
                self.left_out.append(f"image {key} ({file}) has no usable height and width {came}")
            elif height * width > MOST_PIXELS:
                most = f"{MOST_PIXELS / 1e6:.0f} million pixels, which are not opened at once"
                self.left_out.append(f"image {key} ({file}) has more than {most}")
            elif key in paths and paths[key] != file:
                raise DataError(f"{self.path}: two images have the id {key}, {paths[key]} and {file}")
            elif file in sizes and sizes[file] != (height, width):
                self.left_out.append(f"image {key} ({file}) is there twice, in two sizes")
            else:
                sizes[file], paths[key] = (height, width), file
        if not sizes:
            raise DataError(f"{self.path} lists no image that can be used: {'; '.join(self.left_out[:1])}")
        return sizes, paths

    def _outlines(
        self,
        annotations: Iterable[Mapping[str, Any]],
        places: Mapping[str, int],
        sizes: Mapping[str, tuple[int, int]],
        images: Mapping[str, str],
    ) -> dict[str, dict[int, list[Any]]]:
        """Outlines by image and class; each is a list with one polygon, or run lengths."""
        found: dict[str, dict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
        for annotation in annotations:
            where = f"annotation {annotation.get('id')}"
            file = images.get(_key(annotation.get("image_id")))
            place = places.get(_key(annotation.get("category_id")))
            for outline in _parts(annotation.get("segmentation")):
                self.outlines += 1
                try:
                    if file is None:
                        raise DataError(f"{where} belongs to image {annotation.get('image_id')}, not listed")
                    if place is None:
                        raise DataError(f"{where} has category {annotation.get('category_id')}, not listed")
                    if not outline:
                        raise DataError(f"{where} has no outline")
                    check_shape(outline, *sizes[file], where)
                except DataError as error:
                    self.left_out.append(str(error))
                else:
                    found[file][place].append(outline)
        return found

    def __contains__(self, file: object) -> bool:
        return file in self._index

    def size(self, file: str) -> tuple[int, int]:
        """(height, width) that the file says an image has; raises DataError for no image."""
        height, width, _ = self._record(file)
        return height, width

    def masks(self, file: str) -> dict[int, NDArray[np.bool_]]:
        """The mask (H, W) of each class of an image, by the class's place; raises DataError for no image."""
        height, width, outlines = self._record(file)
        return {int(place): self._painted(file, height, width, each) for place, each in outlines.items()}

    def mask(self, file: str, place: int) -> NDArray[np.bool_]:
        """The mask (H, W) of one class; empty where the image doesn't show it."""
        height, width, outlines = self._record(file)
        return self._painted(file, height, width, outlines.get(str(place), ()))

    def shown(self, file: str) -> Shown:
        """Which classes an image shows, as :func:`hmseg.data.presence.shown` of a label map."""
        masks = self.masks(file)
        listed = [place for place, mask in masks.items() if mask[::STRIDE, ::STRIDE].sum() >= GRID_PIXELS]
        return Shown(
            tuple(sorted(place for place, mask in masks.items() if mask.any())), tuple(sorted(listed))
        )

    def _record(self, file: str) -> tuple[int, int, dict[str, list[Any]]]:
        if file not in self._index:
            raise DataError(f"{self.path} has no image {file!r}")
        place = self._index[file]
        record = self._records[self._offsets[place] : self._offsets[place + 1]]
        height, width, outlines = json.loads(zlib.decompress(record))
        return height, width, outlines

    def _painted(self, file: str, height: int, width: int, outlines: Iterable[Any]) -> NDArray[np.bool_]:
        where = f"{self.path}: {file}"
        return union(height, width, (runs_of(each, height, width, where) for each in outlines))


def _key(number: object) -> str:
    """An id, which some tools write as text in one place and as a number in another."""
    return str(number)


def _parts(segmentation: object) -> list[Any]:
    """An annotation's outlines, one by one."""
    if isinstance(segmentation, list) and segmentation:
        if all(isinstance(each, int | float) for each in segmentation):
            return [[segmentation]]  # one polygon, without the list around it
        return [[each] for each in segmentation]
    return [segmentation]


def _categories(content: Mapping[str, Any], path: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """Places by category id, and the names, in the order of the ids; two categories of one name are one."""
    names: dict[str, str] = {}
    for category in content["categories"]:
        key, name = _key(category.get("id")), category.get("name")
        if not isinstance(name, str) or not name.strip() or category.get("id") is None:
            raise DataError(f"{path}: a category lacks an id or a name: {str(category)[:60]}")
        if key in names:
            raise DataError(f"{path}: two categories have the id {key}: export it again")
        names[key] = normalize("NFC", " ".join(name.split()))
    ordered = sorted(names, key=lambda key: (0, int(key), "") if key.isdecimal() else (1, 0, key))
    different = tuple(dict.fromkeys(names[key] for key in ordered))
    return {key: different.index(names[key]) for key in ordered}, different


def path_inside(name: str) -> str:
    """A ``file_name`` as a path below the folder of the images, with ``/`` and in Unicode's form NFC.

    Raises:
        DataError: it leaves the folder.

    Example:
        >>> path_inside(r"train\\cat 1.jpg"), path_inside("./a.jpg")
        ('train/cat 1.jpg', 'a.jpg')
    """
    path = PurePosixPath(normalize("NFC", name).replace("\\", "/"))
    drive = len(path.parts) > 1 and path.parts[0].endswith(":")
    if path.is_absolute() or drive or ".." in path.parts or "\0" in name or not path.name:
        raise DataError(f"file_name {name!r} leaves the image folder: a path inside it was expected")
    return str(path)


def existing(folder: Path, file: str) -> Path:
    """The file's path, in the Unicode form that it has on disk; in NFC where it isn't there."""
    forms = [folder / normalize(form, file) for form in ("NFC", "NFD")]
    return next((path for path in forms if path.is_file()), forms[0])
