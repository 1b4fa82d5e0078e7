"""Folders of a user's own classes, and the folds drawn from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hmseg.data.folder import FolderSource
from hmseg.data.own_folds import OwnFolds
from hmseg.data.source import Source
from hmseg.errors import DataError


def pair(image: Path, mask: Path, value: int = 255, size: tuple[int, int] = (6, 4)) -> None:
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (9, 90, 200)).save(image)
    pixels = np.zeros((4, 6), np.uint8)
    pixels[1:3] = value
    Image.fromarray(pixels).save(mask)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five classes: some with images beside masks, some with folders of them."""
    for name in ("ant", "bee", "cat"):
        for number in range(3):
            pair(tmp_path / f"own/{name}/{number}.JPG", tmp_path / f"own/{name}/{number}.png")
    for name in ("dog", "eel"):
        for number in range(3):
            images, masks = tmp_path / f"own/{name}/images", tmp_path / f"own/{name}/masks"
            pair(images / f"p{number}.png", masks / f"p{number}.bmp", value=1)
    (tmp_path / "own/_notes").mkdir()
    (tmp_path / "own/readme.txt").touch()
    return tmp_path / "own"


def test_is_a_source(root: Path) -> None:
    source = FolderSource(root, folds=2)
    assert isinstance(source, Source)
    assert (source.name, source.folds, source.lists) == ("folder", 2, "own")
    assert source.class_names == ("ant", "bee", "cat", "dog", "eel")


def test_folds_are_drawn_by_the_seed(root: Path) -> None:
    folds = [FolderSource(root, folds=2, seed=0).classes("test", fold) for fold in range(2)]
    assert sorted(folds[0] + folds[1]) == [0, 1, 2, 3, 4]
    again = [FolderSource(root, folds=2, seed=0).classes("test", fold) for fold in range(2)]
    others = [FolderSource(root, folds=2, seed=seed).classes("test", 0) for seed in range(1, 6)]
    assert again == folds and any(other != folds[0] for other in others)


def test_folds_can_be_given(root: Path) -> None:
    source = FolderSource(root, folds=2, held_out=[["eel", "bee"], ["cat"]])
    assert source.classes("val", 0) == source.classes("test", 0) == (1, 4)
    assert source.classes("train", 1) == (0, 1, 3, 4)
    train, test = source.listing("train", 0), source.listing("test", 0)
    assert [name for name, _ in test.pairs] == [f"bee/{n}" for n in range(3)] + [
        f"eel/p{n}" for n in range(3)
    ]
    assert set(train.by_class) == {0, 2, 3} and train.epoch == 9


@pytest.mark.parametrize(("name", "class_id"), [("ant/1", 0), ("eel/p2", 4)])
def test_read(root: Path, name: str, class_id: int) -> None:
    source = FolderSource(root, folds=2)
    sample = source.read(name, class_id)
    expected = np.zeros((4, 6), bool)
    expected[1:3] = True
    assert np.array_equal(sample.mask, expected) and not sample.void.any()
    assert sample.image.shape == (4, 6, 3) and all(path.is_file() for path in source.files(name))


def test_what_cannot_be_read(root: Path) -> None:
    source = FolderSource(root, folds=2)
    with pytest.raises(DataError, match="image ant/1 is not of class 3: only ant is known of it"):
        source.read("ant/1", 3)
    for name in ("ant/9", "../own/ant/1", "ant/../ant/1", "ant", ""):
        assert not source.has(name)
        with pytest.raises(DataError, match="has no image"):
            source.read(name, 0)
    pair(root / "ant/1.JPG", root / "ant/1.png", value=100)
    with pytest.raises(DataError, match=r"ant/1\.png has no foreground"):
        source.read("ant/1", 0)
    pair(root / "ant/1.JPG", root / "ant/1.png", size=(8, 4))
    with pytest.raises(DataError, match=r"ant/1\.png is 6x4 pixels, 8x4 were expected"):
        source.read("ant/1", 0)


def test_files_without_a_partner_are_named(root: Path) -> None:
    (root / "bee/0.png").unlink()
    (root / "bee/1.JPG").unlink()
    with pytest.raises(
        DataError, match=r"bee has 2 files without a partner: 0\.JPG \(no mask\), 1\.png \(no im"
    ):
        FolderSource(root, folds=2)


def test_other_faults_of_the_folder(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        FolderSource(tmp_path / "nowhere")
    (root / "fox").mkdir()
    with pytest.raises(DataError, match="class folder .*fox has no images"):
        FolderSource(root, folds=2)
    pair(root / "fox/1.jpg", root / "fox/1.png")
    (root / "fox/1.jpeg").touch()
    with pytest.raises(DataError, match=r"fox has both 1\.jpeg and 1\.jpg: keep one of them"):
        FolderSource(root, folds=2)


NAMES = ("ant", "bee", "cat", "dog")


@pytest.mark.parametrize(
    ("folds", "seed", "held_out", "message"),
    [
        (1, 0, None, "4 classes cannot be drawn into 1 folds"),
        (5, 0, None, "4 classes cannot be drawn into 5 folds: at least 2 folds and a class for each"),
        (2, -1, None, "seed=-1 came"),
        (2, 0, [["ant"]], "held_out has 1 lists of classes, 2 were expected"),
        (1, 0, [["dgo"]], "unknown class in held_out of own 'dgo': did you mean 'dog'"),
        (2, 0, [["ant"], ["bee", "ant"]], "class 'ant' is held out twice"),
        (1, 0, [[]], "each fold in held_out needs a class"),
        (1, 0, [list(NAMES)], "must leave one to train on"),
    ],
)
def test_folds_that_cannot_be(folds: int, seed: int, held_out: list[list[str]] | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        OwnFolds("own", NAMES, folds, seed, held_out)


def test_folds_out_of_range() -> None:
    folds = OwnFolds("own", NAMES, 3, 0)
    assert [len(folds.classes("val", fold)) for fold in range(3)] == [2, 1, 1]
    for fold, message in ((3, "fold 3 does not exist: own has folds 0 to 2"), (None, "fold=null came")):
        with pytest.raises(DataError, match=message):
            folds.classes("val", fold)
