"""Tiny archives in the layouts of the published ones."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from hmseg.preparation.archives import Archive

HEIGHT, WIDTH = 12, 16


def photo(level: int = 100, height: int = HEIGHT, width: int = WIDTH) -> bytes:
    """A grey JPEG."""
    return encoded(Image.new("RGB", (width, height), (level, level, level)), "JPEG")


def encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def labels(value: int, void: bool = False) -> NDArray[np.uint8]:
    """A class in a square; void, if asked for, in the last row."""
    made = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    made[2:8, 3:9] = value
    if void:
        made[-1] = 255
    return made


def palette_png(made: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(made, "L")
    image.putpalette(bytes(range(256)) * 3)
    return encoded(image, "PNG")


def mat(made: NDArray[np.uint8]) -> bytes:
    """One of SBD's files."""
    file = io.BytesIO()
    boundaries = np.empty((20, 1), dtype=object)
    boundaries[:, 0] = [np.zeros((2, 2), dtype=np.uint8)] * 20
    fields = {"Boundaries": boundaries, "Segmentation": made, "CategoriesPresent": np.unique(made[made > 0])}
    savemat(file, {"GTcls": fields}, do_compression=True)
    return file.getvalue()


def tar(path: Path, members: Mapping[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def voc_members(own: int = 3, others: int = 4) -> dict[str, bytes]:
    """VOC 2012: photos of which the first have masks."""
    top = "VOCdevkit/VOC2012"
    members = {f"{top}/Annotations/2007_000001.xml": b"<annotation/>"}
    for number in range(own + others):
        members[f"{top}/JPEGImages/2007_{number:06d}.jpg"] = photo()
    for number in range(own):
        members[f"{top}/SegmentationClass/2007_{number:06d}.png"] = palette_png(labels(number + 1, void=True))
    members[f"{top}/ImageSets/Segmentation/trainval.txt"] = b"2007_000000\n"
    return members


def sbd_members(first: int = 1, last: int = 7) -> dict[str, bytes]:
    """SBD: masks of some images, other classes than VOC's masks of the same images say."""
    top = "benchmark_RELEASE"
    members = {f"{top}/README.txt": b"", f"{top}/dataset/inst/2007_000001.mat": b"not needed"}
    for number in range(first, last):
        members[f"{top}/dataset/cls/2007_{number:06d}.mat"] = mat(labels(20 - number))
    return members


def instances(split: str, count: int = 3) -> dict[str, Any]:
    """An annotation file: images with a large square, a small one on it, and nothing at all."""
    images, annotations = [], []
    for number in range(1, count + 1):
        file = f"COCO_{split}_{number:012d}.jpg"
        images.append({"id": number, "file_name": file, "height": HEIGHT, "width": WIDTH})
        squares = [(9, 1, 1, 11), (7, 3, 3, 6)] if number < count else []
        for place, (category, left, top, end) in enumerate(squares):
            outline = [left, top, end, top, end, end, left, end]
            annotation = {"id": 10 * number + place, "image_id": number, "category_id": category}
            annotations.append({**annotation, "iscrowd": 0, "segmentation": [outline], "area": 1.0})
    categories = [{"id": number, "name": f"thing {number}"} for number in range(80, 0, -1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco_members(split: str, count: int = 3) -> dict[str, bytes]:
    return {f"{split}/COCO_{split}_{number:012d}.jpg": photo() for number in range(1, count + 1)}


def annotation_members() -> dict[str, bytes]:
    members = {
        f"annotations/instances_{split}.json": json.dumps(instances(split)).encode()
        for split in ("train2014", "val2014")
    }
    return {"annotations/captions_val2014.json": b"{}", **members}


def fss_members(top: str = "fewshot_data/", categories: int = 2, apart: bool = False) -> dict[str, bytes]:
    """FSS-1000: ten photos and masks of each category, side by side or in folders of their own."""
    members = {f"__MACOSX/{top}a/1.jpg": b"", f"{top}readme.txt": b""}
    images, masks = ("image/", "label/") if apart else ("", "")
    for category in [f"thing_{number}" for number in range(categories)]:
        for number in range(1, 11):
            mask = encoded(Image.fromarray(labels(255)).convert("RGB"), "PNG")
            members[f"{top}{category}/{images}{number}.jpg"] = photo()
            members[f"{top}{category}/{masks}{number}.png"] = mask
    return members


def published(path: Path, url: str = "http://nowhere.invalid/x", algorithm: str = "sha256") -> Archive:
    """A file as if it were a published one."""
    digest = hashlib.new(algorithm, path.read_bytes()).hexdigest()
    return Archive(path.name, url, path.stat().st_size, f"{algorithm}:{digest}")
