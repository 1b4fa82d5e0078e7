"""Pictures of masks and maps, pixel by pixel."""

from __future__ import annotations

import matplotlib
import numpy as np
import torch
from torch.nn import functional as F

from hmseg.visualise.pictures import (
    enlarged,
    filled_over_photo,
    heat,
    outline,
    outlined,
    over_photo,
    rgb,
    shares,
    with_mask,
)
from hmseg.visualise.style import COLOURS


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def test_a_mask_is_drawn_in_its_colour_and_void_is_grey() -> None:
    image = np.full((40, 40, 3), 200, dtype=np.uint8)
    mask, void = np.zeros((40, 40), dtype=bool), np.zeros((40, 40), dtype=bool)
    mask[10:30, 10:30], void[0] = True, True
    shown = with_mask(image, mask, "#ff0000", void)
    assert shown[10, 10].tolist() == [255, 0, 0]  # the outline
    assert shown[20, 20].tolist() == [224, 110, 110]
    assert (shown[0] == 128).all() and (shown[5, 5] == shown[35, 35]).all()
    assert (image == 200).all()


def test_an_outline_is_as_wide_as_asked_and_lies_inside() -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[5:15, 5:15] = True
    for width in (1, 3):
        hollow = mask.copy()
        hollow[5 + width : 15 - width, 5 + width : 15 - width] = False
        assert (outline(mask, width) == hollow).all()
    picture = np.full((20, 20, 3), 7, dtype=np.uint8)
    drawn = outlined(picture, mask, "#ff8000")
    assert (drawn[outline(mask, 1)] == (255, 128, 0)).all() and (drawn[~outline(mask, 1)] == 7).all()
    assert (picture == 7).all()


def test_planes_are_enlarged_as_the_networks_do_it() -> None:
    for plane, size in (((5, 7), (31, 20)), ((1, 4), (9, 9)), ((6, 6), (6, 6)), ((9, 9), (4, 5))):
        values = noise(*plane)
        expected = F.interpolate(
            torch.from_numpy(values)[None, None], size, mode="bilinear", align_corners=True
        )
        np.testing.assert_allclose(enlarged(values, size), expected[0, 0].numpy(), atol=1e-6)


def test_positions_stay_visible_where_nothing_is_smoothed() -> None:
    values = np.array([[1, 2, 3]], dtype=np.float32)
    assert enlarged(values, (1, 9), smooth=False)[0].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_heat_and_shares_are_their_scales() -> None:
    expected = matplotlib.colormaps["magma"](0.5, bytes=True)[:3]
    assert heat(np.array([3.0], dtype=np.float32), most=6.0)[0].tolist() == list(expected)
    assert heat(np.array([9.0]), most=6.0).tolist() == heat(np.array([6.0]), most=6.0).tolist()
    ends = shares(np.array([0.0, 1.0], dtype=np.float32))
    assert ends.tolist() == [rgb(COLOURS["feature"]).tolist(), rgb(COLOURS["input"]).tolist()]


def test_a_photo_shows_through_where_the_heat_is_nothing() -> None:
    photo = (255 * noise(12, 12, 3)).astype(np.uint8)
    values = np.zeros((12, 12), dtype=np.float32)
    values[3, 4] = 2.0
    shown = over_photo(photo, values, most=2.0)
    cold = np.ones((12, 12), dtype=bool)
    cold[3, 4] = False
    grey = np.repeat((0.75 * photo.mean(axis=2, keepdims=True)).astype(np.uint8), 3, axis=2)
    assert (shown[cold] == grey[cold]).all()
    assert (shown[3, 4] == heat(values, 2.0)[3, 4]).all()


def test_what_is_filled_throughout_is_pale() -> None:
    photo = np.full((4, 8, 3), 100, dtype=np.uint8)
    shown = filled_over_photo(photo, np.array([[0.0, 1.0]], dtype=np.float32)).astype(float)
    grey = 0.6 * 100 + 60
    assert np.abs(shown[:, :4] - (0.1 * grey + 0.9 * rgb(COLOURS["feature"]))).max() <= 1
    assert np.abs(shown[:, 4:] - (0.7 * grey + 0.3 * rgb(COLOURS["input"]))).max() <= 1
