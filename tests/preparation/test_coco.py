"""COCO 2014 from tiny archives in the published layout: masks, repetition, bad annotations, verification."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hmseg.data.coco_masks import JsonMasks
from hmseg.errors import DataError
from hmseg.preparation import coco
from hmseg.preparation.archives import Shelf
from hmseg.preparation.work import Work
from made_archives import annotation_members, coco_members, instances, photo, published, zipped

SPLITS = ("train2014", "val2014")
Maker = Callable[..., Work]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maker:
    """Three images of either split; options of ``Work`` may be given."""
    given = tmp_path / "given"
    given.mkdir()
    parts = {f"{split}.zip": coco_members(split) for split in SPLITS}
    parts["annotations_trainval2014.zip"] = annotation_members()
    archives = {name: published(zipped(given / name, members)) for name, members in parts.items()}
    monkeypatch.setattr(coco, "_ARCHIVES", {split: archives[f"{split}.zip"] for split in SPLITS})
    monkeypatch.setattr(coco, "COCO_ANNOTATIONS", archives["annotations_trainval2014.zip"])
    monkeypatch.setattr(coco, "IMAGES", dict.fromkeys(SPLITS, 3))
    monkeypatch.setattr(coco, "ANNOTATED", dict.fromkeys(SPLITS, 2))
    root = tmp_path / "COCO2014"

    def make(**options: Any) -> Work:
        usual = {"splits": root / "splits", "shelf": Shelf((given,)), "downloads": root / "downloads"}
        return Work(root, **{**usual, **options})

    return make


def states(work: Work) -> set[str]:
    return {row.state for row in coco.verify(work)}


def test_png_masks_are_what_the_json_gives(work: Maker) -> None:
    coco.prepare(work())
    root = work().root
    for split in SPLITS:
        masks = JsonMasks(root / f"annotations/instances_{split}.json")
        files = sorted((root / "masks" / split).iterdir())
        assert [path.stem for path in files] == sorted(masks.names)
        for path in files:
            image = Image.open(path)
            assert image.mode == "P"
            assert np.array_equal(np.array(image), masks.label_map(path.stem))
    labels = np.array(Image.open(root / "masks/val2014/COCO_val2014_000000000001.png"))
    assert np.unique(labels).tolist() == [0, 7, 9]  # categories 7 and 9 are the contiguous classes 6 and 8
    assert (labels == 7).sum() == 9  # the small one lies on the large one
    assert states(work(deep=True)) == {"ok"}


def test_no_masks_are_made_where_they_are_read_from_json(work: Maker) -> None:
    coco.prepare(work(masks="json"))
    assert not (work().root / "masks").exists()
    assert states(work(masks="json")) == states(work(masks="json", deep=True)) == {"ok"}


def test_only_what_is_needed_is_unpacked(work: Maker) -> None:
    coco.prepare(work(masks="json"))
    found = sorted(path.name for path in (work().root / "annotations").iterdir())
    assert found == ["instances_train2014.json", "instances_val2014.json"]


def test_second_run_needs_no_archive_and_changes_nothing(
    work: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    coco.prepare(work())
    before = {path: path.stat().st_mtime_ns for path in work().root.rglob("*")}
    monkeypatch.setattr(coco, "JsonMasks", None)  # the annotation files are not even parsed
    coco.prepare(work(shelf=Shelf()))
    assert {path: path.stat().st_mtime_ns for path in work().root.rglob("*")} == before


def test_interrupted_run_goes_on(work: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    write, made = coco.write_mask, []

    def interrupt(*args: Any) -> None:
        if made:
            raise KeyboardInterrupt
        made.append(args)
        write(*args)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(coco, "write_mask", interrupt)
        coco.prepare(work())
    assert len(list((work().root / "masks/train2014").iterdir())) == 1
    coco.prepare(work())
    assert states(work(deep=True)) == {"ok"}


def test_masks_of_another_annotation_file_are_refused(work: Maker) -> None:
    coco.prepare(work())
    changed = instances("train2014")
    changed["annotations"].pop()
    (work().root / "annotations/instances_train2014.json").write_text(json.dumps(changed))
    with pytest.raises(DataError, match=r"made from another instances_train2014\.json or by another rule"):
        coco.prepare(work())


def test_others_masks_are_left_alone(work: Maker) -> None:
    """HSNet's archives of masks are unpacked beside the annotation files."""
    root = work().root
    for split in SPLITS:
        (root / "annotations" / split).mkdir(parents=True)
        for number in (1, 2):
            mask = Image.fromarray(np.full((12, 16), 5, dtype=np.uint8), "L")
            mask.save(root / f"annotations/{split}/COCO_{split}_{number:012d}.png")
    coco.prepare(work())
    assert not (root / "masks").exists()
    assert states(work()) == {"ok"}
    (row,) = (row for row in coco.verify(work(deep=True)) if row.what.startswith("masks of val2014 against"))
    assert (row.state, len(row.items)) == ("wrong", 2)
    assert "000000000001.png differs in" in row.items[0]


def test_bad_polygon_is_named_and_nothing_is_half_written(work: Maker) -> None:
    bad = instances("train2014")
    bad["annotations"][2]["segmentation"] = [[1, 2, 3]]
    work().root.joinpath("annotations").mkdir(parents=True)
    for split in SPLITS:
        content = bad if split == "train2014" else instances(split)
        (work().root / f"annotations/instances_{split}.json").write_text(json.dumps(content))
    message = r"instances_train2014\.json: image 2: annotation 20: bad polygon: 3 numbers, an even count"
    with pytest.raises(DataError, match=message):
        coco.prepare(work())
    assert [path.name[-5:] for path in (work().root / "masks/train2014").iterdir()] == ["1.png"]
    (row,) = (
        row for row in coco.verify(work(masks="json", deep=True)) if row.what == "annotations of train2014"
    )
    assert row.state == "wrong" and "annotation 20" in row.items[0]


def test_verification_finds_what_is_wrong(work: Maker) -> None:
    coco.prepare(work())
    root = work().root
    (root / "train2014/COCO_train2014_000000000001.jpg").write_bytes(photo(width=17))
    (root / "masks/train2014/COCO_train2014_000000000003.png").unlink()
    (root / "annotations/instances_val2014.json").unlink()
    found = {row.what: (row.state, row.found) for row in coco.verify(work())}
    assert found["masks: masks/train2014/*.png"] == ("missing", "2")
    assert found["photos and masks of train2014"] == ("wrong", "2 of 2 looked at, 1 faulty")
    assert found["annotations: instances_val2014.json"] == ("missing", "nothing")
    assert found["photos: val2014/*.jpg"] == ("ok", "3")
    assert ("missing", "nothing") in {(r.state, r.found) for r in coco.verify(work(masks="json"))}


def test_empty_folder_is_reported_not_an_error(work: Maker) -> None:
    assert states(work()) == {"missing"}


def test_shared_masks_equal_the_shared_annotations(shared: Path, tmp_path: Path) -> None:
    root = shared / "data/COCO2014_mini"
    rows = {row.what: row for row in coco.verify(Work(root, root / "splits", Shelf(), tmp_path, deep=True))}
    for split, number in (("train2014", 14), ("val2014", 15)):
        row = rows[f"masks of {split} against instances_{split}.json"]
        assert (row.state, row.items) == ("ok", ())
        assert row.found.startswith(f"{number} of ")


def test_masks_made_of_the_shared_annotations_equal_the_shared_ones(shared: Path, tmp_path: Path) -> None:
    root = shared / "data/COCO2014_mini/annotations"
    made = coco.build(root / "instances_val2014.json", tmp_path / "masks/val2014", 0)
    assert made == 15
    for path in (tmp_path / "masks/val2014").iterdir():
        assert np.array_equal(np.array(Image.open(path)), np.array(Image.open(root / "val2014" / path.name)))
