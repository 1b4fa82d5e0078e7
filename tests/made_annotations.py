"""Annotated images in the true layouts of the tools that write them: a cat and a dog, and another cat."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

SIZE = (60, 80)
Corners = tuple[int, int, int, int]
CAT, DOG, SECOND = (10, 5, 40, 35), (45, 20, 70, 50), (20, 10, 60, 55)
"""Left, top, right, bottom in pixels."""
PHOTOS: Mapping[str, Mapping[str, Corners]] = {"one": {"cat": CAT, "dog": DOG}, "two": {"cat": SECOND}}
"""By the photo's stem and class."""


def photo(path: Path, seed: int = 0, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def photos(folder: Path, ending: str = ".jpg") -> None:
    for seed, stem in enumerate(PHOTOS):
        photo(folder / f"{stem}{ending}", seed)


def mask_of(corners: Corners, size: tuple[int, int] = SIZE) -> NDArray[np.bool_]:
    left, top, right, bottom = corners
    mask = np.zeros(size, np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def ring(corners: Corners) -> list[list[float]]:
    left, top, right, bottom = corners
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def flat(corners: Corners) -> list[float]:
    return [number for point in ring(corners) for number in point]


def write_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


# LabelMe


def labelme_shape(
    label: str, points: object, kind: str = "polygon", mask: str | None = None
) -> dict[str, Any]:
    return {
        "label": label,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": mask,
    }


def labelme_mask(corners: Corners) -> dict[str, Any]:
    """A shape of the kind ``mask``, as LabelMe's AI tool makes it: the part between two pixels, as a PNG."""
    left, top, right, bottom = corners
    buffer = BytesIO()
    Image.fromarray(np.full((bottom - top, right - left), 255, np.uint8)).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    return labelme_shape("cat", [[left, top], [right - 1, bottom - 1]], "mask", text)


def labelme_file(
    path: Path, image: str, shapes: list[Any], size: tuple[int | None, int | None] = SIZE
) -> Path:
    content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": None}
    return write_json(path, {**content, "imageHeight": size[0], "imageWidth": size[1]})


def labelme(folder: Path) -> None:
    """JSON files beside the images."""
    photos(folder)
    for stem, shown in PHOTOS.items():
        shapes = [labelme_shape(name, ring(corners)) for name, corners in shown.items()]
        labelme_file(folder / f"{stem}.json", f"{stem}.jpg", shapes)


# COCO


def coco_content(file_names: Mapping[str, str], first_id: int = 1, runs: str = "") -> dict[str, Any]:
    """The photos as COCO's JSON.

    Args:
        file_names: of the photos, by stem.
        first_id: of the categories.
        runs: ``list`` or ``text`` for run lengths instead of polygons.
    """
    images, annotations = [], []
    for number, (stem, shown) in enumerate(PHOTOS.items()):
        images.append({"id": number, "file_name": file_names[stem], "height": SIZE[0], "width": SIZE[1]})
        for name, corners in shown.items():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": first_id + ("cat", "dog").index(name),
                    "segmentation": run_lengths(corners, runs) if runs else [flat(corners)],
                    "area": int(mask_of(corners).sum()),
                    "bbox": [corners[0], corners[1], corners[2] - corners[0], corners[3] - corners[1]],
                    "iscrowd": int(bool(runs)),
                }
            )
    categories = [{"id": first_id + place, "name": name} for place, name in enumerate(("cat", "dog"))]
    return {"images": images, "annotations": annotations, "categories": categories}


def run_lengths(corners: Corners, kind: str) -> dict[str, Any]:
    mask = np.asfortranarray(mask_of(corners))
    if kind == "text":
        found = coco.encode(mask.astype(np.uint8))
        return {"size": list(SIZE), "counts": found["counts"].decode()}
    changes = np.flatnonzero(np.diff(mask.ravel(order="F").astype(np.int8))) + 1
    return {"size": list(SIZE), "counts": np.diff([0, *changes, mask.size]).tolist()}


def cvat(folder: Path) -> None:
    """COCO 1.0 with images: one folder for annotations, masks as run lengths in a list."""
    photos(folder / "images/default")
    content = coco_content({stem: f"{stem}.jpg" for stem in PHOTOS}, runs="list")
    write_json(folder / "annotations/instances_default.json", {"licenses": [], "info": {}, **content})


def label_studio(folder: Path) -> None:
    """Uploaded images with a mark before their names; paths of a Windows server; categories from 0."""
    for seed, stem in enumerate(PHOTOS):
        photo(folder / f"images/1a2b3c4{seed}-{stem}.jpg", seed)
    names = {
        stem: f"..\\..\\media\\upload\\1\\1a2b3c4{place}-{stem}.jpg" for place, stem in enumerate(PHOTOS)
    }
    write_json(folder / "result.json", coco_content(names, first_id=0))


def roboflow(folder: Path) -> None:
    """Images beside the file, a dummy category of the project's name."""
    names = {stem: f"{stem}_jpg.rf.0123456789abcdef.jpg" for stem in PHOTOS}
    for seed, name in enumerate(names.values()):
        photo(folder / name, seed)
    content = coco_content(names)
    content["categories"].insert(0, {"id": 0, "name": "pets", "supercategory": "none"})
    write_json(folder / "_annotations.coco.json", content)


def coco_text(folder: Path) -> None:
    """COCO's compressed run lengths."""
    photos(folder)
    write_json(folder / "instances.json", coco_content({stem: f"{stem}.jpg" for stem in PHOTOS}, runs="text"))


# YOLO


def yolo_line(number: int, corners: Corners) -> str:
    shares = [f"{x / SIZE[1]} {y / SIZE[0]}" for x, y in ring(corners)]
    return f"{number} {' '.join(shares)}\n"


def yolo(folder: Path, images: str = "images/train", labels: str = "labels/train") -> None:
    """As Ultralytics and CVAT lay it out."""
    photos(folder / images)
    for stem, shown in PHOTOS.items():
        path = folder / labels / f"{stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(yolo_line(int(name == "dog"), corners) for name, corners in shown.items()))
    (folder / "data.yaml").write_text("path: ./\ntrain: train.txt\nnames:\n  0: cat\n  1: dog\n")


def yolo_roboflow(folder: Path) -> None:
    """A folder for each part of the data, the names as a list."""
    yolo(folder, "train/images", "train/labels")
    text = "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['cat', 'dog']\n"
    (folder / "data.yaml").write_text(text)


def label_studio_yolo(folder: Path) -> None:
    """Uploaded images with a mark before their names, the names in a list, and notes."""
    yolo(folder, "images", "labels")
    (folder / "data.yaml").unlink()
    for place, stem in enumerate(PHOTOS):
        for path in (folder / f"images/{stem}.jpg", folder / f"labels/{stem}.txt"):
            path.rename(path.with_name(f"1a2b3c4{place}-{path.name}"))
    (folder / "classes.txt").write_text("cat\ndog\n")
    write_json(folder / "notes.json", {"categories": [{"id": 0, "name": "cat"}], "info": {"year": 2024}})


# Label maps


def label_map(shown: Mapping[str, Corners], kind: type[np.generic] = np.uint8) -> NDArray[Any]:
    labels = np.zeros(SIZE, kind)
    for name, corners in shown.items():
        labels[mask_of(corners)] = 1 + ("cat", "dog").index(name)
    return labels


def voc(folder: Path) -> None:
    """PASCAL VOC's folders, as LabelMe exports them: palette images, the background first in the list.

    As in VOC itself, there is an image without a mask.
    """
    photos(folder / "JPEGImages")
    photo(folder / "JPEGImages/three.jpg")
    (folder / "SegmentationClass").mkdir()
    for stem, shown in PHOTOS.items():
        image = Image.fromarray(label_map(shown)).convert("P")
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        image.save(folder / f"SegmentationClass/{stem}.png")
    (folder / "class_names.txt").write_text("_background_\ncat\ndog\n")


def cvat_masks(folder: Path) -> None:
    """CVAT's "Segmentation mask": the classes in colours, with a list of these."""
    photos(folder / "JPEGImages")
    (folder / "SegmentationClass").mkdir()
    colours = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0), (224, 224, 192)], np.uint8)
    for stem, shown in PHOTOS.items():
        labels = label_map(shown)
        labels[-1] = 3
        Image.fromarray(colours[labels]).save(folder / f"SegmentationClass/{stem}.png")
    lines = ("# label:color_rgb:parts:actions", "background:0,0,0::", "cat:128,0,0::", "dog:0,128,0::")
    (folder / "labelmap.txt").write_text("\n".join(lines))


def napari(folder: Path, kind: type[np.generic] = np.uint16, images: str = ".tif") -> None:
    """Images and label maps as TIFF."""
    photos(folder / "images", images)
    (folder / "masks").mkdir()
    for stem, shown in PHOTOS.items():
        Image.fromarray(label_map(shown, kind)).save(
            folder / f"masks/{stem}.tif", compression="tiff_adobe_deflate"
        )
    (folder / "classes.txt").write_text("cat\ndog\n")


def napari_bytes(folder: Path) -> None:
    napari(folder, np.uint8, ".png")


def napari_deep(folder: Path) -> None:
    napari(folder, np.int32)


TOOLS = (
    labelme,
    cvat,
    cvat_masks,
    label_studio,
    label_studio_yolo,
    roboflow,
    coco_text,
    yolo,
    yolo_roboflow,
    voc,
)
LAYOUTS = {each.__name__: each for each in (*TOOLS, napari, napari_bytes, napari_deep)}
