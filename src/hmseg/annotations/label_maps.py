"""Masks of several classes in one file: numbers or colours, and the list that names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmseg.annotations.marked import Canvas, Found, fitting_size, run_lengths
from hmseg.data.displayed import read_sizes
from hmseg.data.mask_files import mask_pixels
from hmseg.data.mask_meaning import LABEL, VOID, VOID_COLOUR
from hmseg.data.opening import open_file, turned
from hmseg.errors import DataError

NAMES_FILES = ("classes.txt", "class_names.txt")
"""With the names of a label map's classes, a line each: that of 1 first, or of 0 where it is background."""
COLOURS_FILE = "labelmap.txt"
"""CVAT's list: a line ``name:red,green,blue:parts:actions`` for each class."""
_BACKGROUND = ("_background_", "background", "__background__")


@dataclass(frozen=True)
class Names:
    """The classes of label maps.

    Attributes:
        by_label: names by number, or by colour as one number (red, green and blue, a byte each).
        coloured: whether they are colours.
        file: the list.
    """

    by_label: Mapping[int, str]
    coloured: bool
    file: Path

    @property
    def void(self) -> int:
        """The label of pixels that belong to no class, as PASCAL VOC has it."""
        return _packed(np.array(VOID_COLOUR)).item() if self.coloured else VOID


def read_names(folder: Path) -> Names | None:
    """The names of label maps' classes, from `NAMES_FILES` or `COLOURS_FILE`; None where there is no list.

    Raises:
        DataError: the file can't be read, has no names, or gives two classes one name.
    """
    file = next((folder / each for each in (*NAMES_FILES, COLOURS_FILE) if (folder / each).is_file()), None)
    if file is None:
        return None
    try:
        lines = [" ".join(line.split()) for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} can't be read ({error}): write a name a line, as UTF-8") from None
    coloured = file.name == COLOURS_FILE
    names = _by_colour(lines, file) if coloured else _by_number(lines)
    if not names:
        raise DataError(f"{file} has no names in it: write one a line")
    if len(set(names.values())) < len(names):
        raise DataError(f"{file}: two classes have one name: rename one of them")
    return Names(names, coloured, file)


def _by_number(lines: Iterable[str]) -> dict[int, str]:
    listed = [line for line in lines if line != "__ignore__"]  # LabelMe's, of the pixels without a class
    first = 0 if listed and listed[0].lower() in _BACKGROUND else 1
    return {number: line for number, line in enumerate(listed, start=first) if line and number}


def _by_colour(lines: Iterable[str], file: Path) -> dict[int, str]:
    names = {}
    for line in lines:
        if not line or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        try:
            red, green, blue = (int(each) for each in rest.split(":")[0].split(","))
        except ValueError:
            raise DataError(f"{file}: expected name:red,green,blue::, got {line[:40]}") from None
        names[_packed(np.array([red, green, blue])).item()] = name.strip()
    names.pop(0, None)  # black is background
    return names


def read_label_maps(pairs: Iterable[tuple[Path, Path]], names: Names) -> Found:
    """The marked images of label maps.

    Args:
        pairs: images, each with its map.
        names: of the classes; labels that aren't listed are left out and counted.

    Raises:
        DataError: a map that can't be read, or of another size than its image.
    """
    found = Found()
    for image, mask in pairs:
        found.images += 1
        labels = _labels(mask, names.coloured)
        size = (labels.shape[0], labels.shape[1])
        canvas = Canvas(fitting_size(size, read_sizes(image), f"mask {mask}", str(image)))
        present = [each for each in np.unique(labels).tolist() if each]
        for label in present:
            if label == names.void and label not in names.by_label and len(present) > 1:
                continue
            with found.outline():
                if label not in names.by_label:
                    shown = f"#{label:06x}" if names.coloured else str(label)
                    raise DataError(f"mask {mask}: its label {shown} has no name in {names.file}")
                canvas.draw(names.by_label[label], run_lengths(labels == label), f"mask {mask}")
        found.add(image, canvas, mask)
    order = {name: place for place, name in enumerate(names.by_label.values())}
    found.classes = dict(sorted(found.classes.items(), key=lambda each: order[each[0]]))
    return found


def refuse_several(pairs: Iterable[tuple[Path, Path]], folder: Path) -> None:
    """Refuse masks with several small numbers and no list of names: classes, or parts of one?

    Raises:
        DataError: there is such a mask.
    """
    for _, mask in pairs:
        numbers = mask_pixels(open_file(mask, "mask")).numbers
        present = [] if numbers is None else np.unique(numbers).tolist()
        labels = [each for each in present if each not in (0, VOID)]
        if len(labels) > 1 and labels[-1] <= LABEL:
            shown = ", ".join(map(str, labels[:5])) + ", …" * (len(labels) > 5)
            raise DataError(
                f"mask {mask} has several numbers ({shown}): name the classes in {folder / NAMES_FILES[0]}, "
                "a line for each number from 1 on; or say which are the object (reading=labels: all of them; "
                f"reading={labels[0]}: only this one)"
            )


def _labels(path: Path, coloured: bool) -> NDArray[np.int64]:
    """(H, W) as displayed: numbers, or colours as one number each; 0 is background."""
    still = open_file(path, "mask")
    pixels = mask_pixels(still)
    if coloured and pixels.colours is not None:
        return turned(_packed(pixels.colours), still.left_to_turn).astype(np.int64)
    if coloured or pixels.numbers is None:
        wanted = "colours were" if coloured else "grey of 8 or 16 bits or a palette was"
        raise DataError(f"mask {path} is no label map (mode {still.image.mode}): {wanted} expected")
    return turned(pixels.numbers, still.left_to_turn).astype(np.int64)


def _packed(colours: NDArray[np.integer]) -> NDArray[np.int64]:
    """(…, 3) as one number each."""
    return np.asarray(colours.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1]))
