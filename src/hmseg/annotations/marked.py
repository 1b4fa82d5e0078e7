"""What annotation files say: which images show which classes, where; and what of them can't be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from hmseg.annotations.outlines import Outline
from hmseg.data.coco_shapes import runs_of, union
from hmseg.data.displayed import Size, Sizes
from hmseg.errors import DataError


class Marked(NamedTuple):
    """An image, and where a class is in it.

    Attributes:
        image: its file.
        mask: a mask file, or what was drawn; as ``Segmenter.fit`` takes it.
        file: the annotation file that says so.
    """

    image: Path
    mask: Path | Outline
    file: Path


@dataclass(frozen=True)
class Drawn(Outline):
    """A mask of an annotation file, as COCO's run lengths.

    Args:
        runs: ``{"size": [H, W], "counts": text}``.
        where: the file, for messages.
    """

    runs: Mapping[str, Any]
    where: str

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """(H, W), of the size that the file speaks of."""
        height, width = self.runs["size"]
        return union(height, width, [runs_of(self.runs, height, width, self.where)])

    def drawn(self, size: Size, what: str = "mask") -> NDArray[np.bool_]:
        """(H, W) bool; DataError for an image of another size."""
        fitting_size((self.runs["size"][0], self.runs["size"][1]), Sizes(size, size), self.where, what)
        return self.pixels


class Canvas:
    """The classes marked in one image.

    Args:
        size: of the image.
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        self._runs: dict[str, list[NDArray[np.int64]]] = {}

    def draw(self, label: str, segmentation: Any, where: str) -> None:
        """Adds to a class what COCO's polygons or run lengths cover.

        Args:
            label: of the class.
            segmentation: polygons ``[[x1, y1, …], …]``, or run lengths ``{"size", "counts"}``.
            where: beginning of messages.

        Raises:
            DataError: it can't be painted, or covers no pixel.
        """
        runs = runs_of(segmentation, *self.size, where)
        if not runs[1::2].any():
            raise DataError(f"{where}: it covers no pixel of the image")
        self._runs.setdefault(label, []).append(runs)

    @property
    def masks(self) -> dict[str, NDArray[np.bool_]]:
        """(H, W) of each class that something was drawn of."""
        return {label: union(*self.size, runs) for label, runs in self._runs.items()}


@dataclass
class Found:
    """The classes that annotation files mark.

    Attributes:
        classes: the marked images by class, in the order of the files.
        outlines: how many came.
        left_out: why some of them could not be used.
        images: how many came with outlines.
        missing: those that are not there.
        seen: those that are.
    """

    classes: dict[str, list[Marked]] = field(default_factory=dict)
    outlines: int = 0
    left_out: list[str] = field(default_factory=list)
    images: int = 0
    missing: list[str] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)

    @contextmanager
    def outline(self) -> Iterator[None]:
        """Counts one outline; a DataError in the block leaves out this one alone."""
        self.outlines += 1
        try:
            yield
        except DataError as error:
            self.left_out.append(str(error))

    def add(self, image: Path, canvas: Canvas, file: Path) -> None:
        """Takes over what was drawn for one image.

        Raises:
            DataError: the same image came before: by their names, two may have been taken for one.
        """
        if image in self.seen:
            raise DataError(
                f"{file}: two annotated images are found as {image}: give the right folder as "
                "support_images, or leave one of the annotations"
            )
        self.seen.add(image)
        for label, mask in canvas.masks.items():
            self.classes.setdefault(label, []).append(
                Marked(image, Drawn(run_lengths(mask), str(file)), file)
            )

    def notes(self) -> list[str]:
        """What was left out, a line for each kind."""
        lines = []
        if self.left_out:
            lines.append(
                f"left out {len(self.left_out)} of {self.outlines} annotations, the first: {self.left_out[0]}"
            )
        if self.missing:
            lines.append(
                f"left out {len(self.missing)} of {self.images} annotated images that aren't there, the "
                f"first: {self.missing[0]}"
            )
        return lines


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's compressed run lengths of (H, W), ``{"size": [H, W], "counts": text}``.

    Example:
        >>> run_lengths(np.array([[False, True], [True, True]]))
        {'size': [2, 2], 'counts': '13'}
    """
    runs = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in runs["size"]], "counts": runs["counts"].decode("ascii")}


def fitting_size(size: object, image: Sizes, file: str, what: str) -> Size:
    """The size of an image, as displayed or as stored, that an annotation was made for.

    Args:
        size: that the file speaks of, height and width.
        image: of the image.
        file: with the annotation.
        what: the image, for the message.

    Raises:
        DataError: it was made for an image of another size.
    """
    fitting = image.fitting(size)
    if fitting is None:
        height, width = size if isinstance(size, tuple) else (None, None)
        raise DataError(
            f"{file} was made for an image of {width}x{height} pixels, {what} has "
            f"{image.displayed[1]}x{image.displayed[0]} (upright, as EXIF says): give the image that was "
            "annotated"
        )
    return fitting


def class_label(name: object, where: str) -> str:
    """A class's name on one line; DataError where there is none.

    Example:
        >>> class_label(" tabby  cat", "a.json")
        'tabby cat'
    """
    text = " ".join(name.split()) if isinstance(name, str) else ""
    if not text:
        raise DataError(f"{where}: it has no class name")
    return text
