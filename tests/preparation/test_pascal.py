"""PASCAL-5i from tiny archives in the published layout: masks, repetition, damage, verification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from hmseg.errors import DataError
from hmseg.preparation import pascal
from hmseg.preparation.archives import Shelf
from hmseg.preparation.work import Work
from made_archives import labels, mat, photo, published, sbd_members, tar, voc_members


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    """Seven photos, three masks of VOC's, six of SBD's of which two are of the same images."""
    given = tmp_path / "given"
    given.mkdir()
    voc = tar(given / "VOCtrainval_11-May-2012.tar", voc_members())
    sbd = tar(given / "benchmark.tgz", sbd_members(), "w:gz")
    monkeypatch.setattr(pascal, "VOC", published(voc))
    monkeypatch.setattr(pascal, "SBD", published(sbd))
    for name, number in (("IMAGES", 7), ("VOC_MASKS", 3), ("SBD_MASKS", 6), ("MASKS", 7)):
        monkeypatch.setattr(pascal, name, number)
    return Work(tmp_path / "VOC2012", tmp_path / "VOC2012/splits", Shelf((given,)), tmp_path / "downloads")


def mask(work: Work, number: int) -> Image.Image:
    return Image.open(work.root / f"SegmentationClassAug/2007_{number:06d}.png")


def states(work: Work) -> dict[str, str]:
    return {row.what: row.state for row in pascal.verify(work)}


def test_voc_masks_come_first_and_keep_their_void(work: Work) -> None:
    pascal.prepare(work)
    assert len(list((work.root / "SegmentationClassAug").iterdir())) == 7
    assert len(list((work.root / "JPEGImages").iterdir())) == 7
    for number in range(3):
        assert np.array_equal(np.array(mask(work, number)), labels(number + 1, void=True))
    for number in range(3, 7):
        assert np.array_equal(np.array(mask(work, number)), labels(20 - number))


def test_masks_are_in_vocs_colours(work: Work) -> None:
    pascal.prepare(work)
    made = mask(work, 5)
    assert made.mode == "P"
    colours = made.convert("RGB")
    assert colours.getpixel((4, 4)) == (192, 128, 128)  # 15, person
    assert colours.getpixel((0, 0)) == (0, 0, 0)


def test_only_what_is_needed_is_unpacked(work: Work) -> None:
    pascal.prepare(work)
    folders = {str(path.relative_to(work.root)) for path in work.root.rglob("*") if path.is_dir()}
    assert folders == {
        "JPEGImages", "SegmentationClass", "SegmentationClassAug", "ImageSets", "ImageSets/Segmentation",
        "SBD", "SBD/cls",
    }  # fmt: skip


def test_second_run_needs_no_archive_and_changes_nothing(work: Work, tmp_path: Path) -> None:
    pascal.prepare(work)
    before = {path: path.stat().st_mtime_ns for path in work.root.rglob("*")}
    pascal.prepare(Work(work.root, work.splits, Shelf(), tmp_path / "no network"))
    assert {path: path.stat().st_mtime_ns for path in work.root.rglob("*")} == before


def test_interrupted_run_goes_on(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    write, made = pascal.write_mask, []

    def interrupt(*args: Any) -> None:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(args)
        write(*args)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(pascal, "write_mask", interrupt)
        pascal.prepare(work)
    pascal.prepare(work)
    assert np.array_equal(np.array(mask(work, 6)), labels(14))
    assert set(states(work).values()) == {"ok"}


def test_complete_folder_from_elsewhere_is_left_alone(work: Work) -> None:
    for name in ("JPEGImages", "SegmentationClassAug"):
        (work.root / name).mkdir(parents=True)
    for number in range(7):
        (work.root / f"JPEGImages/{number}.jpg").write_bytes(photo())
        Image.fromarray(labels(1), "L").save(work.root / f"SegmentationClassAug/{number}.png")
    pascal.prepare(work)
    assert not (work.root / "SBD").exists()
    assert set(states(work).values()) == {"ok"}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_damaged_mat_is_named(work: Work, share: float) -> None:
    pascal.prepare(work)
    path = work.root / "SBD/cls/2007_000005.mat"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        DataError, match=r"2007_000005\.mat is damaged or not one of SBD's files \(.+\): remove"
    ):
        pascal.read_sbd(path)


@pytest.mark.parametrize("damage", [b"\0", b"\xff"])
def test_no_damage_gives_a_traceback(tmp_path: Path, damage: bytes) -> None:
    whole = bytearray(mat(labels(3)))
    for place in range(0, len(whole), 31):
        path = tmp_path / "x.mat"
        path.write_bytes(bytes(whole[:place]) + damage + bytes(whole[place + 1 :]))
        try:
            read = pascal.read_sbd(path)
        except DataError as error:
            assert "x.mat" in str(error)
        else:
            assert read.dtype == np.uint8 and read.max() <= 20


@pytest.mark.parametrize(
    "content",
    [
        {"other": np.zeros(3)},
        {"GTcls": np.zeros((3, 3))},
        {"GTcls": {"Segmentation": np.full((3, 3), 21, dtype=np.uint8)}},
        {"GTcls": {"Segmentation": np.zeros((3, 3, 3), dtype=np.uint8)}},
        {"GTcls": {"Segmentation": np.zeros((3, 3))}},
        {"GTcls": {"Segmentation": "text"}},
    ],
)
def test_mat_with_something_else_is_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    savemat(tmp_path / "x.mat", content)
    with pytest.raises(DataError, match=r"x\.mat(: GTcls\.Segmentation is no map of classes| is damaged)"):
        pascal.read_sbd(tmp_path / "x.mat")


def test_mask_of_vocs_with_strange_values_is_refused(work: Work) -> None:
    work.root.mkdir()
    (work.root / "SegmentationClass").mkdir()
    Image.fromarray(labels(77), "L").save(work.root / "SegmentationClass/2007_000000.png")
    with pytest.raises(DataError, match=r"2007_000000\.png has pixels of 77, not a class"):
        pascal.build(work.root, 0)


def test_verification_finds_what_is_wrong(work: Work) -> None:
    pascal.prepare(work)
    assert set(states(work).values()) == {"ok"}
    (work.root / "JPEGImages/2007_000001.jpg").unlink()
    (work.root / "SegmentationClassAug/2007_000002.png").unlink()
    (work.root / "SegmentationClassAug/2007_000003.png").write_bytes(b"no image")
    Image.fromarray(labels(21), "L").save(work.root / "SegmentationClassAug/2007_000004.png")
    (work.root / "JPEGImages/2007_000005.jpg").write_bytes(photo(width=17))
    rows = {row.what: row for row in pascal.verify(work)}
    assert (rows["photos: JPEGImages/*.jpg"].found, rows["photos: JPEGImages/*.jpg"].state) == (
        "6",
        "missing",
    )
    assert rows["masks: SegmentationClassAug/*.png"].state == "missing"
    assert rows["masks without a photo"].found == "1: 2007_000001, …"
    looked = rows["photos and masks"]
    assert (looked.state, looked.found) == ("wrong", "5 of 5 looked at, 3 faulty")
    for text, item in zip(("is not an image", "pixels of 21", "17x12 pixels"), looked.items, strict=True):
        assert text in item


def test_cut_photo_is_found_when_looking_deep(work: Work, tmp_path: Path) -> None:
    pascal.prepare(work)
    path = work.root / "JPEGImages/2007_000001.jpg"
    path.write_bytes(path.read_bytes()[:-6])
    assert states(work)["photos and masks"] == "ok"
    deep = Work(work.root, work.splits, Shelf(), work.downloads, deep=True)
    assert states(deep)["photos and masks"] == "wrong"


def test_over_processes_it_is_the_same(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    from hmseg.preparation import parallel

    monkeypatch.setattr(parallel, "_FEW", 1)
    work.unpack(pascal.SBD, pascal._sbd_place)
    pascal.build(work.root, workers=2)
    for number in range(1, 7):
        assert np.array_equal(np.array(mask(work, number)), labels(20 - number))


def test_shared_masks_have_void_where_they_are_vocs(shared: Path) -> None:
    """The published masks keep VOC's void borders and have none in SBD's, as those made here."""
    names = sorted(path.stem for path in (shared / "data/VOC2012/SegmentationClassAug").iterdir())[::40]
    masks = [np.array(Image.open(shared / f"data/VOC2012/SegmentationClassAug/{name}.png")) for name in names]
    void = [bool((made == 255).any()) for made in masks]
    assert 0 < sum(void) < len(void)
    old = [found for name, found in zip(names, void, strict=True) if name.startswith("2007")]
    assert old and all(old)  # all of 2007's masks are VOC's
    assert all(made[made < 255].max() <= pascal.CLASSES for made in masks)


def test_shared_folder_is_found_incomplete_but_sound(shared: Path, tmp_path: Path) -> None:
    root = shared / "data/VOC2012"
    rows = {row.what: row for row in pascal.verify(Work(root, root / "splits", Shelf(), tmp_path))}
    assert rows["photos: JPEGImages/*.jpg"].found == "1,983"
    assert rows["photos and masks"].state == "ok"
