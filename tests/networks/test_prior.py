"""The training-free score maps as inputs of a learned head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import hmseg
from hmseg.errors import CheckpointError
from hmseg.networks import FewShotNetwork
from hmseg.networks.kept import keep_support, segment
from hmseg.networks.prior import GAIN, ScoreMaps, margin
from hmseg.published import published_content
from hmseg.visualise import correlation_maps

MODELS = ("hsnet", "asnet")


def build(model: str, masking: str = "hybrid", **options: Any) -> FewShotNetwork:
    torch.manual_seed(0)
    return hmseg.build_network(model, masking, "mobilenet_v2", weights="bundled", **options)


def episode(shots: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Two queries; in their supports the object is bright."""
    rng = torch.Generator().manual_seed(1)
    masks = torch.zeros(2, shots, 64, 96, dtype=torch.bool)
    masks[:, 0, 16:48, 16:64] = True
    masks[:, -1, 0:32, 32:96] = True
    images = torch.randn(2, shots, 3, 64, 96, generator=rng) + 2 * masks[:, :, None]
    return torch.randn(2, 3, 64, 96, generator=rng), images, masks


def test_the_margin_is_that_of_a_loop_over_positions() -> None:
    rng = torch.Generator().manual_seed(0)
    query, support = torch.randn(2, 5, 3, 4, generator=rng), torch.randn(4, 5, 2, 3, generator=rng)
    masks = torch.randint(0, 2, (4, 2, 3), generator=rng).float()
    masks[:, 0, 0], masks[:, 1, 2] = 1, 0

    def unit(vector: Any) -> Any:
        return vector / np.linalg.norm(vector)

    found = margin(query, support, masks)
    for n in range(4):
        rows = {value: [] for value in (0.0, 1.0)}
        for y in range(2):
            for x in range(3):
                rows[float(masks[n, y, x])].append(unit(support[n, :, y, x].numpy()))
        of_object, of_rest = (unit(np.mean(rows[value], axis=0)) for value in (1.0, 0.0))
        for y in range(3):
            for x in range(4):
                asked = unit(query[n // 2, :, y, x].numpy())
                assert float(found[n, y, x]) == pytest.approx(asked @ of_object - asked @ of_rest, abs=1e-4)


def test_a_small_object_is_not_missed() -> None:
    """One cell of 16 pixels, which lies between the samples of a resize to 2 x 2."""
    masks = torch.zeros(1, 64, 64)
    masks[:, 16:32, 16:32] = 1
    maps = {level: [torch.randn(1, 6, side, side)] for level, side in ((4, 2), (3, 4))}
    scores = ScoreMaps()(maps, maps, masks, (4, 4))
    assert scores.shape == (1, 2, 4, 4)
    one_object, nothing = margin(maps[4][0], maps[4][0], masks), -margin(maps[4][0], maps[4][0], 1 - masks)
    assert one_object.isfinite().all() and nothing.isfinite().all()
    averaged = F.avg_pool2d(masks[:, None], 16)[:, 0]
    torch.testing.assert_close(scores[:, 1], GAIN * margin(maps[3][0], maps[3][0], averaged))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("masking", ["hybrid", "input", "feature", "none"])
@torch.no_grad()
def test_an_untrained_head_says_what_the_score_maps_say(model: str, masking: str) -> None:
    network, (query, images, masks) = build(model, masking, prior=True), episode()
    logits = network(query, images, masks)
    assert logits.shape == (2, 2, 2, 64, 96)
    flat = masks.flatten(0, 1).float()
    levels = [info.level for info in network.backbone.feature_info]
    of_query, of_support = network.backbone(query), network.backbone(images.flatten(0, 1))
    averaged = F.avg_pool2d(flat[:, None], 16)[:, 0]
    by_level = {
        level: torch.stack(
            [
                margin(q, s, averaged)
                for q, s, each in zip(of_query, of_support, levels, strict=True)
                if each == level
            ]
        ).mean(dim=0)[:, None]
        for level in (4, 3)
    }
    foreground = (logits[:, :, 1] - logits[:, :, 0]).flatten(0, 1)
    for part in by_level.values():  # the deepest two, each resized once to the decoder's plane
        assert part.shape[0] == 4
    up = [F.interpolate(each, (8, 12), mode="bilinear", align_corners=True) for each in by_level.values()]
    expected = GAIN * torch.cat(up, dim=1).mean(dim=1, keepdim=True)
    for size in ((16, 24), (64, 96)):
        expected = F.interpolate(expected, size, mode="bilinear", align_corners=True)
    torch.testing.assert_close(foreground, expected[:, 0], atol=2e-2, rtol=0)
    assert foreground.std() > 0.1


@pytest.mark.parametrize("model", MODELS)
def test_only_the_decoder_changes_and_only_where_asked(model: str) -> None:
    plain, prior = build(model).head, build(model, prior=True).head
    shapes = {name: each.shape for name, each in plain.state_dict().items()}
    found = {name: each.shape for name, each in prior.state_dict().items()}
    assert found.keys() - shapes.keys() == {"prior.logits.weight", "prior.logits.bias"}
    assert [name for name in shapes if shapes[name] != found[name]] == ["decoder1.0.weight"]
    assert found["decoder1.0.weight"] == (128, 130, 3, 3)
    assert not plain.plain_levels and prior.plain_levels == {3, 4} and prior.sees_masks


@pytest.mark.parametrize("model", MODELS)
def test_all_of_the_head_learns(model: str) -> None:
    """From the second step on: the first one moves the decoder's last layer away from zero."""
    network, (query, images, masks) = build(model, prior=True), episode(shots=1)
    optimizer = torch.optim.SGD([each for each in network.parameters() if each.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        network(query, images, masks)[:, :, 1].mean().backward()
        optimizer.step()
    still = [
        name
        for name, each in network.head.named_parameters()
        if not (each.grad is not None and each.grad.any())
    ]
    # A group norm takes away some biases; attention to a single position is 1, whatever query and key.
    assert not [name for name in still if not name.endswith(("bias", "qhead.weight", "khead.weight"))]


@torch.no_grad()
def test_kept_supports_and_joined_ones() -> None:
    network, (query, images, masks) = build("hsnet", "input", prior=True), episode()
    kept = [keep_support(network, images[0, k], masks[0, k]) for k in range(2)]
    one = segment(network, network.encode_query(query[:1]), kept, (64, 96))
    torch.testing.assert_close(one, network(query[:1], images[:1], masks[:1]), atol=1e-5, rtol=1e-4)
    joined = FewShotNetwork(network.backbone, network.masking, network.head, join_shots=True).eval()
    assert joined(query, images, masks).shape == (2, 1, 2, 64, 96)


def test_figures_look_at_the_masked_maps_only() -> None:
    rng = np.random.default_rng(0)
    query, support = rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    mask = np.zeros((64, 64), dtype=bool)
    mask[16:48, 16:48] = True
    plain, prior = (
        correlation_maps(build("hsnet", prior=each), query, support, mask, (30, 30)) for each in (False, True)
    )
    assert plain.keys() == prior.keys()
    for level, found in prior.items():
        np.testing.assert_allclose(found, plain[level], atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_there_is_no_published_format(model: str) -> None:
    with pytest.raises(CheckpointError, match="no published format for a head with model.prior=true"):
        published_content(build(model, prior=True))
