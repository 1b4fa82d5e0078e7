"""Label maps from COCO's annotations, against pycocotools' own masks and the shared PNG files."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from hmseg.data.coco_masks import JsonMasks, label_map
from hmseg.data.coco_shapes import Shape, paint
from hmseg.errors import DataError

HEIGHT, WIDTH = 20, 30
SQUARE = [4, 4, 14, 4, 14, 14, 4, 14]
CORNER = [8, 8, 12, 8, 12, 12, 8, 12]


def content(*annotations: dict[str, Any]) -> dict[str, Any]:
    """An annotation file with two images and categories 3, 7 and 90 (not in order)."""
    return {
        "images": [
            {"id": 5, "file_name": "train/b.jpg", "height": HEIGHT, "width": WIDTH},
            {"id": 2, "file_name": "a.jpg", "height": HEIGHT, "width": WIDTH},
        ],
        "annotations": [{"id": 100 + i, "image_id": 5, "iscrowd": 0, **a} for i, a in enumerate(annotations)],
        "categories": [{"id": 90, "name": "ninety"}, {"id": 3, "name": "three"}, {"id": 7, "name": "seven"}],
    }


def masks(tmp_path: Path, *annotations: dict[str, Any], **changed: Any) -> JsonMasks:
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({**content(*annotations), **changed}))
    return JsonMasks(path)


def polygon(category: int, *outlines: list[float]) -> dict[str, Any]:
    return {"category_id": category, "segmentation": list(outlines)}


def crowd(category: int, filled: NDArray[np.bool_]) -> dict[str, Any]:
    """Run lengths as COCO's crowds have them."""
    flat = filled.T.reshape(-1)
    changes = np.flatnonzero(np.diff(np.concatenate([[False], flat, [not flat[-1]]])))
    counts = np.diff([0, *changes]).tolist()
    return {
        "category_id": category,
        "iscrowd": 1,
        "segmentation": {"size": [HEIGHT, WIDTH], "counts": counts},
    }


def filled(rows: slice, columns: slice) -> NDArray[np.bool_]:
    made = np.zeros((HEIGHT, WIDTH), dtype=bool)
    made[rows, columns] = True
    return made


def test_pixels_are_contiguous_classes_plus_one(tmp_path: Path) -> None:
    found = masks(tmp_path, polygon(90, SQUARE))
    assert found.class_names == ("three", "seven", "ninety")
    labels = found.label_map("b")
    assert (labels.shape, labels.dtype, labels.flags["C_CONTIGUOUS"]) == ((HEIGHT, WIDTH), np.uint8, True)
    assert np.array_equal(labels == 3, filled(slice(4, 14), slice(4, 14)))
    assert set(np.unique(labels)) == {0, 3}
    assert not found.label_map("a").any()  # an image without annotations
    labels[:] = 1  # the caller's own
    assert found.label_map("b").max() == 3


def test_names_are_stems_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = masks(tmp_path)
    assert (found.names, found.files) == (("b", "a"), ("train/b.jpg", "a.jpg"))
    assert "a" in found and "train/b.jpg" not in found
    with pytest.raises(DataError, match=r"instances\.json has no image c: take it out of the list"):
        found.label_map("c")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_smaller_one_is_on_top_wherever_it_stands(tmp_path: Path, order: tuple[int, int]) -> None:
    both = polygon(3, SQUARE), polygon(7, CORNER)
    labels = masks(tmp_path, *(both[place] for place in order)).label_map("b")
    assert np.array_equal(labels == 2, filled(slice(8, 12), slice(8, 12)))
    assert (labels == 1).sum() == 100 - 16


def test_later_one_of_equals_is_on_top(tmp_path: Path) -> None:
    shifted = [x + 2 for x in CORNER]
    labels = masks(tmp_path, polygon(7, CORNER), polygon(3, shifted)).label_map("b")
    assert ((labels == 1).sum(), (labels == 2).sum()) == (16, 16 - 4)


def test_crowds_are_below_all_others_however_small(tmp_path: Path) -> None:
    small = crowd(90, filled(slice(8, 10), slice(8, 20)))
    labels = masks(tmp_path, polygon(3, SQUARE), small).label_map("b")
    assert (labels == 1).sum() == 100
    assert np.array_equal(labels == 3, filled(slice(8, 10), slice(14, 20)))


def test_parts_of_one_object_are_joined(tmp_path: Path) -> None:
    far = [20, 2, 24, 2, 24, 6, 20, 6]
    labels = masks(tmp_path, polygon(3, SQUARE, far), polygon(7, CORNER)).label_map("b")
    assert ((labels == 1).sum(), (labels == 2).sum()) == (100 + 16 - 16, 16)


def test_run_lengths_as_list_and_as_text_are_the_same(tmp_path: Path) -> None:
    made = np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.4
    text = coco.encode(np.asfortranarray(made))["counts"].decode()
    listed = crowd(7, made)
    written = {**listed, "segmentation": {"size": [HEIGHT, WIDTH], "counts": text}}
    for annotation in (listed, written):
        assert np.array_equal(masks(tmp_path, annotation).label_map("b") == 2, made)


def slowly(height: int, width: int, shapes: list[Shape]) -> NDArray[np.uint8]:
    """The rule, pixel by pixel of whole masks decoded by pycocotools."""
    planes = []
    for shape in shapes:
        outline = shape.segmentation
        if isinstance(outline, dict):
            runs = coco.frPyObjects(outline, height, width)
        else:
            runs = coco.merge(coco.frPyObjects(outline, height, width))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools 2.0.11 under NumPy 2
            planes.append(coco.decode(runs).astype(bool))
    labels = np.zeros((height, width), dtype=np.uint8)
    for row in range(height):
        for column in range(width):
            here = [place for place, plane in enumerate(planes) if plane[row, column]]
            if here:
                best = min(here, key=lambda place: (shapes[place].crowd, planes[place].sum(), -place))
                labels[row, column] = shapes[best].value
    return labels


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_slow_way(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = []
    for number in range(8):
        if number % 4 == 3:
            runs = crowd(3, rng.random((HEIGHT, WIDTH)) < 0.3)["segmentation"]
            shapes.append(Shape(number, number + 1, True, runs))
            continue
        corners = int(rng.integers(3, 9))
        points = rng.uniform(-2, [WIDTH + 2, HEIGHT + 2], (2, corners, 2))
        outlines = [part.round(2).ravel().tolist() for part in points]
        shapes.append(Shape(number, number + 1, False, outlines))
    assert np.array_equal(paint(HEIGHT, WIDTH, shapes, "x"), slowly(HEIGHT, WIDTH, shapes))


def test_copies_carry_the_table_only_once_it_is_read(tmp_path: Path) -> None:
    found = masks(tmp_path, polygon(3, SQUARE))
    unread = pickle.loads(pickle.dumps(found))
    expected = found.load().label_map("b")
    read = pickle.loads(pickle.dumps(found))
    assert np.array_equal(unread.label_map("b"), expected)
    found.path.unlink()
    assert np.array_equal(read.label_map("b"), expected)
    assert np.array_equal(label_map(read.record("b")), expected)  # what other processes get


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        ([[1, 2, 3, 4, 5, 6, 7]], "bad polygon: 7 numbers, an even count was expected"),
        ([[1, 2, 3, 4]], "bad polygon: 4 numbers, at least 6 were expected"),
        ([[]], "bad polygon"),
        ([[1, 2, 3, float("nan"), 5, 6]], "bad polygon: a coordinate is not a finite number"),
        ([[1, 2, 3, float("inf"), 5, 6]], "bad polygon: a coordinate is not a finite number"),
        ([[31, 2, 40, 2, 40, 9]], r"bad polygon: x from 31 to 40, outside the image of 30x20 pixels"),
        ([[1, -9, 5, -9, 5, -2]], "bad polygon: y from -9 to -2, outside"),
        ([[1, 2, 1e9, 2, 5, 6]], r"bad polygon: x from 1 to 1e\+09, outside"),
        ([SQUARE, [1, 2, 3]], "bad polygon: 3 numbers"),
        ([["1", "2", "3", "4", "5", "6"]], "bad polygon: expected numbers x1, y1"),
        ([[[1, 2], [3, 4], [5, 6]]], "bad polygon: expected numbers"),
        ([[[1, 2], [3]]], "bad polygon: expected numbers"),
        ([1, 2, 3, 4, 5, 6], "bad polygon: expected numbers"),
        ([], "expected a list of polygons or run lengths"),
        (None, "expected a list of polygons or run lengths, got None"),
        ({"size": [30, 20], "counts": [600]}, r"run lengths of size \[30, 20\], expected \[20, 30\]"),
        ({"counts": [600]}, "run lengths of size None"),
        ({"size": [20, 30]}, "bad run lengths: expected whole numbers"),
        ({"size": [20, 30], "counts": [599]}, "that cover 600 pixels, got 599 pixels"),
        ({"size": [20, 30], "counts": [601, -1]}, "bad run lengths: expected numbers of at least 0"),
        ({"size": [20, 30], "counts": [600.0]}, "bad run lengths: expected whole numbers"),
        ({"size": [20, 30], "counts": [2**70]}, "bad run lengths: expected whole numbers"),
        ({"size": [20, 30], "counts": []}, "bad run lengths"),
        ({"size": [20, 30], "counts": ""}, "compressed text is damaged"),
        ({"size": [20, 30], "counts": "P"}, "compressed text is damaged"),
        ({"size": [20, 30], "counts": "ooooooooooooooooo0"}, "compressed text is damaged"),
        ({"size": [20, 30], "counts": " !"}, "compressed text is damaged"),
        ({"size": [20, 30], "counts": "0000000"}, "bad run lengths"),
        ({"size": [20, 30], "counts": "é"}, "bad run lengths: expected whole numbers or COCO's text"),
    ],
)
def test_bad_shapes_are_named_by_their_annotation(tmp_path: Path, outline: Any, message: str) -> None:
    found = masks(tmp_path, polygon(3, SQUARE), {"category_id": 7, "segmentation": outline})
    with pytest.raises(DataError, match=rf"^instances\.json: image 5: annotation 101: .*{message}"):
        found.label_map("b")
    assert not found.label_map("a").any()  # the others can be had


def test_what_sticks_out_a_little_is_cut_off(tmp_path: Path) -> None:
    labels = masks(tmp_path, polygon(3, [-2, -2, 33, -2, 33, 23, -2, 23])).label_map("b")
    assert (labels == 1).all()


SIZED = {"id": 5, "file_name": "a", "height": 2, "width": 2}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": None}, "expected a list of objects under 'images'"),
        ({"annotations": [3]}, "expected a list of objects under 'annotations'"),
        ({"categories": []}, "0 categories came, 1 to 254 were expected"),
        ({"categories": [{"id": n, "name": "x"} for n in range(255)]}, "255 categories came"),
        ({"categories": [{"id": 1, "name": "x"}, {"id": 1, "name": "y"}]}, "two categories have one id"),
        ({"categories": [{"id": 1}]}, "a category lacks a usable id or name"),
        ({"categories": [{"id": [], "name": "x"}]}, "a category lacks a usable id or name"),
        (
            {"annotations": [{"id": 9, "image_id": 77, "category_id": 3}]},
            "9 belongs to image 77, which is",
        ),
        ({"annotations": [{"id": 9, "image_id": [], "category_id": 3}]}, "annotation 9 belongs to image"),
        (
            {"annotations": [{"id": 9, "image_id": 5, "category_id": 4}]},
            "9 has category 4, which is not",
        ),
        ({"annotations": [{"id": 9, "image_id": 5}]}, "annotation 9 has category None"),
        ({"images": [{"id": 5, "height": 2, "width": 2}]}, "an image lacks a usable id or file_name"),
        ({"images": [{**SIZED, "width": None}]}, r"image 5 has no usable height and width \(2, None\)"),
        ({"images": [{**SIZED, "height": 0}]}, "image 5 has no usable height"),
        ({"images": [{**SIZED, "height": 2.0}]}, "image 5 has no usable height"),
        ({"images": [{**SIZED, "height": 10**9}]}, "image 5 has 2x1000000000 pixels, more than the 179 mill"),
        ({"images": [SIZED, {**SIZED, "id": 6}]}, r"image 6 \(a\) is there twice"),
        ({"images": [SIZED, {**SIZED, "file_name": "b"}]}, r"image 5 \(b\) is there twice"),
    ],
)
def test_files_that_contradict_themselves(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        masks(tmp_path, **changed).load()


@pytest.mark.parametrize("body", ["", "{", '{"images": [', "[1]", "[" * 100_000, "\xff\xfe"])
def test_damaged_files(tmp_path: Path, body: str) -> None:
    (tmp_path / "instances.json").write_bytes(body.encode("latin-1"))
    with pytest.raises(DataError, match=r"instances\.json(: expected a list| is damaged)"):
        JsonMasks(tmp_path / "instances.json").load()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"instances\.json can't be read: No such file"):
        JsonMasks(tmp_path / "instances.json").load()


def test_equals_every_shared_mask(shared: Path) -> None:
    """29 images whose PNG masks were made by another tool."""
    root = shared / "data/COCO2014_mini/annotations"
    number = 0
    for split in ("train2014", "val2014"):
        found = JsonMasks(root / f"instances_{split}.json")
        assert len(found.class_names) == 80
        for name in found.names:
            expected = np.array(Image.open(root / split / f"{name}.png"))
            assert np.array_equal(found.label_map(name), expected), name
            number += 1
    assert number == 29
