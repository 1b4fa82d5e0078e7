"""Annotated images in any of the forms: which one it is, and what it marks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hmseg.annotations.coco import read_coco
from hmseg.annotations.images import Images
from hmseg.annotations.json_files import kind_of, read_json
from hmseg.annotations.labelme import read_labelme
from hmseg.annotations.marked import Found
from hmseg.annotations.mask_files import LAYOUT, find_pairs, is_masks, read_pairs
from hmseg.annotations.yolo import LABELS, label_files, read_yolo
from hmseg.data.mask_meaning import Reading
from hmseg.errors import ConfigError, DataError


def find_supports(
    path: Path, name: str = "object", images: Path | None = None, reading: Reading = "auto"
) -> Found:
    """The marked images of each class, from a folder or a file.

    Args:
        path: a folder with images and masks (see ``LAYOUT``), with LabelMe's files, with one COCO file or
            with YOLO's ``labels/``; or one of LabelMe's files, a COCO file, or YOLO's ``data.yaml``.
        name: of the class, where nothing names it.
        images: folder of the images, where they lie elsewhere.
        reading: what the pixels of mask files mean, see :func:`hmseg.data.mask_meaning.meaning`.

    Raises:
        ConfigError: nothing there, or more than one form of it.
        DataError: files that can't be used, or don't fit their images.

    Example:
        >>> find_supports(Path("cats/annotations.json")).classes["cat"][0].image  # doctest: +SKIP
        PosixPath('cats/images/1.jpg')
    """
    if images is not None and not images.is_dir():
        raise ConfigError(f"support_images={images}: there is no such folder; give the one with the images")
    if not path.exists():
        raise ConfigError(f"support={path}: there is no such file or folder; {LAYOUT}")
    found = _of_file(path, images) if path.is_file() else _of_folder(path, name, images, reading)
    if not found.classes:
        raise ConfigError(f"support={path}: nothing is marked; {'; '.join(found.notes()) or LAYOUT}")
    return found


def _of_file(file: Path, images: Path | None) -> Found:
    if file.suffix.lower() in (".yaml", ".yml"):
        return _yolo(file.parent, images)
    if file.suffix.lower() != ".json":
        raise ConfigError(f"support={file}: expected a JSON file of COCO or LabelMe, data.yaml, or a folder")
    content = read_json(file)
    kind = kind_of(content)
    if kind is None:
        raise DataError(
            f"{file} has neither 'shapes', as LabelMe's files, nor 'images' and 'annotations', as COCO's: "
            "export it in one of these formats"
        )
    if kind == "labelme":
        return read_labelme([(file, content)], Images(images or file.parent), beside=images is None)
    return _coco(file, content, images)


def _of_folder(folder: Path, name: str, images: Path | None, reading: Reading) -> Found:
    files = _json_files(folder)
    coco = {file: content for file, content in files.items() if kind_of(content) == "coco"}
    labelme = {file: content for file, content in files.items() if kind_of(content) == "labelme"}
    yolo = label_files(folder)
    forms = {
        "COCO": [*coco],
        "LabelMe": [*labelme],
        "YOLO": yolo,
        "masks": _masks(folder) if coco or labelme or yolo else [],
    }
    present = [f"{form} ({paths[0].relative_to(folder)})" for form, paths in forms.items() if paths]
    if len(present) > 1:
        raise ConfigError(f"support={folder}: annotated twice, as {' and '.join(present)}; leave one of them")
    if len(coco) > 1:
        first, second = sorted(coco)[:2]
        raise ConfigError(
            f"support={folder}: two COCO files, {first} and {second}; give one of them as support"
        )
    if coco:
        return _coco(*coco.popitem(), images)
    if labelme:
        return read_labelme(sorted(labelme.items()), Images(images or folder), beside=images is None)
    if yolo:
        return _yolo(folder, images)
    return read_pairs(folder, name, images, reading)


def _json_files(folder: Path) -> dict[Path, Any]:
    """The contents of the JSON files below a folder that are COCO's or LabelMe's."""
    paths = [
        each
        for each in sorted(folder.rglob("*.json"))
        if not any(part.startswith(".") for part in each.relative_to(folder).parts) and each.is_file()
    ]
    contents = {path: read_json(path) for path in paths}
    return {path: each for path, each in contents.items() if kind_of(each) and not _is_summary(each)}


def _is_summary(content: Mapping[str, Any]) -> bool:
    """Is it the summary of ``predict``, which lies beside what is to be read?"""
    return "failed" in content and "info" in content


def _masks(folder: Path) -> list[Path]:
    """The masks of a folder that holds some beside annotation files."""
    try:
        return [mask for _, mask in find_pairs(folder)] if is_masks(folder) else []
    except ConfigError:  # images that are all without masks, or some of them are
        return []


def _coco(file: Path, content: Mapping[str, Any], images: Path | None) -> Found:
    """``annotations/`` lies beside the folder of the images, as COCO and CVAT have it."""
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    return read_coco(file, content, Images(images or root))


def _yolo(folder: Path, images: Path | None) -> Found:
    root = folder.parent if folder.name == LABELS else folder
    return read_yolo(root, label_files(folder), Images(images or root))
