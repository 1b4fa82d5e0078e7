"""The result of a prediction: labels and scores at the image's own size, and what can be made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from hmseg.errors import DataError, HmsegError, unknown
from hmseg.files import writing_bytes

MOST_LABELS = 255
"""Of a palette PNG, background aside."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a segmenter says about one image of H x W pixels with C classes.

    Attributes:
        labels: (H, W) int32: 0 background, else 1 + the class's place in ``names``.
        scores: (C, H, W) float32 in [0, 1], by class; what they mean depends on the aggregation, see
            :func:`hmseg.segmenter.deciding.decide`.
        foreground: (C, H, W) bool: what each class alone claims, its outline refined, before classes are set
            against each other.
        names: of the classes, in the order in which they were fitted.
        image: (H, W, 3) uint8, the image itself.
        presence: how present each class is, see :func:`hmseg.segmenter.presence.presence`.
        absent: the classes that are too little present to be looked for; their masks are empty.
    """

    labels: NDArray[np.int32]
    scores: NDArray[np.float32]
    foreground: NDArray[np.bool_]
    names: tuple[str, ...]
    image: NDArray[np.uint8]
    presence: tuple[float, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W): everything that is not background."""
        return np.asarray(self.labels > 0)

    def mask_of(self, name: str) -> NDArray[np.bool_]:
        """(H, W): the pixels labelled with a class; DataError where there is no such class."""
        return np.asarray(self.labels == self._place(name) + 1)

    def score_of(self, name: str) -> NDArray[np.float32]:
        """(H, W): the scores of a class; DataError where there is no such class."""
        return np.asarray(self.scores[self._place(name)])

    def label_image(self) -> Image.Image:
        """The labels as a palette image, the colours those of PASCAL VOC.

        Raises:
            DataError: more than 255 classes.
        """
        if len(self.names) > MOST_LABELS:
            raise DataError(f"a palette image holds {MOST_LABELS} classes, there are {len(self.names)}")
        image = Image.new("P", self.labels.shape[::-1])
        image.putdata(self.labels.astype(np.uint8).flatten().tolist())
        image.putpalette(palette().flatten().tolist())
        return image

    def overlay(self, opacity: float = 0.5) -> Image.Image:
        """The image with each class in its colour, outlined; RGB, the image's own size.

        Args:
            opacity: of the colours, 0 to 1.

        Raises:
            DataError: ``opacity`` is out of range.
        """
        if not 0 <= opacity <= 1:
            raise DataError(f"opacity {opacity:g}: 0 to 1 was expected")
        colours = palette()[self.labels % (MOST_LABELS + 1)]
        blended = (1 - opacity) * self.image + opacity * colours
        shown = np.where(self.mask[..., None], np.rint(blended).astype(np.uint8), self.image)
        thickness = max(1, round(max(self.labels.shape) / 400))
        for number in range(1, len(self.names) + 1):
            found, _ = cv2.findContours(
                (self.labels == number).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
            )
            colour = palette()[number % (MOST_LABELS + 1)].tolist()
            cv2.drawContours(shown, found, -1, colour, thickness)
        return Image.fromarray(shown)

    def to_rle(self) -> dict[str, dict[str, object]]:
        """Each class's mask in COCO's compressed run lengths, ``{"size": [H, W], "counts": text}``."""
        return {name: self._rle(number) for number, name in enumerate(self.names, start=1)}

    def save(self, path: str | Path, *, overlay: str | Path | None = None, overwrite: bool = False) -> None:
        """Writes the label map as a palette PNG, and the overlay where a path is given for it.

        A file is whole or not there. The overlay's format follows the end of its name.

        Args:
            path: of the label map, ``….png``.
            overlay: of the overlay, or None.
            overwrite: replace files that are there.

        Raises:
            DataError: a file is there already or can't be written, or a name has no format.
        """
        targets = [(Path(path), self.label_image)]
        if overlay is not None:
            targets.append((Path(overlay), self.overlay))
        for target, _ in targets:
            _check_target(target, overwrite)
        if targets[0][0].suffix.lower() != ".png":
            raise DataError(f"{path}: label maps are written as PNG, give a name ending in .png")
        for target, make in targets:
            save_image(make(), target)

    def _place(self, name: str) -> int:
        if name not in self.names:
            raise DataError(unknown("class", name, self.names))
        return self.names.index(name)

    def _rle(self, number: int) -> dict[str, object]:
        runs = coco.encode(np.asfortranarray(self.labels == number, dtype=np.uint8))
        return {"size": [int(side) for side in runs["size"]], "counts": runs["counts"].decode("ascii")}


def save_image(image: Image.Image, path: Path) -> None:
    """Writes an image under a temporary name and moves it to its place; DataError where it can't."""
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None:
        raise DataError(f"{path}: no image format has this ending: give .png or .jpg")
    try:
        with writing_bytes(path) as file:
            image.save(file, kind)
    except HmsegError:
        raise
    except OSError as error:
        raise DataError(f"{path} can't be written ({error.strerror or error}): give another place") from error


def _check_target(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise DataError(f"{path} is there already: give another name, or overwrite=True")
    if path.suffix.lower() not in Image.registered_extensions():
        raise DataError(f"{path}: no image format has this ending: give .png or .jpg")


def palette() -> NDArray[np.uint8]:
    """(256, 3) colours of PASCAL VOC: of each colour channel three bits of the number, highest first.

    Example:
        >>> palette()[:3].tolist()
        [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    """
    number = np.arange(256)[:, None] >> (3 * np.arange(8))  # the number's bits, three at a time
    bits = (number[..., None] >> np.arange(3)) & 1  # (256, 8, 3)
    weights = 1 << np.arange(7, -1, -1)
    return np.asarray((bits * weights[:, None]).sum(axis=1), dtype=np.uint8)
