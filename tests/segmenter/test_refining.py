"""Outlines moved to the image's edges."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hmseg.config.checks_predict import REFINEMENTS as CHECKED
from hmseg.errors import ConfigError
from hmseg.segmenter.refining import REFINEMENTS, check_refinement, refined

Masks = tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.float32]]


def coarse_plus(size: int) -> Masks:
    """A grey plus sign on noise, its own mask, and a score as blurred as a network's of stride 32."""
    height, width = size, size * 3 // 4
    generator = np.random.default_rng(0)
    image = generator.integers(20, 60, (height, width, 3), dtype=np.uint8)
    plus = np.zeros((height, width), np.uint8)
    plus[size // 4 : -size // 4, size // 4 : -size // 4] = 1
    plus[size * 3 // 8 : -size * 3 // 8, size // 6 : -size // 6] = 1
    image[plus > 0] += 120
    score = cv2.resize(plus.astype(np.float32), (6, 8), interpolation=cv2.INTER_AREA)
    return image, plus > 0, cv2.resize(score, (width, height))


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("size", [160, 700])  # the second is cut on a smaller copy
def test_grabcut_finds_the_edge_that_a_coarse_score_misses(size: int) -> None:
    image, plus, score = coarse_plus(size)
    coarse = score > 0.5
    mask = refined(image, coarse, score, "grabcut")
    assert mask.shape == coarse.shape and mask.dtype == np.bool_
    assert iou(coarse, plus) < 0.93
    assert iou(mask, plus) > 0.97


def test_the_same_input_gives_the_same_mask_and_stays_as_it_is() -> None:
    given = coarse_plus(160)
    image, _, score = (each.copy() for each in given)
    first = refined(image, score > 0.4, score, "grabcut")
    cv2.setRNGSeed(7)
    assert np.array_equal(refined(image, score > 0.4, score, "grabcut"), first)
    assert np.array_equal(image, given[0]) and np.array_equal(score, given[2])


def test_where_the_score_leaves_no_doubt_the_decision_stands() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    sure = np.zeros((60, 60), bool)
    sure[:30, 10:50] = True
    assert np.array_equal(refined(image, sure, sure.astype(np.float32), "grabcut"), sure)


@pytest.mark.parametrize("pixels", [0, 1, 4, 899, 900])
def test_hardly_anything_or_nearly_everything_is_no_error_and_never_emptied(pixels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    claimed = (np.arange(900) < pixels).reshape(30, 30)
    mask = refined(image, claimed, np.full((30, 30), 0.6, np.float32), "grabcut")
    assert mask.any() == claimed.any()


def test_an_object_too_small_to_be_seen_where_it_is_cut_is_kept() -> None:
    image, claimed = np.zeros((40, 4000, 3), np.uint8), np.zeros((40, 4000), bool)
    claimed[20, 2000] = True
    assert np.array_equal(refined(image, claimed, claimed.astype(np.float32), "grabcut"), claimed)


def test_none_is_the_networks_own_decision() -> None:
    image, _, score = coarse_plus(160)
    assert np.array_equal(refined(image, score > 0.5, score, "none"), score > 0.5)


def test_names_are_checked_and_those_of_the_settings_are_the_same() -> None:
    assert CHECKED == REFINEMENTS
    with pytest.raises(ConfigError, match=r"refine 'grabcat'.*grabcut"):
        check_refinement("grabcat")
