"""PASCAL-5i: VOC 2012's photos, SegmentationClassAug from VOC's own masks and SBD's ``.mat`` files.

The usual recipe: VOC's mask for each of its 2,913 segmentation images, SBD's for all others, 12,031 in all.
VOC's masks keep their void borders (255); SBD's have none.
"""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmseg.errors import DataError
from hmseg.preparation.archives import SBD, VOC
from hmseg.preparation.files import names, replacing
from hmseg.preparation.masks import Pair, write_mask
from hmseg.preparation.parallel import each
from hmseg.preparation.report import Row, count, look
from hmseg.preparation.work import Work, say

IMAGES = 17_125
VOC_MASKS = 2_913
SBD_MASKS = 11_355
MASKS = 12_031
CLASSES = 20
VOID = 255

_VOC_MEMBER = re.compile(
    r"(?:.*/)?VOC2012/(JPEGImages/[^/]+\.jpg|SegmentationClass/[^/]+\.png|ImageSets/Segmentation/[^/]+\.txt)"
)
_SBD_MEMBER = re.compile(r"(?:.*/)?dataset/cls/([^/]+\.mat)")


class _Task(NamedTuple):
    """A mask to be made: from a ``.png`` of VOC's or a ``.mat`` of SBD's."""

    source: Path
    target: Path


def prepare(work: Work) -> None:
    """Bring the folder to completion; what is there already is left alone.

    Raises:
        DataError: an archive can't be had or used, a mask is damaged, or the disk is full.
    """
    root = work.root
    masks_missing = len(names(root / "SegmentationClassAug", ".png")) < MASKS
    photos_missing = len(names(root / "JPEGImages", ".jpg")) < IMAGES
    own_missing = masks_missing and len(names(root / "SegmentationClass", ".png")) < VOC_MASKS
    if photos_missing or own_missing:
        work.unpack(VOC, _voc_place)
    if masks_missing:
        if len(names(root / "SBD" / "cls", ".mat")) < SBD_MASKS:
            work.unpack(SBD, _sbd_place)
        build(root, work.workers)


def build(root: Path, workers: int) -> None:
    """Make the masks of SegmentationClassAug that are not there yet.

    Args:
        root: with ``SegmentationClass/*.png`` and ``SBD/cls/*.mat``.
        workers: processes.

    Raises:
        DataError: a source is damaged; the message names it.
    """
    own, done = names(root / "SegmentationClass", ".png"), names(root / "SegmentationClassAug", ".png")
    others = names(root / "SBD" / "cls", ".mat") - own
    sources = [root / "SegmentationClass" / f"{name}.png" for name in sorted(own - done)]
    sources += [root / "SBD" / "cls" / f"{name}.mat" for name in sorted(others - done)]
    tasks = [_Task(path, root / "SegmentationClassAug" / f"{path.stem}.png") for path in sources]
    each(_make, tasks, len(tasks), workers, "making masks")
    say(f"SegmentationClassAug: {len(own):,} masks of VOC's and {len(others):,} of SBD's")


def read_sbd(path: Path) -> NDArray[np.uint8]:
    """The class numbers in one of SBD's files.

    Args:
        path: ``cls/NAME.mat`` with ``GTcls.Segmentation``.

    Returns:
        (H, W) uint8, 0 to 20.

    Raises:
        DataError: the file is damaged or something else.
    """
    from scipy.io import loadmat  # half a second, and only needed here

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            content = loadmat(path, variable_names=["GTcls"])
            labels = np.asarray(content["GTcls"]["Segmentation"][0, 0])
    except Exception as error:  # noqa: BLE001 - scipy raises anything on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{path} is damaged or not one of SBD's files ({reason}): remove it and run again"
        ) from None
    whole = labels.ndim == 2 and labels.size > 0 and labels.dtype.kind in "ui"
    if not whole or labels.min() < 0 or labels.max() > CLASSES:
        raise DataError(
            f"{path}: GTcls.Segmentation is no map of classes 0 to {CLASSES}: remove the file and run again"
        )
    return labels.astype(np.uint8)


def verify(work: Work) -> list[Row]:
    """Look at photos and masks; the image lists are looked at elsewhere."""
    root = work.root
    photos, masks = names(root / "JPEGImages", ".jpg"), names(root / "SegmentationClassAug", ".png")
    values = frozenset({*range(CLASSES + 1), VOID})
    pairs = [
        Pair(
            root / "JPEGImages" / f"{name}.jpg",
            root / "SegmentationClassAug" / f"{name}.png",
            values,
            work.deep,
        )
        for name in sorted(photos & masks)
    ]
    rows = [
        count("photos: JPEGImages/*.jpg", IMAGES, len(photos)),
        count("masks: SegmentationClassAug/*.png", MASKS, len(masks)),
    ]
    if alone := sorted(masks - photos):
        rows.append(Row("masks without a photo", "0", f"{len(alone):,}: {alone[0]}, …", "missing"))
    return [*rows, look("photos and masks", pairs, work.deep, work.workers)]


def _voc_place(name: str) -> str | None:
    found = _VOC_MEMBER.fullmatch(name)
    return found[1] if found else None


def _sbd_place(name: str) -> str | None:
    found = _SBD_MEMBER.fullmatch(name)
    return f"SBD/cls/{found[1]}" if found else None


def _make(task: _Task) -> None:
    if task.source.suffix == ".mat":
        write_mask(read_sbd(task.source), task.target)
        return
    from hmseg.data.reading import read_label_map  # imports PyTorch

    labels = read_label_map(task.source)
    if strange := set(np.unique(labels).tolist()) - {*range(CLASSES + 1), VOID}:
        raise DataError(
            f"{task.source} has pixels of {min(strange)}, not a class: unpack VOC's archive again"
        )
    with replacing(task.target) as part:  # VOC's file as it is
        shutil.copyfile(task.source, part)
