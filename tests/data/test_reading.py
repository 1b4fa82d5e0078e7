"""Reading of image and mask files, and the one line for each file that cannot be used."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from hmseg.data import reading
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


def pillow(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...] | None]:
    """The shapes that torchvision's decoder gave, one for each call."""
    shapes: list[tuple[int, ...] | None] = []
    decode = reading._torchvision_decode

    def recorded(data: np.ndarray) -> np.ndarray | None:
        pixels = decode(data)
        shapes.append(None if pixels is None else pixels.shape)
        return pixels

    reading._decodes_as_pillow()  # tried out before, so that its own calls are not among them
    monkeypatch.setattr(reading, "_torchvision_decode", recorded)
    return shapes


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_is_decoded_to_the_bit_as_pillow_does(
    tmp_path: Path, subsampling: int, progressive: bool, decodes: list[tuple[int, ...] | None]
) -> None:
    path = tmp_path / "a.jpg"
    smooth = Image.fromarray(noise(9, 8, 3)).resize((77, 91))
    smooth.save(path, subsampling=subsampling, progressive=progressive, quality=80)
    image = read_image(path)
    np.testing.assert_array_equal(image, pillow(path))
    assert image.flags.writeable and image.flags.c_contiguous
    assert decodes == ([(91, 77, 3)] if reading._decodes_as_pillow() else [])


def test_shared_photos_are_decoded_to_the_bit_as_pillow_does(shared: Path) -> None:
    paths = sorted((shared / "data/VOC2012/JPEGImages").glob("*.jpg"))[::40]
    paths += sorted((shared / "data/COCO2014_mini").glob("*2014/*.jpg"))
    assert len(paths) > 70
    for path in paths:
        np.testing.assert_array_equal(read_image(path), pillow(path))


def test_a_decoder_that_differs_from_pillow_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(noise(8, 8, 3)).save(path)
    for other in (lambda data: np.zeros((8, 8, 3), np.uint8), lambda data: None):
        monkeypatch.setattr(reading, "_torchvision_decode", other)
        assert not reading._decodes_as_pillow.__wrapped__()
    monkeypatch.setattr(reading, "_decodes_as_pillow", lambda: False)
    np.testing.assert_array_equal(read_image(path), pillow(path))


def test_grey_jpeg_becomes_rgb(tmp_path: Path) -> None:
    Image.fromarray(noise(9, 6)).save(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg").shape == (9, 6, 3)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), pillow(tmp_path / "a.jpg"))


def test_cmyk_jpeg_is_converted_as_pillow_does(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"  # Pillow writes it as Adobe does: inverted
    Image.new("CMYK", (6, 9), (0, 255, 255, 0)).save(path, quality=95)
    image = read_image(path)
    np.testing.assert_array_equal(image, pillow(path))
    assert image.shape == (9, 6, 3) and np.abs(image.astype(int) - (255, 0, 0)).max() < 8


def test_orientation_of_the_camera_is_ignored_as_published(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees
    Image.fromarray(noise(8, 16, 3)).save(path, exif=exif)
    assert read_image(path).shape == (8, 16, 3)
    np.testing.assert_array_equal(read_image(path), pillow(path))


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize(("name", "kind"), [("a.gif", "GIF"), ("a.png", "PNG"), ("a.tif", "TIFF")])
def test_animations_and_pages_are_refused(tmp_path: Path, name: str, kind: str, mask: bool) -> None:
    frames = [Image.fromarray(noise(6, 6) // (number + 1)) for number in range(3)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    refused(tmp_path / name, f"has 3 frames ({kind})", "a still image was expected", "save", mask=mask)


@pytest.mark.skipif(not features.check("webp"), reason="Pillow was built without WebP")
def test_animated_webp_is_refused_and_a_still_one_read(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(6, 6, 3) // (number + 1)) for number in range(2)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    refused(tmp_path / "a.webp", "has 2 frames (WEBP)")
    frames[0].save(tmp_path / "b.webp", lossless=True)
    np.testing.assert_array_equal(read_image(tmp_path / "b.webp"), np.array(frames[0]))


def test_first_frame_of_an_mpo_is_the_photo(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    photo, other = Image.fromarray(noise(8, 8, 3)), Image.new("RGB", (8, 8))
    photo.save(path, "MPO", save_all=True, append_images=[other])
    image = read_image(path)
    np.testing.assert_array_equal(image, pillow(path))
    assert image.any()


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


@pytest.mark.parametrize("cut", [1, 2, 3, 50, 400, 900])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_without_its_end_is_refused_wherever_it_is_cut(
    tmp_path: Path, cut: int, progressive: bool
) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(noise(64, 64, 3)).save(path, progressive=progressive)
    path.write_bytes(path.read_bytes()[:-cut])
    refused(path, "damaged", "truncated")


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
