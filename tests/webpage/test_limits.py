"""Uploads: what is taken, what is refused, and with which words."""

from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from hmseg.webpage.limits import Limits, RefusedError, decode_image, decode_mask, read_mask

SMALL = Limits(max_mb=0.05, max_pixels=4000)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes that says it has so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK"])
def test_every_colour_mode_becomes_rgb(mode: str) -> None:
    image = Image.new("RGB", (30, 20), (200, 40, 90)).convert(mode)
    kind = "JPEG" if mode == "CMYK" else "PNG"
    found = decode_image(saved(image, kind), SMALL)
    assert found.shape == (20, 30, 3) and found.dtype == np.uint8
    assert abs(found.astype(int) - np.array(image.convert("RGB")).astype(int)).max() < 12


def test_a_photo_is_turned_as_the_browser_shows_it() -> None:
    image = Image.new("RGB", (30, 20))
    image.paste((255, 255, 255), (0, 0, 30, 5))  # the upper edge
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn right by a quarter
    found = decode_image(saved(image, "JPEG", exif=exif), SMALL)
    assert found.shape == (30, 20, 3)
    assert found[:, -3].mean() > 200 and found[:, 3].mean() < 60


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"\0" * 60_000, 413, r"more than 0\.05 MB.*max_mb="),
        (saved(Image.new("L", (100, 41))), 413, r"100 x 41 pixels, more than .*max_pixels="),
        (bomb(50_000, 50_000), 413, r"far too many pixels, more than"),
        (bomb(10_000, 10_000), 413, r"pixels, more than the 0\.004 million"),
        (b"", 415, r"not an image of the formats that are read here \(JPEG, PNG, WEBP\)"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "not an image of the formats that are read here"),
        (saved(Image.new("L", (40, 40)), "BMP"), 415, "not an image of the formats that are read here"),
        (saved(Image.effect_noise((40, 40), 99))[:900], 415, r"this file is damaged \("),
        (saved(Image.new("L", (40, 5))), 400, "40 x 5 pixels: at least 8 a side"),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_in_one_line(content: bytes, status: int, words: str) -> None:
    with pytest.raises(RefusedError) as refused:
        decode_image(content, SMALL)
    message = str(refused.value)
    assert refused.value.status == status and "\n" not in message and re.search(words, message), message


def test_an_animation_is_refused() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    content = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    with pytest.raises(RefusedError, match=r"this file has 2 frames \(WEBP\), a still image"):
        decode_image(content, SMALL)


def canvas(mask: np.ndarray) -> bytes:  # type: ignore[type-arg]
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[mask] = (200, 0, 0, 255)
    return saved(Image.fromarray(pixels))


def test_a_mask_of_the_canvas_is_enlarged_to_the_image() -> None:
    small = np.zeros((10, 15), bool)
    small[2:5, 3:9] = True
    found = decode_mask(canvas(small), (40, 60), SMALL)
    assert (found == small.repeat(4, axis=0).repeat(4, axis=1)).all()


def test_half_transparent_edges_count_by_half() -> None:
    pixels = np.zeros((10, 10, 4), np.uint8)
    pixels[..., 3] = np.array([0, 127, 128, 255, 0, 0, 0, 0, 0, 0])
    found = decode_mask(saved(Image.fromarray(pixels)), (10, 10), SMALL)
    assert found[0].tolist() == [False, False, True, True] + [False] * 6


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (canvas(np.zeros((10, 15), bool)), "nothing is marked"),
        (canvas(np.ones((10, 20), bool)), r"20 x 10 pixels, which is not the shape of the image \(60 x 40\)"),
        (saved(Image.new("L", (15, 10), 255)), "has no transparency"),
        (bomb(10_000, 10_000), "more than the"),
    ],
)
def test_masks_that_are_refused(content: bytes, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        decode_mask(content, (40, 60), SMALL)


def test_uploaded_masks_are_read_as_everywhere_and_doubt_is_refused() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[10:20, 6:40] = 3
    assert (read_mask(saved(Image.fromarray(labels)), (40, 60), SMALL, "auto") == (labels > 0)).all()
    small = saved(Image.fromarray(labels[::2, ::2]))
    assert (read_mask(small, (40, 60), SMALL, "auto") == (labels > 0)).all()
    labels[30:35] = 7
    several = saved(Image.fromarray(labels))
    with pytest.raises(RefusedError, match=r"this mask has several numbers \(3, 7\): .*Meaning=labels: all"):
        read_mask(several, (40, 60), SMALL, "auto")
    assert (read_mask(several, (40, 60), SMALL, "labels") == (labels > 0)).all()
    with pytest.raises(RefusedError, match="unknown meaning of a mask 'sharp'"):
        read_mask(several, (40, 60), SMALL, "sharp")
