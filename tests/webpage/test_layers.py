"""Layers against what they are to show, pixel by pixel."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from hmseg.webpage import layers


def pixels(content: bytes) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(Image.open(io.BytesIO(content)).convert("RGBA"))


LABELS = np.zeros((40, 60), np.int32)
LABELS[5:25, 5:25] = 1
LABELS[10:35, 30:55] = 2


def test_an_overlay_is_see_through_outside_and_firm_at_edges() -> None:
    shown = pixels(layers.overlay_layer(LABELS))
    assert (shown[LABELS == 0][:, 3] == 0).all()
    assert tuple(shown[15, 15]) == (*layers.colour_of(0), 120)
    assert tuple(shown[20, 40]) == (*layers.colour_of(1), 120)
    assert tuple(shown[5, 15]) == (*layers.colour_of(0), 255)  # an edge
    everything = pixels(layers.overlay_layer(np.ones((30, 30), np.int32)))
    assert (everything[..., 3] == 120).all()  # the frame is no edge


def test_a_mask_shows_classes_on_black_and_large_ones_are_made_smaller() -> None:
    large = LABELS.repeat(50, axis=0).repeat(50, axis=1)  # 2000 x 3000
    shown = pixels(layers.mask_layer(large))
    assert shown.shape == (640, 960, 4)
    assert {tuple(each) for each in shown.reshape(-1, 4)} == {
        (0, 0, 0, 255), (*layers.colour_of(0), 255), (*layers.colour_of(1), 255)
    }  # fmt: skip


def test_changes_are_gained_lost_or_kept() -> None:
    other = np.roll(LABELS, 5, axis=1)
    shown = pixels(layers.change_layer(LABELS, other))
    now, before = LABELS > 0, other > 0
    cases = [
        (now & (other == LABELS), layers.KEPT),
        (now & (other != LABELS), layers.GAINED),
        (before & ~now, layers.LOST),
        (~now & ~before, (0, 0, 0, 0)),
    ]
    for place, expected in cases:
        assert place.any() and (shown[place] == expected).all()


def test_a_mask_file_gives_the_labels_back_at_their_own_size() -> None:
    large = LABELS.repeat(30, axis=0).repeat(30, axis=1)
    file = layers.mask_file(large)
    assert (layers.labels_of(file) == large).all()
    with Image.open(io.BytesIO(file)) as image:
        assert image.mode == "P"  # as of PASCAL VOC: indices are classes


def test_an_overlay_file_is_the_photo_where_nothing_is_marked() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    shown = pixels(layers.overlay_file(photo, LABELS.astype(np.uint8)))[..., :3]
    assert (shown[LABELS == 0] == photo[LABELS == 0]).all()
    inside = photo[15, 15] * (1 - 120 / 255) + np.array(layers.colour_of(0)) * 120 / 255
    assert abs(shown[15, 15] - inside).max() <= 2


def test_heat_has_the_photos_shape_and_its_corners_are_the_planes_corners() -> None:
    values = np.array([[0.0, 1.0], [0.5, 0.0]], np.float32)
    shown = pixels(layers.heat_layer(values, (1500, 3000), 1.0))
    assert shown.shape == (240, 480, 4)
    assert shown[0, 0, 3] == 40 and shown[0, 0, :3].max() < 8
    assert shown[0, -1, 3] == 255 and shown[0, -1, :3].min() > 180
    brightness = shown[..., :3].sum(axis=2)
    assert brightness[0, 0] < brightness[-1, 0] < brightness[0, -1]
    assert (np.diff(brightness[0].astype(int)) >= -3).all()  # smooth
    mask = np.zeros((1500, 3000), bool)
    mask[500:1000, 1000:2000] = True
    outlined = pixels(layers.heat_layer(values, (1500, 3000), 1.0, mask))
    assert outlined[80, 240].tolist() == [255] * 4 and (outlined[120, 240] == shown[120, 240]).all()


def test_shares_are_blue_where_kept_orange_where_filled() -> None:
    mask = np.zeros((30, 90), bool)
    shown = pixels(layers.share_layer(np.array([[0.0, 1.0, 0.4]], np.float32), mask))
    blue, orange, between = shown[15, 5], shown[15, 45], shown[15, 85]
    assert blue[2] > blue[0] and orange[0] > orange[2]
    assert blue[3] == between[3] > orange[3]  # paler where all is filled
