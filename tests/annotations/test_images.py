"""Where the images are that annotation files name by paths of another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from unicodedata import normalize

import pytest

from hmseg.annotations.images import Images
from hmseg.data.displayed import read_sizes
from hmseg.errors import DataError

HERE = ("a.jpg", "train/b.jpg", "valid/b.jpg", "sub/my cat.PNG", ".hidden/c.jpg", "0a1b2c3d-d.jpg", "e.txt")


@pytest.fixture
def images(tmp_path: Path) -> Images:
    for name in HERE:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Images(tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", "a.jpg"),
        ("/data/upload/7/a.jpg", "a.jpg"),
        ("..\\..\\media\\1a2b3c4d-a.jpg", "a.jpg"),
        ("../valid/b.jpg", "valid/b.jpg"),
        ("C:\\sets\\train\\b.jpg", "train/b.jpg"),
        ("my%20cat.PNG", "sub/my cat.PNG"),
        ("0a1b2c3d-d.jpg", "0a1b2c3d-d.jpg"),
        ("c.jpg", None),
        ("d.jpg", None),
        ("e.txt", None),
        ("", None),
        ("..", None),
    ],
)
def test_names(images: Images, name: str, expected: str | None) -> None:
    assert images.find(name) == (None if expected is None else images.root / expected)


def test_what_could_be_either_is_refused(images: Images) -> None:
    with pytest.raises(DataError, match=r"b.jpg: .*train/b.jpg and .*valid/b.jpg could both be meant"):
        images.find("b.jpg")
    assert images.find_stem("labels/valid/b") == images.root / "valid/b.jpg"
    assert images.find_stem("a.jpg") == images.root / "a.jpg"


def test_files_that_are_no_image(images: Images) -> None:
    with pytest.raises(DataError, match=r"image .*a.jpg is not an image"):
        read_sizes(images.root / "a.jpg")
    with pytest.raises(DataError, match=r"image .*none.jpg does not exist"):
        read_sizes(images.root / "none.jpg")


@pytest.mark.parametrize(("named", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_in_either_form_of_unicode(
    named: Literal["NFC", "NFD"], on_disk: Literal["NFC", "NFD"], tmp_path: Path
) -> None:
    path = tmp_path / normalize(on_disk, "Bär/ü.jpg")
    path.parent.mkdir()
    path.touch()
    images = Images(tmp_path)
    assert images.find(normalize(named, "Bär/ü.jpg")) == images.find_stem(normalize(named, "Bär/ü")) == path
