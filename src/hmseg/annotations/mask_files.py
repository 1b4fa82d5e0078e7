"""Folders of images and mask files: which belong together."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hmseg.annotations.images import Images
from hmseg.annotations.label_maps import read_label_maps, read_names, refuse_several
from hmseg.annotations.marked import Found, Marked
from hmseg.data.mask_meaning import Reading
from hmseg.data.pairs import MASK_MARK, images_in, pair_apart, pair_beside, visible
from hmseg.errors import ConfigError

MASK_ENDINGS = (".png", ".tif", ".tiff")
"""Of masks that lie in a folder of their own."""
VOC_IMAGES = "JPEGImages"
FOLDERS = (
    ("images", "masks"),
    (VOC_IMAGES, "SegmentationClass"),  # PASCAL VOC's, CVAT's
    (VOC_IMAGES, "SegmentationClassPNG"),  # older versions of LabelMe's export
)
"""Of images and of their masks."""
LAYOUT = (
    "expected folders images/ and masks/, or pairs NAME.jpg + NAME.png (or NAME.png + NAME_mask.png), or one "
    "such folder for each class; or files of LabelMe, COCO or YOLO"
)


def is_masks(folder: Path) -> bool:
    """Does the folder itself hold images and masks?"""
    if _apart(folder):
        return True
    entries = visible(folder)
    return not any(each.is_dir() for each in entries) and bool(images_in(entries))


def find_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Images and their masks, in the order of the images' names.

    Args:
        folder: see ``LAYOUT``; hidden files are not looked at.

    Raises:
        ConfigError: an image without a mask or the other way round, or several that fit.
    """
    apart = _apart(folder)
    found = pair_apart(*apart) if apart else pair_beside(folder)
    if found.alike:
        one, other = found.alike[0]
        raise ConfigError(f"support={folder}: {one.name} and {other.name} could both be meant; leave one")
    # Most of VOC's own images have no mask.
    without_mask = [] if apart and apart[0].name == VOC_IMAGES else found.lone_images
    for lone, kind in ((without_mask, "mask"), (found.lone_masks, "image")):
        if lone:
            raise ConfigError(f"support={folder}: there is no {kind} for {lone[0].name}; {LAYOUT}")
    if not found.pairs:
        raise ConfigError(f"support={folder}: no image with a mask in it; {LAYOUT}")
    return list(found.pairs.values())


def _pairs_of(folder: Path, given: Path, root: Path | None) -> list[tuple[Path, Path]]:
    """Images and masks of a folder in the given one; with a ``root`` the images are found there, by name."""
    if root is None:
        return find_pairs(folder)
    masks = _masks_below(folder)
    images = Images(root, without=set(masks))
    named = {masks: images for images, masks in FOLDERS}
    pairs = []
    for mask in masks:
        name = Path(*(named.get(part, part) for part in mask.relative_to(given).with_suffix("").parts))
        image = images.find_stem(str(name)) or images.find_stem(str(name).removesuffix(MASK_MARK))
        if image is None:
            raise ConfigError(f"support={folder}: there is no image for {mask.name} in {root}")
        pairs.append((image, mask))
    return pairs


def read_pairs(folder: Path, name: str, images: Path | None = None, reading: Reading = "auto") -> Found:
    """The marked images of a folder of masks.

    Args:
        folder: see ``LAYOUT``.
        name: of the class, where there is only one and so no folder or list with its name.
        images: folder of the images, where ``folder`` holds masks only.
        reading: what the masks' pixels mean, see :func:`hmseg.data.mask_meaning.meaning`.

    Raises:
        ConfigError: nothing in it, what doesn't belong together, or files beside folders of classes.
        DataError: a label map that can't be read, or of another size than its image.
    """
    names = read_names(folder) or read_names(_masks_folder(folder))
    flat = is_masks(folder) if images is None else names is not None or not _classes(_masks_folder(folder))
    if flat:
        pairs = _pairs_of(folder, folder, images)
        if names is not None:
            return read_label_maps(pairs, names)
        if reading == "auto":
            refuse_several(pairs, folder)
        return _one_class(name, pairs)
    files = images_in(visible(folder))
    if not _classes(folder):
        raise ConfigError(f"support={folder}: no image in it; {LAYOUT}")
    if files:
        raise ConfigError(f"support={folder}: {files[0].name} lies beside folders of classes; {LAYOUT}")
    found = Found()
    for each in _classes(folder):
        found.classes |= _one_class(each.name, _pairs_of(each, folder, images)).classes
    return found


def _classes(folder: Path) -> list[Path]:
    return [each for each in visible(folder) if each.is_dir()]


def _masks_below(folder: Path) -> list[Path]:
    """The masks in a folder without images, and below it."""
    place = _masks_folder(folder)
    if masks := [each for each in images_in(place.rglob("*")) if each.suffix.lower() in MASK_ENDINGS]:
        return masks
    raise ConfigError(f"support={folder}: no mask in it ({', '.join(MASK_ENDINGS)}); {LAYOUT}")


def _one_class(name: str, pairs: Iterable[tuple[Path, Path]]) -> Found:
    return Found({name: [Marked(image, mask, mask) for image, mask in pairs]})


def _masks_folder(folder: Path) -> Path:
    """The folder of masks in a folder; itself where there is none."""
    return next((folder / masks for _, masks in FOLDERS if (folder / masks).is_dir()), folder)


def _apart(folder: Path) -> tuple[Path, Path] | None:
    """The folders of images and of masks in a folder."""
    for images, masks in FOLDERS:
        if (folder / images).is_dir() and (folder / masks).is_dir():
            return folder / images, folder / masks
    return None
