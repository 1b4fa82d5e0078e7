"""What every tool writes is read: the same two photos, the same masks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import made_annotations as made
from hmseg.annotations.marked import Found
from hmseg.annotations.outlines import Outline
from hmseg.annotations.supports import find_supports
from hmseg.errors import ConfigError, HmsegError


def check_masks(found: Found) -> None:
    """Cat and dog, where they were drawn."""
    assert list(found.classes) == ["cat", "dog"]
    count = {name: len(marked) for name, marked in found.classes.items()}
    assert count == {"cat": 2, "dog": 1}
    for name, marked in found.classes.items():
        for each in marked:
            stem = next(stem for stem in made.PHOTOS if stem in each.image.stem)
            assert isinstance(each.mask, Outline)
            assert np.array_equal(each.mask.drawn(made.SIZE), made.mask_of(made.PHOTOS[stem][name]))


@pytest.mark.parametrize("layout", made.LAYOUTS)
def test_every_layout_gives_the_same_masks(layout: str, tmp_path: Path) -> None:
    made.LAYOUTS[layout](tmp_path)
    found = find_supports(tmp_path)
    check_masks(found)
    assert found.notes() == []


@pytest.mark.parametrize(
    ("layout", "file"),
    [
        ("cvat", "annotations/instances_default.json"),
        ("label_studio", "result.json"),
        ("roboflow", "_annotations.coco.json"),
        ("yolo", "data.yaml"),
        ("yolo", "labels"),
        ("yolo_roboflow", "train"),
    ],
)
def test_the_file_itself_can_be_given(layout: str, file: str, tmp_path: Path) -> None:
    made.LAYOUTS[layout](tmp_path)
    check_masks(find_supports(tmp_path / file))


@pytest.mark.parametrize(
    "layout", [*("labelme", "cvat", "label_studio", "label_studio_yolo", "yolo", "voc", "napari")]
)
def test_images_may_lie_elsewhere(layout: str, tmp_path: Path) -> None:
    """Most tools export annotations without the images; Label Studio puts a mark before the names."""
    made.LAYOUTS[layout](tmp_path / "given")
    made.photos(tmp_path / "photos")
    for path in (tmp_path / "given").rglob("*"):
        if path.suffix in (".jpg", ".tif") and "masks" not in path.parts:
            path.unlink()
    found = find_supports(tmp_path / "given", images=tmp_path / "photos")
    check_masks(found)
    assert {each.image.parent for each in found.classes["cat"]} == {tmp_path / "photos"}


def test_one_labelme_file_is_a_support(tmp_path: Path) -> None:
    made.labelme(tmp_path)
    found = find_supports(tmp_path / "two.json")
    assert [each.image.name for each in found.classes["cat"]] == ["two.jpg"] and "dog" not in found.classes


def test_photos_of_phones_are_annotated_upright(tmp_path: Path) -> None:
    """An image that EXIF turns has the size that viewers and tools show."""
    image, exif = Image.new("RGB", made.SIZE), Image.Exif()  # stored lying: as wide as the others are high
    exif[0x0112] = 6
    image.save(tmp_path / "one.jpg", exif=exif)
    made.labelme_file(tmp_path / "one.json", "one.jpg", [made.labelme_shape("cat", made.ring(made.CAT))])
    assert len(find_supports(tmp_path).classes["cat"]) == 1


@pytest.mark.parametrize("layout", ["labelme", "cvat", "voc", "napari"])
def test_an_annotation_of_another_image_is_refused(layout: str, tmp_path: Path) -> None:
    made.LAYOUTS[layout](tmp_path)
    path = next(each for each in sorted(tmp_path.rglob("one.*")) if each.suffix in (".jpg", ".tif"))
    made.photo(path, size=(30, 40))
    with pytest.raises(HmsegError, match=r"made for an image of 80x60 pixels, .* has 40x30 \(upright"):
        find_supports(tmp_path)


def test_two_forms_in_one_folder_are_refused(tmp_path: Path) -> None:
    made.voc(tmp_path)
    made.labelme(tmp_path / "json")
    with pytest.raises(ConfigError, match=r"annotated twice, as LabelMe \(json/one.json\) and masks \("):
        find_supports(tmp_path)


def test_two_coco_files_are_refused(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        made.roboflow(tmp_path / part)
    with pytest.raises(ConfigError, match="two COCO files, .*train.* and .*valid.*; give one of them"):
        find_supports(tmp_path)
    check_masks(find_supports(tmp_path / "train"))


def test_other_files_are_refused(tmp_path: Path) -> None:
    made.photos(tmp_path)
    (tmp_path / "a.csv").write_text("")
    made.write_json(tmp_path / "tasks.json", [{"id": 1}])
    made.write_json(
        tmp_path / "empty.json", {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
    )
    (tmp_path / "cut.json").write_text('{"shapes": [')
    for name, message in (
        ("a.csv", "expected a JSON file of COCO or LabelMe, data.yaml, or a folder"),
        ("tasks.json", "has neither 'shapes', as LabelMe's files, nor 'images' and 'annotations'"),
        ("empty.json", "nothing is marked"),
        ("cut.json", "is no JSON"),
        ("none.json", "there is no such file or folder"),
    ):
        with pytest.raises(HmsegError, match=message) as caught:
            find_supports(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="support_images=.*there is no such folder"):
        find_supports(tmp_path, images=tmp_path / "none")


def test_the_summary_of_a_prediction_is_passed_over(tmp_path: Path) -> None:
    made.yolo(tmp_path)
    content = made.coco_content({stem: f"{stem}.jpg" for stem in made.PHOTOS})
    made.write_json(tmp_path / "summary.json", {"info": {"format": 1}, **content, "failed": []})
    check_masks(find_supports(tmp_path))
    check_masks(find_supports(tmp_path / "summary.json"))  # told so, it is read as the COCO file that it is


def test_files_are_read_without_pytorch(tmp_path: Path) -> None:
    made.cvat(tmp_path)
    script = (
        "import sys; from pathlib import Path; from hmseg.annotations.supports import find_supports; "
        f"print(list(find_supports(Path({json.dumps(str(tmp_path))})).classes), 'torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "['cat', 'dog'] False"
