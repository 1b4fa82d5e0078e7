"""One picture of the first masks that a run reads, to see at a glance whether they are read as meant."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from hmseg.data.source import Source, Split
from hmseg.errors import DataError
from hmseg.files import writing_bytes
from hmseg.visualise.pictures import Mask, Pixels, with_mask
from hmseg.visualise.style import COLOURS

SIDE = 240
"""Of each image's square, pixels."""
COLUMNS = 4
MOST = 12
_LINE = 16  # pixels of a line of text


class Shown(NamedTuple):
    """One image of the sheet.

    Attributes:
        title: what stands below it.
        image: (H, W, 3).
        mask: (H, W), tinted.
        void: (H, W), grey; None for none.
    """

    title: str
    image: Pixels
    mask: Mask
    void: Mask | None = None


def mask_sheet(shown: Iterable[Shown]) -> Image.Image:
    """The first `MOST` images with their objects tinted, void grey, each with its title below.

    Example:
        >>> image = np.zeros((30, 60, 3), np.uint8)
        >>> mask_sheet([Shown("cat", image, image[..., 0] == 0)] * 5).size
        (960, 512)
    """
    chosen = list(shown)[:MOST]
    rows = -(-len(chosen) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SIDE, rows * (SIDE + _LINE)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, each in enumerate(chosen):
        left, top = place % COLUMNS * SIDE, place // COLUMNS * (SIDE + _LINE)
        small = _small(each)
        picture = Image.fromarray(with_mask(small.image, small.mask, COLOURS["input"], small.void))
        sheet.paste(picture, (left + (SIDE - picture.width) // 2, top + (SIDE - picture.height) // 2))
        draw.text((left + 4, top + SIDE + 2), each.title[:38], fill="black")
    return sheet


def _small(each: Shown) -> Shown:
    """At most `SIDE` pixels a side, a little less for a margin."""
    height, width = each.mask.shape
    scale = min(1.0, (SIDE - 4) / max(height, width))
    rows, columns = (
        np.linspace(0, side - 1, max(1, round(side * scale))).astype(int) for side in (height, width)
    )
    image = Image.fromarray(each.image).resize((len(columns), len(rows)), Image.Resampling.BILINEAR)
    nearest = np.ix_(rows, columns)
    void = None if each.void is None else each.void[nearest]
    return Shown(each.title, np.asarray(image), each.mask[nearest], void)


def write_sheet(path: Path, shown: Iterable[Shown]) -> None:
    """Writes a sheet as JPEG; DataError where it can't be written."""
    try:
        with writing_bytes(path) as file:
            mask_sheet(shown).save(file, "JPEG", quality=90)
    except OSError as error:
        raise DataError(f"{path} can't be written ({error.strerror}): free some space") from error


def first_masks(source: Source, fold: int | None) -> list[Shown]:
    """The first image of each of the classes, held-out ones first, at most `MOST`; raises DataError."""
    splits: tuple[Split, ...] = ("test", "train")
    pairs = {
        class_id: names[0]
        for split in splits
        for class_id, names in source.listing(split, fold).by_class.items()
    }
    return [
        Shown(f"{source.class_names[class_id]}: {name}", *source.read(name, class_id))
        for class_id, name in list(pairs.items())[:MOST]
    ]
