"""COCO -> PASCAL: two data sets, one source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hmseg.data.coco2pascal import NOVEL_CLASSES, Coco2PascalSource
from hmseg.data.pascal_lists import read_list
from hmseg.data.source import Source, class_names_of
from hmseg.errors import DataError
from standin import IMAGES, coco_root, pascal_root

# REFERENCE section 9, 1-based
TABLE = {0: "1 4 9 11 12 15", 1: "2 6 13 18", 2: "3 7 16 17 19 20", 3: "5 8 10 14"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Coco2PascalSource:
    folder = tmp_path_factory.mktemp("both")
    return Coco2PascalSource(coco_root(folder / "coco"), pascal_root(folder / "voc"))


def test_is_a_source(source: Coco2PascalSource) -> None:
    assert isinstance(source, Source)
    assert (source.name, source.folds, source.lists) == ("coco2pascal", 4, "own")


@pytest.mark.parametrize("fold", range(4))
def test_classes(source: Coco2PascalSource, fold: int) -> None:
    assert source.classes("test", fold) == tuple(int(number) - 1 for number in TABLE[fold].split())
    assert source.classes("val", fold) == source.coco.classes("val", fold)
    assert source.classes("train", fold) == source.coco.classes("train", fold)


def test_tested_classes_were_not_trained_on() -> None:
    """By name: the VOC classes of a fold are among the COCO classes that it holds out."""
    coco = {"aeroplane": "airplane", "motorbike": "motorcycle", "diningtable": "dining table",
            "pottedplant": "potted plant", "sofa": "couch", "tvmonitor": "tv"}  # fmt: skip
    for fold, classes in enumerate(NOVEL_CLASSES):
        names = [Coco2PascalSource.test_class_names[each] for each in classes]
        places = [Coco2PascalSource.class_names.index(coco.get(name, name)) for name in names]
        assert {place % 4 for place in places} == {fold}
    assert sorted(each for classes in NOVEL_CLASSES for each in classes) == list(range(20))


def test_pairs_of_the_published_lists(shared: Path) -> None:
    every = [pair for fold in range(4) for pair in read_list(shared / "splits/pascal", "val", fold).pairs]
    counts = [sum(class_id in classes for _, class_id in every) for classes in NOVEL_CLASSES]
    assert counts == [817, 292, 438, 321]


def test_listings(source: Coco2PascalSource) -> None:
    assert source.listing("train", 1) == source.coco.listing("train", 1)
    assert source.listing("val", 1) == source.coco.listing("val", 1)
    test = source.listing("test", 1)
    assert test.draw == "pairs" and len(test.pairs) == 4 * IMAGES and test.test_episodes == 1000
    assert [name for name, _ in test.pairs] == sorted(name for name, _ in test.pairs)
    assert class_names_of(source, "test")[test.pairs[0][1]] == "bicycle"
    assert class_names_of(source, "val")[1] == "bicycle" and class_names_of(source, "val")[2] == "car"


def test_each_image_is_read_from_its_own_data_set(source: Coco2PascalSource) -> None:
    voc, coco = source.listing("test", 0).pairs[0], source.listing("train", 0).pairs[0]
    assert np.array_equal(source.read(*voc).void, source.pascal.read(*voc).void)
    assert source.read(*voc).void.any()
    assert np.array_equal(source.read(*coco).mask, source.coco.read(*coco).mask)
    assert source.files(voc[0]) == source.pascal.files(voc[0]) != source.files(coco[0])
    assert source.has(voc[0]) and source.has(coco[0]) and not source.has("2007_999999")


def test_a_test_needs_no_coco(source: Coco2PascalSource, tmp_path: Path) -> None:
    alone = Coco2PascalSource(tmp_path / "nowhere", source.pascal.root)
    assert alone.listing("test", 2) == source.listing("test", 2) and alone.lists == "own"
    assert alone.classes("val", 2) == source.classes("val", 2)
    assert alone.read(*alone.listing("test", 2).pairs[0]).mask.any()
    with pytest.raises(DataError, match=r"COCO root .*nowhere does not exist"):
        alone.listing("val", 2)


def test_unknown_fold(source: Coco2PascalSource) -> None:
    with pytest.raises(DataError, match="fold 4 does not exist: COCO -> PASCAL has folds 0 to 3"):
        source.classes("test", 4)
    with pytest.raises(DataError, match="fold=null came"):
        source.listing("test", None)
