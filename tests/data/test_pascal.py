"""PASCAL-5i: folds, lists, masks, and every way in which a folder can be wrong."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hmseg.data.pascal import PascalSource
from hmseg.data.pascal_lists import read_list
from hmseg.data.source import Source
from hmseg.errors import DataError
from standin import pascal_root


def test_is_a_source(voc: Path) -> None:
    source = PascalSource(voc)
    assert isinstance(source, Source)
    assert (source.name, source.folds, len(source.class_names)) == ("pascal", 4, 20)
    assert source.class_names[7] == "cat" and source.class_names[19] == "tvmonitor"


@pytest.mark.parametrize(("fold", "classes"), [(0, (0, 1, 2, 3, 4)), (3, (15, 16, 17, 18, 19))])
def test_fold_classes(voc: Path, fold: int, classes: tuple[int, ...]) -> None:
    source = PascalSource(voc)
    assert source.classes("val", fold) == source.classes("test", fold) == classes
    assert source.classes("train", fold) == tuple(each for each in range(20) if each not in classes)


def test_val_listing_is_the_list_of_the_fold(voc: Path) -> None:
    listing = PascalSource(voc).listing("val", 1)
    assert listing.pairs[:4] == (
        ("2007_060000", 5),
        ("2007_060001", 5),
        ("2007_060002", 5),
        ("2007_070000", 6),
    )
    assert tuple(listing.by_class) == (5, 6, 7, 8, 9)


def test_train_listing_is_the_other_folds_in_order(voc: Path) -> None:
    classes = [class_id for _, class_id in PascalSource(voc).listing("train", 1).pairs]
    assert classes == sorted(classes)
    assert set(classes) == set(range(20)) - {5, 6, 7, 8, 9}


@pytest.mark.parametrize("fold", [-1, 4])
def test_unknown_fold(voc: Path, fold: int) -> None:
    source = PascalSource(voc)
    message = f"fold {fold} does not exist: PASCAL-5i has folds 0 to 3"
    for call in (lambda: source.classes("val", fold), lambda: source.listing("val", fold)):
        with pytest.raises(DataError, match=message):
            call()


def test_splits_from_another_folder(voc: Path, tmp_path: Path) -> None:
    shutil.move(voc / "splits", tmp_path / "elsewhere")
    assert len(PascalSource(voc, tmp_path / "elsewhere").listing("val", 0).pairs) == 15
    with pytest.raises(DataError, match=r"splits folder .* does not exist .* dataset\.splits"):
        PascalSource(voc, voc / "nowhere")
    (tmp_path / "all").mkdir()
    with pytest.raises(DataError, match=r"all holds no pascal lists \(trn or val was expected"):
        PascalSource(voc, tmp_path / "all")
    shutil.move(tmp_path / "elsewhere", tmp_path / "all/pascal")  # HSNet's folder of all benchmarks
    assert len(PascalSource(voc, tmp_path / "all").listing("test", 0).pairs) == 15


@pytest.mark.parametrize("folder", [".", "JPEGImages", "SegmentationClassAug"])
def test_missing_folder(voc: Path, folder: str) -> None:
    shutil.move(voc / "splits", voc.parent / "splits")
    shutil.rmtree(voc / folder)
    with pytest.raises(DataError, match=rf"{re.escape(str(voc / folder))} does not exist .*dataset\.root"):
        PascalSource(voc, voc.parent / "splits")


def test_no_fold(voc: Path) -> None:
    with pytest.raises(DataError, match="fold=null came, PASCAL-5i has folds 0 to 3: give one of them"):
        PascalSource(voc).listing("val", None)


def test_missing_list(voc: Path) -> None:
    (voc / "splits/val/fold2.txt").unlink()
    with pytest.raises(DataError, match=r"list .*val/fold2\.txt cannot be read .*: put the published"):
        PascalSource(voc)


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_empty_list(voc: Path, text: str) -> None:
    (voc / "splits/trn/fold0.txt").write_text(text)
    with pytest.raises(DataError, match=r"list .*trn/fold0\.txt is empty"):
        PascalSource(voc)


def test_list_that_is_not_text(voc: Path) -> None:
    (voc / "splits/trn/fold0.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match=r"fold0\.txt is not UTF-8 text"):
        PascalSource(voc)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2007_010000", "'2007_010000' came, NAME__CC was expected"),
        ("2007_010000__1", "NAME__CC was expected"),
        ("__01", "NAME__CC was expected"),
        ("../secret__01", "'../secret' leaves the image folder"),
        ("/etc/passwd__01", "'/etc/passwd' leaves the image folder"),
        ("..\\secret__01", "leaves the image folder"),
        ("..__01", "'..' leaves the image folder"),
        ("2007_010000__06", "class 06 came, fold 0 has classes 01 to 05"),
        ("2007_010000__00", "class 00 came, fold 0 has classes 01 to 05"),
    ],
)
def test_malformed_line_is_named(voc: Path, line: str, message: str) -> None:
    path = voc / "splits/val/fold0.txt"
    path.write_text("2007_010000__01\n" + line + "\n")
    with pytest.raises(DataError, match=re.escape(f"list {path} line 2: ") + ".*" + re.escape(message)):
        PascalSource(voc)


def test_line_ends_of_windows_and_blank_lines_are_accepted(voc: Path) -> None:
    (voc / "splits/val/fold0.txt").write_bytes(b"\xef\xbb\xbf2007_010000__01\r\n\r\n2007_010001__01\r\n")
    assert read_list(voc / "splits", "val", 0).pairs == (("2007_010000", 0), ("2007_010001", 0))


def test_missing_files_are_counted_and_five_shown(voc: Path) -> None:
    source = PascalSource(voc)
    for index in range(3):
        (voc / f"JPEGImages/2007_06000{index}.jpg").unlink()
        (voc / f"SegmentationClassAug/2007_07000{index}.png").unlink()
    with pytest.raises(DataError) as caught:
        source.listing("val", 1)
    message = str(caught.value)
    assert message.startswith("6 files named by the val lists of fold 1")
    assert "JPEGImages/2007_060000.jpg" in message and "SegmentationClassAug/2007_070001.png" in message
    assert "2007_070002" not in message and ", ...;" in message and "cut the lists" in message
    source.listing("val", 0)  # the other lists are whole


def test_read_cuts_out_one_class(voc: Path) -> None:
    sample = PascalSource(voc).read("2007_080001", 7)
    mask, void = np.zeros((10, 14), bool), np.zeros((10, 14), bool)
    mask[2:6, 3:9], void[9] = True, True
    assert sample.image.shape == (10, 14, 3) and sample.image.dtype == np.uint8
    np.testing.assert_array_equal(sample.mask, mask)  # row 7 is of another class: background
    np.testing.assert_array_equal(sample.void, void)


def test_read_other_class_of_the_same_image(voc: Path) -> None:
    sample = PascalSource(voc).read("2007_080001", 21 - 8 - 1)
    assert sample.mask.sum() == 14 and sample.mask[7].all()


def test_class_that_is_not_in_the_mask(voc: Path) -> None:
    with pytest.raises(DataError, match=r"2007_080001\.png has no pixel of class 0 \(aeroplane, value 1\)"):
        PascalSource(voc).read("2007_080001", 0)


def test_mask_of_another_size(voc: Path) -> None:
    path = voc / "SegmentationClassAug/2007_080001.png"
    Image.fromarray(np.full((4, 6), 8, np.uint8)).save(path)
    with pytest.raises(DataError, match=r"2007_080001\.png is 6x4 pixels, 14x10 were expected"):
        PascalSource(voc).read("2007_080001", 7)


@pytest.mark.parametrize(
    ("fold", "train", "val"), [(0, 2369, 16), (1, 1840, 211), (2, 1073, 303), (3, 1957, 93)]
)
def test_shared_photos_have_all_files_of_their_lists(shared: Path, fold: int, train: int, val: int) -> None:
    source = PascalSource(shared / "data/VOC2012")
    assert len(source.listing("train", fold).pairs) == train
    assert len(source.listing("val", fold).pairs) == val


def test_shared_photos_of_fold_1_are_read(shared: Path) -> None:
    source = PascalSource(shared / "data/VOC2012")
    for name, class_id in source.listing("val", 1).pairs[::7]:
        sample = source.read(name, class_id)
        assert sample.image.shape == (*sample.mask.shape, 3)
        assert sample.mask.any() and not (sample.mask & sample.void).any()


@pytest.mark.parametrize(
    ("split", "lengths"), [("train", (2286, 3425, 5883, 2086)), ("val", (346, 451, 725, 346))]
)
def test_published_lists(shared: Path, split: str, lengths: tuple[int, ...]) -> None:
    assert tuple(len(read_list(shared / "splits/pascal", split, fold).pairs) for fold in range(4)) == lengths  # type: ignore[arg-type]


def test_published_lists_are_recognised(shared: Path, voc: Path) -> None:
    assert PascalSource(voc, shared / "splits").lists == "published"
    assert PascalSource(voc).lists == "own"
    assert PascalSource(shared / "data/VOC2012").lists == "own"  # cut to the images that are there


def test_has_and_files(voc: Path) -> None:
    source = PascalSource(voc)
    assert source.has("2007_080001") and source.files("2007_080001")[1].is_file()
    for name in ("2007_999999", "../JPEGImages/2007_080001", ""):
        assert not source.has(name)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pascal_root(tmp_path_factory.mktemp("pascal") / "VOC2012")


def test_novel_images_can_be_dropped(made: Path) -> None:
    """In the stand-in an image of fold f also shows a class of fold f + 1."""
    for fold in range(4):
        kept, left = (PascalSource(made, novel=novel).listing("train", fold) for novel in ("keep", "drop"))
        assert {class_id // 5 for _, class_id in kept.pairs} == {0, 1, 2, 3} - {fold}
        assert {class_id // 5 for _, class_id in left.pairs} == {0, 1, 2, 3} - {fold, (fold - 1) % 4}
        assert left.pairs == tuple(pair for pair in kept.pairs if pair in set(left.pairs))
        assert PascalSource(made, novel="drop").listing("val", fold) == PascalSource(made).listing(
            "val", fold
        )
    with pytest.raises(DataError, match="unknown value of dataset.novel 'no'"):
        PascalSource(made, novel="no")


def test_lists_are_made_from_the_masks_where_there_are_none(voc: Path) -> None:
    shutil.rmtree(voc / "splits")
    with pytest.raises(DataError, match=r"neither fold lists .* nor VOC's own list .*set dataset\.splits"):
        PascalSource(voc).listing("val", 0)
    held_back = []
    for path in sorted((voc / "SegmentationClassAug").iterdir()):
        labels = np.zeros((128, 100), np.uint8)
        labels[:64] = int(path.stem[5:7])
        labels[70, 70] = 20  # a pixel is not enough
        Image.fromarray(labels).save(path)
        if path.stem.endswith("0"):
            held_back.append(path.stem)
    (voc / "ImageSets/Segmentation").mkdir(parents=True)
    (voc / "ImageSets/Segmentation/val.txt").write_text("\n".join(held_back))
    source = PascalSource(voc)
    assert source.lists == "own"
    val, train = source.listing("val", 1), source.listing("train", 1)
    assert val.pairs == tuple((f"2007_{number:02d}0000", number - 1) for number in range(6, 11))
    classes = [class_id for _, class_id in train.pairs]
    assert classes == sorted(classes) and set(classes) == set(range(20)) - set(range(5, 10))
    assert len(train.pairs) == 15 * 2 and not set(train.images) & set(held_back)
    assert (voc / ".hmseg/classes-pascal.json").is_file()
