"""Which files are opened as images, and how the pixels of each orientation lie."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageOps

from hmseg.data import opening
from hmseg.data.displayed import Photo, as_displayed, eight_bits, read_sizes
from hmseg.data.opening import Still, open_file, open_still, size_of, turned
from hmseg.data.reading import photo_of, read_image, read_photo
from hmseg.errors import DataError

NOISE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) run\n%%EOF\n"


def saved(image: Image.Image, kind: str, orientation: int = 1, **options: object) -> bytes:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    image.save(file, kind, exif=exif, **options)
    return file.getvalue()


def test_an_eps_with_another_name_never_reaches_ghostscript(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(EPS)
    with Image.open(tmp_path / "a.jpg") as image:  # Pillow alone takes it
        assert image.format == "EPS"
    called: list[str] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: called.append("gs"))
    for read in (read_image, read_photo):
        with pytest.raises(DataError, match=r"a\.jpg is not an image of the formats that are read here"):
            read(tmp_path / "a.jpg")
    assert not called


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "DDS", "PCX", "SGI"])
def test_formats_that_are_not_asked_for(kind: str) -> None:
    with pytest.raises(DataError, match="is not an image of the formats"):
        open_still(saved(Image.fromarray(NOISE).resize((16, 16)), kind), "image a.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"])
def test_formats_that_are_read_whole_and_refused_when_cut_or_overwritten(kind: str, tmp_path: Path) -> None:
    """Any decoder, any exception of its: one line with the file's name, or pixels, never another error."""
    smooth = Image.fromarray(NOISE).resize((90, 70))
    content = saved(smooth, kind)
    (tmp_path / "a").write_bytes(content)
    assert read_photo(tmp_path / "a").pixels.shape == (70, 90, 3)
    assert size_of(tmp_path / "a", "image") == (90, 70)
    stream, refused = np.random.default_rng(1), 0
    for _ in range(150):
        broken = bytearray(content)
        for place in stream.integers(0, len(content), 3):
            broken[place] = stream.integers(0, 256)
        try:
            photo_of(open_still(bytes(broken[: stream.integers(1, len(broken) + 1)]), "image a"))
        except DataError as error:
            refused += 1
            assert str(error).startswith("image a ") and "\n" not in str(error)
    assert refused > 50


@pytest.mark.parametrize("cut", [1, 12, 13, 16, 20])
def test_a_png_without_its_end_is_refused_even_where_all_pixels_are_there(cut: int) -> None:
    content = saved(Image.new("RGB", (64, 64)), "PNG")
    with pytest.raises(DataError, match="image a is damaged .*truncated"):
        open_still(content[:-cut], "image a")


def test_a_flipped_bit_in_the_pixels_of_a_png_is_seen() -> None:
    content = bytearray(saved(Image.fromarray(NOISE).resize((63, 45)), "PNG"))
    start = content.index(b"IDAT") + 4
    for place in range(start, len(content) - 16, 97):
        broken = bytearray(content)
        broken[place] ^= 4
        with pytest.raises(DataError, match="bad checksum of a IDAT chunk"):
            open_still(bytes(broken), "image a")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg is a pipe or device, a file was expected"):
        open_file(tmp_path / "a.jpg", "image")


def test_what_is_too_large_is_not_called_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    content = saved(Image.fromarray(NOISE), "PNG")
    monkeypatch.setattr(opening, "MOST_PIXELS", 34)
    with pytest.raises(opening.TooLargeError, match="image a has more than 0 million pixels"):
        open_still(content, "image a")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow's own error, at twice as many
    with pytest.raises(opening.TooLargeError, match="image a has more than"):
        open_still(content, "image a")


@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_photos_and_masks_are_taken_as_displayed(
    kind: str, orientation: int, square: bool, tmp_path: Path
) -> None:
    """Against Pillow's own turning; an orientation turned back gives the stored pixels."""
    stored = np.random.default_rng(3).integers(0, 256, (40, 40 if square else 56, 3), dtype=np.uint8)
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    (tmp_path / "a").write_bytes(saved(Image.fromarray(stored), kind, orientation, **options))
    with Image.open(tmp_path / "a") as image:
        displayed = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    photo = read_photo(tmp_path / "a")
    assert photo.sizes == read_sizes(tmp_path / "a") == (displayed.shape[:2], stored.shape[:2])
    assert photo.orientation == orientation and photo.pixels.flags.c_contiguous
    np.testing.assert_array_equal(photo.pixels, displayed)
    if kind != "JPEG":
        np.testing.assert_array_equal(turned(stored, orientation), displayed)
    with Image.open(tmp_path / "a") as image:  # as a user may have opened it
        again = photo_of(Still(image, "image"))
    np.testing.assert_array_equal(again.pixels, displayed)

    mask = stored[..., 0] > 128
    shown = turned(mask, orientation)
    np.testing.assert_array_equal(as_displayed(shown, photo, "mask"), shown)
    if orientation >= 5 and not square:  # fits the stored pixels only
        np.testing.assert_array_equal(as_displayed(mask, photo, "mask"), shown)
    with pytest.raises(DataError, match="mask is 3x2 pixels, .* were expected, the size of its image"):
        as_displayed(np.ones((2, 3), bool), photo, "mask")


def test_an_orientation_that_makes_no_sense_is_upright() -> None:
    for value in (0, 9, 77):
        assert open_still(saved(Image.fromarray(NOISE), "PNG", value), "image").orientation == 1
    good = saved(Image.fromarray(NOISE), "JPEG", 6)
    place = good.index(b"Exif\0\0") + 6
    broken = good[:place] + b"XX" + good[place + 2 :]  # neither byte order
    assert photo_of(open_still(broken, "image")).pixels.shape == (5, 7, 3)


@pytest.mark.parametrize("ending", [".png", ".tiff"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_more_than_8_bits_are_scaled_by_the_bits_in_use(
    ending: str, bits: int, channels: int, tmp_path: Path
) -> None:
    values = np.random.default_rng(bits).integers(0, 2**bits, (6, 9, channels)).astype(np.uint16)
    values[0, 0] = 2**bits - 1
    _, content = cv2.imencode(ending, values)
    (tmp_path / f"a{ending}").write_bytes(content.tobytes())
    expected = np.rint(values[..., :3].astype(np.float64) * 255 / (2**bits - 1))
    expected = np.repeat(expected, 3, axis=2) if channels == 1 else expected[..., ::-1]  # OpenCV writes BGR
    found = read_photo(tmp_path / f"a{ending}").pixels
    assert found.dtype == np.uint8 and found.max() == 255
    assert np.abs(found - expected).max() <= 1
    with pytest.raises(DataError, match="16 or 32 bits per pixel, 8 were expected"):  # of a benchmark
        read_image(tmp_path / f"a{ending}")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bit_photos_are_turned_too(orientation: int) -> None:
    grey = np.random.default_rng(0).integers(0, 2**16, (4, 6)).astype(np.uint16)
    grey[0, 0] = 2**16 - 1
    photo = photo_of(open_still(saved(Image.fromarray(grey), "PNG", orientation), "image"))
    np.testing.assert_array_equal(photo.pixels[..., 0], turned(eight_bits(grey, "image"), orientation))


def test_numbers_out_of_range_and_colours_that_pillow_cut_are_refused() -> None:
    for values in (np.array([-1.0]), np.array([np.nan]), np.array([70000])):
        with pytest.raises(DataError, match="image holds numbers from .*0 to 65535"):
            eight_bits(values, "image")
    _, content = cv2.imencode(".png", np.full((2, 2, 3), 4000, np.uint16))
    image = Image.open(io.BytesIO(content.tobytes()))
    with image, pytest.raises(DataError, match="give the file's path"):
        photo_of(Still(image, "image"))


def test_palettes_with_transparency_become_rgb() -> None:
    image = Image.fromarray(NOISE[..., 0] % 3)
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    content = saved(image, "PNG", transparency=bytes([0, 255, 9]))
    found = photo_of(open_still(content, "image")).pixels
    np.testing.assert_array_equal(found[..., 0], NOISE[..., 0] % 3 * 30 + 10)


def test_a_square_photo_takes_its_mask_as_displayed() -> None:
    mask = np.arange(9).reshape(3, 3) % 2 == 0
    photo = Photo(np.zeros((3, 3, 3), np.uint8), 6)
    assert as_displayed(mask, photo, "mask") is mask


def test_a_tiff_of_64_bits_is_told_apart_from_no_image() -> None:
    """As NumPy's own whole numbers are saved: Pillow knows no such pixels."""
    pixels = np.arange(6, dtype="<i8").tobytes()
    tags = [(256, 3), (257, 2), (258, 64), (259, 1), (262, 1), (273, 8 + 2 + 9 * 12 + 4), (277, 1)]
    tags += [(279, len(pixels)), (339, 2)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + pixels
    with pytest.raises(DataError, match="mask a is a TIFF of a kind that isn't read here .64 bits a pixel"):
        open_still(content, "mask a")
    with pytest.raises(DataError, match="mask a is not an image of the formats that are read here .PNG"):
        open_still(content, "mask a", ("PNG",))
