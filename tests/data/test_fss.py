"""FSS-1000: classes without folds, every image once, masks of every kind."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hmseg.data.fss import FssSource, category_listing, draw_categories, read_categories
from hmseg.data.source import Source
from hmseg.errors import DataError
from standin import FSS_CATEGORIES, IMAGES, fss_root


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fss_root(tmp_path_factory.mktemp("fss") / "FSS-1000")


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "FSS-1000"))


def test_is_a_source(made: Path) -> None:
    source = FssSource(made)
    assert isinstance(source, Source)
    assert (source.name, source.folds, source.lists) == ("fss", 0, "own")
    assert source.class_names[:4] == ("abacus", "mug", "taxi", "zebra")  # sorted within each split
    assert [source.classes(split) for split in ("train", "val", "test")] == [
        (0, 1, 2, 3),
        (4, 5, 6),
        (7, 8, 9),
    ]


def test_every_image_once(made: Path) -> None:
    source = FssSource(made)
    listing = source.listing("test", None)
    assert len(listing.pairs) == listing.test_episodes == listing.epoch == 3 * IMAGES
    assert [name for name, _ in listing.pairs[:3]] == ["abe's_flyingfish/10", "abe's_flyingfish/4",
                                                       "abe's_flyingfish/5"]  # fmt: skip
    assert listing.by_class[7][-1] == "abe's_flyingfish/10"  # supports by number
    assert set(source.listing("val").by_class) == {4, 5, 6}


def test_published_lists(shared: Path) -> None:
    source = FssSource(shared / "data/FSS-1000_mini", shared / "splits")
    assert source.lists == "published"
    assert [len(source.classes(split)) for split in ("train", "val", "test")] == [520, 240, 240]
    assert source.classes("test")[0] == 760 and source.class_names[760] == "abe's_flyingfish"
    with pytest.raises(DataError, match=r"^\d+ files named by the test list .* are missing under"):
        source.listing("test")


def test_shared_photos(shared: Path, tmp_path: Path) -> None:
    root = shared / "data/FSS-1000_mini"
    splits = tmp_path / "splits"
    splits.mkdir()
    for file, category in (("trn", "african_elephant"), ("val", "eiffel_tower"), ("test", "none")):
        (splits / f"{file}.txt").write_text(f"{category}\n")
    source = FssSource(root, splits)
    assert [name for name, _ in source.listing("val").pairs] == [f"eiffel_tower/{n}" for n in range(1, 6)]
    for category, class_id in (("african_elephant", 0), ("eiffel_tower", 1)):
        for path in (root / category).glob("*.jpg"):
            sample = source.read(f"{category}/{path.stem}", class_id)
            grey = np.array(Image.open(path.with_suffix(".png")).convert("L"))
            assert np.array_equal(sample.mask, grey >= 128) and sample.mask.any() and not sample.void.any()


def test_fold_is_refused(made: Path) -> None:
    source = FssSource(made)
    for call in (source.classes, source.listing):
        with pytest.raises(DataError, match="fold=0 came, FSS-1000 has no folds: give fold=null"):
            call("val", 0)  # type: ignore[operator]


def test_files_without_a_partner_are_counted(root: Path) -> None:
    (root / "yurt/5.png").unlink()
    (root / "yurt/6.jpg").unlink()
    shutil.rmtree(root / "comb")
    with pytest.raises(DataError, match="^3 files named by the test list") as caught:
        FssSource(root).listing("test")
    assert "comb/*.jpg, yurt/5.png, yurt/6.jpg; complete the folder" in str(caught.value)
    FssSource(root).listing("val")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("val.txt", "bus\nbus\n", r"val\.txt line 2: 'bus' came, which list .*val\.txt line 1 has already"),
        ("test.txt", "yurt\nbus\n", r"test\.txt line 2: 'bus' came, which list .*val\.txt"),
        ("trn.txt", "../secret\n", "'../secret' leaves the image folder"),
        ("trn.txt", "", r"trn\.txt is empty"),
    ],
)
def test_malformed_lists(root: Path, file: str, text: str, message: str) -> None:
    (root / "splits" / file).write_text(text)
    with pytest.raises(DataError, match=message):
        FssSource(root)


def test_a_missing_list(root: Path) -> None:
    (root / "splits/test.txt").unlink()
    with pytest.raises(DataError, match=r"test\.txt cannot be read .*: put the published FSS"):
        read_categories(root / "splits")


def test_categories_are_drawn_where_there_are_no_lists(root: Path) -> None:
    shutil.rmtree(root / "splits")
    source = FssSource(root)
    splits = [source.classes(split) for split in ("train", "val", "test")]
    assert [len(classes) for classes in splits] == [5, 2, 3] and source.lists == "own"
    assert sorted(source.class_names) == sorted(name for names in FSS_CATEGORIES.values() for name in names)
    assert FssSource(root).class_names == source.class_names
    assert draw_categories(source.class_names, seed=1) != draw_categories(source.class_names, seed=0)
    assert len(source.listing("train").pairs) == 5 * IMAGES


def test_too_few_categories(tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    with pytest.raises(DataError, match="has 1 folders of categories, at least 3 were expected"):
        FssSource(tmp_path)


def test_masks(root: Path) -> None:
    source = FssSource(root)
    class_id = source.class_names.index("yurt")
    path = root / "yurt/5.png"
    expected = source.read("yurt/5", class_id).mask
    Image.fromarray(np.where(expected, 255, 0).astype(np.uint8)).convert("RGBA").save(path)
    assert np.array_equal(source.read("yurt/5", class_id).mask, expected)
    height, width = expected.shape
    Image.open(path).resize((2 * width, 2 * height), Image.Resampling.NEAREST).save(path)
    assert np.array_equal(source.read("yurt/5", class_id).mask, expected)
    Image.open(path).resize((width, 2 * height)).save(path)
    with pytest.raises(DataError, match=r"yurt/5\.png is .* pixels, .* the size of .*yurt/5\.jpg"):
        source.read("yurt/5", class_id)
    Image.new("L", (width, height), 127).save(path)
    with pytest.raises(DataError, match=r"yurt/5\.png has no foreground"):
        source.read("yurt/5", class_id)
    with pytest.raises(DataError, match="yurt/4 is not of class 0: it shows yurt only"):
        source.read("yurt/4", 0)


def test_has(made: Path) -> None:
    source = FssSource(made)
    assert source.has("yurt/10")
    for name in ("yurt/1", "yurt", "splits/trn", "../FSS-1000/yurt/10", "yurt/../yurt/10", ""):
        assert not source.has(name)


def test_listing_of_ten_images_is_in_string_order() -> None:
    names = [name for name, _ in category_listing(["b", "a"], first=5).pairs]
    assert names[:4] == ["a/1", "a/10", "a/2", "a/3"] and len(names) == 20
