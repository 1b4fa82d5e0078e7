"""Predicted masks as annotation files, for people to correct in their own tool and to go on with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hmseg.annotations.coco import coco_content
from hmseg.annotations.labelme import labelme_content
from hmseg.annotations.yolo import LABELS, NAMES_FILE, yolo_lines, yolo_names
from hmseg.errors import DataError
from hmseg.files import writing, writing_bytes

FORMATS: dict[str, tuple[str, str] | None] = {
    "png": ("masks", ".png"),
    "tiff": ("masks", ".tif"),
    "labelme": ("labelme", ".json"),
    "yolo": (LABELS, ".txt"),
    "coco": None,
}
"""Folder and ending of the file of each image; None: all images are in the one of :func:`common_file`."""
_COMMON = {
    "png": "masks/class_names.txt",
    "tiff": "masks/class_names.txt",
    "yolo": NAMES_FILE,
    "coco": "annotations.json",
}


def image_file(out: Path, form: str, name: str) -> Path | None:
    """The annotation file of an image below an output folder, if it has one of its own.

    Example:
        >>> image_file(Path("out"), "yolo", "a/b").as_posix(), image_file(Path("out"), "coco", "a/b")
        ('out/labels/a/b.txt', None)
    """
    place = FORMATS[form]
    return None if place is None else out / place[0] / f"{name}{place[1]}"


def common_file(out: Path, form: str) -> Path | None:
    """The file of all images: the classes' names, or the annotations themselves."""
    return out / _COMMON[form] if form in _COMMON else None


def write_image(
    path: Path, form: str, labels: NDArray[np.integer[Any]], names: Sequence[str], image: Path
) -> None:
    """Writes the annotation file of one image; its folder exists.

    Args:
        path: see :func:`image_file`.
        form: ``tiff``, ``labelme`` or ``yolo``.
        labels: (H, W), 0 background, then the classes.
        names: of the classes.
        image: the image's file.

    Raises:
        DataError: it can't be written.
    """
    try:
        if form == "tiff":
            with writing_bytes(path) as file:
                kind = np.uint8 if len(names) < 256 else np.uint16
                Image.fromarray(labels.astype(kind)).save(file, "TIFF", compression="tiff_adobe_deflate")
            return
        if form == "labelme":
            place = os.path.relpath(image.resolve(), path.parent.resolve()).replace(os.sep, "/")
            text = json.dumps(labelme_content(labels, names, place), indent=2, ensure_ascii=False)
        else:
            text = yolo_lines(labels, len(names))
        with writing(path) as written:
            written.write(text)
    except OSError as error:
        raise _unwritable(path, error) from error


def write_common(path: Path, form: str, entries: Iterable[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Writes the file of all images; its folder exists.

    Args:
        path: see :func:`common_file`.
        form: one of ``FORMATS``.
        entries: of the images, see :func:`hmseg.annotations.coco.coco_content`.
        names: of the classes.

    Raises:
        DataError: it can't be written.
    """
    if form == "coco":
        text = json.dumps(coco_content(entries, names))
    elif form == "yolo":
        text = yolo_names(names)
    else:  # the form of LabelMe's own export: the line's number, from 0, is the label
        text = "".join(f"{' '.join(name.split())}\n" for name in ("_background_", *names))
    try:
        with writing(path) as file:
            file.write(text)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path} can't be written ({error.strerror or error}): free some space, or give another out"
    )
