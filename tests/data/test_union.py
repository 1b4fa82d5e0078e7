"""Several sources in one training: whose classes and images, and that tests stay those of the main one."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hmseg.data.cache import ImageCache
from hmseg.data.clean_selection import select
from hmseg.data.folder import FolderSource
from hmseg.data.pascal import CLASS_NAMES, PascalSource
from hmseg.data.protocols import hsnet_episodes
from hmseg.data.shapes import ShapesSource
from hmseg.data.source import Source
from hmseg.data.union import UnionSource
from hmseg.errors import DataError


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Two images each of four classes, one of which VOC has too (in fold 0), in the layout of a folder."""
    for number, name in enumerate(("bear", "bird", "otter", "tiger")):
        (tmp_path / "animals" / name).mkdir(parents=True)
        for index in range(2):
            at = tmp_path / "animals" / name / f"{index}"
            Image.new("RGB", (12, 10), (200, number, index)).save(at.with_suffix(".jpg"))
            mask = np.zeros((10, 12), np.uint8)
            mask[2:6, 2 : 4 + number] = 255
            Image.fromarray(mask).save(at.with_suffix(".png"))
    return tmp_path / "animals"


def union(voc: Path, animals: Path) -> UnionSource:
    own = FolderSource(animals, folds=1, held_out=[["otter", "tiger"]])
    return UnionSource(PascalSource(voc), {"animals": own})


def test_classes_are_those_of_all_by_name_without_the_held_out(voc: Path, animals: Path) -> None:
    source = union(voc, animals)
    assert isinstance(source, Source) and source.folds == 4 and source.lists == "own"
    assert source.class_names == (*CLASS_NAMES, "bear", "otter", "tiger")
    names = {fold: {source.class_names[each] for each in source.classes("train", fold)} for fold in (0, 1)}
    assert names[1] == {*(CLASS_NAMES[each] for each in PascalSource(voc).classes("train", 1)), "bear"}
    assert (
        "bird" not in names[0] and "bird" in names[1]
    )  # held out by the main one's fold 0, whoever shows it
    for fold in (0, 1):
        listing = source.listing("train", fold)
        assert {source.class_names[each] for each in listing.by_class} == names[fold]
        own = PascalSource(voc).listing("train", fold).pairs
        further = [("animals:bear/0", 20), ("animals:bear/1", 20)]
        further += [("animals:bird/0", 2), ("animals:bird/1", 2)] if fold else []
        assert listing.pairs == (*own, *further)
        assert source.listing("val", fold) == PascalSource(voc).listing("val", fold)
        assert source.classes("test", fold) == PascalSource(voc).classes("test", fold)
        tests = [hsnet_episodes(each.listing("test", fold), 1, 9) for each in (source, PascalSource(voc))]
        assert tests[0] == tests[1]


def test_images_are_read_from_their_own_source(voc: Path, animals: Path) -> None:
    source = pickle.loads(pickle.dumps(union(voc, animals)))  # as a worker gets it
    for name, class_id in source.listing("train", 1).pairs:
        sample = source.read(name, class_id)
        assert source.has(name) and sample.mask.any() and all(path.is_file() for path in source.files(name))
    assert source.read("animals:bird/1", 2).mask.sum() == 4 * 3
    assert not source.has("animals:bird/7") and not source.has("others:bird/0")
    with pytest.raises(DataError, match="image animals:bear/0 is not of class 0"):
        source.read("animals:bear/0", 0)
    with pytest.raises(DataError, match="makes its images"):
        UnionSource(PascalSource(voc), {"drawn": ShapesSource()}).files("drawn:anything")


def test_the_main_one_may_be_the_small_one_and_the_other_gives_all_its_folds(
    voc: Path, animals: Path
) -> None:
    """What ships: trained on all of VOC and the bears, told apart on otters and tigers."""
    main = FolderSource(animals, folds=1, held_out=[["otter", "tiger"]])
    source = UnionSource(main, {"voc": PascalSource(voc)})
    train = source.listing("train", 0)
    assert {source.class_names[each] for each in train.by_class} == {*CLASS_NAMES, "bear"}
    assert len(train.images) == len(train.pairs) == 3 * 20 + 4  # no image twice for its class
    assert [source.class_names[each] for each in source.classes("test", 0)] == ["otter", "tiger"]
    assert set(select(source, "clean").classes("val", 0)) < set(source.classes("train", 0))


def test_more_images_of_the_main_ones_classes(voc: Path, tmp_path: Path) -> None:
    """Lists that are empty for some folds; of the same folds, so the same fold is held out."""
    root = tmp_path / "extra"
    shutil.copytree(voc, root)
    for folder in ("trn", "val"):
        for fold in (0, 2, 3):
            (root / f"splits/{folder}/fold{fold}.txt").write_text("\n")
    with pytest.raises(DataError, match="fold0.txt is empty"):
        PascalSource(root)
    source = UnionSource(PascalSource(voc), {"extra": PascalSource(root, partial=True)})
    assert source.class_names == CLASS_NAMES
    for fold, further in ((0, 15), (1, 0)):
        pairs, own = source.listing("train", fold).pairs, PascalSource(voc).listing("train", fold).pairs
        assert len(pairs) == len(own) + further
        assert source.classes("train", fold) == PascalSource(voc).classes("train", fold)


def test_kept_images_do_not_mix_up_classes(voc: Path, animals: Path, tmp_path: Path) -> None:
    """The same image and file, but other ids of its class."""
    one, other = union(voc, animals), UnionSource(ShapesSource(), {"animals": FolderSource(animals, folds=2)})
    for source in (one, other):
        class_id = source.class_names.index("bear")
        kept = ImageCache(tmp_path / "cache", source, (8, 8))("animals:bear/0", class_id)
        assert np.array_equal(kept.mask, source.read("animals:bear/0", class_id).mask)
    paths = {
        ImageCache(tmp_path, each, (8, 8))._path("animals:bear/0", each.files("animals:bear/0"))
        for each in (one, other)
    }
    assert len(paths) == 2


@pytest.mark.parametrize("name", ["", "a:b"])
def test_names_that_cannot_be_told_from_an_image(voc: Path, name: str) -> None:
    with pytest.raises(DataError, match="a name without ':' was expected"):
        UnionSource(PascalSource(voc), {name: PascalSource(voc)})
