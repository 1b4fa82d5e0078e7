"""Masks of one object: every way of writing them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hmseg.data.binary import fit_mask, read_grey_mask
from hmseg.errors import DataError

SHAPE = np.array([[1, 0, 0], [1, 1, 0]], bool)


def save(path: Path, image: Image.Image) -> Path:
    image.save(path)
    return path


def test_grey_masks_as_published(tmp_path: Path) -> None:
    values = np.array([[0, 127, 128], [1, 255, 200]], np.uint8)
    expected = [[False, False, True], [False, True, True]]
    for mode in ("L", "RGB", "RGBA", "LA"):
        path = save(tmp_path / f"{mode}.png", Image.fromarray(values).convert(mode))
        assert read_grey_mask(path).tolist() == expected, mode
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([0, 0, 0, 255, 255, 255])
    assert read_grey_mask(save(tmp_path / "P.png", palette)).tolist() == [[False, True]]


def test_16_bit_masks_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "mask.png", Image.fromarray(np.full((2, 2), 70, np.uint16)))
    with pytest.raises(DataError, match=r"mask\.png has 16 or 32 bits per pixel, 8 were expected: save it"):
        read_grey_mask(path)
    with pytest.raises(DataError, match=r"nowhere\.png does not exist"):
        read_grey_mask(tmp_path / "nowhere.png")


@pytest.mark.parametrize(("rows", "columns"), [(4, 6), (6, 9), (2, 3), (20, 31)])
def test_masks_of_the_same_shape_are_brought_to_the_image(rows: int, columns: int) -> None:
    image: NDArray[np.uint8] = np.zeros((rows, columns, 3), np.uint8)
    mask = fit_mask(SHAPE, image, Path("m"), Path("i"))
    expected = [[SHAPE[y * 2 // rows, x * 3 // columns] for x in range(columns)] for y in range(rows)]
    assert np.array_equal(mask, expected)


def test_masks_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"mask m is 3x2 pixels, 2x3 were expected .* the size of i: replace"):
        fit_mask(SHAPE, np.zeros((3, 2, 3), np.uint8), Path("m"), Path("i"))
