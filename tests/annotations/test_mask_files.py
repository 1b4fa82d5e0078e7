"""Folders of masks: which file belongs to which, and label maps of several classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import made_annotations as made
from hmseg.annotations.label_maps import read_names
from hmseg.annotations.marked import Found
from hmseg.annotations.outlines import Outline
from hmseg.annotations.supports import find_supports
from hmseg.errors import ConfigError, DataError

Touch = Callable[..., None]


@pytest.fixture
def touch(tmp_path: Path) -> Touch:
    def make(*names: str) -> None:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (1, 1)).save(path, "PNG")  # whatever its name says

    return make


def names(found: Found) -> dict[str, list[tuple[str, str]]]:
    return {
        name: [(each.image.name, each.file.name) for each in marked] for name, marked in found.classes.items()
    }


def test_two_folders(touch: Touch, tmp_path: Path) -> None:
    touch("images/b.JPG", "images/a.png", "masks/a.png", "masks/b.png", "notes.txt", "images/.hidden.jpg")
    assert names(find_supports(tmp_path, "cat")) == {"cat": [("a.png", "a.png"), ("b.JPG", "b.png")]}


def test_pairs(touch: Touch, tmp_path: Path) -> None:
    touch("a.jpg", "a.png", "b.png", "b_mask.png", "c.webp", "c_mask.png", "d_mask.jpg", "d_mask.png")
    assert names(find_supports(tmp_path)) == {
        "object": [
            ("a.jpg", "a.png"),
            ("b.png", "b_mask.png"),
            ("c.webp", "c_mask.png"),
            ("d_mask.jpg", "d_mask.png"),
        ]
    }


def test_a_folder_for_each_class(touch: Touch, tmp_path: Path) -> None:
    touch("dog/a.jpg", "dog/a.png", "cat/images/x.jpg", "cat/masks/x.png", ".git/a.jpg", "readme.txt")
    found = find_supports(tmp_path)
    assert names(found) == {"cat": [("x.jpg", "x.png")], "dog": [("a.jpg", "a.png")]}
    assert list(found.classes) == ["cat", "dog"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "no image in it; expected folders images/ and masks/, or pairs"),
        (("a.jpg",), "there is no mask for a.jpg;"),
        (("a.jpg", "a.png", "b_mask.png"), "there is no image for b_mask.png;"),
        (("a.jpg", "a.jpeg", "a.png"), "a.jpeg and a.jpg could both be meant; leave one"),
        (("images/a.jpg", "masks/b.png"), "there is no mask for a.jpg;"),
        (("cat/a.jpg", "cat/a.png", "b.jpg"), "b.jpg lies beside folders of classes"),
        (("cat/a.txt",), "no image with a mask in it"),
        (("images/a.txt", "masks/a.png"), "there is no image for a.png;"),
    ],
)
def test_other_layouts_are_refused(
    touch: Touch, tmp_path: Path, files: tuple[str, ...], message: str
) -> None:
    touch(*files)
    with pytest.raises(ConfigError, match=message):
        find_supports(tmp_path)


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file or folder"):
        find_supports(tmp_path / "none")


def test_masks_may_be_tiff_and_so_may_images(touch: Touch, tmp_path: Path) -> None:
    touch("a.jpg", "a.tif", "b.tif", "b_mask.tif", "c.tiff", "c_mask.png")
    assert names(find_supports(tmp_path)) == {
        "object": [("a.jpg", "a.tif"), ("b.tif", "b_mask.tif"), ("c.tiff", "c_mask.png")]
    }


def label_maps(folder: Path, labels: NDArray[np.uint16], listed: str) -> None:
    made.photo(folder / "images/a.png", size=labels.shape)
    (folder / "masks").mkdir()
    Image.fromarray(labels).save(folder / "masks/a.tif")
    (folder / "classes.txt").write_text(listed, encoding="utf-8")


def marked(found: Found) -> dict[str, int]:
    """How many pixels each class has."""
    sizes = {}
    for name, (each,) in found.classes.items():
        assert isinstance(each.mask, Outline)
        sizes[name] = int(each.mask.drawn((20, 30)).sum())
    return sizes


def test_numbers_beyond_a_byte_and_numbers_without_a_name(tmp_path: Path) -> None:
    labels = np.zeros((20, 30), np.uint16)
    labels[:4, :5], labels[5:8, :5], labels[9:11, :5], labels[19] = 1, 300, 7, 255
    label_maps(tmp_path, labels, "\ufeffcat\n" + "\n" * 298 + "dog\n")
    found = find_supports(tmp_path)
    assert marked(found) == {"cat": 20, "dog": 15}  # 255 is void, as PASCAL VOC has it
    (note,) = found.notes()
    assert note.startswith("left out 1 of 3 annotations, the first: mask ") and "label 7 has no name" in note


@pytest.mark.parametrize(
    ("listed", "names_"),
    [("cat\ndog", {1: "cat", 2: "dog"}), ("__ignore__\n_background_\ncat\n dog ", {1: "cat", 2: "dog"})],
)
def test_lists_of_classes(tmp_path: Path, listed: str, names_: dict[int, str]) -> None:
    (tmp_path / "classes.txt").write_text(listed)
    found = read_names(tmp_path)
    assert found is not None and found.by_label == names_


def test_bad_label_maps_are_refused(tmp_path: Path) -> None:
    label_maps(tmp_path, np.ones((20, 30), np.uint16), "cat\ncat\n")
    for listed, message in (
        ("cat\ncat\n", "two classes have one name"),
        ("\n", "has no names in it"),
        ("\udcff", "can't be read"),
    ):
        (tmp_path / "classes.txt").write_bytes(listed.encode("utf-8", "surrogateescape"))
        with pytest.raises(DataError, match=f"classes.txt:? {message}"):
            find_supports(tmp_path)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "masks/a.tif").unlink()
    made.photo(tmp_path / "masks/a.png", size=(20, 30))
    with pytest.raises(DataError, match=r"is no label map \(mode RGB\)"):
        find_supports(tmp_path)
    (tmp_path / "masks/a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"mask .*a.png is not an image"):
        find_supports(tmp_path)


def test_a_mask_without_an_image_elsewhere_is_refused(touch: Touch, tmp_path: Path) -> None:
    touch("masks/a.png", "photos/b.jpg")
    with pytest.raises(ConfigError, match="there is no image for a.png in"):
        find_supports(tmp_path / "masks", images=tmp_path / "photos")


def test_a_mask_is_not_its_own_image(touch: Touch, tmp_path: Path) -> None:
    touch("set/masks/a.png", "set/photos/a.jpg")
    found = find_supports(tmp_path / "set", images=tmp_path / "set")
    assert names(found) == {"object": [("a.jpg", "a.png")]}


def test_classes_by_folder_with_images_elsewhere(touch: Touch, tmp_path: Path) -> None:
    touch("set/cat/a.png", "set/dog/masks/a.png", "set/dog/masks/b_mask.tif", "photos/a.jpg", "photos/b.jpg")
    found = find_supports(tmp_path / "set", images=tmp_path / "photos")
    assert names(found) == {
        "cat": [("a.jpg", "a.png")],
        "dog": [("a.jpg", "a.png"), ("b.jpg", "b_mask.tif")],
    }
    (tmp_path / "set/cat/a.png").unlink()
    with pytest.raises(ConfigError, match=r"set/cat: no mask in it \(.png, .tif, .tiff\)"):
        find_supports(tmp_path / "set", images=tmp_path / "photos")


def test_cvats_masks_in_colours(tmp_path: Path) -> None:
    """Its "Segmentation mask": what isn't listed is left out, VOC's colour of it is void."""
    made.cvat_masks(tmp_path)
    assert list(find_supports(tmp_path).classes) == ["cat", "dog"]
    text = (tmp_path / "labelmap.txt").read_text()
    (tmp_path / "labelmap.txt").write_text(text.replace("dog:0,128,0", "dog:0,0,128"))
    (note,) = find_supports(tmp_path).notes()
    assert "left out 1 of 3 annotations" in note and "label #008000 has no name in" in note
    (tmp_path / "labelmap.txt").write_text("cat 1,2,3\n")
    with pytest.raises(DataError, match="expected name:red,green,blue::, got cat 1,2,3"):
        find_supports(tmp_path)


def test_only_255_is_no_void(tmp_path: Path) -> None:
    label_maps(tmp_path, np.full((20, 30), 255, np.uint16), "cat\n")
    with pytest.raises(ConfigError, match="nothing is marked; .*label 255 has no name"):
        find_supports(tmp_path)


def test_several_numbers_without_names_are_refused(tmp_path: Path) -> None:
    labels = np.zeros((20, 30), np.uint16)
    labels[:4], labels[5:8] = 1, 2
    label_maps(tmp_path, labels, "")
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(
        DataError, match=r"has several numbers \(1, 2\): name the classes in .*classes.txt"
    ) as caught:
        find_supports(tmp_path)
    assert "reading=labels: all of them; reading=1: only this one" in str(caught.value)
    assert names(find_supports(tmp_path, reading="labels")) == {"object": [("a.png", "a.tif")]}
