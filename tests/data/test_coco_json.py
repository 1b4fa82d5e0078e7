"""A user's own COCO-style annotation file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unicodedata import normalize

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
    assert source.class_names == ("ant", "bee", "cat") and source.classes("test", 1) == (0, 2)


def test_listings(path: Path) -> None:
    source = source_of(path)
    assert source.listing("test", 0).pairs == (("photo2.jpg", 1), ("sub/photo3.jpg", 1), ("photo4.jpg", 1))
    assert source.listing("train", 0).pairs == (
        ("sub/photo1.jpg", 0),
        ("photo2.jpg", 0),
        ("sub/photo3.jpg", 2),
    )
    assert source_of(path, novel="drop").listing("train", 0).pairs == (("sub/photo1.jpg", 0),)
    assert source_of(path, draw="class").listing("train", 0).draw == "class"
    assert sorted(len(source_of(path, held_out=None).classes("val", fold)) for fold in range(2)) == [1, 2]
    assert (path.parent / "images/.hmseg/classes-own.json").is_file()


def test_read(path: Path) -> None:
    source = source_of(path)
    for name, _ in source.listing("train", 0).pairs:
        assert source.has(name)
    sample = source.read("sub/photo3.jpg", 2)
    assert sample.image.shape == (48, 64, 3) and not sample.void.any()
    rows, columns = np.nonzero(sample.mask)
    assert 100 <= len(rows) <= 121 and columns.min() == 45 and rows.min() == 5
    assert source.files("sub/photo3.jpg") == (path.parent / "images/sub/photo3.jpg", path)
    with pytest.raises(DataError, match=r"photo3.jpg shows nothing of class 0 \(ant\)"):
        source.read("sub/photo3.jpg", 0)
    for name in ("photo9.jpg", "../photo1.jpg", "photo1.jpg", "photo2", "sub"):
        assert not source.has(name)
        with pytest.raises(DataError, match="has no image"):
            source.read(name, 0)


def test_missing_images_are_counted(path: Path) -> None:
    for n in (2, 3):
        (path.parent / f"images/{'sub/' * (n % 2)}photo{n}.jpg").unlink()
    with pytest.raises(
        DataError,
        match="^2 of 4 images of the annotation file .*: photo2.jpg, sub/photo3.jpg; .*images",
    ):
        source_of(path)


@pytest.mark.parametrize(
    "file", ["../secret.jpg", "/etc/secret.jpg", "a/../../secret.jpg", "a\\..\\..\\b.jpg", "C:\\a.jpg"]
)
def test_names_that_leave_the_folder(tmp_path: Path, file: str) -> None:
    data = content()
    data["images"][0]["file_name"] = file
    with pytest.raises(DataError, match="leaves the image folder: a path inside it was expected"):
        source_of(write(tmp_path, data))


BLEMISHES: dict[str, tuple[dict[str, Any], str]] = {
    "three numbers": ({"segmentation": [[1, 2, 3]]}, "annotation 4: bad polygon: 3 numbers, an even count"),
    "two points": ({"segmentation": [[1, 2, 3, 4]]}, "bad polygon: 4 numbers, at least 6"),
    "only a box": ({"segmentation": []}, "annotation 4 has no outline"),
    "no outline": ({"segmentation": None}, "annotation 4 has no outline"),
    "text": ({"segmentation": [["a", "b"]]}, "bad polygon: expected numbers"),
    "far off": ({"segmentation": [[900, 900, 950, 900, 950, 950]]}, "outside the image of 64x48"),
    "other runs": ({"segmentation": {"size": [4, 4], "counts": [16]}}, "run lengths of size"),
    "no image": ({"image_id": 77}, "annotation 4 belongs to image 77, not listed"),
    "no category": ({"category_id": 77}, "annotation 4 has category 77, not listed"),
}


@pytest.mark.parametrize("kind", BLEMISHES)
def test_blemished_annotations_are_left_out_and_counted_in_one_line(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = content()
    change, reason = BLEMISHES[kind]
    data["annotations"][3] |= change  # a bee in the third photo
    path = write(tmp_path, data)
    source = source_of(path)
    assert source.listing("test", 0).pairs == (("photo2.jpg", 1), ("photo4.jpg", 1))
    (line,) = caplog.messages[-1:]
    assert "own.json: left out 1 of its 6 outlines and images (the first: annotation 4" in line
    assert reason in line
    assert line.endswith("and 1 class for which no image is listed (dog)")
    with pytest.raises(DataError, match=r"own\.json has 1 of its 6 outlines .*strict=false"):
        source_of(path, strict=True)


def test_one_bad_polygon_of_an_annotation_leaves_the_others(tmp_path: Path) -> None:
    data = content()
    good = data["annotations"][3]["segmentation"]
    whole = source_of(write(tmp_path, data)).read("sub/photo3.jpg", 1)
    data["annotations"][3]["segmentation"] = [[1, 2], *good]
    assert (source_of(write(tmp_path, data)).read("sub/photo3.jpg", 1).mask == whole.mask).all()
    data["annotations"][3]["segmentation"] = good[0]  # without the list around it
    assert (source_of(write(tmp_path, data)).read("sub/photo3.jpg", 1).mask == whole.mask).all()


def test_a_stray_category_takes_no_place_in_a_fold(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Roboflow's files begin with a category that nothing is annotated with."""
    data = content()
    data["categories"] = [{"id": 0, "name": "animals"}, *data["categories"][:3]]
    source = source_of(write(tmp_path, data), held_out=None, folds=3)
    assert source.class_names == ("ant", "bee", "cat")
    for fold in range(3):
        (only,) = source.classes("test", fold)
        assert source.listing("test", fold).by_class.keys() == {only}
    assert "left out 1 class for which no image is listed (animals)" in caplog.messages[-1]
    with pytest.raises(DataError, match="unknown class in held_out of coco_json 'animals'"):
        source_of(tmp_path / "own.json", held_out=[["animals"], ["ant"]])


def test_classes_that_a_rule_empties_take_no_place_either(tmp_path: Path) -> None:
    data = content()
    for image in data["images"]:
        image |= {"width": 256, "height": 256}
    data["annotations"] = [{"id": 1, **square(1, 10, 5, side=10)}] + [
        {"id": n, **square(n, category, 5, side=200)} for n, category in ((2, 20), (3, 20), (4, 30))
    ]
    path = write(tmp_path, data)
    for n in range(1, 5):
        Image.new("RGB", (256, 256)).save(tmp_path / f"images/{'sub/' * (n % 2)}photo{n}.jpg")
    assert source_of(path, held_out=None).class_names == ("ant", "bee", "cat")
    assert source_of(path, held_out=None, rule="grid").class_names == ("bee", "cat")


def test_masks_are_unions_of_a_classes_own_outlines(tmp_path: Path) -> None:
    """A part doesn't cut into the whole, whichever comes first, and what is labelled twice stays."""
    data = content()
    data["annotations"] = [
        {"id": 1, **square(1, 10, 5, side=30)},  # an ant
        {"id": 2, **square(1, 20, 10, side=8)},  # a bee on it
        {"id": 3, **square(1, 20, 20, side=8)},  # another bee
        {"id": 4, **square(2, 10, 5), "iscrowd": 1},
        {"id": 5, **square(2, 20, 5)},  # labelled twice
        {"id": 6, **square(3, 30, 5)},
        {"id": 7, **square(4, 30, 5)},
    ]
    source = source_of(write(tmp_path, data))
    ant, bee = (source.read("sub/photo1.jpg", each).mask for each in (0, 1))
    assert (ant & bee).sum() == bee.sum() and bee.sum() == 128 and ant.sum() == 900
    assert (source.read("photo2.jpg", 0).mask == source.read("photo2.jpg", 1).mask).all()
    assert (
        set(source.listing("train", 0).by_class) == {0, 2}
        and ("photo2.jpg", 1) in source.listing("test", 0).pairs
    )


def test_an_image_is_its_path_and_paths_may_have_backslashes(tmp_path: Path) -> None:
    data = content()
    data["images"][0]["file_name"], data["images"][1]["file_name"] = "a\\1.jpg", "b/1.jpg"
    path = write(tmp_path, data)
    for folder, red in (("a", 10), ("b", 200)):
        (tmp_path / "images" / folder).mkdir()
        Image.new("RGB", (64, 48), (red, 0, 0)).save(tmp_path / f"images/{folder}/1.jpg", quality=95)
    source = source_of(path)
    assert source.listing("train", 0).pairs[:2] == (("a/1.jpg", 0), ("b/1.jpg", 0))
    for name, red in (("a/1.jpg", 10), ("b/1.jpg", 200)):
        assert abs(int(source.read(name, 0).image[20, 20, 0]) - red) < 4


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_in_any_form_and_files_in_any_encoding(tmp_path: Path, encoding: str, form: str) -> None:
    data = content()
    data["categories"][0]["name"] = normalize("NFD", "Ämse")
    data["images"][0]["file_name"] = normalize("NFC" if form == "NFD" else "NFD", "sub/früh.jpg")
    path = write(tmp_path, data)
    Image.new("RGB", (64, 48)).save(tmp_path / "images" / normalize(form, "sub/früh.jpg"))
    path.write_bytes(json.dumps(data, ensure_ascii=False).encode(encoding))
    source = source_of(path, held_out=[["bee"], [normalize("NFC", "Ämse"), "cat"]])
    assert source.read(normalize("NFC", "sub/früh.jpg"), 0).mask.any()


def test_ids_as_text_and_as_numbers_and_categories_of_one_name(tmp_path: Path) -> None:
    data = content()
    for annotation in data["annotations"]:
        annotation["image_id"] = str(annotation["image_id"])
    data["categories"][3]["name"] = "bee"
    data["annotations"][3]["category_id"] = "40"
    source = source_of(write(tmp_path, data))
    assert source.class_names == ("ant", "bee", "cat")
    assert source.listing("test", 0).pairs == (("photo2.jpg", 1), ("sub/photo3.jpg", 1), ("photo4.jpg", 1))


def test_images_that_cannot_be_used_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = content()
    data["images"] += [
        {"id": 7, "file_name": "photo2.jpg", "height": 48, "width": 64},  # again: its outlines join
        {"id": 8, "file_name": "photo2.jpg", "height": 64, "width": 48},
        {"id": 9, "height": 48, "width": 64},
        {"id": 10, "file_name": "x.jpg", "height": None, "width": 64},
        {"id": 11, "file_name": "y.jpg", "height": 20_000, "width": 20_000},
    ]
    data["annotations"] += [{"id": 7, **square(7, 30, 45)}, {"id": 8, **square(8, 20, 5)}]
    source = source_of(write(tmp_path, data))
    assert source.listing("train", 0).pairs[2:] == (("photo2.jpg", 2), ("sub/photo3.jpg", 2))
    assert (
        "left out 5 of its 8 outlines and images (the first: image 8 (photo2.jpg) is there twice"
        in caplog.text
    )
    data["images"].append({"id": 1, "file_name": "photo4.jpg", "height": 48, "width": 64})
    with pytest.raises(DataError, match="two images have the id 1, sub/photo1.jpg and photo4.jpg"):
        source_of(write(tmp_path, data))


def test_a_tilde_in_the_paths_is_the_home_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(path.parent))
    source = CocoJsonSource("~/images", "~/own.json", folds=2)
    assert source.has("photo2.jpg") and source.listing("train", 0).pairs


def test_options(path: Path) -> None:
    for options, message in (
        ({"draw": "pair"}, "unknown value of dataset.draw 'pair': did you mean 'pairs'"),
        ({"rule": "gird"}, "unknown value of dataset.rule 'gird': did you mean 'grid'"),
        ({"novel": "kept"}, "unknown value of dataset.novel 'kept'"),
    ):
        with pytest.raises(DataError, match=message):
            source_of(path, **options)


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
        with pytest.raises(DataError, match="^sub/photo1.jpg is 48x64 pixels in .* the image .* has 64x48"):
            source_of(path)
        return
    sample = source_of(path).read("sub/photo1.jpg", 0)
    assert sample.image.shape[:2] == sample.mask.shape == displayed
    expected = drawn if as_noted else turned(drawn, orientation)
    assert (sample.mask & expected).sum() / (sample.mask | expected).sum() > 0.75
