"""What ``predict`` writes, ``support=`` reads back to the same masks, up to the rounding of outlines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools.coco import COCO

import made_annotations as made
from called import Call, caller
from hmseg.annotations.outlines import Outline
from hmseg.annotations.supports import find_supports
from hmseg.annotations.writing import FORMATS
from hmseg.predict import PROGRAM
from hmseg.segmenter import Segmentation, Segmenter
from made_checkpoints import write_checkpoint

GIVEN = ("ckpt=a.ckpt", "support=support", "query=photos/**/*.*", "out=out", "overlays=false", "device=cpu")
EXACT = ("png", "tiff")


def labels_of(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """A cat with a hole and a dog in two pieces, one of a single pixel, where the image is bright."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width]
    labels = np.zeros((height, width), np.int32)
    distance = np.hypot(y - height / 2, x - width / 3)
    labels[(distance < height / 3) & (distance > height / 10)] = 1
    labels[(x > 0.8 * width) & (y + x < 0.9 * (width + height))] = 2
    labels[2, 2] = 2
    return labels


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Supports as LabelMe has them, photos in two folders, one of them a TIFF; the current folder."""
    write_checkpoint(tmp_path / "a.ckpt")
    made.labelme(tmp_path / "support")
    made.photo(tmp_path / "photos/a.jpg", 5, (90, 120))
    made.photo(tmp_path / "photos/more/b c.tif", 6, (64, 64))

    def predict_many(segmenter: Segmenter, images: Any, batch: int | None = None) -> Iterator[Segmentation]:
        for pixels in images:
            labels = labels_of(pixels)
            foreground = np.stack([labels == 1, labels == 2])
            yield Segmentation(labels, foreground.astype(np.float32), foreground, segmenter.classes, pixels)

    monkeypatch.setattr(Segmenter, "predict_many", predict_many)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(PROGRAM, monkeypatch, capsys)


def edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    square = np.ones((5, 5), np.uint8)
    plain = mask.astype(np.uint8)
    return np.asarray(cv2.dilate(plain, square) > cv2.erode(plain, square))


WRITTEN = {
    "png": {"masks/a.png", "masks/more/b c.png", "masks/class_names.txt"},
    "tiff": {"masks/a.tif", "masks/more/b c.tif", "masks/class_names.txt"},
    "labelme": {"labelme/a.json", "labelme/more/b c.json"},
    "yolo": {"labels/a.txt", "labels/more/b c.txt", "data.yaml"},
    "coco": {"annotations.json"},
}


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_written_is_read_back(form: str, call: Call, folder: Path) -> None:
    outcome = call(*GIVEN, f"format={form}")
    assert (outcome.code, outcome.err) == (0, "")
    out = folder / "out"
    written = {each.relative_to(out).as_posix() for each in out.rglob("[!.]*") if each.is_file()}
    assert written == WRITTEN[form] | {"summary.json"}
    found = find_supports(out, images=None if form == "labelme" else folder / "photos")
    assert found.notes() == [] and list(found.classes) == ["cat", "dog"]
    for number, marked in enumerate(found.classes.values(), start=1):
        assert [each.image.name for each in marked] == ["a.jpg", "b c.tif"]
        for each in marked:
            with Image.open(each.image) as image:
                mask = labels_of(np.asarray(image)) == number
            assert isinstance(each.mask, Outline)
            differs = each.mask.drawn((mask.shape[0], mask.shape[1])) != mask
            assert not (differs & ~edge(mask)).any()
            assert not differs.any() or form not in EXACT


@pytest.mark.parametrize("form", ["labelme", "coco"])
def test_results_are_supports_of_the_next_prediction(form: str, call: Call, folder: Path) -> None:
    assert call(*GIVEN, f"format={form}").code == 0
    words = ("ckpt=a.ckpt", "support=out", "support_images=photos", "query=photos", "out=next", "device=cpu")
    outcome = call(*words, f"format={form}")
    assert (outcome.code, outcome.err) == (0, "")
    assert "supports: cat (2), dog (2)" in outcome.out


def test_labelme_opens_what_is_written(call: Call, folder: Path) -> None:
    """It looks for the image from the file's own folder on."""
    assert call(*GIVEN, "format=labelme").code == 0
    for name, image in (("a", "photos/a.jpg"), ("more/b c", "photos/more/b c.tif")):
        file = folder / f"out/labelme/{name}.json"
        content = json.loads(file.read_text())
        assert (file.parent / content["imagePath"]).resolve() == folder / image
        assert {shape["shape_type"] for shape in content["shapes"]} == {"polygon"}
        assert [shape["label"] for shape in content["shapes"]] == ["cat", "dog", "dog"]


@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_what_was_left_out_is_said_and_a_resumed_run_writes_all(form: str, call: Call, folder: Path) -> None:
    content = json.loads((folder / "support/one.json").read_text())
    content["shapes"].append(made.labelme_shape("cat", [[1, 1], [5, 5]], "line"))
    made.write_json(folder / "support/one.json", content)
    photo = (folder / "photos/a.jpg").read_bytes()
    (folder / "photos/a.jpg").write_bytes(photo[:500])
    outcome = call(*GIVEN, f"format={form}")
    assert outcome.code == 1
    assert (
        "supports: left out 1 of 4 annotations, the first: support/one.json: shape 3: a line" in outcome.out
    )
    (folder / "photos/a.jpg").write_bytes(photo)
    assert "settings: give another out" in call(*GIVEN, "format=labelme", "resume=true").err
    assert call(*GIVEN, f"format={form}", "resume=true").code == 0
    found = find_supports(folder / "out", images=folder / "photos")
    assert [each.image.name for each in found.classes["cat"]] == ["a.jpg", "b c.tif"]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools under NumPy 2
def test_pycocotools_reads_what_is_written(call: Call, folder: Path) -> None:
    assert call(*GIVEN, "format=coco").code == 0
    found = COCO("out/annotations.json")
    assert [found.cats[each]["name"] for each in found.getCatIds()] == ["cat", "dog"]
    for annotation in found.loadAnns(found.getAnnIds()):
        (image,) = found.loadImgs(annotation["image_id"])
        with Image.open(folder / "photos" / image["file_name"]) as photo:
            mask = labels_of(np.asarray(photo)) == annotation["category_id"]
        assert (image["height"], image["width"]) == mask.shape
        assert annotation["area"] == mask.sum() and isinstance(annotation["segmentation"], list)
        assert not ((found.annToMask(annotation).astype(bool) != mask) & ~edge(mask)).any()


def test_inputs_are_never_written_over(call: Call, folder: Path) -> None:
    made.labelme(folder / "out/labelme")
    words = ("ckpt=a.ckpt", "support=out/labelme", "query=out/labelme/one.jpg", "out=out", "overwrite=true")
    outcome = call(*words, "format=labelme")
    assert outcome.code == 2 and "no image there" in outcome.err  # what lies in out is no query
    made.photo(folder / "photos/one.jpg")
    outcome = call(*words[:2], "query=photos/one.jpg", *words[3:], "format=labelme")
    assert outcome.code == 2 and "out/labelme/one.json is one of the inputs" in outcome.err
