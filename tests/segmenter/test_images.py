"""Images of every kind become the same bytes; what can't be used is named in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hmseg.errors import DataError
from hmseg.segmenter.images import to_pixels

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = PIXELS[..., 0]


@pytest.mark.parametrize(
    "image",
    [
        PIXELS,
        PIXELS.astype(np.int64),
        PIXELS / 255,
        Image.fromarray(PIXELS),
        Image.fromarray(PIXELS).convert("RGBA"),
        torch.from_numpy(PIXELS).permute(2, 0, 1),
        torch.from_numpy(PIXELS / 255).permute(2, 0, 1),
        np.concatenate([PIXELS, PIXELS[..., :1]], axis=2),
    ],
    ids=["bytes", "int64", "float", "PIL", "RGBA", "tensor", "float tensor", "four channels"],
)
def test_the_same_bytes_from_every_kind(image: Any) -> None:
    found = to_pixels(image)
    assert found.dtype == np.uint8 and np.array_equal(found, PIXELS)


@pytest.mark.parametrize(
    "image",
    [GREY, GREY[..., None], torch.from_numpy(GREY), torch.from_numpy(GREY)[None], Image.fromarray(GREY)],
)
def test_grey_becomes_rgb(image: Any) -> None:
    assert np.array_equal(to_pixels(image), np.stack([GREY] * 3, axis=2))


def test_files_as_text_and_path(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        assert np.array_equal(to_pixels(path), PIXELS)


def test_a_photo_is_turned_upright_from_a_file_and_from_pillow(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 270 degrees
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        for given in (tmp_path / "a.png", image, image.copy(), image.convert("RGBA")):
            assert np.array_equal(to_pixels(given), np.rot90(PIXELS, k=-1))


def test_the_users_array_is_not_shared() -> None:
    given = PIXELS.copy()
    to_pixels(given)[:] = 0
    assert np.array_equal(given, PIXELS)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((4, 4, 3), np.nan), "image holds NaN or infinity"),
        (torch.full((3, 4, 4), torch.inf), "image holds NaN or infinity"),
        (np.full((4, 4, 3), 7.0), "image holds numbers from 7 to 7 \\(float64\\), 0 to 1 were expected"),
        (np.full((4, 4, 3), 300), "image holds numbers from 300 to 300 \\(int64\\), 0 to 255"),
        (np.full((4, 4, 3), -0.5), "before any normalisation"),
        (np.zeros((2, 4, 4, 3), np.uint8), "shape \\(2, 4, 4, 3\\) came, one image"),
        (np.zeros((0, 4, 3), np.uint8), "shape \\(0, 4, 3\\) came"),
        (np.zeros((4, 4, 3), bool), "numbers were expected, got bool"),
        (torch.zeros(5, 4, 3), "a tensor of shape \\(5, 4, 3\\) came, .* channels first"),
        (Image.new("F", (4, 4), -1), "image holds numbers from -1 to -1, 0 to 65535"),
        (17, "got int, expected a path"),
        ("nowhere.jpg", "image nowhere.jpg does not exist"),
    ],
)
def test_what_is_no_image_is_refused(image: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        to_pixels(image)


def test_a_truncated_file_is_refused_however_it_comes(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in ("a.jpg", "a.png"):
        Image.fromarray(whole).save(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError, match=f"{name} is damaged"):
            to_pixels(tmp_path / name)
        with Image.open(tmp_path / name) as image, pytest.raises(DataError, match="image is damaged"):
            to_pixels(image)
