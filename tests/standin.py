"""Stand-in data roots: the true layouts of PASCAL, COCO and FSS-1000 on disk, with a few small images.

Every class of every fold has ``IMAGES`` images in training and as many in validation (enough for 5 shots of
the strict protocol), and image lists in the text form, in ``root/splits``. Images are 64 x 48 and 48 x 64
pixels by turns; objects are bright rectangles in a colour of their class, on noise. Nothing is downloaded;
writing all three roots takes about two seconds.

    root = pascal_root(tmp_path / "VOC2012")  # then dataset=pascal dataset.root=…
    root = coco_root(tmp_path / "COCO2014")  # dataset=coco; masks as PNG and as instances_*.json, which agree
    root = fss_root(tmp_path / "FSS-1000")  # dataset=fss fold=null

``coco2pascal`` takes the first two.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

IMAGES = 7
"""Images of each class in each of training and validation: 5-shot strict episodes take six."""

# COCO's category numbers run to 90 with these left out; classes are the other 80 in order.
_GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
COCO_CATEGORIES = tuple(number for number in range(1, 91) if number not in _GAPS)
FSS_CATEGORIES = {
    "trn": ("zebra", "abacus", "taxi", "mug"),
    "val": ("bus", "apple_icon", "rake"),
    "test": ("yurt", "abe's_flyingfish", "comb"),
}
"""In the order of the lists, which is not sorted, as in the published ones."""


def pascal_root(path: Path) -> Path:
    """A VOC2012 folder: JPEGImages, SegmentationClassAug, ImageSets/Segmentation/val.txt and splits.

    Each image shows its class, with void around it, and a smaller one of the next fold, which is not listed.
    """
    lines: dict[tuple[str, int], list[str]] = {}
    held_back = []
    for split, year in (("trn", 2008), ("val", 2007)):
        for class_id in range(20):
            for index in range(IMAGES):
                name = f"{year}_{class_id:02d}{index:04d}"
                labels = _blank(index)
                _rectangle(labels, index, class_id + 1, 255)
                labels[-8:-2, 4:10] = (class_id + 5) % 20 + 1
                _write(path / f"JPEGImages/{name}.jpg", _photo(labels))
                _write(path / f"SegmentationClassAug/{name}.png", labels, palette=True)
                lines.setdefault((split, class_id // 5), []).append(f"{name}__{class_id + 1:02d}")
                if split == "val":
                    held_back.append(name)
    for (split, fold), names in lines.items():
        # as published: training lists by class, validation lists by name
        _text(path / f"splits/{split}/fold{fold}.txt", sorted(names) if split == "val" else names)
    _text(path / "ImageSets/Segmentation/val.txt", held_back)
    return path


def coco_root(path: Path) -> Path:
    """A COCO 2014 folder: {train,val}2014, annotations/instances_*.json, masks/{train,val}2014 and splits.

    Each image shows four classes of one fold, all listed; every seventh also a small one of another fold,
    which is not. PNG masks and JSON agree.
    """
    for split in ("train2014", "val2014"):
        listed: dict[int, list[int]] = {class_id: [] for class_id in range(80)}
        content: dict[str, list[dict[str, Any]]] = {
            "categories": [{"id": number, "name": f"category{number}"} for number in COCO_CATEGORIES],
            "images": [],
            "annotations": [],
        }
        for index in range(20 * IMAGES):
            number = 1000 + 37 * index % 997  # list order is not the order of the names
            name, labels = f"COCO_{split}_{number:012d}", _blank(index)
            height, width = labels.shape
            file = {"id": number, "file_name": f"{name}.jpg", "height": height, "width": width}
            content["images"].append(file)
            fold, group = index % 4, index % 20 // 4
            shown = [fold + 16 * group + 4 * corner for corner in range(4)]
            for class_id in shown:
                listed[class_id].append(number)
            if index // 20 == IMAGES - 1:
                shown.append((shown[0] + 1) % 80)
            for corner, class_id in enumerate(shown):
                box = _box(labels, corner)
                labels[box[1] : box[3], box[0] : box[2]] = class_id + 1
                annotations = content["annotations"]
                annotations.append(_annotation(len(annotations) + 1, number, class_id, box))
            _write(path / split / f"{name}.jpg", _photo(labels))
            _write(path / "masks" / split / f"{name}.png", labels)
        annotation_file = path / f"annotations/instances_{split}.json"
        annotation_file.parent.mkdir(parents=True, exist_ok=True)
        annotation_file.write_text(json.dumps(content))
        lines = (f"{class_id} {' '.join(map(str, numbers))}" for class_id, numbers in listed.items())
        _text(path / f"splits/{split}.txt", list(lines))
    return path


def coco_pickles(path: Path, splits: Path) -> Path:
    """The lists of a folder in the text form as HSNet's pickles, ``{trn,val}/fold{0..3}.pkl``."""
    for split, year in (("trn", "train2014"), ("val", "val2014")):
        rows = [line.split() for line in (splits / f"{year}.txt").read_text().splitlines()]
        for fold in range(4):
            content = {
                int(row[0]): [f"{year}/COCO_{year}_{number.zfill(12)}.jpg" for number in row[1:]]
                for row in rows
                if (int(row[0]) % 4 == fold) == (split == "val")
            }
            (path / split).mkdir(parents=True, exist_ok=True)
            (path / split / f"fold{fold}.pkl").write_bytes(pickle.dumps(content))
    return path


def fss_root(path: Path) -> Path:
    """An FSS-1000 folder: CATEGORY/N.jpg with CATEGORY/N.png, of ten categories, and splits."""
    categories = [category for names in FSS_CATEGORIES.values() for category in names]
    for place, category in enumerate(categories):
        for index in range(IMAGES):
            labels = _blank(index)
            _rectangle(labels, index, place + 1)
            _write(path / category / f"{index + 4}.jpg", _photo(labels))  # 4 to 10: 10 sorts first
            _write(path / category / f"{index + 4}.png", np.where(labels > 0, 255, 0).astype(np.uint8))
    for split, names in FSS_CATEGORIES.items():
        _text(path / f"splits/{split}.txt", names)
    return path


def _blank(index: int) -> NDArray[np.uint8]:
    return np.zeros((48, 64) if index % 2 == 0 else (64, 48), np.uint8)


def _rectangle(labels: NDArray[np.uint8], index: int, value: int, border: int | None = None) -> None:
    top, left, side = 2 + index, 4 + 2 * index, 24
    if border is not None:
        labels[top - 1 : top + side + 1, left - 1 : left + side + 1] = border
    labels[top : top + side, left : left + side] = value


def _box(labels: NDArray[np.uint8], corner: int) -> tuple[int, int, int, int]:
    """A box (left, top, right, bottom) in a quarter of the image, with a margin; the fifth in the middle."""
    half_height, half_width = labels.shape[0] // 2, labels.shape[1] // 2
    if corner == 4:
        return half_width - 2, half_height - 2, half_width + 2, half_height + 2
    left, top = (corner % 2) * half_width, (corner // 2) * half_height
    return left + 2, top + 2, left + half_width - 2, top + half_height - 2


def _annotation(number: int, image: int, class_id: int, box: tuple[int, int, int, int]) -> dict[str, Any]:
    left, top, right, bottom = box
    return {
        "id": number,
        "image_id": image,
        "category_id": COCO_CATEGORIES[class_id],
        "iscrowd": 0,
        "area": float((right - left) * (bottom - top)),
        "bbox": [left, top, right - left, bottom - top],
        "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
    }


def _photo(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3): dark noise, and each class in a bright colour of its own."""
    noise = np.random.default_rng(int(labels.sum())).integers(0, 80, (*labels.shape, 3))
    classes = labels.astype(int) % 255  # void looks like the background
    colours = 120 + np.stack([(classes * step) % 130 for step in (37, 61, 97)], axis=2)
    return np.where(classes[..., None] > 0, colours, noise).astype(np.uint8)


def _write(path: Path, pixels: NDArray[np.uint8], palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette:  # as VOC's masks are; the colours do not matter
        image.putpalette([channel for value in range(256) for channel in (value, 255 - value, value)])
    image.save(path)


def _text(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
