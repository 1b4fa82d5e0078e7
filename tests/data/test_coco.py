"""COCO-20i: folds, lists, masks from files and from the annotations, and what can be wrong."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hmseg.data.coco import CocoSource
from hmseg.data.source import Source
from hmseg.errors import DataError
from standin import COCO_CATEGORIES, IMAGES, coco_pickles, coco_root


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in that no test may change."""
    return coco_root(tmp_path_factory.mktemp("coco") / "COCO2014")


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """One to change."""
    return Path(shutil.copytree(made, tmp_path / "COCO2014"))


def test_is_a_source(made: Path) -> None:
    source = CocoSource(made)
    assert isinstance(source, Source)
    assert (source.name, source.folds, len(source.class_names), source.lists) == ("coco", 4, 80, "own")
    assert (source.class_names[0], source.class_names[79]) == ("person", "toothbrush")
    assert source.classes("val", 1)[:3] == source.classes("test", 1)[:3] == (1, 5, 9)
    assert set(source.classes("train", 1)) == set(range(80)) - set(source.classes("val", 1))


def test_listings(made: Path) -> None:
    source = CocoSource(made)
    val, train = source.listing("val", 2), source.listing("train", 2)
    assert val.draw == train.draw == "class" and val == source.listing("test", 2)
    assert set(val.by_class) == set(source.classes("val", 2))
    assert all(len(names) == IMAGES for names in train.by_class.values())
    assert train.epoch == len(train.images) == 15 * IMAGES  # four classes in each image
    order = [int(name[-12:]) for name in val.by_class[2]]
    assert order != sorted(order)  # the list's, not the names'
    assert all(name.startswith("COCO_val2014_") for name in val.images)


def test_pickles_in_a_folder_of_all_benchmarks(made: Path, tmp_path: Path) -> None:
    coco_pickles(tmp_path / "all/coco", made / "splits")
    text, pickles = CocoSource(made), CocoSource(made, tmp_path / "all")
    for fold in range(4):
        assert text.listing("train", fold) == pickles.listing("train", fold)
        assert text.listing("val", fold) == pickles.listing("val", fold)


def test_published_lists_are_recognised(made: Path, shared: Path, tmp_path: Path) -> None:
    assert CocoSource(made, shared / "splits").lists == "published"
    changed = shutil.copytree(shared / "splits/coco", tmp_path / "changed", copy_function=shutil.copyfile)
    changed.chmod(0o755)
    text = (changed / "val2014.txt").read_text().splitlines()
    words = text[3].split()
    text[3] = " ".join((words[0], words[2], words[1], *words[3:]))
    (changed / "val2014.txt").write_text("\n".join(text))
    assert CocoSource(made, changed).lists == "own"


@pytest.mark.parametrize("masks", ["masks", "json"])
def test_read(made: Path, masks: str) -> None:
    source = CocoSource(made, masks="json" if masks == "json" else made / masks)
    name = source.listing("val", 2).by_class[66][3]
    sample = source.read(name, 66)
    assert sample.image.shape == (*sample.mask.shape, 3) and not sample.void.any()
    labels = np.array(Image.open(made / f"masks/val2014/{name}.png"))
    assert np.array_equal(sample.mask, labels == 67) and sample.mask.any()
    assert source.files(name)[0] == made / f"val2014/{name}.jpg"


def test_masks_may_be_where_hsnet_has_them(root: Path) -> None:
    expected = CocoSource(root).read("COCO_val2014_000000001000", 0)
    for year in ("train2014", "val2014"):
        shutil.move(root / "masks" / year, root / "annotations" / year)
    found = CocoSource(root).read("COCO_val2014_000000001000", 0)
    assert np.array_equal(found.mask, expected.mask)
    for year in ("train2014", "val2014"):
        shutil.rmtree(root / "annotations" / year)
    with pytest.raises(DataError, match=r"mask folder .*masks has neither .* hmseg\.prepare .* or to json"):
        CocoSource(root)
    assert CocoSource(root, masks="json").read("COCO_val2014_000000001000", 0).mask.sum() > 0


def test_only_the_folder_that_is_used_is_needed(root: Path) -> None:
    for folder in ("train2014", "masks/train2014"):
        shutil.rmtree(root / folder)
    source = CocoSource(root)
    assert len(source.listing("val", 0).by_class) == 20
    with pytest.raises(DataError, match=r"train lists of fold 0 .* missing .*train2014/COCO_train2014_"):
        source.listing("train", 0)


def test_missing_files_are_counted(root: Path) -> None:
    names = CocoSource(root).listing("val", 1).images
    for name in names[:3]:
        (root / f"val2014/{name}.jpg").unlink()
    for name in names[2:6]:
        (root / f"masks/val2014/{name}.png").unlink()
    with pytest.raises(DataError, match="^7 files named by the val lists of fold 1") as caught:
        CocoSource(root).listing("val", 1)
    message = str(caught.value)
    assert f"val2014/{names[0]}.jpg, " in message and f"masks/val2014/{names[2]}.png" in message
    assert names[5] not in message and ", ...; complete the folder, cut the lists" in message
    CocoSource(root).listing("val", 0)  # the other lists are whole


def test_an_image_that_the_annotations_lack(root: Path) -> None:
    path = root / "annotations/instances_val2014.json"
    content = json.loads(path.read_text())
    lost = content["images"].pop(0)
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] != lost["id"]]
    path.write_text(json.dumps(content))
    with pytest.raises(
        DataError, match="^1 file named by .*instances_val2014.json: COCO_val2014_000000001000"
    ):
        CocoSource(root, masks="json").listing("val", 0)


def test_has_looks_at_names_only_in_its_folders(made: Path) -> None:
    source = CocoSource(made)
    assert source.has("COCO_val2014_000000001000") and source.has("COCO_train2014_000000001000")
    for name in ("COCO_val2014_000000000001", "2007_000033", "../val2014/COCO_val2014_000000001000", ""):
        assert not source.has(name)
    with pytest.raises(DataError, match="'../x' came, a name such as COCO_val2014_000000000042 was expected"):
        source.read("../x", 0)


def test_a_mask_without_the_class(made: Path) -> None:
    with pytest.raises(
        DataError, match=r"COCO_val2014_000000001000 \(.*png\) has no pixel of class 7 \(truck\)"
    ):
        CocoSource(made).read("COCO_val2014_000000001000", 7)


def test_folds_and_options(made: Path) -> None:
    source = CocoSource(made)
    for fold, message in ((4, "fold 4 does not exist: COCO-20i has folds 0 to 3"), (None, "fold=null came")):
        for call in (source.classes, source.listing):
            with pytest.raises(DataError, match=message):
                call("val", fold)  # type: ignore[operator]
    with pytest.raises(DataError, match="unknown value of dataset.novel 'all'"):
        CocoSource(made, novel="all")
    with pytest.raises(DataError, match=r"COCO root .*nowhere does not exist"):
        CocoSource(made / "nowhere")


def test_novel_images_can_be_dropped(root: Path) -> None:
    kept, left = (CocoSource(root, novel=novel).listing("train", 1) for novel in ("keep", "drop"))
    gone = set(kept.images) - set(left.images)
    labels = {name: np.array(Image.open(root / f"masks/train2014/{name}.png")) for name in kept.images}
    novel = {name for name in kept.images if set(np.unique(labels[name])) & set(range(2, 81, 4))}
    assert gone == novel and 0 < len(gone) < len(kept.images) / 2
    assert left.draw == "class"
    painted = CocoSource(root, masks="json", novel="drop").listing("train", 1)
    assert painted == left


def big_mask(value: int, size: int = 128) -> Image.Image:
    labels = np.zeros((size, size), np.uint8)
    labels[: size // 2] = value
    labels[100, 100] = 80  # one pixel of another class
    return Image.fromarray(labels)


def test_lists_are_made_from_the_masks_where_there_are_none(root: Path) -> None:
    shutil.rmtree(root / "splits")
    for path in (root / "masks/val2014").iterdir():
        big_mask(1 + int(path.stem[-1]) % 8).save(path)
    source = CocoSource(root)
    listing = source.listing("val", 0)
    assert source.lists == "own" and set(listing.by_class) == {0, 4} and listing.draw == "class"
    assert all(list(names) == sorted(names) for names in listing.by_class.values())
    assert (root / ".hmseg/classes-coco-val2014.json").is_file()
    for folder in ("val2014", "masks/val2014"):
        shutil.rmtree(root / folder)
    with pytest.raises(DataError, match="no images of val2014 with masks, and no lists were given"):
        CocoSource(root).listing("val", 0)


def test_workers_get_no_lists(made: Path) -> None:
    source = CocoSource(made)
    before = len(pickle.dumps(source))
    for fold in range(4):
        source.listing("train", fold)
    assert len(pickle.dumps(source)) == before
    assert pickle.loads(pickle.dumps(source)).read("COCO_val2014_000000001000", 0).mask.any()


def test_shared_photos(shared: Path) -> None:
    """Real photos: every published pair of theirs is read, from files and painted."""
    root = shared / "data/COCO2014_mini"
    source = CocoSource(root, shared / "splits")
    listed = [pair for fold in range(4) for pair in source._listed("val", fold).pairs if source.has(pair[0])]
    assert len(listed) == 48 and len(COCO_CATEGORIES) == 80
    for name, class_id in listed:
        assert source.read(name, class_id).mask.any()
    with pytest.raises(DataError, match=r"^\d+ files named by the val lists of fold 0 .* are missing"):
        source.listing("val", 0)


@pytest.mark.parametrize("annotated", [True, False])
def test_masks_of_cocos_own_category_ids_are_refused(root: Path, annotated: bool) -> None:
    """With annotations beside them at the first look, else where an id is beyond the 80 classes."""
    shutil.rmtree(root / "splits")
    for path in (root / "masks").rglob("*.png"):
        labels = np.array(Image.open(path))
        ids = np.array([0, *COCO_CATEGORIES, *[0] * (255 - len(COCO_CATEGORIES))], np.uint8)[labels]
        ids[(ids > 80) & annotated] = 0
        Image.fromarray(ids).save(path)
    if not annotated:
        shutil.move(root / "annotations", root / "elsewhere")
    for _ in range(2):  # nothing of it is kept
        words = (
            r"shows the classes .*, its annotations .* say" if annotated else r"holds the number \d+, 1 to 80"
        )
        with pytest.raises(DataError, match=rf"mask .*{words} .*hmseg\.prepare dataset=coco, or set"):
            CocoSource(root).listing("val", 3)
