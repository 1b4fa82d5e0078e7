"""What mask files mean: every way of writing the same object is read as it, and doubt is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from hmseg.data.mask_files import object_mask, read_object_mask
from hmseg.data.mask_meaning import MaskPixels, check_reading, grey_of, meaning
from hmseg.data.opening import open_still, turned
from hmseg.errors import ConfigError, DataError
from hmseg.preparation.masks import voc_palette

SIZE = (60, 80)
rows, columns = np.indices(SIZE)
OBJECT = (rows - 30) ** 2 + (columns - 35) ** 2 < 20**2
BORDER = ((rows - 30) ** 2 + (columns - 35) ** 2 < 23**2) & ~OBJECT
LEFT = OBJECT & (columns < 35)
BYTES = OBJECT.astype(np.uint8)


def png(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values)


def labels(inside: int, border: int = 0, outside: int = 0) -> np.ndarray:
    return np.where(OBJECT, inside, np.where(BORDER, border, outside)).astype(np.uint8)


def coloured(*colours: tuple[int, int, int]) -> Image.Image:
    """Background, object, its left half."""
    background, inside, *left = colours
    pixels = np.where(OBJECT[..., None], inside, background)
    if left:
        pixels = np.where(LEFT[..., None], left[0], pixels)
    return Image.fromarray(pixels.astype(np.uint8))


def palette(indices: np.ndarray, colours: bytes) -> Image.Image:
    image = Image.fromarray(indices.astype(np.uint8), "L").convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette(colours)
    return image


def soft() -> np.ndarray:
    return np.asarray(grey(BYTES * 255).resize((40, 30), Image.Resampling.BILINEAR).resize((80, 60)))


def cut_out(photo: bool) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)) if photo else np.full((*SIZE, 3), 255)
    return Image.fromarray(np.dstack([pixels, BYTES * 255]).astype(np.uint8))


def deep(values: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", values.astype(np.uint16))[1].tobytes())


EXACT: dict[str, bytes] = {
    "0 and 255": png(grey(BYTES * 255)),
    "0 and 1": png(grey(BYTES)),
    "0 and 15": png(grey(BYTES * 15)),
    "0 and 100": png(grey(BYTES * 100)),
    "3 and 250": png(grey(labels(250, 3, 3))),
    "black and white": png(Image.fromarray(OBJECT)),
    "0, 1, void 255": png(grey(labels(1, 255))),
    "0, 15, void 255": png(grey(labels(15, 255))),
    "16 bits, 0 and 1": deep(BYTES),
    "16 bits, 0 and 65535": deep(BYTES * 65535.0),
    "16 bits, 0 and 1000": deep(BYTES * 1000.0),
    "16 bits, 0, 2, void 65535": deep(labels(2) + BORDER * 65535.0),
    "16 bits of colours": deep(np.dstack([BYTES * 0, BYTES * 65535.0, BYTES * 0])),
    "white on black": png(coloured((0, 0, 0), (255, 255, 255))),
    "red on black": png(coloured((0, 0, 0), (128, 0, 0))),
    "blue on black": png(coloured((0, 0, 0), (0, 0, 255))),
    "light on dark": png(coloured((20, 10, 30), (250, 255, 200))),
    "VOC's palette": png(palette(labels(15), voc_palette())),
    "VOC's palette with void": png(palette(labels(15, 255), voc_palette())),
    "VOC's colours with void": png(palette(labels(15, 255), voc_palette()).convert("RGB")),
    "index 0 is the object": png(palette(1 - BYTES, bytes([255, 255, 255, 0, 0, 0]))),
    "adaptive": png(grey(BYTES * 255).convert("RGB").quantize(8)),
    "adaptive, object first": png(grey(BYTES * 255).convert("P", palette=Image.Palette.ADAPTIVE, colors=4)),
    "a palette of one colour": png(palette(BYTES * 3, bytes([9, 9, 9] * 4))),
    "a dark palette": png(palette(BYTES * 3, bytes([0, 0, 0] + [9, 9, 9] * 3))),
    "shape in alpha": png(cut_out(photo=False)),
    "a photo cut out": png(cut_out(photo=True)),
    "black shape in alpha": png(Image.fromarray(np.dstack([BYTES * 0] * 3 + [BYTES * 255]))),
    "grey with alpha": png(Image.fromarray(np.dstack([BYTES * 0 + 255, BYTES * 255]), "LA")),
    "white on black, part transparent": png(
        Image.fromarray(np.dstack([BYTES * 255] * 3 + [np.where(rows < 55, 255, 0).astype(np.uint8)]))
    ),
    "opaque alpha": png(Image.fromarray(np.dstack([BYTES * 255] * 3 + [BYTES * 0 + 255]))),
    "palette with transparency": png(
        palette(BYTES, bytes([255, 0, 0, 255, 0, 0])), transparency=bytes([0, 255])
    ),
    "GIF": png(grey(BYTES * 255), "GIF"),
    "BMP": png(grey(BYTES * 255), "BMP"),
    "TIFF": png(grey(BYTES * 15), "TIFF", compression="tiff_lzw"),
}  # fmt: skip
VOID = {"0, 1, void 255", "0, 15, void 255", "16 bits, 0, 2, void 65535", "VOC's palette with void",
        "VOC's colours with void"}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*mode.*parameter:DeprecationWarning")
@pytest.mark.parametrize("name", EXACT)
def test_the_object_of_a_mask(name: str) -> None:
    found = object_mask(open_still(EXACT[name], "mask"))
    assert found.object.dtype == found.void.dtype == np.bool_
    np.testing.assert_array_equal(found.object, OBJECT)
    np.testing.assert_array_equal(found.void, BORDER if name in VOID else np.zeros(SIZE, bool))


SOFT = {
    "resized": png(grey(soft())),
    "halved": png(grey(BYTES * 255).reduce(2).resize((80, 60), Image.Resampling.NEAREST)),
    "JPEG": png(grey(BYTES * 255), "JPEG", quality=60),
    "JPEG of colours": png(coloured((0, 0, 0), (220, 30, 30)), "JPEG", quality=85),
    "resized colours": png(coloured((0, 0, 0), (200, 40, 0)).resize((79, 60)).resize((80, 60))),
    "adaptive, resized": png(grey(soft()).convert("RGB").quantize(16)),
}


@pytest.mark.parametrize("name", SOFT)
def test_edges_and_noise_are_no_labels(name: str) -> None:
    found = object_mask(open_still(SOFT[name], "mask")).object
    assert (found & OBJECT).sum() / (found | OBJECT).sum() > 0.9


def three(first: int, second: int, third: int = 0) -> bytes:
    return png(
        grey(np.where(LEFT, first, np.where(OBJECT, second, np.where(BORDER, third, 0))).astype(np.uint8))
    )


DOUBT = {
    "two labels": (three(3, 7), r"has several numbers \(3, 7\)", ("labels", "3")),
    "two labels and void": (three(3, 7, 255), r"has several numbers \(3, 7\)", ("labels", "3")),
    "1, 2, 3": (png(grey(labels(1, 3, 2))), r"several numbers \(1, 2, 3\)", ("labels", "1")),
    "trimap": (
        png(grey(labels(255, 128))),
        r"grey of many kinds \(0, 128, 255\)",
        ("bright", "labels", "255"),
    ),
    "1 and 255": (png(grey(labels(1, 255, 255))), "holds 1 and 255, but no 0", ("bright", "labels")),
    "all 7": (png(grey(np.full(SIZE, 7, np.uint8))), "nothing but the number 7", ("nonzero", "bright")),
    "a grey photo": (
        png(grey((rows * 3 + columns).clip(0, 255).astype(np.uint8))),
        "grey of many kinds",
        ("bright", "labels"),
    ),
    "labels to 150": (
        png(grey((rows // 6 * 15).astype(np.uint8))),
        "grey of many kinds",
        ("labels", "bright"),
    ),
    "16-bit instances": (
        deep(np.where(LEFT, 300, OBJECT * 301.0)),
        r"several numbers \(300, 301\)",
        ("labels", "300"),
    ),
    "coloured halves": (
        png(coloured((0, 0, 0), (255, 0, 0), (0, 0, 255))),
        r"several colours \(#0000ff, #ff0000\)",
        ("labels", "'#0000ff'"),
    ),
    "halves in a palette": (
        png(palette(labels(1) + LEFT, voc_palette())),
        r"several colours \(#008000, #800000\)",
        ("labels",),
    ),
    "red on white": (
        png(coloured((255, 255, 255), (255, 0, 0))),
        r"several colours \(#ff0000, #ffffff\)",
        ("bright", "'#ff0000'"),
    ),
    "a photo": (
        png(Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))),
        "colours, as a photo has",
        ("bright", "nonzero"),
    ),
    "alpha and two colours": (
        png(
            Image.fromarray(
                np.dstack(
                    [
                        np.asarray(coloured((0, 0, 0), (200, 0, 0), (0, 200, 0))),
                        (OBJECT | BORDER).astype(np.uint8) * 255,
                    ]
                )
            )
        ),
        "is transparent in parts and has 3 colours",
        ("opaque", "bright"),
    ),
    "JPEG of labels": (png(grey(labels(9)), "JPEG", quality=95), "grey of many kinds", ("bright", "labels")),
}


@pytest.mark.parametrize("name", DOUBT)
def test_doubt_is_refused_with_its_readings(name: str) -> None:
    content, words, readings = DOUBT[name]
    with pytest.raises(DataError, match=words) as refused:
        object_mask(open_still(content, "mask a.png"), "auto", "dataset.mask")
    message = str(refused.value)
    assert message.startswith("mask a.png ") and "\n" not in message
    for reading in readings:
        assert f"dataset.mask={reading}: " in message
        plain = check_reading(reading.strip("'"), "dataset.mask")
        object_mask(open_still(content, "mask a.png"), plain)  # as set it is read


def read(content: bytes, reading: str | int) -> np.ndarray:
    return object_mask(open_still(content, "mask"), check_reading(reading, "mask")).object


def test_readings_that_are_set() -> None:
    several = three(3, 7, 255)
    np.testing.assert_array_equal(read(several, "labels"), OBJECT)
    np.testing.assert_array_equal(object_mask(open_still(several, "mask"), "labels").void, BORDER)
    np.testing.assert_array_equal(read(several, "nonzero"), OBJECT | BORDER)
    np.testing.assert_array_equal(read(several, "bright"), BORDER)
    np.testing.assert_array_equal(read(several, 3), LEFT)
    np.testing.assert_array_equal(read(several, "#030303"), LEFT)
    halves = png(coloured((0, 0, 0), (255, 0, 0), (0, 0, 255)))
    np.testing.assert_array_equal(read(halves, "#0000FF"), LEFT)
    np.testing.assert_array_equal(read(halves, "labels"), OBJECT)
    np.testing.assert_array_equal(read(halves, "nonzero"), OBJECT)
    voc = png(palette(labels(15, 255), voc_palette()))
    np.testing.assert_array_equal(read(voc, 15), OBJECT)
    np.testing.assert_array_equal(read(voc, "bright"), OBJECT | BORDER)  # by its colours
    np.testing.assert_array_equal(read(png(cut_out(photo=True)), "opaque"), OBJECT)
    with pytest.raises(DataError, match="mask has no transparency: mask=opaque can't be"):
        object_mask(open_still(several, "mask"), "opaque", "mask")
    with pytest.raises(DataError, match="has colours, no numbers: give mask='#rrggbb'"):
        object_mask(open_still(halves, "mask"), 3, "mask")


@pytest.mark.parametrize("value", ["lables", "#12345", "-1", "70000", "1.5", None, "#gggggg", ""])
def test_settings_that_are_no_reading(value: object) -> None:
    with pytest.raises(ConfigError, match="unknown dataset.mask"):
        check_reading(value, "dataset.mask")


def test_an_empty_mask_is_empty_and_a_full_one_full() -> None:
    for value, full in ((0, False), (1, True), (255, True), (200, True)):
        for kind in ("PNG", "JPEG") if value in (0, 255) else ("PNG",):
            found = object_mask(open_still(png(grey(np.full(SIZE, value, np.uint8)), kind), "mask")).object
            assert found.all() == full == found.any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_with_an_orientation_is_taken_as_displayed(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    grey(labels(1, 255)).save(tmp_path / "a.png", exif=exif)
    found = read_object_mask(tmp_path / "a.png")
    np.testing.assert_array_equal(found.object, turned(OBJECT, orientation))
    np.testing.assert_array_equal(found.void, turned(BORDER, orientation))


def test_grey_is_pillows() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    np.testing.assert_array_equal(grey_of(colours), np.asarray(Image.fromarray(colours).convert("L")))


def test_object_and_void_never_overlap_whatever_the_pixels_are() -> None:
    stream = np.random.default_rng(0)
    for _ in range(300):
        values = stream.choice(256, stream.integers(1, 6), replace=False)
        numbers = stream.choice(values, (6, 7)).astype(np.int64)
        for reading in ("auto", "labels", "nonzero", "bright", int(values[0])):
            try:
                found = meaning(MaskPixels(numbers), reading, "mask", "mask")
            except DataError:
                continue
            assert not (found.object & found.void).any() and found.object.shape == (6, 7)
