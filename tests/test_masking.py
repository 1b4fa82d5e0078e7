"""Masking against independent slow versions, element by element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

import hmseg
from hmseg.config import compose
from hmseg.errors import ConfigError
from hmseg.imagenet import IMAGENET_MEAN, IMAGENET_STD
from hmseg.masking import (
    MASKINGS,
    HybridMasking,
    Masking,
    build_masking,
    dilate_mask,
    input_mask,
    resize_mask,
)
from hmseg.networks import FewShotNetwork, HSNetHead
from tiny import TinyBackbone


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
    assert torch.equal(
        build_masking("hybrid").apply({"plain": plain, "masked": masked}, everything, level=3), masked
    )


def test_hybrid_does_not_mask_again_outside() -> None:
    plain, masked = torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), 9.0)
    nothing = torch.zeros(1, 8, 8, dtype=torch.bool)
    assert torch.equal(
        build_masking("hybrid").apply({"plain": plain, "masked": masked}, nothing, level=3), masked
    )


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


def published_hybrid(plain: torch.Tensor, masked: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """HM as REFERENCE section 2 writes it."""
    kept = plain * resize_mask(mask, (plain.shape[-2], plain.shape[-1]))[:, None]
    return torch.where(kept > 0, kept, masked)


@pytest.mark.parametrize("level", [2, 3, 4])
def test_the_defaults_are_the_published_strategies_bit_by_bit(
    level: int, episode: tuple[torch.Tensor, ...]
) -> None:
    plain, masked, mask = episode
    features: Any = {"plain": plain, "masked": masked}
    images = torch.randn(2, 3, 16, 12)
    for strategy in (build_masking("hybrid"), instantiate(compose("masking=hybrid").masking)):
        assert torch.equal(strategy.apply(features, mask, level), published_hybrid(plain, masked, mask))
        views = strategy.views(images, mask.float())
        assert list(views) == ["plain", "masked"] and views["plain"] is images
        assert torch.equal(views["masked"], images * mask[:, None].float())
    for strategy in (build_masking("input"), instantiate(compose("masking=input").masking)):
        assert torch.equal(strategy.views(images, mask.float())["masked"], images * mask[:, None].float())


def slow_hybrid(
    plain: torch.Tensor, masked: torch.Tensor, mask: torch.Tensor, level: int, options: dict[str, Any]
) -> np.ndarray:
    """Every option, one element at a time."""
    threshold, mix = options.get("threshold", 0.0), options.get("mix")
    out = np.zeros(plain.shape)
    for n, c, i, j in np.ndindex(*plain.shape):
        share = slow_resize(mask[n].numpy().astype(float), (plain.shape[-2], plain.shape[-1]))[i, j]
        full, filling = plain[n, c, i, j].item(), masked[n, c, i, j].item()
        if options.get("relu") == "after":
            full, filling = max(full, 0.0), max(filling, 0.0)
        kept = full * share
        if level not in (options.get("levels") or (1, 2, 3, 4)):
            out[n, c, i, j] = kept
            continue
        if mix is None:
            weight = float(kept > threshold)
        else:
            weight = max(0.0, 2 / (1 + math.exp(-(kept - threshold) / mix)) - 1)
        merged = weight * kept + (1 - weight) * filling
        out[n, c, i, j] = merged * share if options.get("remask") else merged
    return out


VARIATIONS: list[dict[str, Any]] = [
    {"relu": "after"},
    {"threshold": 0.4},
    {"threshold": -0.4},
    {"mix": 0.7},
    {"mix": 0.7, "threshold": 0.3, "relu": "after"},
    {"remask": True},
    {"levels": [4, 3]},
    {"levels": [3], "relu": "after", "remask": True},
]


@pytest.mark.parametrize("options", VARIATIONS, ids=str)
@pytest.mark.parametrize("level", [2, 3])
def test_options_do_what_they_say(
    options: dict[str, Any], level: int, episode: tuple[torch.Tensor, ...]
) -> None:
    plain, masked, mask = episode
    copies = [tensor.clone() for tensor in episode]
    got = build_masking("hybrid", **options).apply({"plain": plain, "masked": masked}, mask, level)
    np.testing.assert_allclose(got.numpy(), slow_hybrid(plain, masked, mask, level, options), atol=1e-6)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(episode, copies, strict=True))
    default = build_masking("hybrid").apply({"plain": plain, "masked": masked}, mask, level)
    assert not torch.equal(got, default) or (level == 3 and options == {"levels": [4, 3]})


def test_after_the_relu_is_the_relu_of_before(episode: tuple[torch.Tensor, ...]) -> None:
    plain, masked, mask = episode
    features: Any = {"plain": plain, "masked": masked}
    for threshold in (0.0, 0.3):
        before = build_masking("hybrid", threshold=threshold).apply(features, mask, level=3)
        after = build_masking("hybrid", threshold=threshold, relu="after").apply(features, mask, level=3)
        assert before.min() < 0 <= after.min()
        assert torch.equal(after, before.relu())


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_soft_mixing_tends_to_the_hard_choice(threshold: float, episode: tuple[torch.Tensor, ...]) -> None:
    plain, masked, mask = episode
    mask = mask.clone()
    mask[:, :8] = False  # positions where FM is 0 exactly, which a plain sigmoid would halve
    features: Any = {"plain": plain, "masked": masked}
    hard = build_masking("hybrid", threshold=threshold).apply(features, mask, level=3)
    errors = [
        (build_masking("hybrid", threshold=threshold, mix=mix).apply(features, mask, level=3) - hard)
        .abs()
        .max()
        for mix in (1.0, 0.1, 1e-30)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] == 0


def test_soft_mixing_is_continuous_at_the_threshold() -> None:
    kept = torch.linspace(-0.01, 0.01, 201)
    soft = hmseg.hybrid_mask(kept, torch.full_like(kept, 5.0), mix=0.5)
    assert soft.diff().abs().max() < 1e-3
    assert torch.equal(soft[kept <= 0], torch.full_like(soft[kept <= 0], 5.0))


def test_remasking_leaves_nothing_outside() -> None:
    plain, masked = torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), 9.0)
    nothing = torch.zeros(1, 8, 8, dtype=torch.bool)
    got = build_masking("hybrid", remask=True).apply({"plain": plain, "masked": masked}, nothing, level=3)
    assert torch.equal(got, torch.zeros_like(plain))


def test_black_is_the_zero_of_the_raw_image() -> None:
    raw = torch.rand(2, 3, 6, 5)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
    mask = torch.rand(2, 6, 5) > 0.5
    got = input_mask((raw - mean) / std, mask, fill="black")
    torch.testing.assert_close(got, (raw * mask[:, None] - mean) / std, rtol=0, atol=1e-6)
    assert torch.equal(got, input_mask((raw - mean) / std, mask.float(), fill="black"))
    assert input_mask(raw.bfloat16(), mask, fill="black").dtype == torch.bfloat16


@pytest.mark.parametrize("pixels", [0, 1, 3, 40])
def test_dilation_is_the_maximum_over_a_square(pixels: int) -> None:
    mask = torch.rand(2, 9, 7, generator=torch.Generator().manual_seed(3)) > 0.95
    expected = np.zeros(mask.shape)
    for n, y, x in np.argwhere(mask.numpy()):
        expected[n, max(0, y - pixels) : y + pixels + 1, max(0, x - pixels) : x + pixels + 1] = 1
    for kind in (torch.bool, torch.uint8, torch.float32, torch.float16):
        np.testing.assert_array_equal(dilate_mask(mask.to(kind), pixels).numpy(), expected)
    images = torch.randn(2, 3, 9, 7)
    for name in ("input", "hybrid"):
        view = build_masking(name, dilate=pixels).views(images, mask.float())["masked"]
        np.testing.assert_array_equal(view.numpy(), images.numpy() * expected[:, None].astype(np.float32))


def test_dilation_leaves_the_features_mask_alone(episode: tuple[torch.Tensor, ...]) -> None:
    plain, masked, mask = episode
    features: Any = {"plain": plain, "masked": masked}
    wide = build_masking("hybrid", dilate=4, fill="black").apply(features, mask, level=3)
    assert torch.equal(wide, build_masking("hybrid").apply(features, mask, level=3))


def test_which_levels_are_merged() -> None:
    deep = build_masking("hybrid", levels=[4, 3])
    assert [deep.merges(level) for level in (1, 2, 3, 4)] == [False, False, True, True]
    assert all(build_masking("hybrid").merges(level) for level in (1, 2, 3, 4))
    assert not any(build_masking(name).merges(4) for name in ("none", "feature", "input"))


SHIPPED = {
    "hybrid_after_relu": {"relu": "after"},
    "hybrid_black": {"fill": "black"},
    "hybrid_deep": {"levels": (4, 3)},
    "hybrid_dilated": {"dilate": 16},
    "hybrid_remask": {"remask": True},
    "hybrid_soft": {"mix": 0.25},
}


@pytest.mark.parametrize("option", SHIPPED)
def test_shipped_variations(option: str) -> None:
    assert instantiate(compose(f"masking={option}").masking) == HybridMasking(**SHIPPED[option])


@pytest.mark.parametrize("option", [*SHIPPED, *MASKINGS])
def test_every_masking_in_a_network(option: str) -> None:
    torch.manual_seed(0)
    strategy = instantiate(compose(f"masking={option}").masking)
    backbone = TinyBackbone()
    network = FewShotNetwork(backbone, strategy, HSNetHead(backbone.feature_info)).eval()
    masks = torch.zeros(1, 2, 64, 64, dtype=torch.bool)
    masks[..., 20:40, 24:50] = True
    with torch.no_grad():
        logits = network(torch.randn(1, 3, 64, 64), torch.randn(1, 2, 3, 64, 64), masks)
    assert logits.shape == (1, 2, 2, 64, 64)
    assert logits.isfinite().all()


def test_a_strategy_of_ones_own_needs_variants_and_apply_only() -> None:
    class Doubled(Masking):
        variants = ("masked",)

        def apply(self, features: Any, mask: torch.Tensor, level: int) -> torch.Tensor:
            return 2 * features["masked"]

    images, mask = torch.randn(1, 3, 4, 4), torch.ones(1, 4, 4)
    mask[:, 2:] = 0
    assert torch.equal(Doubled().views(images, mask)["masked"], hmseg.input_mask(images, mask))
    assert repr(Doubled()) == "Doubled()"
    assert not Doubled().merges(4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"relu": "never"}, "unknown masking.relu 'never'"),
        ({"fill": "white"}, "unknown masking.fill 'white'"),
        ({"threshold": "0"}, "masking.threshold: expected a number, got '0'"),
        ({"threshold": math.nan}, "masking.threshold: expected a number, got nan"),
        ({"threshold": True}, "masking.threshold: expected a number, got True"),
        ({"mix": 0}, "masking.mix: expected a number above 0, or null, got 0"),
        ({"mix": -1.0}, "masking.mix: expected a number above 0"),
        ({"remask": "yes"}, "masking.remask: expected true or false, got 'yes'"),
        ({"dilate": -1}, "masking.dilate: expected whole pixels, at least 0, got -1"),
        ({"dilate": 1.5}, "masking.dilate: expected whole pixels"),
        ({"levels": []}, r"masking.levels: expected different pyramid levels .* got \[\]"),
        ({"levels": [0, 4]}, r"masking.levels: .* got \[0, 4\]"),
        ({"levels": (4, 4)}, r"masking.levels: .* got \[4, 4\]"),
        ({"levels": [[4], 3]}, r"masking.levels: .* got \[\[4\], 3\]"),
        ({"levels": 4}, "masking.levels: .* got 4"),
        ({"levels": "43"}, "masking.levels: .* got '43'"),
        ({"treshold": 1}, "unknown hybrid masking option 'treshold': did you mean 'threshold'"),
    ],
    ids=str,
)
def test_wrong_options_are_refused_at_construction(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_masking("hybrid", **options)


def test_errors_name_what_came() -> None:
    with pytest.raises(ConfigError, match="unknown masking 'hybird': did you mean 'hybrid'"):
        build_masking("hybird")
    with pytest.raises(ConfigError, match="masking 'feature' has no options, got dilate"):
        build_masking("feature", dilate=3)
    with pytest.raises(ConfigError, match="unknown masking.fill 'white'"):
        input_mask(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2), fill="white")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\(1, 2\) and \(2, 1\)"):
        hmseg.hybrid_mask(torch.zeros(1, 2), torch.zeros(2, 1))
