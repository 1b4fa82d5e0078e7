"""Folders of a user's own classes, and the folds drawn from them."""

from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from hmseg.data.cache import ImageCache
from hmseg.data.folder import FolderSource
from hmseg.data.own_folds import OwnFolds
from hmseg.data.source import Source
from hmseg.errors import ConfigError, DataError


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
    pair(root / "ant/1.JPG", root / "ant/1.png", value=0)
    with pytest.raises(DataError, match=r"ant/1\.png shows no object: mend it or take the image away"):
        source.read("ant/1", 0)
    pair(root / "ant/1.JPG", root / "ant/1.png", size=(8, 4))
    with pytest.raises(DataError, match=r"ant/1\.png is 6x4 pixels, 8x4 were expected"):
        source.read("ant/1", 0)


def test_files_without_a_partner_are_named(root: Path) -> None:
    (root / "bee/0.png").unlink()
    (root / "bee/1.JPG").unlink()
    with pytest.raises(DataError, match=r"bee has 2 files without a partner: 0\.JPG, 1\.png; each image"):
        FolderSource(root, folds=2)


def test_other_faults_of_the_folder(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        FolderSource(tmp_path / "nowhere")
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


def test_masks_in_doubt_are_refused_with_the_setting_that_chooses(root: Path) -> None:
    pixels = np.zeros((4, 6), np.uint8)
    pixels[1], pixels[2], pixels[3] = 3, 7, 255
    Image.fromarray(pixels).save(root / "ant/1.png")
    with pytest.raises(DataError, match=r"ant/1\.png has several numbers .* \(dataset\.mask=labels: "):
        FolderSource(root, folds=2).read("ant/1", 0)
    sample = FolderSource(root, folds=2, mask="labels").read("ant/1", 0)
    assert sample.mask[1:3].all() and sample.void[3].all() and sample.mask.sum() == sample.void.sum() * 2
    assert FolderSource(root, folds=2, mask=7).read("ant/1", 0).mask.sum() == 6
    with pytest.raises(ConfigError, match=r"unknown dataset\.mask 'lables'"):
        FolderSource(root, folds=2, mask="lables")


def test_photos_with_an_orientation_and_masks_drawn_on_either_side(root: Path) -> None:
    """A mask of the displayed photo stays; one that fits only the stored pixels is turned with them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.zeros((4, 6, 3), np.uint8)
    stored[0] = 255  # the upper row as stored is the last column as displayed
    mask = (stored[..., 0] > 0).astype(np.uint8) * 255
    for displayed in (False, True):
        Image.fromarray(stored).save(root / "dog/images/p1.png", exif=exif)
        Image.fromarray(np.rot90(mask, -1) if displayed else mask).save(root / "dog/masks/p1.bmp")
        sample = FolderSource(root, folds=2).read("dog/p1", 3)
        assert sample.image.shape == (6, 4, 3) and sample.mask.shape == sample.void.shape == (6, 4)
        assert sample.mask[:, 3].all() and sample.mask.sum() == 6
        assert (sample.image[..., 0] > 128).tolist() == sample.mask.tolist()


def test_kept_images_are_made_again_where_masks_are_read_otherwise(root: Path, tmp_path: Path) -> None:
    pixels = np.zeros((4, 6), np.uint8)
    pixels[1], pixels[2] = 3, 7
    Image.fromarray(pixels).save(root / "ant/1.png")
    for reading in (3, 7):
        cache = ImageCache(tmp_path / "kept", FolderSource(root, folds=2, mask=reading), (64, 64))
        assert (cache("ant/1", 0).mask == (pixels == reading)).all()


def test_folders_without_images_take_no_place_in_a_fold(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("fox", "__MACOSX", "yak"):
        (root / name).mkdir()
    for name in ("a.HEIC", "b.avif"):
        (root / "ant" / name).touch()
    source = FolderSource(root, folds=5)
    assert source.class_names == ("ant", "bee", "cat", "dog", "eel")
    assert all(source.listing("test", fold).pairs for fold in range(5))
    assert [each.partition(": ")[2] for each in caplog.messages] == [
        "left out 2 folders without images (fox, yak)",
        "left out 2 images in formats that are not read here (a.HEIC, b.avif): convert them to JPEG or PNG",
    ]


def test_masks_with_a_mark_and_jpeg_masks(root: Path) -> None:
    for number in range(3):
        (root / f"ant/{number}.png").rename(root / f"ant/{number}_mask.png")
        with Image.open(root / f"dog/masks/p{number}.bmp") as mask:
            bright = mask.point(lambda value: 255 * value).resize((60, 40))
        (root / f"dog/masks/p{number}.bmp").unlink()
        bright.save(root / f"dog/masks/p{number}_mask.JPG", quality=95)
        Image.new("RGB", (60, 40)).save(root / f"dog/images/p{number}.png")
    source = FolderSource(root, folds=2)
    assert source.read("ant/1", 0).mask.sum() == 12
    assert 1100 < source.read("dog/p1", 3).mask.sum() < 1300


def test_names_in_either_form_of_unicode_and_a_tilde(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair(root / normalize("NFD", "Bär/ü.jpg"), root / normalize("NFD", "Bär") / normalize("NFC", "ü.png"))
    monkeypatch.setenv("HOME", str(root.parent))
    source = FolderSource("~/own", folds=2, held_out=[[normalize("NFC", "Bär")], ["ant"]])
    assert source.listing("test", 0).pairs == ((normalize("NFC", "Bär/ü"), 0),)
    assert source.read(normalize("NFC", "Bär/ü"), 0).mask.any()


def test_a_mask_that_cannot_be_used_is_found_before_a_run_begins(root: Path) -> None:
    """All are read once; what was found is kept until a mask or its reading changes."""
    assert FolderSource(root, folds=2).listing("train", 0).pairs
    assert (root / ".hmseg/classes-folder.json").is_file()
    pixels = np.zeros((4, 6), np.uint8)
    pixels[1], pixels[2] = 3, 7
    Image.fromarray(pixels).save(root / "cat/2.png")
    for _ in range(2):
        with pytest.raises(DataError, match=r"cat/2\.png has several numbers"):
            FolderSource(root, folds=2).listing("train", 0)
    with pytest.raises(DataError, match=r"2\.png shows no object, read as dataset\.mask=7|0\.png shows no"):
        FolderSource(root, folds=2, mask=7).listing("train", 0)
    assert FolderSource(root, folds=2, mask="nonzero").listing("train", 0).pairs
