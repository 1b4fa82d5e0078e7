"""Shifted-window attention against full attention with a mask, and its tables against loops."""

from __future__ import annotations

from itertools import product
from math import prod

import pytest
import torch
from torch import Tensor

from hmseg.networks.swin import (
    MASKED,
    SwinBlock,
    relative_position_index,
    shift_mask,
    window_order,
    windows_by_kind,
)

GRIDS = [((8, 4), 4, 0), ((8, 12), 4, 2), ((6, 4), 2, 1), ((4, 4, 2, 4), 2, 1), ((2, 6, 4, 2), 2, 0)]


def places(grid: tuple[int, ...]) -> list[tuple[int, ...]]:
    return list(product(*map(range, grid)))


def rolled(position: tuple[int, ...], grid: tuple[int, ...], shift: int) -> tuple[int, ...]:
    """Where a position lies after the roll."""
    return tuple((at - shift) % side for at, side in zip(position, grid, strict=True))


@pytest.mark.parametrize(("window", "dimensions"), [(3, 2), (8, 2), (2, 4), (4, 4)])
def test_relative_position_index(window: int, dimensions: int) -> None:
    inside = places((window,) * dimensions)
    base = 2 * window - 1
    got = relative_position_index(window, dimensions).tolist()
    for i in range(0, len(inside), 1 + len(inside) // 20):
        for j, other in enumerate(inside):
            index = 0
            for a, b in zip(inside[i], other, strict=True):
                index = index * base + (a - b + window - 1)
            assert got[i][j] == index
    assert {index for row in got for index in row} == set(range(base**dimensions))


@pytest.mark.parametrize(("grid", "window", "shift"), GRIDS)
def test_window_order(grid: tuple[int, ...], window: int, shift: int) -> None:
    order = window_order(grid, window, shift)
    positions = places(grid)
    corners = places(tuple(side // window for side in grid))
    inside = places((window,) * len(grid))
    for w, corner in enumerate(corners):
        for p, place in enumerate(inside):
            at = tuple(c * window + i for c, i in zip(corner, place, strict=True))
            assert rolled(positions[int(order[w, p])], grid, shift) == at


@pytest.mark.parametrize(("grid", "window", "shift"), [each for each in GRIDS if each[2]])
def test_shift_mask_keeps_what_wrapped_around_apart(grid: tuple[int, ...], window: int, shift: int) -> None:
    mask = shift_mask(grid, window, shift)
    positions = places(grid)
    for w, window_positions in enumerate(window_order(grid, window, shift).tolist()):
        wrapped = [tuple(at < shift for at in positions[index]) for index in window_positions]
        expected = [[0.0 if a == b else MASKED for b in wrapped] for a in wrapped]
        assert mask[w].tolist() == expected
    kinds = windows_by_kind(grid, window)
    assert sorted(index for kind in kinds for index in kind) == list(range(len(mask)))
    for kind in kinds:
        assert all(torch.equal(mask[kind[0]], mask[index]) for index in kind)


def slow_block(block: SwinBlock, x: Tensor, grid: tuple[int, ...], window: int, shift: int) -> Tensor:
    """The block on (N, positions, C) as attention over all positions, most of them masked."""
    positions = places(grid)
    moved = [rolled(position, grid, shift) for position in positions]
    heads, count = block.attn.heads, len(positions)
    bias = torch.full((heads, count, count), -torch.inf, dtype=x.dtype)
    table = block.attn.relative_position_bias_table
    entries = {}
    for i, j in product(range(count), repeat=2):
        if all(a // window == b // window for a, b in zip(moved[i], moved[j], strict=True)):
            row = 0
            for a, b in zip(moved[i], moved[j], strict=True):
                row = row * (2 * window - 1) + a - b + window - 1
            apart = [at < shift for at in positions[i]] != [at < shift for at in positions[j]]
            entries[i, j] = table[row] + (MASKED if apart else 0.0)
    i, j = torch.tensor(list(entries)).T
    bias[:, i, j] = torch.stack(list(entries.values()), dim=1)
    normed = block.norm1(x)
    n, _, channels = x.shape
    q, k, v = (
        each.view(n, count, heads, channels // heads).transpose(1, 2)
        for each in block.attn.qkv(normed).chunk(3, dim=-1)
    )
    weights = (q @ k.transpose(2, 3) / (channels // heads) ** 0.5 + bias).softmax(-1)
    x = x + block.attn.proj((weights @ v).transpose(1, 2).reshape(n, count, channels))
    return x + block.mlp(block.norm2(x))


@pytest.mark.parametrize(("grid", "window", "shift"), GRIDS)
def test_block_equals_masked_attention_over_everything(
    grid: tuple[int, ...], window: int, shift: int
) -> None:
    block = SwinBlock(8, grid, window, heads=2, shift=shift).double()
    torch.nn.init.normal_(block.attn.relative_position_bias_table)
    x = torch.randn(2, prod(grid), 8, dtype=torch.float64, requires_grad=True)
    weights = torch.randn_like(x)
    got, expected = block(x), slow_block(block, x, grid, window, shift)
    torch.testing.assert_close(got, expected)
    wanted = (x, *block.parameters())
    got_gradients = torch.autograd.grad((got * weights).sum(), wanted)
    expected_gradients = torch.autograd.grad((expected * weights).sum(), wanted)
    torch.testing.assert_close(got_gradients, expected_gradients)


def test_masks_are_soft_as_published() -> None:
    """A large enough logit overcomes the -100: the mask is no minus infinity."""
    block = SwinBlock(2, (4, 4), 4, heads=1, shift=2).double()
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.eye_(block.attn.proj.weight)
    block.attn.qkv.weight.data[4:] = torch.eye(2)  # values are the normalised input, logits 0 …
    block.norm1.weight.data.fill_(1)
    block.attn.relative_position_bias_table.data[0] = 200.0  # … but from the first place to the last
    x = torch.randn(1, 16, 2, dtype=torch.float64)
    order = window_order((4, 4), 4, 2)[0]
    seen = (block(x) - x)[0, order[0]]
    torch.testing.assert_close(seen, block.norm1(x)[0, order[-1]])


def test_half_precision() -> None:
    block = SwinBlock(8, (4, 4), 2, heads=2, shift=1)
    x = torch.randn(1, 16, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        got = block(x)
    torch.testing.assert_close(got.float(), block(x), rtol=0.05, atol=0.05)
    assert block.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


def test_buffers_stay_out_of_the_state_dict() -> None:
    block = SwinBlock(4, (8, 8), 4, heads=2, shift=2)
    names = {name for name, _ in block.named_buffers()}
    assert names >= {"attn_mask", "attn.relative_position_index"}
    assert not names & block.state_dict().keys()


def test_a_grid_that_windows_do_not_cut() -> None:
    with pytest.raises(ValueError, match=r"\(6, 8\) can't be cut into windows of side 4"):
        SwinBlock(4, (6, 8), 4, heads=2)
