"""Annotations of every kind as masks of the image's size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hmseg.data.displayed import Photo
from hmseg.errors import ConfigError, DataError
from hmseg.segmenter import Box, Polygon, Scribble
from hmseg.segmenter.masks import to_mask

SIZE = (6, 8)
PHOTO = Photo(np.zeros((*SIZE, 3), np.uint8))
OBJECT = np.zeros(SIZE, dtype=bool)
OBJECT[1:4, 2:7] = True
BYTES = OBJECT.astype(np.uint8)


def palette_image() -> Image.Image:
    image = Image.fromarray(BYTES * 3).convert("P")
    image.putdata((BYTES * 3).flatten().tolist())
    image.putpalette([9, 9, 9] * 256)  # colours say nothing
    return image


def transparent() -> Image.Image:
    return Image.fromarray(np.stack([np.full_like(BYTES, 200)] * 3 + [BYTES * 255], axis=2))


def test_the_same_mask_from_every_kind() -> None:
    kinds: dict[str, Any] = {
        "bool": OBJECT,
        "bytes": BYTES * 255,
        "numbers": BYTES.astype(np.int64) * 15,
        "float": BYTES * 0.8,
        "last axis": BYTES[..., None],
        "first axis": BYTES[None],
        "tensor": torch.from_numpy(OBJECT),
        "bfloat16": torch.from_numpy(BYTES).bfloat16()[None],
        "L": Image.fromarray(BYTES * 255),
        "1": Image.fromarray(OBJECT),
        "P": palette_image(),
        "RGB": Image.fromarray(np.stack([BYTES * 0, BYTES * 255, BYTES * 0], axis=2)),
        "0 and 1": Image.fromarray(BYTES),
        "RGBA": transparent(),
        "box": Box(2, 1, 7, 4),
        "polygon": Polygon([(2, 1), (7, 1), (7, 4), (2, 4)]),
        "boxes": [Box(2, 1, 5, 4), Box(4, 1, 7, 4)],
    }
    for name, mask in kinds.items():
        found = to_mask(mask, PHOTO)
        assert found.dtype == np.bool_, name
        assert np.array_equal(found, OBJECT), name


def test_files(tmp_path: Path) -> None:
    palette_image().save(tmp_path / "a.png")
    assert np.array_equal(to_mask(tmp_path / "a.png", PHOTO), OBJECT)
    assert np.array_equal(to_mask(str(tmp_path / "a.png"), PHOTO), OBJECT)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros(SIZE, bool), "mask is empty"),
        (OBJECT.T, "mask is 6x8 pixels, 8x6 were expected, the size of its image"),
        (np.full(SIZE, np.nan), "mask holds NaN"),
        (np.full((*SIZE, 3), np.nan), "mask holds NaN"),
        (BYTES * 255.0, "mask holds numbers from 0 to 255: floating-point masks lie in \\[0, 1\\]"),
        (np.zeros((2, *SIZE), bool), "shape \\(2, 6, 8\\) came, \\(height, width\\) was expected"),
        (np.full(SIZE, "a"), "numbers were expected"),
        (None, "got NoneType, expected a path"),
        ([], "got list, expected"),
        ([OBJECT], "got a list with ndarray"),
        ("nowhere.png", "mask nowhere.png does not exist"),
        (Box(3, 1, 3, 4), "has no area"),
        (Box(20, 1, 30, 4), "x from 20 to 30, outside the image of 8x6 pixels"),
        (Box(float("nan"), 1, 3, 4), "finite numbers were expected"),
        (Polygon([(1, 1), (2, 2)]), "Polygon: at least 3 points"),
        (Polygon([(1, 1), (2, 2), (float("inf"), 1)]), "NaN or infinite"),
        (Polygon([(100, 1), (200, 2), (100, 3)]), "outside the image of 8x6 pixels"),
        (Scribble([]), "Scribble: at least 1 points"),
        (Scribble([(1, 1)], width=0), "a width of 0 came"),
        (Scribble([(1, 100)]), "y from 100 to 100, outside"),
        (Box(2.6, 1, 3.4, 4), "mask is empty"),
    ],
)
def test_what_is_no_mask_is_refused(mask: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        to_mask(mask, PHOTO)


def test_a_label_map_of_one_label_needs_no_words_and_of_several_says_which(tmp_path: Path) -> None:
    Image.fromarray(BYTES * 15).save(tmp_path / "a.png")
    assert np.array_equal(to_mask(tmp_path / "a.png", PHOTO), OBJECT)
    both = BYTES * 15
    both[0, 0] = 3
    Image.fromarray(both).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a.png has several numbers \(3, 15\): say .* \(reading=labels: "):
        to_mask(tmp_path / "a.png", PHOTO)
    assert np.array_equal(to_mask(tmp_path / "a.png", PHOTO, reading=15), OBJECT)
    with pytest.raises(ConfigError, match="unknown reading 'lables': did you mean 'labels'"):
        to_mask(OBJECT, PHOTO, reading="lables")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:900])
    with pytest.raises(DataError, match="a.png is damaged"):
        to_mask(tmp_path / "a.png", Photo(np.zeros((64, 64, 3), np.uint8)))
    with Image.open(tmp_path / "a.png") as image, pytest.raises(DataError, match="mask is damaged"):
        to_mask(image, Photo(np.zeros((64, 64, 3), np.uint8)))


def test_a_stroke_is_as_wide_as_its_brush() -> None:
    drawn = to_mask(Scribble([(5.5, 10.5), (34.5, 10.5)], width=5), Photo(np.zeros((20, 40, 3), np.uint8)))
    assert drawn[:, 6:34].any(axis=1).nonzero()[0].tolist() == [8, 9, 10, 11, 12]
    assert drawn[8:13, 6:34].all()


def test_what_sticks_out_is_cut_off_and_a_dot_is_a_dot() -> None:
    assert to_mask(Box(-3, -3, 2, 2), PHOTO).sum() == 4
    assert to_mask(Polygon([(-2, -2), (2, -2), (2, 2), (-2, 2)]), PHOTO).sum() == 4
    dot = to_mask(Scribble([(4.5, 2.5)], width=1), PHOTO)
    assert dot.sum() == 1 and dot[2, 4]
    assert (
        to_mask(Scribble([(50, 50)]), Photo(np.zeros((100, 200, 3), np.uint8))).sum() > 4
    )  # the usual brush is wider
