"""Label maps straight from a COCO-style JSON file: the same pixels as the mask files, without the files.

A pixel is the contiguous class + 1 (categories in order of their ids), 0 background; no void (REFERENCE
section 9). Where annotations overlap, the smaller one is on top: crowd regions are painted first, then all
others from the one with most pixels to the one with fewest, of equal ones the later in the file on top.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmseg.data.coco_shapes import Shape, paint
from hmseg.data.opening import MOST_PIXELS
from hmseg.errors import DataError
from hmseg.untrusted import parsing, read_bytes, reason

OVERLAP_RULE = "crowds below all others, of the others the one with fewer pixels on top, of equals the later"
MAX_CLASSES = 254
"""Pixels are bytes: 0 is background, 255 void."""
_LARGEST = 4 * 10**9  # bytes of a file; COCO's have half a billion
_Id = int | str
_FAST = 1  # zlib's level: the file shrinks to about a third, a record opens in microseconds


def label_map(record: bytes) -> NDArray[np.uint8]:
    """Paint one image's annotations.

    Args:
        record: of :meth:`JsonMasks.record`; self-contained, so that another process can paint it.

    Returns:
        (H, W) uint8, writable and owned by the caller.

    Raises:
        DataError: an annotation can't be painted; the message names its id.
    """
    where, height, width, shapes = json.loads(zlib.decompress(record))
    return paint(height, width, [Shape(*shape) for shape in shapes], where)


@dataclass(frozen=True)
class _Table:
    """A parsed file, compact: some 110 MB for COCO 2014's training images instead of 2 GB of objects."""

    class_names: tuple[str, ...]
    files: tuple[str, ...]
    offsets: NDArray[np.int64]
    blob: bytes

    @cached_property
    def index(self) -> Mapping[str, int]:
        return {PurePosixPath(file).stem: place for place, file in enumerate(self.files)}


class JsonMasks:
    """The label maps of one annotation file.

    The file is read at first use, or by :meth:`load`; a copy made for a loader's worker before that reads it
    by itself, one made after that carries the compact table (shared, not copied, where workers are forked).

    Args:
        annotation_file: ``instances_train2014.json`` or another file of that form.

    Raises:
        DataError: from everything but the constructor: the file is missing, damaged or contradicts itself.

    Example:
        >>> masks = JsonMasks("annotations/instances_val2014.json")  # doctest: +SKIP
        >>> masks.label_map("COCO_val2014_000000000294").shape  # doctest: +SKIP
        (640, 427)
    """

    def __init__(self, annotation_file: str | Path) -> None:
        self.path = Path(annotation_file)
        self._table: _Table | None = None

    def load(self) -> JsonMasks:
        """Read the file now, if it wasn't; returns itself."""
        if self._table is None:
            self._table = _read(self.path)
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """Category names, by contiguous class."""
        return self._loaded.class_names

    @property
    def names(self) -> tuple[str, ...]:
        """File stems of all images, in the order of the file."""
        return tuple(self._loaded.index)

    @property
    def files(self) -> tuple[str, ...]:
        """``file_name`` of all images, in the order of the file."""
        return self._loaded.files

    def __contains__(self, name: object) -> bool:
        return name in self._loaded.index

    def record(self, name: str) -> bytes:
        """What :func:`label_map` needs to paint one image, some kilobytes.

        Args:
            name: file stem of the image.

        Raises:
            DataError: the file has no such image.
        """
        table = self._loaded
        place = table.index.get(name)
        if place is None:
            raise DataError(f"{self.path} has no image {name}: take it out of the list or complete the file")
        return table.blob[table.offsets[place] : table.offsets[place + 1]]

    def label_map(self, name: str) -> NDArray[np.uint8]:
        """The label map of one image; one without annotations is all background.

        Args:
            name: file stem of the image.

        Returns:
            (H, W) uint8, writable and owned by the caller.

        Raises:
            DataError: no such image, or an annotation that can't be painted.
        """
        return label_map(self.record(name))

    @property
    def _loaded(self) -> _Table:
        table = self.load()._table
        assert table is not None
        return table


def _read(path: Path) -> _Table:
    content = parse_coco(path)
    classes, class_names = _categories(content, path)
    sizes, files = _images(content, path)
    shapes = _annotations(content, classes, sizes, path)
    records = []
    for image_id, (height, width) in sizes.items():
        record = [f"{path.name}: image {image_id}", height, width, shapes.pop(image_id, [])]
        records.append(zlib.compress(json.dumps(record, separators=(",", ":")).encode(), _FAST))
    offsets = np.cumsum([0, *map(len, records)], dtype=np.int64)
    return _Table(class_names, files, offsets, b"".join(records))


def parse_coco(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The lists of images, annotations and categories of a COCO file, in any of Unicode's encodings.

    Raises:
        DataError: it can't be read, is no JSON, or has no such lists.
    """
    try:
        raw = read_bytes(path, _LARGEST)
    except OSError as error:
        raise DataError(f"annotation file {path} can't be read: {reason(error)}") from None
    with parsing(lambda why: DataError(f"annotation file {path} is damaged ({why}): unpack it again")):
        content = json.loads(raw)
    for key in ("images", "annotations", "categories"):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{path}: expected a list of objects under '{key}', as in COCO's instances files")
    return content  # type: ignore[no-any-return]  # checked above


def _categories(content: Mapping[str, Any], path: Path) -> tuple[dict[_Id, int], tuple[str, ...]]:
    """Contiguous class by category id, and the names."""
    try:
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        ordered = sorted(names)
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: a category lacks a usable id or name ({error})") from None
    if len(names) != len(content["categories"]):
        raise DataError(f"{path}: two categories have one id")
    if not 0 < len(names) <= MAX_CLASSES:
        raise DataError(f"{path}: {len(names)} categories came, 1 to {MAX_CLASSES} were expected")
    classes = {category_id: place for place, category_id in enumerate(ordered)}
    return classes, tuple(names[category_id] for category_id in ordered)


def _images(content: Mapping[str, Any], path: Path) -> tuple[dict[_Id, tuple[int, int]], tuple[str, ...]]:
    """(height, width) by image id, and the file names; stems are unique, for they name the images."""
    sizes: dict[_Id, tuple[int, int]] = {}
    stems: set[str] = set()
    files = []
    for image in content["images"]:
        image_id, file = image.get("id"), image.get("file_name")
        height, width = image.get("height"), image.get("width")
        if not isinstance(image_id, int | str) or not isinstance(file, str):
            raise DataError(f"{path}: an image lacks a usable id or file_name: {str(image)[:80]}")
        whole = type(height) is int and type(width) is int
        if whole and height * width > MOST_PIXELS:
            raise DataError(
                f"{path}: image {image_id} has {width}x{height} pixels, more than the "
                f"{MOST_PIXELS / 1e6:.0f} million that are opened at once"
            )
        if not whole or min(height, width) < 1:
            raise DataError(f"{path}: image {image_id} has no usable height and width ({height}, {width})")
        stem = PurePosixPath(file).stem
        if stem in stems or image_id in sizes:
            raise DataError(f"{path}: image {image_id} ({file}) is there twice")
        stems.add(stem)
        sizes[image_id] = (height, width)
        files.append(file)
    return sizes, tuple(files)


def _annotations(
    content: Mapping[str, Any], classes: Mapping[_Id, int], sizes: Mapping[_Id, Any], path: Path
) -> dict[_Id, list[tuple[Any, ...]]]:
    """Fields of the shapes of each image, in file order."""
    shapes: dict[_Id, list[tuple[Any, ...]]] = defaultdict(list)
    for annotation in content["annotations"]:
        number, image_id = annotation.get("id"), annotation.get("image_id")
        category = annotation.get("category_id")
        if not isinstance(image_id, int | str) or image_id not in sizes:
            raise DataError(f"{path}: annotation {number} belongs to image {image_id}, which is not listed")
        if not isinstance(category, int | str) or category not in classes:
            raise DataError(f"{path}: annotation {number} has category {category}, which is not listed")
        crowd = bool(annotation.get("iscrowd", 0))
        shapes[image_id].append((number, classes[category] + 1, crowd, annotation.get("segmentation")))
    return shapes
