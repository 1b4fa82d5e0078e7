"""Reading of image and mask files, and the one line for each file that cannot be used."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hmseg.data.reading import check_same_size, read_image, read_label_map
from hmseg.errors import DataError


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def refused(path: Path, *words: str, mask: bool = False) -> None:
    """Reading fails in one line with the file's name and all of the words."""
    with pytest.raises(DataError) as caught:
        (read_label_map if mask else read_image)(path)
    message = str(caught.value)
    assert "\n" not in message
    for word in (str(path), *words):
        assert word in message


def test_image_is_read_as_rgb_bytes_owned_by_the_caller(tmp_path: Path) -> None:
    pixels = noise(5, 7, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8 and image.flags.writeable
    np.testing.assert_array_equal(image, pixels)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1"])
def test_other_colour_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.tif"
    converted = Image.fromarray(noise(5, 7, 3)).convert(mode)
    converted.save(path)
    np.testing.assert_array_equal(read_image(path), np.array(converted.convert("RGB")))


def test_missing_image(tmp_path: Path) -> None:
    refused(tmp_path / "a.jpg", "image", "does not exist", "check")


def test_folder_in_place_of_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    refused(tmp_path / "a.jpg", "is a folder", "file was expected")


def test_text_is_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("<html>not found</html>")
    refused(tmp_path / "a.jpg", "not an image", "replace")


def test_empty_file_is_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    refused(tmp_path / "a.jpg", "not an image")


def test_truncated_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(noise(64, 64, 3)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, "damaged", "truncated", "replace")


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_truncated_mask(tmp_path: Path, part: float) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(noise(64, 64)).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    refused(path, "mask", "damaged", mask=True)


def test_png_with_a_broken_chunk_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(noise(64, 64)).save(path)
    data = bytearray(path.read_bytes())
    data[100:140] = bytes(40)
    path.write_bytes(bytes(data))
    refused(path, "damaged", mask=True)


def test_image_of_16_bits_is_refused(tmp_path: Path) -> None:
    Image.fromarray(noise(4, 4).astype(np.uint16) * 256).save(tmp_path / "a.png")
    refused(tmp_path / "a.png", "16 or 32 bits", "8 were expected")


def test_palette_mask_gives_indices_not_colours(tmp_path: Path) -> None:
    labels = np.array([[0, 1, 20], [255, 7, 0]], dtype=np.uint8)
    image = Image.fromarray(labels).convert("P")
    image.putdata(labels.flatten().tolist())
    image.putpalette(noise(768).tobytes())
    image.save(tmp_path / "a.png")
    mask = read_label_map(tmp_path / "a.png")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, labels)


def test_grey_mask(tmp_path: Path) -> None:
    labels = np.array([[0, 80], [3, 255]], dtype=np.uint8)
    Image.fromarray(labels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png"), labels)


def test_missing_mask(tmp_path: Path) -> None:
    refused(tmp_path / "a.png", "mask", "does not exist", mask=True)


@pytest.mark.parametrize(
    ("pixels", "came"),
    [
        (noise(4, 4, 3), "a colour image (mode RGB)"),
        (noise(4, 4, 4), "a colour image (mode RGBA)"),
        (noise(4, 4).astype(np.uint16), "16 or 32 bits per pixel (mode I;16)"),
        (noise(4, 4) > 127, "a black and white image (mode 1)"),
    ],
)
def test_masks_that_hold_no_class_numbers(tmp_path: Path, pixels: np.ndarray, came: str) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    refused(tmp_path / "a.png", came, "8-bit palette or grey", "convert", mask=True)


def test_mask_of_another_size() -> None:
    image, mask = np.zeros((5, 7, 3), np.uint8), np.zeros((7, 5), np.uint8)
    with pytest.raises(
        DataError, match=re.escape("mask m.png is 5x7 pixels, 7x5 were expected, the size of i.jpg")
    ):
        check_same_size(image, mask, Path("i.jpg"), Path("m.png"))


def test_mask_of_the_same_size() -> None:
    check_same_size(np.zeros((5, 7, 3), np.uint8), np.zeros((5, 7), np.uint8), Path("i.jpg"), Path("m.png"))
