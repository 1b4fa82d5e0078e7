"""A single annotation file for an image that is open already."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import made_annotations as made
from hmseg.annotations.uploads import is_annotation, marked_in
from hmseg.errors import DataError


def labelme(shapes: list[object]) -> bytes:
    size = {"imageHeight": made.SIZE[0], "imageWidth": made.SIZE[1]}
    return json.dumps({"shapes": shapes, "imagePath": "one.jpg", **size}).encode()


CAT_AND_DOG = [made.labelme_shape(name, made.ring(corners)) for name, corners in made.PHOTOS["one"].items()]
COCO = json.dumps(made.coco_content({"one": "..\\up\\0a1b2c3d-one.jpg", "two": "two.jpg"})).encode()
YOLO = (made.yolo_line(0, made.CAT) + made.yolo_line(1, made.DOG)).encode()


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (labelme(CAT_AND_DOG), ("cat", "dog")),
        (b"\xef\xbb\xbf" + labelme(CAT_AND_DOG), ("cat", "dog")),
        (COCO, ("cat", "dog")),
        (YOLO, ("class 0", "class 1")),
    ],
)
def test_the_classes_of_one_image(content: bytes, names: tuple[str, str]) -> None:
    assert is_annotation(content)
    found = marked_in(content, "one.jpg", made.SIZE)
    assert tuple(found) == names
    for mask, corners in zip(found.values(), (made.CAT, made.DOG), strict=True):
        assert np.array_equal(mask, made.mask_of(corners))


@pytest.mark.parametrize(
    ("content", "size", "message"),
    [
        (labelme(CAT_AND_DOG), (60, 90), "made for an image of 80x60 pixels, the image one.jpg has 90x60"),
        (labelme([made.labelme_shape("cat", [[1, 1]])]), made.SIZE, "marks nothing in .*; left out 1 of 1"),
        (labelme([]), made.SIZE, "this file marks nothing in one.jpg$"),
        (COCO.replace(b"one.jpg", b"six.jpg"), made.SIZE, "lists 2 images, none of them called one.jpg"),
        (COCO, (10, 10), "made for an image of 80x60 pixels"),
        (b'{"shapes": [', made.SIZE, "this file is no JSON"),
        (b"[]", made.SIZE, "neither LabelMe's nor COCO's"),
        (b"0 1 2 3", made.SIZE, "marks nothing in one.jpg; left out 1 of 1 annotations"),
    ],
)
def test_what_can_not_be_used(content: bytes, size: tuple[int, int], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        marked_in(content, "one.jpg", size)
    assert "\n" not in str(caught.value)


def test_images_are_no_annotations(tmp_path: Path) -> None:
    for ending in (".png", ".jpg", ".webp", ".tif", ".bmp"):
        assert not is_annotation(made.photo(tmp_path / f"a{ending}").read_bytes())
