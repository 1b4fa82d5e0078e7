"""The entry point: from archives to a folder that a source reads, its table, its exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from called import Call, caller
from hmseg.cli import entry
from hmseg.config import compose
from hmseg.data.coco import CocoSource
from hmseg.data.fss import FssSource
from hmseg.data.pascal import PascalSource
from hmseg.preparation import coco, fss, pascal, run
from hmseg.preparation.archives import Archive
from hmseg.prepare import PROGRAM, plan
from made_archives import (
    annotation_members,
    coco_members,
    fss_members,
    published,
    sbd_members,
    tar,
    voc_members,
    zipped,
)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the program in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    return caller(PROGRAM, monkeypatch, capsys, "workers=0")


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of tiny archives that count as the published ones."""
    folder = tmp_path / "given"
    folder.mkdir()
    archives: dict[str, Archive] = {}
    for path in (
        tar(folder / "VOCtrainval_11-May-2012.tar", voc_members()),
        tar(folder / "benchmark.tgz", sbd_members(), "w:gz"),
        zipped(folder / "train2014.zip", coco_members("train2014")),
        zipped(folder / "val2014.zip", coco_members("val2014")),
        zipped(folder / "annotations_trainval2014.zip", annotation_members()),
    ):
        archives[path.name] = published(path)
    voc, sbd, train, val, annotations = archives.values()
    monkeypatch.setattr(pascal, "VOC", voc)
    monkeypatch.setattr(pascal, "SBD", sbd)
    monkeypatch.setattr(coco, "_ARCHIVES", {"train2014": train, "val2014": val})
    monkeypatch.setattr(coco, "COCO_ANNOTATIONS", annotations)
    monkeypatch.setattr(run, "ARCHIVES", {"pascal": (voc, sbd), "coco": (train, val, annotations), "fss": ()})
    for name, number in (("IMAGES", 7), ("VOC_MASKS", 3), ("SBD_MASKS", 6), ("MASKS", 7)):
        monkeypatch.setattr(pascal, name, number)
    monkeypatch.setattr(coco, "IMAGES", dict.fromkeys(coco.IMAGES, 3))
    monkeypatch.setattr(fss, "CATEGORIES", 3)
    return folder


def test_pascal(call: Call, given: Path, tmp_path: Path) -> None:
    outcome = call("dataset=pascal", "root=VOC", "archive=given")
    assert (outcome.code, outcome.err) == (0, "")
    assert "SegmentationClassAug: 3 masks of VOC's and 4 of SBD's" in outcome.out
    assert "none in VOC/splits" in outcome.out and "splits=fetch" in outcome.out
    sample = PascalSource(tmp_path / "VOC").read("2007_000005", 14)  # 20 - 5, class 15, is 14 from 0
    assert sample.mask.sum() == 36
    checked = call("dataset=pascal", "root=VOC", "check=true")
    assert (checked.code, checked.err) == (0, "")
    assert checked.out.count("│ ok") == 3


def test_coco_with_masks_of_either_kind(call: Call, given: Path, tmp_path: Path) -> None:
    for root, masks in (("files", "null"), ("json", "json")):
        words = ["dataset=coco", f"root={root}", f"dataset.masks={masks}"]
        assert call(*words, "archive=given").code == 0
        assert call(*words, "check=deep").code == 0
    assert not (tmp_path / "json/masks").exists()
    painted, stored = CocoSource(tmp_path / "json", masks="json"), CocoSource(tmp_path / "files")
    for class_id in (6, 8):
        name = "COCO_val2014_000000000001"
        assert (painted.read(name, class_id).mask == stored.read(name, class_id).mask).all()


def test_fss(call: Call, given: Path, tmp_path: Path) -> None:
    zipped(tmp_path / "mine.zip", fss_members("fewshot_data/fewshot_data/", categories=3))
    outcome = call("dataset=fss", "root=FSS", "archive=mine.zip")
    assert (outcome.code, outcome.err) == (0, "")
    source = FssSource(tmp_path / "FSS")
    assert source.read("thing_2/10", source.class_names.index("thing_2")).mask.any()


def test_coco_to_pascal_prepares_both(call: Call, given: Path, tmp_path: Path) -> None:
    words = ["dataset=coco2pascal", "paths.data=data"]
    assert call(*words, "archive=given").code == 0
    assert (tmp_path / "data/VOC2012/SegmentationClassAug").is_dir()
    assert (tmp_path / "data/COCO2014/masks/val2014").is_dir()
    checked = call(*words, "check=true")
    assert checked.code == 0
    assert "pascal: photos: JPEGImages" in checked.out and "coco: photos: train2014" in checked.out


def test_lists_that_are_there_are_read(call: Call, given: Path, tmp_path: Path) -> None:
    for fold in range(4):
        for split in ("trn", "val"):
            path = tmp_path / f"VOC/splits/{split}/fold{fold}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"2007_00000{fold}__{5 * fold + 1:02d}\n")
    outcome = call("dataset=pascal", "root=VOC", "archive=given")
    assert outcome.code == 0
    assert "all of 4 images" in outcome.out and "own" in outcome.out
    (tmp_path / "VOC/splits/val/fold3.txt").write_text("2009_000001__16\n")
    outcome = call("dataset=pascal", "root=VOC", "check=true")
    assert outcome.code == 1
    assert "JPEGImages/2009_000001.jpg" in outcome.out


def test_incomplete_data_is_exit_code_one(call: Call, given: Path, tmp_path: Path) -> None:
    call("dataset=pascal", "root=VOC", "archive=given")
    (tmp_path / "VOC/JPEGImages/2007_000003.jpg").unlink()
    outcome = call("dataset=pascal", "root=VOC", "check=true")
    assert outcome.code == 1
    message = "2 of 5 checks failed (photos: JPEGImages/*.jpg: 6); run without check to prepare it\n"
    assert outcome.err == f"error: pascal is not complete: {message}"


def test_check_changes_nothing(call: Call, given: Path, tmp_path: Path) -> None:
    outcome = call("dataset=pascal", "root=VOC", "check=true")
    assert outcome.code == 1 and "missing" in outcome.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["given"]


def test_archive_of_another_size_is_one_line(call: Call, given: Path) -> None:
    (given / "benchmark.tgz").write_bytes((given / "benchmark.tgz").read_bytes()[:-9])
    outcome = call("dataset=pascal", "root=VOC", "archive=given")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "benchmark.tgz is truncated or another file" in outcome.err
    outcome = call("dataset=pascal", "root=VOC", "archive=given", "checksum=false")
    assert outcome.code == 1 and "benchmark.tgz is truncated, damaged or no archive" in outcome.err


REFUSALS = {
    "": "dataset: a value is required; give dataset=…",
    "dataset=shapes": "dataset=shapes needs no preparation: expected pascal, coco, fss, coco2pascal",
    "dataset=pacsal": "unknown option 'pacsal' for dataset: did you mean 'pascal'?",
    "dataset=coco2pascal root=x": "root=x: coco2pascal has two folders; give dataset.coco=… and",
    "dataset=pascal check=maybe": "unknown check 'maybe'. (known: deep, false, true)",
    "dataset=pascal check=true splits=fetch": "check=True only looks; leave out splits=",
    "dataset=pascal splits=here": "splits: expected fetch or null, got here; their folder is dataset.splits",
    "dataset=pascal workers=-1": "workers: expected at least 0, got -1",
    "dataset=pascal archive=3": "archive: expected a text or a list of them, got 3",
    "dataset=pascal archvie=x": "unknown key 'archvie': did you mean 'archive'?",
}


@pytest.mark.parametrize("words", REFUSALS)
def test_refusals_are_one_line_and_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        entry(PROGRAM, words.split())
    out, err = capsys.readouterr()
    assert (stopped.value.code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {REFUSALS[words]}")
    assert list(tmp_path.iterdir()) == []


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    entry(PROGRAM, ["--help"])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 110
    for key in ("root", "archive", "url", "checksum", "splits", "check", "workers", "paths.data"):
        assert any(line.split()[:1] == [key] for line in out.splitlines()), key


def test_plan_leaves_the_configuration_alone() -> None:
    cfg = compose("dataset=pascal", "root=/x/VOC", "archive=[a.tar,b.tgz]", config_name="prepare")
    made = plan(cfg)
    assert cfg.dataset.root == "data/VOC2012"
    assert [(place.benchmark, place.root, place.splits) for place in made.places] == [
        ("pascal", Path("/x/VOC"), None)
    ]
    assert made.shelf.given == (Path("a.tar"), Path("b.tgz"))


def test_as_a_program_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hmseg.prepare", "dataset=fss", "root=FSS", "check=true"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: fss is not complete")
    assert list(tmp_path.iterdir()) == []
