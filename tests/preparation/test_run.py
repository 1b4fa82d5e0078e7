"""A whole preparation from a server: lists, downloads that break off, masks, verification."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from hmseg.data.pascal import PascalSource
from hmseg.data.pascal_lists import held_out
from hmseg.errors import ConfigError, DataError
from hmseg.preparation import download, lists, pascal, run
from hmseg.preparation.archives import Shelf
from hmseg.preparation.run import Place, Plan
from made_archives import published, sbd_members, tar, voc_members
from website import Site


@pytest.fixture
def plan(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """PASCAL from the server, its lists being taken for the published ones."""
    archives = []
    for path in (
        tar(tmp_path / "VOCtrainval_11-May-2012.tar", voc_members()),
        tar(tmp_path / "benchmark.tgz", sbd_members(), "w:gz"),
    ):
        site.files[path.name] = path.read_bytes()
        archives.append(published(path, site.url(path.name)))
        path.unlink()
    voc, sbd = archives
    monkeypatch.setattr(pascal, "VOC", voc)
    monkeypatch.setattr(pascal, "SBD", sbd)
    monkeypatch.setitem(run.ARCHIVES, "pascal", (voc, sbd))
    for name, number in (("IMAGES", 7), ("VOC_MASKS", 3), ("SBD_MASKS", 6), ("MASKS", 7)):
        monkeypatch.setattr(pascal, name, number)
    digests = {}
    for fold in range(4):
        name, class_id = f"2007_00000{fold}", held_out(fold)[0]
        digest = hashlib.sha256(f"{name} {class_id}\n".encode()).hexdigest()
        for folder, split in (("trn", "train"), ("val", "val")):
            site.files[f"pascal/{folder}/fold{fold}.txt"] = f"{name}__{class_id + 1:02d}\n".encode()
            digests[f"pascal/{split}/{fold}"] = digest
    monkeypatch.setattr("hmseg.data.lists.PUBLISHED", digests)
    monkeypatch.setattr(lists, "SITE", site.base)
    root = tmp_path / "VOC2012"
    place = Place("pascal", root)
    return Plan("pascal", (place,), partial(PascalSource, root), Shelf(), None, False, True, 0)


def test_everything_comes_from_the_server(
    plan: Plan, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.run(plan)
    out = capsys.readouterr().out
    assert "│ image lists" in out and "│ own" not in out
    assert "VOC2012/downloads: the archives (" in out and "are not needed any more" in out
    assert PascalSource(tmp_path / "VOC2012").lists == "published"
    asked = len(site.requests)
    run.run(plan)
    assert len(site.requests) == asked


def test_broken_download_goes_on_in_the_next_run(plan: Plan, site: Site, tmp_path: Path) -> None:
    site.stop_after = [10_000_000] * 8 + [2000] * download.ATTEMPTS  # eight lists, then the archive
    with pytest.raises(DataError, match=r"2012\.tar: the connection broke off .* run again"):
        run.run(plan)
    kept = (tmp_path / "VOC2012/downloads/VOCtrainval_11-May-2012.tar.part").stat().st_size
    assert kept == 2000 * download.ATTEMPTS
    site.requests.clear()
    run.run(plan)
    assert site.requests[0] == f"bytes={kept}-"


def test_downloads_may_go_elsewhere(plan: Plan, tmp_path: Path) -> None:
    run.run(replace(plan, downloads=tmp_path / "elsewhere"))
    assert len(list((tmp_path / "elsewhere").iterdir())) == 2
    assert not (tmp_path / "VOC2012/downloads").exists()


def test_strange_archive_is_refused_before_anything_is_done(plan: Plan, site: Site, tmp_path: Path) -> None:
    (tmp_path / "other.tar").touch()
    with pytest.raises(ConfigError, match=r"expected a file named VOC.*2012\.tar or benchmark\.tgz"):
        run.run(replace(plan, shelf=Shelf((tmp_path / "other.tar",))))
    assert site.requests == [] and not (tmp_path / "VOC2012").exists()


def test_check_fetches_and_makes_nothing(plan: Plan, site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pascal is not complete: .*run without check to prepare it"):
        run.run(replace(plan, check=True))
    assert site.requests == [] and list(tmp_path.iterdir()) == []


def test_two_data_sets_keep_their_lists_apart(plan: Plan, tmp_path: Path) -> None:
    pair = tuple(Place(name, tmp_path / name, tmp_path / "lists") for name in ("coco", "pascal"))
    assert [run._work(replace(plan, places=pair), place).splits for place in pair] == [
        tmp_path / "lists/coco",
        tmp_path / "lists/pascal",
    ]
    assert run._work(plan, pair[0]).splits == tmp_path / "lists"
