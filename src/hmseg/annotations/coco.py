"""COCO's JSON, as COCO, CVAT, Label Studio, Roboflow and ``predict`` itself write it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hmseg.annotations.images import Images, plain_names
from hmseg.annotations.marked import Canvas, Found, class_label, fitting_size
from hmseg.annotations.tracing import polygons
from hmseg.data.coco_shapes import runs_of, union
from hmseg.data.displayed import Size, Sizes, read_sizes
from hmseg.errors import DataError


def read_coco(file: Path, content: Mapping[str, Any], images: Images) -> Found:
    """The marked images of a COCO file; images without an outline, and categories without one, are left out.

    Args:
        file: for messages.
        content: of the file, with lists ``images`` and ``annotations``.
        images: where they are; ``file_name`` may have other folders before it.

    Returns:
        The classes in the order of the categories.

    Raises:
        DataError: the file contradicts itself, none of its images is there, or one has another size.
    """
    names, by_image = _category_names(content, str(file)), _by_image(content)
    found, seen = Found(), set()
    for listed in content["images"]:
        key, name = _image(listed, str(file))
        if key in seen:
            raise DataError(f"{file}: two images have the id {key}: export it again")
        seen.add(key)
        annotations = by_image.pop(key, [])
        if not annotations:
            continue
        found.images += 1
        path = images.find(name)
        if path is None:
            found.missing.append(name)
            continue
        canvas = Canvas(_size_in(listed, read_sizes(path), f"{file}: {name}", str(path)))
        for annotation in annotations:
            _draw(annotation, names, canvas, found, str(file))
        found.add(path, canvas, file)
    for key, annotations in by_image.items():
        for annotation in annotations:
            with found.outline():
                raise DataError(f"{file}: annotation {annotation.get('id')}: there is no image {key}")
    order = {name: place for place, name in enumerate(names.values())}
    found.classes = dict(sorted(found.classes.items(), key=lambda each: order[each[0]]))
    return found


def draw_image(content: Mapping[str, Any], image: str, canvas: Canvas, found: Found, file: str) -> None:
    """Draws what a COCO file marks in one image, and counts what can't be drawn.

    Args:
        content: of the file.
        image: its name; of a file with a single image this is meant, whatever it is called.
        canvas: of the image's size.
        found: counts.
        file: for messages.

    Raises:
        DataError: the image isn't listed, or has another size.
    """
    names, by_image = _category_names(content, file), _by_image(content)
    listed = [each for each in content["images"] if image in plain_names(_image(each, file)[1])]
    listed = listed or content["images"]
    if len(listed) != 1:
        raise DataError(
            f"{file} lists {len(listed)} images, none of them called {image}: give the image's own file"
        )
    key, _ = _image(listed[0], file)
    _size_in(listed[0], Sizes(canvas.size, canvas.size), file, image)
    for annotation in by_image.get(key, []):
        _draw(annotation, names, canvas, found, file)


def _by_image(content: Mapping[str, Any]) -> dict[object, list[Mapping[str, Any]]]:
    """The annotations of each image, by its id."""
    found: dict[object, list[Mapping[str, Any]]] = defaultdict(list)
    for annotation in content["annotations"]:
        if isinstance(annotation, dict):
            found[_key(annotation.get("image_id"))].append(annotation)
    return found


def _size_in(listed: Mapping[str, Any], image: Sizes, file: str, what: str) -> Size:
    """The size of the image that a file was made for; DataError where the image has another one."""
    if None in (claimed := (listed.get("height"), listed.get("width"))):
        return image.displayed
    return fitting_size(claimed, image, file, what)


def _category_names(content: Mapping[str, Any], file: str) -> dict[object, str]:
    """Names by id, in the order of the file; two categories of one name are one class."""
    listed = content.get("categories")
    names: dict[object, str] = {}
    for category in listed if isinstance(listed, list) else []:
        if isinstance(category, dict) and isinstance(category.get("name"), str):
            names[_key(category.get("id"))] = class_label(category["name"], f"{file}: a category")
    if not names:
        raise DataError(f"{file}: expected a list 'categories' with ids and names, as COCO's files have it")
    return names


def _image(listed: object, file: str) -> tuple[object, str]:
    """An image's id and name."""
    if not isinstance(listed, dict) or not isinstance(listed.get("file_name"), str):
        raise DataError(f"{file}: an image has no file_name: {str(listed)[:60]}")
    return _key(listed.get("id")), listed["file_name"]


def _key(number: object) -> object:
    """An id, which some tools write as text in one place and as a number in another."""
    return str(number)


def _draw(
    annotation: Mapping[str, Any], names: Mapping[object, str], canvas: Canvas, found: Found, file: str
) -> None:
    where = f"{file}: annotation {annotation.get('id')}"
    outline = annotation.get("segmentation")
    if isinstance(outline, list) and outline and all(isinstance(each, int | float) for each in outline):
        outline = [outline]  # one polygon, without the list around it
    parts = [[each] for each in outline] if isinstance(outline, list) and outline else [outline]
    for part in parts:
        with found.outline():
            label = names.get(_key(annotation.get("category_id")))
            if label is None:
                raise DataError(f"{where}: there is no category {annotation.get('category_id')}")
            if not part:
                raise DataError(f"{where}: it has no outline, only a box")
            canvas.draw(label, part, where)


def coco_content(entries: Iterable[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """What a COCO file says of predicted masks: one annotation for each class of an image, in polygons.

    Args:
        entries: of the images: ``file`` below the folder of the queries, ``width``, ``height``, and
            ``classes`` with ``category_id``, ``area``, ``bbox``, ``score`` and run lengths.
        names: of the classes; category ids count from 1.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, entry in enumerate(entries, start=1):
        size = (entry["height"], entry["width"])
        images.append({"id": number, "file_name": entry["file"], "height": size[0], "width": size[1]})
        for each in entry["classes"]:
            if not each["area"]:
                continue
            mask = union(*size, [runs_of(each["segmentation"], *size, entry["file"])])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": each["category_id"],
                    "segmentation": [np.ravel(line).tolist() for line in polygons(mask)],
                    "area": each["area"],
                    "bbox": each["bbox"],
                    "iscrowd": 0,
                    "score": each["score"],
                }
            )
    categories = [{"id": place, "name": name} for place, name in enumerate(names, start=1)]
    parts = {"images": images, "annotations": annotations, "categories": categories}
    return {"info": {"description": "masks predicted by hmseg"}, "licenses": [], **parts}
