"""Folders of images and mask files: which belong together, and the classes of label maps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from hmseg.annotations.images import Images, read_numbers
from hmseg.annotations.marked import Canvas, Found, Marked, fitting_size
from hmseg.data.displayed import read_sizes
from hmseg.data.opening import ENDINGS
from hmseg.errors import ConfigError, DataError

MASK_ENDINGS = (".png", ".tif", ".tiff")
"""Of masks that lie beside their images."""
MASK_MARK = "_mask"
"""At the end of a mask's stem, where the image has the mask's ending too."""
FOLDERS = (
    ("images", "masks"),
    ("JPEGImages", "SegmentationClass"),  # PASCAL VOC's, CVAT's
    ("JPEGImages", "SegmentationClassPNG"),  # older versions of LabelMe's export
)
LAYOUT = (
    "expected folders images/ and masks/, or pairs NAME.jpg + NAME.png (or NAME.png + NAME_mask.png), or one "
    "such folder for each class; or files of LabelMe, COCO or YOLO"
)
NAMES_FILES = ("classes.txt", "class_names.txt")
"""With the names of a label map's classes, a line each: that of 1 first, or of 0 where it is background."""
_BACKGROUND = ("_background_", "background", "__background__")


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
    if apart := _apart(folder):
        pictures = images_in(visible(apart[0]))
        masks = {each.stem: each for each in images_in(visible(apart[1]))}
    else:
        files = images_in(visible(folder))
        masks = _masks_among(files)
        pictures = [each for each in files if each not in masks.values()]
    stems = Counter(each.stem for each in pictures)
    if twice := [stem for stem, count in stems.items() if count > 1]:
        raise ConfigError(f"support={folder}: several images are called {twice[0]}; leave one")
    if not pictures:
        raise ConfigError(f"support={folder}: no image with a mask in it; {LAYOUT}")
    for found, wanted, kind in ((stems, masks, "mask"), (masks, stems, "image")):
        if lone := sorted(set(found) - set(wanted)):
            raise ConfigError(f"support={folder}: there is no {kind} for {lone[0]}; {LAYOUT}")
    return [(each, masks[each.stem]) for each in pictures]


def _found_elsewhere(folder: Path, masks: Sequence[Path], root: Path) -> list[tuple[Path, Path]]:
    """Masks below a folder with the images of their names, which lie in another one."""
    images = Images(root, without=set(masks))
    pairs = []
    for mask in masks:
        named = {masks: images for images, masks in FOLDERS}
        name = Path(*(named.get(part, part) for part in mask.relative_to(folder).with_suffix("").parts))
        image = images.find_stem(str(name)) or images.find_stem(str(name).removesuffix(MASK_MARK))
        if image is None:
            raise ConfigError(f"support={folder}: there is no image for {mask.name} in {root}")
        pairs.append((image, mask))
    return pairs


def read_pairs(folder: Path, name: str, images: Path | None = None) -> Found:
    """The marked images of a folder of masks.

    Args:
        folder: see ``LAYOUT``.
        name: of the class, where there is only one and so no folder or list with its name.
        images: folder of the images, where ``folder`` holds masks only.

    Raises:
        ConfigError: nothing in it, what doesn't belong together, or files beside folders of classes.
        DataError: a label map that can't be read, or of another size than its image.
    """
    names = read_names(folder) or read_names(_masks_folder(folder))
    if images is None and is_masks(folder):
        pairs = find_pairs(folder)
        return _label_maps(pairs, names) if names else _one_class(name, pairs)
    if images is not None and (names or not _classes(_masks_folder(folder))):
        pairs = _found_elsewhere(folder, _masks_below(folder), images)
        return _label_maps(pairs, names) if names else _one_class(name, pairs)
    files = images_in(visible(folder))
    if not _classes(folder):
        raise ConfigError(f"support={folder}: no image in it; {LAYOUT}")
    if files:
        raise ConfigError(f"support={folder}: {files[0].name} lies beside folders of classes; {LAYOUT}")
    found = Found()
    for each in _classes(folder):
        pairs = find_pairs(each) if images is None else _found_elsewhere(folder, _masks_below(each), images)
        found.classes |= _one_class(each.name, pairs).classes
    return found


def _classes(folder: Path) -> list[Path]:
    return [each for each in visible(folder) if each.is_dir()]


def _masks_below(folder: Path) -> list[Path]:
    """The masks in a folder without images, and below it."""
    place = _masks_folder(folder)
    if masks := [each for each in images_in(place.rglob("*")) if each.suffix.lower() in MASK_ENDINGS]:
        return masks
    raise ConfigError(f"support={folder}: no mask in it ({', '.join(MASK_ENDINGS)}); {LAYOUT}")


def read_names(folder: Path) -> dict[int, str]:
    """The names of a label map's classes by number; none where no file lists them. See ``NAMES_FILES``.

    Raises:
        DataError: the file can't be read, or two classes have one name.
    """
    for file in (folder / name for name in NAMES_FILES):
        if not file.is_file():
            continue
        try:
            lines = [" ".join(line.split()) for line in file.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file} can't be read ({error}): write a name a line, as UTF-8") from None
        lines = [line for line in lines if line != "__ignore__"]  # LabelMe's, of the pixels without a class
        first = 0 if lines and lines[0].lower() in _BACKGROUND else 1
        names = {number: line for number, line in enumerate(lines, start=first) if line and number}
        if len(set(names.values())) < len(names):
            raise DataError(f"{file}: two classes have one name: rename one of them")
        return names
    return {}


def _one_class(name: str, pairs: Iterable[tuple[Path, Path]]) -> Found:
    return Found({name: [Marked(image, mask, mask) for image, mask in pairs]})


def _label_maps(pairs: Sequence[tuple[Path, Path]], names: Mapping[int, str]) -> Found:
    found = Found()
    for image, mask in pairs:
        found.images += 1
        labels = read_numbers(mask)
        size = (labels.shape[0], labels.shape[1])
        canvas = Canvas(fitting_size(size, read_sizes(image), f"mask {mask}", str(image)))
        for number in np.unique(labels[labels > 0]).tolist():
            if number == 255 and number not in names:  # void, as PASCAL VOC has it
                continue
            with found.outline():
                if number not in names:
                    raise DataError(f"mask {mask}: its label {number} has no name in the list of classes")
                canvas.masks[names[number]] = labels == number
        found.add(image, canvas, mask)
    order = {name: number for number, name in names.items()}
    found.classes = dict(sorted(found.classes.items(), key=lambda each: order[each[0]]))
    return found


def _masks_folder(folder: Path) -> Path:
    """The folder of masks in a folder; itself where there is none."""
    return next((folder / masks for _, masks in FOLDERS if (folder / masks).is_dir()), folder)


def _apart(folder: Path) -> tuple[Path, Path] | None:
    """The folders of images and of masks in a folder."""
    for images, masks in FOLDERS:
        if (folder / images).is_dir() and (folder / masks).is_dir():
            return folder / images, folder / masks
    return None


def _masks_among(files: Sequence[Path]) -> dict[str, Path]:
    """The masks by their images' stems, where both lie in one folder."""
    others = {each.stem for each in files if each.suffix.lower() not in MASK_ENDINGS}
    candidates = [each for each in files if each.suffix.lower() in MASK_ENDINGS]
    marked = {
        each.stem.removesuffix(MASK_MARK): each
        for each in candidates
        if each.stem.endswith(MASK_MARK) and each.stem not in others
    }
    return {
        each.stem: each for each in candidates if each.stem in others and each.stem not in marked
    } | marked


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, in order, but for hidden files."""
    return sorted(each for each in folder.iterdir() if not each.name.startswith("."))


def images_in(files: Iterable[Path]) -> list[Path]:
    """The images among the files, by their endings, in order."""
    return sorted(each for each in files if each.suffix.lower() in ENDINGS and not each.is_dir())
