"""Single entries that can't be used are left out and counted; the others serve."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import made_annotations as made
from hmseg.annotations.outlines import Outline
from hmseg.annotations.supports import find_supports
from hmseg.data.opening import turned
from hmseg.data.reading import read_photo
from hmseg.errors import DataError
from hmseg.segmenter.masks import to_mask

CAT = made.flat(made.CAT)


def cats(folder: Path) -> tuple[int, str]:
    """Pixels of the only cat, and what is said of the rest."""
    found = find_supports(folder)
    (each,) = found.classes["cat"]
    assert isinstance(each.mask, Outline)
    (note,) = found.notes()
    return int(each.mask.drawn(made.SIZE).sum()), note


LABELME_BLEMISHES = {
    "two points": (
        made.labelme_shape("cat", [[1, 1], [5, 5]]),
        "a polygon of 2 points is no area|at least 6",
    ),
    "a line": (
        made.labelme_shape("cat", made.ring(made.DOG), "linestrip"),
        "a linestrip of 4 points is no area",
    ),
    "no name": (made.labelme_shape(" ", made.ring(made.DOG)), "it has no class name"),
    "NaN": (made.labelme_shape("cat", [[1, 1], [float("nan"), 5], [9, 9]]), "not a finite number"),
    "no points": (made.labelme_shape("cat", None), "expected points"),
    "text": ("cat", "expected an object"),
    "far off": (
        made.labelme_shape("cat", [[500, 500], [600, 500], [600, 600]]),
        "outside the image of 80x60",
    ),
    "a thin line": (made.labelme_shape("cat", [[1, 1], [9, 1], [5, 1]]), "covers no pixel"),
    "no mask": (made.labelme_shape("cat", [[1, 1], [5, 5]], "mask"), "its mask in base 64 is not an image"),
    "another mask": (
        {**made.labelme_mask(made.CAT), "points": [[1, 1], [5, 5]]},
        r"a mask of 30x30 pixels from \(1, 1\) to \(5, 5\) doesn't fit",
    ),
}


@pytest.mark.parametrize("kind", LABELME_BLEMISHES)
def test_labelme_shapes_that_are_no_area(kind: str, tmp_path: Path) -> None:
    bad, reason = LABELME_BLEMISHES[kind]
    made.photo(tmp_path / "a.jpg")
    made.labelme_file(tmp_path / "a.json", "a.jpg", [made.labelme_shape("cat", made.ring(made.CAT)), bad])
    pixels, note = cats(tmp_path)
    assert pixels == made.mask_of(made.CAT).sum()
    assert note.startswith("left out 1 of 2 annotations, the first: ") and "a.json: shape 2: " in note
    with pytest.raises(DataError, match=reason):
        raise DataError(note)


@pytest.mark.parametrize(
    ("shape", "pixels", "within"),
    [
        (made.labelme_mask(made.CAT), 900, 0),
        (made.labelme_shape("cat", [[40, 35], [10, 5]], "rectangle"), 900, 0),
        (made.labelme_shape("cat", made.ring(made.CAT), "rotation"), 900, 0),
        (made.labelme_shape("cat", [[30, 30], [40, 30]], "circle"), 314, 6),
    ],
)
def test_labelme_shapes_that_are_areas(
    tmp_path: Path, shape: dict[str, Any], pixels: int, within: int
) -> None:
    made.photo(tmp_path / "a.jpg")
    made.labelme_file(tmp_path / "a.json", "..\\elsewhere\\a.jpg", [shape], (None, None))
    (each,) = find_supports(tmp_path).classes["cat"]
    assert isinstance(each.mask, Outline)
    assert abs(int(each.mask.drawn(made.SIZE).sum()) - pixels) <= within


def annotation(**changes: Any) -> dict[str, Any]:
    """A dog of the first photo, changed."""
    good = {"id": 9, "image_id": 0, "category_id": 2, "segmentation": [made.flat(made.DOG)]}
    return {**good, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0, **changes}


COCO_BLEMISHES = {
    "a box": (annotation(segmentation=[]), "annotation 9: it has no outline, only a box"),
    "nothing": (annotation(segmentation=None), "it has no outline"),
    "four numbers": (annotation(segmentation=[[1, 1, 5, 5]]), "4 numbers, at least 6 were expected"),
    "text": (annotation(segmentation=[["a", "b"]]), "expected numbers x1, y1"),
    "no category": (annotation(category_id=77), "there is no category 77"),
    "no image": (annotation(image_id=77), "there is no image 77"),
    "far off": (annotation(segmentation=[[900, 0, 950, 0, 950, 50]]), "outside the image of 80x60 pixels"),
    "another size": (annotation(segmentation={"size": [80, 60], "counts": [4800]}), r"run lengths of size"),
    "too many": (annotation(segmentation={"size": [60, 80], "counts": [4801]}), "that cover 4800 pixels"),
    "damaged": (annotation(segmentation={"size": [60, 80], "counts": "~~"}), "run lengths"),
    "empty": (annotation(segmentation={"size": [60, 80], "counts": [4800]}), "covers no pixel"),
}


@pytest.mark.parametrize("kind", COCO_BLEMISHES)
def test_coco_annotations_that_are_no_outline(kind: str, tmp_path: Path) -> None:
    bad, reason = COCO_BLEMISHES[kind]
    made.photos(tmp_path)
    content = made.coco_content({stem: f"{stem}.jpg" for stem in made.PHOTOS})
    content["annotations"] = [content["annotations"][0], bad]
    made.write_json(tmp_path / "instances.json", content)
    pixels, note = cats(tmp_path)
    assert pixels == made.mask_of(made.CAT).sum()
    assert note.startswith("left out 1 of 2 annotations, the first: ") and reason in note


def test_of_an_annotation_only_the_bad_polygon_is_left_out(tmp_path: Path) -> None:
    made.photos(tmp_path)
    content = made.coco_content({stem: f"{stem}.jpg" for stem in made.PHOTOS})
    content["annotations"] = [annotation(category_id="1", segmentation=[CAT, [1, 1, 2, 2]])]
    made.write_json(tmp_path / "instances.json", content)
    assert cats(tmp_path)[0] == made.mask_of(made.CAT).sum()


def test_images_that_are_not_there_are_counted(tmp_path: Path) -> None:
    made.photos(tmp_path)
    made.write_json(tmp_path / "a.json", made.coco_content({"one": "one.jpg", "two": "gone/three.jpg"}))
    found = find_supports(tmp_path)
    assert found.notes() == ["left out 1 of 2 annotated images that aren't there, the first: gone/three.jpg"]
    (tmp_path / "one.jpg").unlink()
    with pytest.raises(DataError, match="2 of 2 annotated images that aren't there") as caught:
        raise DataError(str(pytest.raises(ValueError, find_supports, tmp_path).value))
    assert "\n" not in str(caught.value)


def test_two_images_that_would_be_one_are_refused(tmp_path: Path) -> None:
    """Only one of the folders is there: its image would serve for both."""
    made.photo(tmp_path / "train/1.jpg")
    made.write_json(tmp_path / "a.json", made.coco_content({"one": "train/1.jpg", "two": "valid/1.jpg"}))
    with pytest.raises(DataError, match="two annotated images are found as .*train/1.jpg"):
        find_supports(tmp_path)


def broken(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    content = made.coco_content({stem: f"{stem}.jpg" for stem in made.PHOTOS})
    change(content)
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (broken(lambda each: each.pop("categories")), "expected a list 'categories'"),
        (broken(lambda each: each["images"][1].update(id=0)), "two images have the id 0"),
        (broken(lambda each: each["images"][1].pop("file_name")), "an image has no file_name"),
        (broken(lambda each: each["images"].append(3)), "an image has no file_name: 3"),
        (broken(lambda each: each["images"][0].update(width="80")), "made for an image of 80x60 pixels"),
    ],
)
def test_coco_files_that_contradict_themselves(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    made.photos(tmp_path)
    made.write_json(tmp_path / "instances.json", content)
    with pytest.raises(DataError, match=message) as caught:
        find_supports(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.2 0.2", "it is a box, not an outline"),
        ("0 0.1 0.1 0.2 0.2 0.3", "at least three points, got 5 coordinates"),
        ("0 1 1 50 1 50 40", "coordinates from 1 to 50, expected 0 to 1"),
        ("0 nan 0 0.5 0.5 0 1", "expected 0 to 1"),
        ("cat 0 0 1 0 1 1", "expected a class's number and coordinates, got cat 0 0"),
        ("-1 0 0 1 0 1 1", "expected a class's number"),
        ("0 0 0 0.5 0 0.2 0", "covers no pixel"),
    ],
)
def test_yolo_lines_that_are_no_outline(tmp_path: Path, line: str, reason: str) -> None:
    made.photo(tmp_path / "images/a.jpg")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text(f"{made.yolo_line(0, made.CAT)}{line}\n")
    (tmp_path / "classes.txt").write_text("cat\n")
    pixels, note = cats(tmp_path)
    assert pixels == made.mask_of(made.CAT).sum()
    assert note.startswith("left out 1 of 2 annotations, the first: ") and "a.txt: line 2: " in note
    assert reason in note


def test_yolo_classes_without_a_name_are_numbered(tmp_path: Path) -> None:
    made.photo(tmp_path / "images/a.jpg")
    (tmp_path / "labels").mkdir()
    lines = "".join(made.yolo_line(number, made.CAT) for number in (10, 2))
    (tmp_path / "labels/a.txt").write_text(lines)
    found = find_supports(tmp_path)
    assert list(found.classes) == ["class 2", "class 10"]
    (tmp_path / "data.yaml").write_text("names: [a\n")
    with pytest.raises(DataError, match="data.yaml is no YAML"):
        find_supports(tmp_path)


def test_outlines_of_one_class_are_joined(tmp_path: Path) -> None:
    made.photo(tmp_path / "a.jpg")
    shapes = [made.labelme_shape("cat", made.ring(each)) for each in (made.CAT, made.SECOND)]
    made.labelme_file(tmp_path / "a.json", "a.jpg", shapes)
    (each,) = find_supports(tmp_path).classes["cat"]
    assert isinstance(each.mask, Outline)
    expected = made.mask_of(made.CAT) | made.mask_of(made.SECOND)
    assert np.array_equal(each.mask.drawn(made.SIZE), expected)
    with pytest.raises(DataError, match="was made for an image of 80x60 pixels, mask has 10x10"):
        each.mask.drawn((10, 10))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("as_stored", [False, True])
def test_outlines_of_a_turned_photo(orientation: int, as_stored: bool, tmp_path: Path) -> None:
    """A size that fits only the stored pixels says that the outlines lie on these."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.zeros((*made.SIZE, 3), np.uint8)
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    shown = turned(stored, orientation).shape[:2]
    size = made.SIZE if as_stored else (shown[0], shown[1])
    made.labelme_file(
        tmp_path / "a.json", "a.png", [made.labelme_shape("cat", made.ring(made.CAT))], size=size
    )
    (marked,) = find_supports(tmp_path).classes["cat"]
    found = to_mask(marked.mask, read_photo(marked.image))
    drawn = made.mask_of(made.CAT, size)
    assert (found == (turned(drawn, orientation) if size != shown else drawn)).all()
