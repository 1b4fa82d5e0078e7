"""A user's own COCO-style annotation file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hmseg.data.coco_json import CocoJsonSource
from hmseg.data.opening import turned
from hmseg.data.source import Source
from hmseg.errors import DataError


def square(image: int, category: int, left: int, side: int = 10) -> dict[str, Any]:
    corners = [left, 5, left + side, 5, left + side, 5 + side, left, 5 + side]
    return {"image_id": image, "category_id": category, "iscrowd": 0, "segmentation": [corners]}


def content() -> dict[str, Any]:
    """Four images; 1 and 2 show ants, 2, 3 and 4 show bees, 3 also a cat, nobody a dog."""
    shown = [(1, 10), (2, 10), (2, 20), (3, 20), (4, 20), (3, 30)]
    annotations = [square(image, category, 5 if category == 10 else 25) for image, category in shown]
    annotations[-1] = square(3, 30, left=45)
    return {
        "categories": [
            {"id": 10 * n, "name": name} for n, name in enumerate(("ant", "bee", "cat", "dog"), 1)
        ],
        "images": [
            {"id": n, "file_name": f"{'sub/' * (n % 2)}photo{n}.jpg", "height": 48, "width": 64}
            for n in range(1, 5)
        ],
        "annotations": [{"id": n, **each} for n, each in enumerate(annotations, 1)],
    }


def write(folder: Path, data: dict[str, Any]) -> Path:
    (folder / "images/sub").mkdir(parents=True, exist_ok=True)
    for n in range(1, 5):
        Image.new("RGB", (64, 48), (n, 80, 160)).save(folder / f"images/{'sub/' * (n % 2)}photo{n}.jpg")
    path = folder / "own.json"
    path.write_text(json.dumps(data))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path, content())


def source_of(path: Path, **options: Any) -> CocoJsonSource:
    options = {"folds": 2, "held_out": [["bee"], ["ant", "cat"]], **options}
    return CocoJsonSource(path.parent / "images", path, **options)


def test_is_a_source(path: Path) -> None:
    source = source_of(path)
    assert isinstance(source, Source)
    assert (source.name, source.folds, source.lists) == ("coco_json", 2, "own")
    assert source.class_names == ("ant", "bee", "cat", "dog") and source.classes("test", 1) == (0, 2)


def test_listings(path: Path) -> None:
    source = source_of(path)
    assert source.listing("test", 0).pairs == (("photo2", 1), ("photo3", 1), ("photo4", 1))
    assert source.listing("train", 0).pairs == (("photo1", 0), ("photo2", 0), ("photo3", 2))
    assert source_of(path, novel="drop").listing("train", 0).pairs == (("photo1", 0),)
    assert source_of(path, draw="class").listing("train", 0).draw == "class"
    assert (
        source_of(path, rule="grid").listing("test", 0).pairs == ()
    )  # none reaches three points of the grid
    assert sorted(len(source_of(path, held_out=None).classes("val", fold)) for fold in range(2)) == [2, 2]
    assert (path.parent / "images/.hmseg/classes-own.json").is_file()


def test_read(path: Path) -> None:
    source = source_of(path)
    for name, _ in source.listing("train", 0).pairs:
        assert source.has(name)
    sample = source.read("photo3", 2)
    assert sample.image.shape == (48, 64, 3) and not sample.void.any()
    rows, columns = np.nonzero(sample.mask)
    assert 100 <= len(rows) <= 121 and columns.min() == 45 and rows.min() == 5
    assert source.files("photo3") == (path.parent / "images/sub/photo3.jpg", path)
    with pytest.raises(DataError, match=r"photo3 shows nothing of class 0 \(ant\)"):
        source.read("photo3", 0)
    for name in ("photo9", "../photo1", "sub/photo1"):
        assert not source.has(name)
        with pytest.raises(DataError, match="has no image"):
            source.read(name, 0)


def test_missing_images_are_counted(path: Path) -> None:
    for n in (2, 3):
        (path.parent / f"images/{'sub/' * (n % 2)}photo{n}.jpg").unlink()
    with pytest.raises(
        DataError, match="^2 files named by the annotation file .*: photo2.jpg, sub/photo3.jpg; "
    ):
        source_of(path).listing("test", 0)


@pytest.mark.parametrize("file", ["../secret.jpg", "/etc/secret.jpg", "a/../../secret.jpg", "a\\secret.jpg"])
def test_names_that_leave_the_folder(tmp_path: Path, file: str) -> None:
    data = content()
    data["images"][0]["file_name"] = file
    with pytest.raises(DataError, match="leaves the image folder: a path inside it was expected"):
        source_of(write(tmp_path, data))


def test_a_bad_polygon_is_named(tmp_path: Path) -> None:
    data = content()
    data["annotations"][3]["segmentation"] = [[1, 2, 3]]
    with pytest.raises(DataError, match=r"own\.json: image 3: annotation 4: bad polygon: 3 numbers"):
        source_of(write(tmp_path, data)).listing("test", 0)


def test_options(path: Path) -> None:
    for options, message in (
        ({"draw": "pair"}, "unknown value of dataset.draw 'pair': did you mean 'pairs'"),
        ({"rule": "gird"}, "unknown value of dataset.rule 'gird': did you mean 'grid'"),
        ({"novel": "kept"}, "unknown value of dataset.novel 'kept'"),
    ):
        with pytest.raises(DataError, match=message):
            source_of(path, **options)
    data = content()
    data["categories"][1]["name"] = "ant"
    with pytest.raises(DataError, match="two categories have one name"):
        source_of(write(path.parent, data))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(64, 48), (48, 64), (48, 48)])
def test_outlines_lie_on_the_photo_as_displayed(
    tmp_path: Path, orientation: int, size: tuple[int, int]
) -> None:
    """A size that fits only the stored photo says that its outlines are on the stored pixels."""
    data, exif = content(), Image.Exif()
    data["images"][0] |= {"width": size[0], "height": size[1]}
    path = write(tmp_path, data)
    exif[0x0112] = orientation
    stored = np.zeros((48, 48 if size[0] == size[1] else 64, 3), np.uint8)
    Image.fromarray(stored).save(tmp_path / "images/sub/photo1.jpg", exif=exif)
    displayed = turned(stored, orientation).shape[:2]
    as_noted = (size[1], size[0]) == displayed
    drawn = np.zeros((size[1], size[0]), bool)
    drawn[5:15, 5:15] = True
    if not as_noted and orientation < 5:
        with pytest.raises(DataError, match="photo1.jpg in .* is 48x64 pixels, 64x48 were expected"):
            source_of(path).read("photo1", 0)
        return
    sample = source_of(path).read("photo1", 0)
    assert sample.image.shape[:2] == sample.mask.shape == displayed
    expected = drawn if as_noted else turned(drawn, orientation)
    assert (sample.mask & expected).sum() / (sample.mask | expected).sum() > 0.75
