"""COCO 2014: photos, annotation files, and masks painted from them (none where they are read from JSON)."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmseg.data.coco_masks import OVERLAP_RULE, JsonMasks, label_map
from hmseg.errors import DataError
from hmseg.preparation.archives import COCO_ANNOTATIONS, COCO_TRAIN, COCO_VAL
from hmseg.preparation.files import names, replacing
from hmseg.preparation.masks import Pair, size_fault, write_mask
from hmseg.preparation.parallel import each
from hmseg.preparation.report import Row, count, faulty, look
from hmseg.preparation.unpack import Select
from hmseg.preparation.work import Work, say

IMAGES = {"train2014": 82_783, "val2014": 40_504}
ANNOTATED = {"train2014": 82_081, "val2014": 40_137}
"""Images with annotations: those that HSNet's published mask archives have."""
CLASSES = 80
_ARCHIVES = {"train2014": COCO_TRAIN, "val2014": COCO_VAL}
_PHOTO = re.compile(r"(?:.*/)?((?:train|val)2014/COCO_(?:train|val)2014_\d{12}\.jpg)")
_INSTANCES = re.compile(r"(?:.*/)?(annotations/instances_(?:train|val)2014\.json)")


class _Task(NamedTuple):
    """An image to be painted, or to be compared with what was painted."""

    record: bytes
    mask: Path
    image: Path


def annotation_file(root: Path, split: str) -> Path:
    """``annotations/instances_SPLIT.json``."""
    return root / "annotations" / f"instances_{split}.json"


def masks_folder(work: Work) -> Path | None:
    """The folder of ``{train,val}2014/NAME.png``, None where masks are read from the annotation files."""
    if work.masks == "json":
        return None
    if work.masks is not None:
        return Path(work.masks)
    own, others = work.root / "masks", work.root / "annotations"
    found = (folder for folder in (own, others) if any((folder / split).is_dir() for split in IMAGES))
    return next(found, own)


def prepare(work: Work) -> None:
    """Bring the folder to completion; what is there already is left alone.

    Raises:
        DataError: an archive can't be had or used, an annotation is bad, or the disk is full.
    """
    if not all(annotation_file(work.root, split).is_file() for split in IMAGES):
        work.unpack(COCO_ANNOTATIONS, _place_of(_INSTANCES))
    for split, archive in _ARCHIVES.items():
        if len(names(work.root / split, ".jpg")) < IMAGES[split]:
            work.unpack(archive, _place_of(_PHOTO))
    folder = masks_folder(work)
    if folder is not None and folder != work.root / "annotations":  # others' masks are left alone
        for split in IMAGES:
            build(annotation_file(work.root, split), folder / split, work.workers, IMAGES[split])


def build(annotations: Path, folder: Path, workers: int, expected: int | None = None) -> int:
    """Paint the masks that are not there yet.

    Args:
        annotations: ``instances_SPLIT.json``.
        folder: gets ``NAME.png`` for each image, also for those without annotations, and beside it
            ``<folder>.json``, which tells what they were made from.
        workers: processes.
        expected: number of images, where it is known: so many masks end the work before the file is read.

    Returns:
        How many were made.

    Raises:
        DataError: an annotation is bad, or the folder's masks were made from another file.
    """
    _note(annotations, folder)
    done = names(folder, ".png")
    if expected is not None and len(done) >= expected:
        return 0
    masks = JsonMasks(annotations)
    todo = [name for name in masks.names if name not in done]
    tasks = (_Task(masks.record(name), folder / f"{name}.png", Path()) for name in todo)
    each(_paint, tasks, len(todo), workers, f"making masks of {folder.name}")
    say(f"{folder}: {len(todo):,} masks made, {len(masks.names) - len(todo):,} were there")
    return len(todo)


def verify(work: Work) -> list[Row]:
    """Look at photos, annotation files and masks; the image lists are looked at elsewhere."""
    rows = []
    for split in IMAGES:
        photos, file = names(work.root / split, ".jpg"), annotation_file(work.root, split)
        rows.append(count(f"photos: {split}/*.jpg", IMAGES[split], len(photos)))
        there = file.is_file()
        wanted = f"annotations: {file.name}"
        rows.append(Row(wanted, "a file", "a file" if there else "nothing", "ok" if there else "missing"))
        folder = masks_folder(work)
        rows += _verify_json(work, split) if folder is None else _verify_masks(work, split, folder, photos)
    return rows


def _verify_masks(work: Work, split: str, folder: Path, photos: set[str]) -> list[Row]:
    wanted = ANNOTATED if folder == work.root / "annotations" else IMAGES
    folder = folder / split
    masks = names(folder, ".png")
    rows = [count(f"masks: {folder.parent.name}/{split}/*.png", wanted[split], len(masks))]
    values = frozenset(range(CLASSES + 1))
    pairs = [
        Pair(work.root / split / f"{name}.jpg", folder / f"{name}.png", values, work.deep)
        for name in sorted(photos & masks)
    ]
    rows.append(look(f"photos and masks of {split}", pairs, work.deep, work.workers))
    if work.deep and annotation_file(work.root, split).is_file():
        rows.append(_compare(work, split, {pair.mask.stem for pair in pairs}, folder))
    return rows


def _verify_json(work: Work, split: str) -> list[Row]:
    """Masks are read from the annotation file: deep, every image's annotations are painted once."""
    what = f"masks of {split}: from {annotation_file(work.root, split).name}"
    if not annotation_file(work.root, split).is_file():
        return [Row(what, "an annotation file", "nothing", "missing")]
    if not work.deep:
        return [Row(what, "no files needed", "painted when they are read", "ok")]
    return [_compare(work, split, names(work.root / split, ".jpg"), None)]


def _compare(work: Work, split: str, there: set[str], folder: Path | None) -> Row:
    """Paint every image and compare it with its mask, or without masks with the size of its photo."""
    file = annotation_file(work.root, split)
    masks = JsonMasks(file)
    try:
        chosen = [name for name in masks.names if name in there]
    except DataError as error:
        return Row(f"annotations of {split}", "readable", str(error), "wrong")
    photos = work.root / split
    tasks = (
        _Task(masks.record(name), folder / f"{name}.png" if folder else Path(), photos / f"{name}.jpg")
        for name in chosen
    )
    found = each(_difference, tasks, len(chosen), work.workers, f"comparing {split} with {file.name}")
    what = f"masks of {split} against {file.name}" if folder else f"annotations of {split}"
    return faulty(what, [fault for fault in found if fault], len(chosen), len(there))


def _paint(task: _Task) -> None:
    write_mask(label_map(task.record), task.mask)


def _difference(task: _Task) -> str | None:
    """What is wrong with the annotations of an image, or with its mask."""
    try:
        painted = label_map(task.record)
        if not task.mask.name:
            return size_fault(task.image, painted.shape, "annotations")
        from hmseg.data.reading import read_label_map  # imports PyTorch

        stored = read_label_map(task.mask)
    except DataError as error:
        return str(error)
    if painted.shape != stored.shape:
        return f"{task.mask} is of another size than its annotations"
    differing = int(np.count_nonzero(painted != stored))
    return f"{task.mask} differs in {differing:,} pixels" if differing else None


def _note(annotations: Path, folder: Path) -> None:
    """Write down what the masks are made from; refuse masks that were made from something else."""
    with annotations.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    note = {"annotations_sha256": digest, "overlaps": OVERLAP_RULE}
    path = folder.with_suffix(".json")
    if path.is_file():
        try:
            same = json.loads(path.read_text(encoding="utf-8")) == note
        except ValueError:
            same = False
        if not same:
            raise DataError(
                f"{folder}: its masks were made from another {annotations.name} or by another rule; remove "
                f"the folder and {path.name} and run again"
            )
        return
    with replacing(path) as part:
        part.write_text(json.dumps(note, indent=1), encoding="utf-8")


def _place_of(pattern: re.Pattern[str]) -> Select:
    """Members go where the pattern's group says."""

    def place(name: str) -> str | None:
        found = pattern.fullmatch(name)
        return found[1] if found else None

    return place
