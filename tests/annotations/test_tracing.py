"""Polygons of masks: exactly along the pixels, or simpler within a pixel; holes stay holes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hmseg.annotations.tracing import polygons
from hmseg.data.coco_shapes import Shape, paint

Mask = NDArray[np.bool_]


def blobs(seed: int, coarse: float, share: float, size: tuple[int, int] = (60, 80)) -> Mask:
    """Random pieces, some with holes, some touching the border or each other at corners."""
    noise = np.random.default_rng(seed).random(size).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), coarse)
    return np.asarray(smooth > np.quantile(smooth, 1 - share))


def painted(mask: Mask, tolerance: float) -> Mask:
    outlines = [line.ravel().tolist() for line in polygons(mask, tolerance)]
    return np.asarray(paint(*mask.shape, [Shape(1, 1, False, outlines)], "here") > 0)


@pytest.mark.parametrize("seed", range(12))
def test_without_tolerance_the_polygons_are_the_mask(seed: int) -> None:
    mask = blobs(seed, coarse=0.5 + 0.3 * seed, share=0.2 + 0.05 * seed)
    assert np.array_equal(painted(mask, 0), mask)


@pytest.mark.parametrize("seed", range(6))
def test_with_it_only_pixels_along_the_edge_differ(seed: int) -> None:
    mask = blobs(seed, coarse=4, share=0.5)
    square = np.ones((5, 5), np.uint8)
    edge = cv2.dilate(mask.astype(np.uint8), square) > cv2.erode(mask.astype(np.uint8), square)
    differs = painted(mask, 1) != mask
    assert not (differs & ~edge).any()
    count, exact = (sum(map(len, polygons(mask, each))) for each in (1.0, 0.0))
    assert count < exact / 2


def disc(hole: bool = True) -> Mask:
    y, x = np.mgrid[:60, :80]
    distance = np.hypot(y - 30, x - 40)
    mask = distance < 25
    if hole:
        mask &= (distance > 8) & (np.hypot(y - 30, x - 58) > 4)  # two of them
    return np.asarray(mask)


def test_holes_are_slit_open_and_stay_empty_for_every_reader() -> None:
    """pycocotools, OpenCV (Ultralytics), and Pillow (LabelMe's own export) paint the same but for edges."""
    mask = disc()
    (line,) = polygons(mask)
    by_opencv = cv2.fillPoly(np.zeros(mask.shape, np.uint8), [line], (1,)) > 0
    image = Image.new("1", mask.shape[::-1])
    ImageDraw.Draw(image).polygon([(int(x), int(y)) for x, y in line], outline=1, fill=1)
    for found in (painted(mask, 1), by_opencv, np.asarray(image)):
        assert not found[26:34, 36:44].any() and not found[29:31, 57:59].any()
        assert (found & mask).sum() / (found | mask).sum() > 0.9


def test_the_smallest_pieces_are_kept() -> None:
    mask = np.zeros((9, 9), np.bool_)
    mask[1, 1] = mask[3, 3:8] = mask[5, 5] = mask[6, 6] = True
    found = polygons(mask)
    assert len(found) == 3 and all(len(line) >= 3 for line in found)  # two touch at a corner
    assert np.array_equal(painted(mask, 1), mask)
    assert polygons(np.zeros((4, 4), np.bool_)) == []
