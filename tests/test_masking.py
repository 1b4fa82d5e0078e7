"""Masking against independent slow versions, element by element."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hmseg
from hmseg.errors import ConfigError
from hmseg.masking import MASKINGS, build_masking, resize_mask


def slow_resize(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear with aligned corners, from the definition."""
    height, width = mask.shape
    out = np.zeros(size)
    for i in range(size[0]):
        for j in range(size[1]):
            y = i * (height - 1) / (size[0] - 1) if size[0] > 1 else 0.0
            x = j * (width - 1) / (size[1] - 1) if size[1] > 1 else 0.0
            y0, x0 = min(int(y), height - 1), min(int(x), width - 1)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            fy, fx = y - y0, x - x0
            top = mask[y0, x0] * (1 - fx) + mask[y0, x1] * fx
            bottom = mask[y1, x0] * (1 - fx) + mask[y1, x1] * fx
            out[i, j] = top * (1 - fy) + bottom * fy
    return out


@pytest.fixture
def episode() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    plain = torch.randn(2, 5, 4, 3, generator=rng)
    masked = torch.randn(2, 5, 4, 3, generator=rng)
    mask = torch.rand(2, 16, 12, generator=rng) > 0.5
    return plain, masked, mask


def test_resize_mask_is_bilinear_with_aligned_corners() -> None:
    mask = torch.rand(1, 9, 7, generator=torch.Generator().manual_seed(0)) > 0.5
    for size in ((4, 3), (1, 1), (9, 7), (12, 5)):
        expected = slow_resize(mask[0].numpy().astype(float), size)
        np.testing.assert_allclose(resize_mask(mask, size)[0].numpy(), expected, atol=1e-6)


def test_hybrid_takes_each_element_from_the_right_side(episode: tuple[torch.Tensor, ...]) -> None:
    plain, masked, mask = episode
    got = build_masking("hybrid").apply({"plain": plain, "masked": masked}, mask, level=3)
    for n in range(2):
        small = slow_resize(mask[n].numpy().astype(float), (4, 3))
        for c in range(5):
            for i in range(4):
                for j in range(3):
                    kept = plain[n, c, i, j].item() * small[i, j]
                    expected = kept if kept > 0 else masked[n, c, i, j].item()
                    assert got[n, c, i, j].item() == pytest.approx(expected, abs=1e-6)


def test_hybrid_keeps_no_negative_activation_of_the_plain_image() -> None:
    plain = torch.full((1, 1, 2, 2), -3.0)
    masked = torch.full((1, 1, 2, 2), -7.0)
    everything = torch.ones(1, 8, 8, dtype=torch.bool)
    assert torch.equal(build_masking("hybrid").apply({"plain": plain, "masked": masked}, everything, level=3), masked)


def test_hybrid_does_not_mask_again_outside() -> None:
    plain, masked = torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), 9.0)
    nothing = torch.zeros(1, 8, 8, dtype=torch.bool)
    assert torch.equal(build_masking("hybrid").apply({"plain": plain, "masked": masked}, nothing, level=3), masked)


def test_input_mask_leaves_the_mean_colour() -> None:
    image = torch.randn(1, 3, 2, 2)
    mask = torch.tensor([[[1, 0], [0, 1]]])
    got = hmseg.input_mask(image, mask)
    assert torch.equal(got[:, :, 0, 0], image[:, :, 0, 0])
    assert got[:, :, 0, 1].abs().sum() == 0  # zero after normalisation is the mean colour


@pytest.mark.parametrize("name", MASKINGS)
def test_strategies_use_only_their_variants_and_change_nothing(
    name: str, episode: tuple[torch.Tensor, ...]
) -> None:
    plain, masked, mask = episode
    before = plain.clone(), masked.clone(), mask.clone()
    strategy = build_masking(name)
    features = {"plain": plain, "masked": masked}
    got = strategy.apply({variant: features[variant] for variant in strategy.variants}, mask, level=3)
    assert got.shape == plain.shape
    for tensor, copy in zip(episode, before, strict=True):
        assert torch.equal(tensor, copy)


def test_none_and_input_pass_features_through(episode: tuple[torch.Tensor, ...]) -> None:
    plain, masked, mask = episode
    assert torch.equal(build_masking("none").apply({"plain": plain}, mask, level=3), plain)
    assert torch.equal(build_masking("input").apply({"masked": masked}, mask, level=3), masked)


def test_boolean_and_number_masks_agree(episode: tuple[torch.Tensor, ...]) -> None:
    plain, _, mask = episode
    for dtype in (torch.uint8, torch.int64, torch.float32):
        assert torch.equal(hmseg.feature_mask(plain, mask), hmseg.feature_mask(plain, mask.to(dtype)))


def test_features_keep_their_precision(episode: tuple[torch.Tensor, ...]) -> None:
    plain, _, mask = episode
    assert hmseg.feature_mask(plain.bfloat16(), mask).dtype == torch.bfloat16


def test_errors_name_what_came() -> None:
    with pytest.raises(ConfigError, match="unknown masking 'hybird': did you mean 'hybrid'"):
        build_masking("hybird")
    with pytest.raises(ValueError, match=r"\(1, 2\) and \(2, 1\)"):
        hmseg.hybrid_mask(torch.zeros(1, 2), torch.zeros(2, 1))
