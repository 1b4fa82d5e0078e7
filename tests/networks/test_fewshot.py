"""The few-shot network: passes, shots, the vote, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import hmseg
from hmseg.backbones import build_backbone
from hmseg.errors import ConfigError
from hmseg.masking import HybridMasking
from hmseg.networks import FewShotNetwork, HSNetHead


def episode(batch: int = 2, shots: int = 3, side: int = 64) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    masks = torch.zeros(batch, shots, side, side, dtype=torch.bool)
    for b in range(batch):
        for k in range(shots):
            masks[b, k, 8 + 8 * k : 40, 8 + 4 * b : 48] = True
    return (
        torch.randn(batch, 3, side, side, generator=rng),
        torch.randn(batch, shots, 3, side, side, generator=rng),
        masks,
    )


@pytest.fixture(scope="module")
def network() -> FewShotNetwork:
    torch.manual_seed(0)
    return hmseg.build_network("hsnet", "hybrid", "mobilenet_v2", weights="bundled")


def test_each_shot_is_what_it_would_be_alone(network: FewShotNetwork) -> None:
    query, supports, masks = episode()
    with torch.no_grad():
        together = network(query, supports, masks)
        for b in range(2):
            for k in range(3):
                one = slice(b, b + 1), slice(k, k + 1)
                alone = network(query[one[0]], supports[one], masks[one])
                torch.testing.assert_close(together[one], alone, rtol=1e-4, atol=1e-5)


def test_one_backbone_pass_unless_memory_is_short(network: FewShotNetwork) -> None:
    sizes: list[int] = []
    handle = network.backbone.register_forward_hook(lambda _m, args, _out: sizes.append(len(args[0])))
    tight = FewShotNetwork(network.backbone, network.masking, network.head, pass_pixels=4 * 64 * 64)
    with torch.no_grad():
        whole = network(*episode())
        assert sizes == [2 + 6 + 6]
        chunked = tight(*episode())
        assert sizes[1:] == [2, 4, 2, 4, 2]  # query, supports, masked supports
    handle.remove()
    torch.testing.assert_close(whole, chunked, rtol=1e-4, atol=1e-5)


def test_supports_may_have_another_size(network: FewShotNetwork) -> None:
    query, _, _ = episode(batch=1)
    _, supports, masks = episode(batch=1, side=96)
    with torch.no_grad():
        assert network(query, supports, masks).shape == (1, 3, 2, 64, 64)


def test_only_the_head_learns_and_nothing_given_is_changed(network: FewShotNetwork) -> None:
    inputs = episode(batch=1, shots=1)
    copies = [tensor.clone() for tensor in inputs]
    network(*inputs).sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(inputs, copies, strict=True))
    assert all(p.grad is None for p in network.backbone.parameters())
    assert all(p.grad is not None for p in network.head.parameters())
    network.zero_grad()


def slow_vote(masks: list[list[list[int]]]) -> list[list[bool]]:
    """One image, K shots of rows of 0 and 1, by hand."""
    height, width = len(masks[0]), len(masks[0][0])
    votes = [[sum(mask[y][x] for mask in masks) for x in range(width)] for y in range(height)]
    most = max(1, max(max(row) for row in votes))
    return [[votes[y][x] / most >= 0.5 for x in range(width)] for y in range(height)]


@pytest.mark.parametrize("shots", [1, 2, 3, 5])
def test_vote(shots: int) -> None:
    logits = torch.randn(4, shots, 2, 5, 6, generator=torch.Generator().manual_seed(shots))
    logits[3, :, 1] = -9  # nobody votes for anything
    logits[2, 1:, 1] = -9  # the largest count is 1
    got = hmseg.vote(logits)
    assert got.dtype == torch.bool
    for b in range(4):
        masks = (logits[b, :, 1] > logits[b, :, 0]).int().tolist()
        assert got[b].tolist() == slow_vote(masks)
    if shots == 1:
        assert torch.equal(got, logits.argmax(2)[:, 0].bool())


@pytest.mark.parametrize(
    ("shapes", "came"),
    [
        (((1, 3, 64, 64), (1, 3, 64, 64), (1, 64, 64)), r"\(1, 3, 64, 64\) and \(1, 64, 64\)"),
        (((2, 3, 64, 64), (1, 1, 3, 64, 64), (1, 1, 64, 64)), r"\(2, 3, 64, 64\)"),
        (((1, 1, 64, 64), (1, 1, 1, 64, 64), (1, 1, 64, 64)), r"\(1, 1, 64, 64\)"),
        (((1, 3, 64, 64), (1, 1, 3, 64, 64), (1, 1, 32, 64)), r"\(1, 1, 32, 64\)"),
        (((1, 3, 64, 64), (1, 0, 3, 64, 64), (1, 0, 64, 64)), r"\(1, 0, 64, 64\)"),
    ],
)
def test_shapes_that_do_not_fit(network: FewShotNetwork, shapes: Any, came: str) -> None:
    with pytest.raises(ValueError, match=r"expected query \(B, 3, H, W\).*got.*" + came):
        network(*(torch.zeros(shape) for shape in shapes))


def test_masks_of_255_are_refused(network: FewShotNetwork) -> None:
    query, supports, masks = episode()
    with pytest.raises(ValueError, match="values other than 0 and 1 .largest 255"):
        network(query, supports, masks.int() * 255)


def test_a_missing_level_is_found_at_construction() -> None:
    backbone = build_backbone("mobilenet_v2")
    head = HSNetHead(backbone.feature_info)
    backbone.feature_info = tuple(info for info in backbone.feature_info if info.level != 3)
    with pytest.raises(ValueError, match=r"level \[3\] is missing"):
        FewShotNetwork(backbone, HybridMasking(), head)


def test_unknown_names_and_options() -> None:
    with pytest.raises(ConfigError, match="unknown model 'hsnett': did you mean 'hsnet'"):
        hmseg.build_network("hsnett")
    with pytest.raises(ConfigError, match="does not take these options .depth"):
        hmseg.build_network("hsnet", backbone="mobilenet_v2", depth=3)


def test_recomputed_activations_give_the_same_gradients(network: FewShotNetwork) -> None:
    query, supports, masks = episode()
    held = FewShotNetwork(network.backbone, network.masking, network.head)
    given: list[int] = []
    handle = network.head.register_forward_pre_hook(lambda _m, args: given.append(len(args[2])))
    found = {}
    for groups in (None, 1, 2):  # 2: a group of the first query's third shot alone
        held.recompute = groups
        held.zero_grad()
        logits = held(query, supports, masks)
        logits.square().mean().backward()
        found[groups] = [logits, *(p.grad.clone() for p in held.head.parameters() if p.grad is not None)]
    handle.remove()
    assert given == [6, *12 * [1], 2, 1, 2, 1, 1, 2, 1, 2]  # again in the backward pass
    assert len(found[None]) > 10
    for groups in (1, 2):
        for got, wanted in zip(found[groups], found[None], strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)
