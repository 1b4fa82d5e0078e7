"""YOLO's segmentation text: a file for each image, a line ``class x1 y1 x2 y2 …`` for each object.

Coordinates are shares of the image's width and height, as Ultralytics, CVAT and Roboflow have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from hmseg.annotations.images import Images
from hmseg.annotations.marked import Canvas, Found, class_label
from hmseg.annotations.tracing import polygons
from hmseg.data.displayed import read_sizes
from hmseg.errors import DataError
from hmseg.untrusted import parsing, read_text

LABELS = "labels"
"""The folder of the text files, in a data set where the images' folder is called ``images``."""
NAMES_FILE = "data.yaml"
_LISTS = ("classes.txt", "obj.names")  # Label Studio's and CVAT's
_OFF = 0.01  # of the image: tools round, and let outlines stick out a little


def label_files(folder: Path) -> list[Path]:
    """The text files below a folder that lie in one called ``labels``, itself perhaps."""
    return [
        path
        for path in sorted(folder.rglob("*.txt"))
        if LABELS in path.parent.parts[len(folder.parts) - 1 :] and not path.name.startswith(".")
    ]


def read_yolo(folder: Path, files: Sequence[Path], images: Images) -> Found:
    """The marked images of YOLO's text files.

    Lines of five numbers are boxes and are left out: a box is no mask.

    Args:
        folder: of the data set, for the names of the classes.
        files: see :func:`label_files`.
        images: where images are.

    Returns:
        The classes in the order of their numbers; those without a name are called ``class 0`` and so on.

    Raises:
        DataError: a file that can't be read, or an image.
    """
    found, names = Found(), read_names(folder)
    marked: dict[int, str] = {}
    for file in files:
        text = _text(file)
        if not text.strip():
            continue
        found.images += 1
        parts = ["images" if part == LABELS else part for part in file.relative_to(folder.parent).parts]
        path = images.find_stem(str(Path(*parts).with_suffix("")))
        if path is None:
            found.missing.append(f"that of {file}")
            continue
        canvas = Canvas(read_sizes(path).displayed)
        marked |= draw_lines(text, names, canvas, found, str(file))
        found.add(path, canvas, file)
    order = {name: place for place, name in sorted(marked.items(), reverse=True)}
    found.classes = dict(sorted(found.classes.items(), key=lambda each: order[each[0]]))
    return found


def draw_lines(
    text: str, names: Mapping[int, str], canvas: Canvas, found: Found, file: str
) -> dict[int, str]:
    """Draws a file's lines, and counts those that can't be; the names by number of the classes in it."""
    marked: dict[int, str] = {}
    height, width = canvas.size
    for place, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            with found.outline():
                where = f"{file}: line {place}"
                number, points = _outline(line.split(), where)
                marked[number] = names.get(number, f"class {number}")
                canvas.draw(marked[number], [(points * (width, height)).ravel().tolist()], where)
    return marked


def _outline(words: Sequence[str], where: str) -> tuple[int, NDArray[np.float64]]:
    """The class's number, and points (N, 2) from 0 to 1."""
    try:
        number, points = int(words[0]), np.array([float(word) for word in words[1:]])
    except ValueError:
        raise DataError(
            f"{where}: expected a class's number and coordinates, got {' '.join(words)[:40]}"
        ) from None
    if len(points) == 4:
        raise DataError(f"{where}: it is a box, not an outline")
    if len(points) < 6 or len(points) % 2 or number < 0:
        raise DataError(
            f"{where}: expected a class's number and at least three points, got {len(points)} coordinates"
        )
    if not (np.isfinite(points).all() and points.min() >= -_OFF and points.max() <= 1 + _OFF):
        raise DataError(f"{where}: coordinates from {points.min():g} to {points.max():g}, expected 0 to 1")
    return number, points.reshape(-1, 2)


def read_names(folder: Path) -> dict[int, str]:
    """The classes' names by number, from ``data.yaml`` or a list, here or one folder up; none where it isn't.

    Raises:
        DataError: a file that can't be read.
    """
    for place in (folder, folder.parent):
        for file in sorted((*place.glob("*.yaml"), *place.glob("*.yml"))):
            if names := _yaml_names(file):
                return names
        for name in _LISTS:
            if (file := place / name).is_file():
                lines = enumerate(_text(file).splitlines())
                return {number: " ".join(line.split()) for number, line in lines if line.strip()}
    return {}


def _yaml_names(file: Path) -> dict[int, str]:
    with parsing(lambda why: DataError(f"{file} is no YAML with names ({why}): export it again")):
        content = yaml.safe_load(_text(file))
        listed = content.get("names") if isinstance(content, dict) else None
        if isinstance(listed, list):
            listed = dict(enumerate(listed))
        pairs = listed.items() if isinstance(listed, dict) else ()
        return {
            int(number): class_label(str(name), str(file))
            for number, name in pairs
            if str(number).isdecimal()
        }


def _text(file: Path) -> str:
    with parsing(lambda why: DataError(f"{file} can't be read ({why}): export it again")):
        return read_text(file, encoding="utf-8-sig")


def yolo_lines(labels: NDArray[np.integer[Any]], n_classes: int) -> str:
    """The text file of a predicted image: a line for each piece of each class; empty where nothing is.

    Args:
        labels: (H, W), 0 background, then the classes; numbered from 0 in the file.
        n_classes: how many there are.

    Example:
        >>> yolo_lines(np.array([[0, 2], [0, 2]]), 2)
        '1 0.5 0 0.5 1 1 1 1 0\\n'
    """
    sides = labels.shape[::-1]
    return "".join(
        f"{number} {' '.join(f'{each:.6g}' for each in (line / sides).ravel())}\n"
        for number in range(n_classes)
        for line in polygons(labels == number + 1)
    )


def yolo_names(names: Sequence[str]) -> str:
    """``data.yaml`` of predicted images: the labels lie beside it, the images are to be put there."""
    content = {"path": ".", "train": "images", "val": "images", "names": dict(enumerate(names))}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
