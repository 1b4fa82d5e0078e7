"""The published lists: fetched, checked by their digests, looked over."""

from __future__ import annotations

import hashlib
import pickle
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from hmseg.data.coco_lists import FOLDS, held_out, trained
from hmseg.data.fss import FssSource
from hmseg.data.lists import PUBLISHED
from hmseg.data.pascal import PascalSource
from hmseg.errors import DataError
from hmseg.preparation import lists
from website import Site


@pytest.fixture
def offered(site: Site, shared: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The published lists as HSNet's repository has them; for COCO short ones, taken to be published."""
    for benchmark in ("pascal", "fss"):
        for name in lists.FILES[benchmark]:
            site.files[f"{benchmark}/{name}"] = (shared / "splits" / benchmark / name).read_bytes()
    digests = {}
    for fold in range(FOLDS):
        for folder, split, classes in (("trn", "train", trained(fold)), ("val", "val", held_out(fold))):
            names = {each: f"COCO_{split}2014_{each:012d}" for each in classes}
            content = {each: [f"{split}2014/{name}.jpg"] for each, name in names.items()}
            site.files[f"coco/{folder}/fold{fold}.pkl"] = pickle.dumps(content)
            lines = "".join(f"{names[each]} {each}\n" for each in classes)
            digests[f"coco/{split}/{fold}"] = hashlib.sha256(lines.encode()).hexdigest()
    monkeypatch.setattr("hmseg.data.lists.PUBLISHED", {**PUBLISHED, **digests})
    return site


@pytest.mark.parametrize("benchmark", ["pascal", "coco", "fss"])
def test_fetched_lists_are_the_published_ones(offered: Site, tmp_path: Path, benchmark: str) -> None:
    folder = tmp_path / "splits"
    lists.fetch(benchmark, folder, offered.base)
    assert lists.published(benchmark, folder)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == set(lists.FILES[benchmark])
    assert len(offered.requests) == len(names)
    lists.fetch(benchmark, folder, offered.base)  # nothing more is asked for
    assert len(offered.requests) == len(names)
    assert [path.name for path in tmp_path.iterdir()] == ["splits"]


def test_shared_lists_are_the_published_ones(shared: Path) -> None:
    assert all(lists.published(benchmark, shared / "splits" / benchmark) for benchmark in ("pascal", "fss"))


def test_changed_lists_are_refused(offered: Site, tmp_path: Path) -> None:
    body = offered.files["pascal/val/fold2.txt"]
    offered.files["pascal/val/fold2.txt"] = body.replace(b"2007_", b"2008_", 1)
    with pytest.raises(DataError, match="what came are not the published lists; none is kept"):
        lists.fetch("pascal", tmp_path / "splits", offered.base)
    assert list(tmp_path.iterdir()) == []


def test_pickle_that_would_run_code_is_refused(offered: Site, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    offered.files["coco/trn/fold0.pkl"] = pickle.dumps({1: Evil()})
    with pytest.raises(DataError, match="not the published lists"):
        lists.fetch("coco", tmp_path / "splits", offered.base)
    assert list(tmp_path.iterdir()) == []


def test_missing_list_leaves_nothing_behind(offered: Site, tmp_path: Path) -> None:
    del offered.files["fss/test.txt"]
    with pytest.raises(DataError, match=r"fss/test\.txt: the server answers 404 .*; put data/splits/fss of"):
        lists.fetch("fss", tmp_path / "splits", offered.base)
    assert list(tmp_path.iterdir()) == []


def test_own_lists_are_not_overwritten(offered: Site, tmp_path: Path) -> None:
    (tmp_path / "trn.txt").write_text("mine\n")
    with pytest.raises(DataError, match=r"has other lists \(trn\.txt, …\): remove them, or leave out"):
        lists.fetch("fss", tmp_path, offered.base)
    assert offered.requests == []


def test_site_is_the_repository_at_a_fixed_commit() -> None:
    assert f"https://raw.githubusercontent.com/juhongm999/hsnet/{lists.COMMIT}/data/splits" == lists.SITE
    assert len(lists.COMMIT) == 40


def test_folder_of_lists(tmp_path: Path) -> None:
    assert lists.folder_of("coco", tmp_path, None) == tmp_path / "splits"
    assert lists.folder_of("coco", tmp_path, tmp_path / "lists") == tmp_path / "lists"
    (tmp_path / "lists/coco").mkdir(parents=True)
    assert lists.folder_of("coco", tmp_path, tmp_path / "lists") == tmp_path / "lists/coco"


def test_own_lists_are_noted_and_their_files_looked_for(voc: Path) -> None:
    own, files = lists.verify(partial(PascalSource, voc))
    assert (own.found, own.state, files.found, files.state) == ("own", "note", "all of 60 images", "ok")
    (voc / "JPEGImages/2007_010000.jpg").unlink()
    _, files = lists.verify(partial(PascalSource, voc))
    assert files.state == "missing"
    assert sum("val list" in item for item in files.items) == 1  # the test list is the same one
    assert all("2007_010000.jpg" in item for item in files.items)


def test_unreadable_lists_are_one_row(voc: Path) -> None:
    (voc / "splits/val/fold1.txt").write_text("nonsense\n")
    (row, *_) = lists.verify(partial(PascalSource, voc))
    assert row.failed and "nonsense" in row.found


def test_lists_of_a_benchmark_without_folds(tmp_path: Path, shared: Path) -> None:
    root = tmp_path / "FSS"
    for category in ("a", "b", "c"):
        (root / category).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(root / category / "1.jpg")
        Image.new("L", (4, 4), 255).save(root / category / "1.png")
    (tmp_path / "splits").mkdir()
    for name, category in (("trn", "a"), ("val", "b"), ("test", "c")):
        (tmp_path / f"splits/{name}.txt").write_text(f"{category}\n")
    _, files = lists.verify(partial(FssSource, root, tmp_path / "splits"))
    assert (files.found, files.state) == ("all of 3 images", "ok")
