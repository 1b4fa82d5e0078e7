"""One annotation file for one image that is open already, as the page has them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hmseg.annotations.coco import draw_image
from hmseg.annotations.json_files import kind_of, parse_json
from hmseg.annotations.labelme import draw_shapes, size_in
from hmseg.annotations.marked import Canvas, Found
from hmseg.annotations.yolo import draw_lines
from hmseg.data.displayed import Size, Sizes
from hmseg.errors import DataError

FILE = "this file"


def is_annotation(content: bytes) -> bool:
    """Is it text, as annotation files are and images are not?

    Example:
        >>> is_annotation(b'{"shapes": []}'), is_annotation(b"0 0.5 0.5 1 1 0 1"), is_annotation(b"\\x89PNG")
        (True, True, False)
    """
    return content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[") or content[:1].isdigit()


def marked_in(content: bytes, image: str, size: Size) -> dict[str, NDArray[np.bool_]]:
    """The masks (H, W) of the classes that a file marks in an image.

    Args:
        content: of a LabelMe or COCO file, or of YOLO's text for this image.
        image: the name of the image's file, by which a COCO file lists it.
        size: of the image as displayed.

    Raises:
        DataError: no such file, made for another image, or nothing in it can be used.
    """
    found, canvas = Found(), Canvas(size)
    if content[:1].isdigit():
        draw_lines(content.decode("utf-8", "replace"), {}, canvas, found, FILE)
    else:
        parsed = parse_json(content, FILE)
        kind = kind_of(parsed)
        if kind == "labelme":
            size_in(parsed, Sizes(size, size), FILE, f"the image {image}")
            draw_shapes(parsed, canvas, found, FILE)
        elif kind == "coco":
            draw_image(parsed, image, canvas, found, FILE)
        else:
            raise DataError(f"{FILE} is neither LabelMe's nor COCO's: export it in one of these formats")
    masks = canvas.masks
    if not masks:
        raise DataError(f"{FILE} marks nothing in {image}; {'; '.join(found.notes())}".removesuffix("; "))
    return masks


def one_of(marked: Mapping[str, NDArray[np.bool_]], name: str) -> tuple[str, NDArray[np.bool_]]:
    """The class that is meant, and its mask: that of this name, or the only one.

    Raises:
        DataError: there are several, and none has this name.
    """
    if name in marked:
        return name, marked[name]
    if len(marked) == 1:
        return next(iter(marked.items()))
    raise DataError(f"{FILE} marks {', '.join(marked)}: type the name of one of them as the class first")
