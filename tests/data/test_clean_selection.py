"""Validation on classes set aside from training."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from hmseg.data.clean_selection import CleanSelection, select, set_aside
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.fss import FssSource
from hmseg.data.pascal import PascalSource
from hmseg.data.shapes import ShapesSource
from hmseg.data.source import Source
from hmseg.errors import ConfigError, DataError
from standin import fss_root


def test_a_fifth_of_the_training_classes() -> None:
    assert set_aside(tuple(range(60))) == tuple(range(4, 60, 5))
    assert set_aside((7, 9)) == (9,)


@pytest.mark.parametrize("fold", range(4))
def test_no_class_is_in_two_of_training_validation_and_test(voc: Path, fold: int) -> None:
    published, clean = PascalSource(voc), select(PascalSource(voc), "clean")
    assert isinstance(clean, Source)
    groups = [set(clean.classes(split, fold)) for split in ("train", "val", "test")]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 20 and len(groups[1]) == 3
    assert clean.classes("test", fold) == published.classes("test", fold)
    assert clean.listing("test", fold) == published.listing("test", fold)
    train, val = clean.listing("train", fold), clean.listing("val", fold)
    assert {class_id for _, class_id in train.pairs} == groups[0]
    assert {class_id for _, class_id in val.pairs} == groups[1]
    assert sorted(train.pairs + val.pairs) == sorted(published.listing("train", fold).pairs)
    assert clean.lists == published.lists and clean.name == "pascal"


def test_it_reads_and_travels_like_its_source(voc: Path) -> None:
    source = PascalSource(voc)
    clean = pickle.loads(pickle.dumps(CleanSelection(source)))
    name, class_id = source.listing("train", 0).pairs[0]
    assert clean.has(name) and not clean.has("2007_999999")
    assert (clean.read(name, class_id).image == source.read(name, class_id).image).all()
    assert clean.files(name) == source.files(name)
    assert not hasattr(CleanSelection(ShapesSource()), "files")  # so no cache of files is made for it


def test_published_and_benchmarks_with_validation_classes_stay_as_they_are(tmp_path: Path) -> None:
    shapes, fss = ShapesSource(), FssSource(fss_root(tmp_path))
    assert select(shapes, "published") is shapes and select(fss, "clean") is fss
    with pytest.raises(ConfigError, match="unknown selection 'cleen': did you mean 'clean'"):
        select(shapes, "cleen")


def test_one_training_class_cannot_be_set_aside() -> None:
    class One(ShapesSource):
        def classes(self, split: str, fold: int | None) -> tuple[int, ...]:  # type: ignore[override]
            return (0,)

    with pytest.raises(DataError, match="trains on 1 class: none can be set aside"):
        CleanSelection(One()).classes("val", 0)


def test_the_data_module_validates_on_them_and_tests_as_before(voc: Path) -> None:
    options = {"fold": 1, "size": 16, "val_episodes": 9, "test_episodes": 10}
    clean = EpisodeDataModule(PascalSource(voc), selection="clean", **options)  # type: ignore[arg-type]
    published = EpisodeDataModule(PascalSource(voc), **options)  # type: ignore[arg-type]
    assert clean.classes == (4, 14, 19) and clean.test_classes == published.test_classes == (5, 6, 7, 8, 9)
    assert {spec.class_id for spec in clean.val_specs} == {4, 14, 19}
    assert clean.test_specs == published.test_specs
    assert not {class_id for _, class_id in clean.train_listing.pairs} & {4, 14, 19, 5, 6, 7, 8, 9}
    assert len(clean.train_dataloader()) == 36 and len(published.train_dataloader()) == 45
