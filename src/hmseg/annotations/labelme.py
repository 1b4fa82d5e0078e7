"""LabelMe's JSON, one file for each image; X-AnyLabeling and others write it too."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmseg.annotations.images import Images
from hmseg.annotations.marked import Canvas, Found, class_label, fitting_size, run_lengths
from hmseg.annotations.tracing import polygons
from hmseg.data.displayed import Size, Sizes, read_sizes
from hmseg.data.opening import open_still
from hmseg.errors import DataError
from hmseg.untrusted import parsing

VERSION = "5.5.0"
"""Of LabelMe, in what is written; older and newer ones read it as well."""
_CORNERS = 72  # of a circle: less than a pixel off up to a radius of 1,000


def read_labelme(files: Iterable[tuple[Path, Mapping[str, Any]]], images: Images, beside: bool) -> Found:
    """The marked images of LabelMe files.

    Polygons, rectangles, circles and masks are areas; lines and points are not, and are left out.

    Args:
        files: with their contents.
        images: where images are.
        beside: whether ``imagePath`` is looked up from the file's own folder first, as LabelMe does.

    Returns:
        The classes in the order of their names.

    Raises:
        DataError: an image has another size than its file says.
    """
    found = Found()
    for file, content in files:
        if not content["shapes"]:
            continue
        found.images += 1
        path = _image(file, content, images, beside)
        if path is None:
            found.missing.append(f"{content.get('imagePath')} of {file}")
            continue
        canvas = Canvas(size_in(content, read_sizes(path), str(file), str(path)))
        draw_shapes(content, canvas, found, str(file))
        found.add(path, canvas, file)
    found.classes = dict(sorted(found.classes.items()))
    return found


def size_in(content: Mapping[str, Any], image: Sizes, file: str, what: str) -> Size:
    """The size of the image that a file was made for; DataError where the image has another one."""
    height, width = content.get("imageHeight"), content.get("imageWidth")
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        return fitting_size((height, width), image, file, what)
    return image.displayed


def draw_shapes(content: Mapping[str, Any], canvas: Canvas, found: Found, file: str) -> None:
    """Draws a file's shapes, and counts those that can't be."""
    for number, shape in enumerate(content["shapes"], start=1):
        with found.outline():
            where = f"{file}: shape {number}"
            if not isinstance(shape, dict):
                raise DataError(f"{where}: expected an object, got {str(shape)[:40]}")
            label = class_label(shape.get("label"), where)
            canvas.draw(label, _segmentation(shape, canvas.size, where), where)


def _image(file: Path, content: Mapping[str, Any], images: Images, beside: bool) -> Path | None:
    name = content.get("imagePath")
    if isinstance(name, str) and name:
        path = file.parent / name.replace("\\", "/")
        if beside and path.is_file():
            return path
        if found := images.find(name):
            return found
    return images.find_stem(str(file.relative_to(images.root).with_suffix("")) if beside else file.stem)


def _segmentation(shape: Mapping[str, Any], size: Size, where: str) -> Any:
    """A shape as COCO has it."""
    kind = shape.get("shape_type") or "polygon"
    points = _points(shape.get("points"), where)
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        return [[left, top, right, top, right, bottom, left, bottom]]
    if kind in ("polygon", "rectangle", "rotation", "oriented_rectangle"):
        return [[number for point in points for number in point]]
    if kind == "circle" and len(points) == 2:
        (x, y), radius = points[0], math.dist(*points)
        angles = (2 * math.pi * place / _CORNERS for place in range(_CORNERS))
        return [[n for a in angles for n in (x + radius * math.cos(a), y + radius * math.sin(a))]]
    if kind == "mask" and len(points) == 2:
        return run_lengths(_pasted(shape.get("mask"), points, size, where))
    raise DataError(f"{where}: a {str(kind)[:20]} of {len(points)} points is no area")


def _points(given: object, where: str) -> list[tuple[float, float]]:
    with parsing(lambda why: DataError(f"{where}: expected points [[x, y], …], got others ({why})")):
        points = [(float(x), float(y)) for x, y in given]  # type: ignore[attr-defined]
    if not all(math.isfinite(number) for point in points for number in point):
        raise DataError(f"{where}: a coordinate is not a finite number")
    return points


def _pasted(
    text: object, corners: Sequence[tuple[float, float]], size: Size, where: str
) -> NDArray[np.bool_]:
    """A mask of the image's size from the PNG, in base 64, of its part between two corners, both inside."""
    (left, top), (right, bottom) = ((round(x), round(y)) for x, y in corners)
    with parsing(lambda why: DataError(f"{where}: its mask is no PNG in base 64 ({why})")):
        content = base64.b64decode(str(text), validate=True)
    still = open_still(content, f"{where}: its mask in base 64", ("PNG",))
    image = still.image
    inside = image.size == (right - left + 1, bottom - top + 1)
    if not inside or min(left, top) < 0 or right >= size[1] or bottom >= size[0]:
        raise DataError(
            f"{where}: a mask of {image.width}x{image.height} pixels from ({left}, {top}) to "
            f"({right}, {bottom}) doesn't fit an image of {size[1]}x{size[0]}"
        )
    part = np.asarray(still.decoded().convert("L")) > 0
    mask = np.zeros(size, dtype=np.bool_)
    mask[top : bottom + 1, left : right + 1] = part
    return mask


def labelme_content(labels: NDArray[np.integer[Any]], names: Sequence[str], image: str) -> dict[str, Any]:
    """What a LabelMe file says of a predicted image: a polygon for each piece of each class.

    Args:
        labels: (H, W), 0 background, then the classes.
        names: of the classes.
        image: path from the file's folder to the image.
    """
    shapes = [
        {
            "label": name,
            "points": line.astype(float).tolist(),
            "group_id": None,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
            "mask": None,
        }
        for number, name in enumerate(names, start=1)
        for line in polygons(labels == number)
    ]
    return {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": image,
        "imageData": None,
        "imageHeight": labels.shape[0],
        "imageWidth": labels.shape[1],
    }
