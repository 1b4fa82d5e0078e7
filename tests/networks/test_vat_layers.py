"""VAT's 4-D convolution against loops, its pooling against torch's, and the transformers' wrapping."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hmseg.networks.vat_layers import AddTransformed, Conv4d, Encoder4d, Swin2d, Swin4d, max_pool


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 3), (2, 1)])
def test_max_pool(size: tuple[int, int], stride: int) -> None:
    x = torch.randn(2, 3, *size, requires_grad=True)
    expected = F.max_pool2d(x, stride, ceil_mode=True)
    got = max_pool(x, stride, dims=(2, 3))
    assert torch.equal(got, expected)
    weights = torch.randn_like(got)
    gradients = [torch.autograd.grad((each * weights).sum(), x)[0] for each in (got, expected)]
    torch.testing.assert_close(*gradients)
    moved = max_pool(x.permute(2, 3, 0, 1), stride, dims=(0, 1))
    assert torch.equal(moved.permute(2, 3, 0, 1), expected)


def slow_plane_conv(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """(C, h, w) with kernel (O, C, 3, 3), padding 1."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(kernel), -(-x.shape[1] // stride), -(-x.shape[2] // stride)))
    for i, j in np.ndindex(*out.shape[1:]):
        window = padded[:, i * stride : i * stride + 3, j * stride : j * stride + 3]
        out[:, i, j] = np.tensordot(kernel, window, axes=3)
    return out


def slow_pool(x: np.ndarray, stride: int) -> np.ndarray:
    """Maxima over blocks of the last two axes of (C, h, w)."""
    rows, columns = range(0, x.shape[1], stride), range(0, x.shape[2], stride)
    blocks = [[x[:, i : i + stride, j : j + stride].max(axis=(1, 2)) for j in columns] for i in rows]
    return np.stack([np.stack(row, axis=-1) for row in blocks], axis=1)


def slow_conv4d(x: np.ndarray, layer: Conv4d) -> np.ndarray:
    """(C, hq, wq, hs, ws): every plane by itself."""
    q, s = layer.query_stride, layer.support_stride
    query_kernel, query_bias = (p.detach().numpy() for p in layer.query_conv.parameters())
    support_kernel, support_bias = (p.detach().numpy() for p in layer.supp_conv.parameters())
    hq, wq, hs, ws = (-(-side // stride) for side, stride in zip(x.shape[1:], (q, q, s, s), strict=True))
    out = (
        np.zeros((len(query_kernel), hq, wq, hs, ws)) + (query_bias + support_bias)[:, None, None, None, None]
    )
    for_query = np.empty((*x.shape[:3], hs, ws))
    for i, j in np.ndindex(*x.shape[1:3]):
        for_query[:, i, j] = slow_pool(x[:, i, j], s)
    for c, d in np.ndindex(hs, ws):
        out[..., c, d] += slow_plane_conv(for_query[..., c, d], query_kernel, q)
    for_support = np.empty((x.shape[0], hq, wq, *x.shape[3:]))
    for c, d in np.ndindex(*x.shape[3:]):
        for_support[..., c, d] = slow_pool(x[..., c, d], q)
    for i, j in np.ndindex(hq, wq):
        out[:, i, j] += slow_plane_conv(for_support[:, i, j], support_kernel, s)
    return out


@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("size", [(4, 4, 6, 2), (5, 3, 3, 4), (1, 2, 1, 1)])
def test_conv4d_equals_loops(size: tuple[int, ...], strides: tuple[int, int]) -> None:
    layer = Conv4d(2, 3, *strides)
    x = torch.randn(2, 2, *size)
    got = layer(x).detach().numpy()
    for n in range(2):
        np.testing.assert_allclose(got[n], slow_conv4d(x[n].numpy(), layer), atol=1e-5)


def test_conv4d_gradients() -> None:
    layer = Conv4d(1, 2, 2, 2).double()
    x = torch.randn(1, 1, 3, 2, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradcheck(lambda *_: layer(x.detach()), tuple(layer.parameters()))


def test_encoder() -> None:
    encoder = Encoder4d(3, (4, 8), strides=((2, 1), (1, 2)), groups=(2, 4))
    x = torch.rand(2, 3, 4, 4, 4, 4)
    got = encoder(x.unbind(1))
    assert got.shape == (2, 8, 2, 2, 2, 2)
    first, second = encoder.conv4d
    by_hand = F.relu(F.group_norm(first[0](x), 2, first[1].weight, first[1].bias))
    by_hand = F.relu(F.group_norm(second[0](by_hand), 4, second[1].weight, second[1].bias))
    torch.testing.assert_close(got, by_hand)


@pytest.mark.parametrize("grid", [(4, 8, 4, 4), (8, 16)])
def test_transformers_are_added_to_their_input(grid: tuple[int, ...]) -> None:
    transformer = Swin4d(8, grid, depth=2) if len(grid) == 4 else Swin2d(8, grid)
    x = torch.randn(2, 8, *grid)
    before = x.clone()
    got = AddTransformed(transformer)(x)
    assert torch.equal(x, before)
    positions = x.flatten(2).transpose(1, 2)
    torch.testing.assert_close(got.flatten(2).transpose(1, 2), positions + transformer(positions))


def test_every_second_block_is_shifted_by_half_a_window() -> None:
    transformer = Swin4d(8, (8, 4, 4, 4), depth=4)
    assert [block.attn_mask is not None for block in transformer.layer.blocks] == [False, True] * 2
    first, second = transformer.layer.blocks[:2]
    shifted = first.order[0].view(4, 4, 4, 4)[2, 2, 2, 2]
    assert shifted in second.order[:, 0]
    assert Swin2d(8, (16, 8)).layers[0].blocks[1].order.shape == (2, 64)


def test_initial_weights_are_those_published() -> None:
    torch.manual_seed(0)
    for transformer in (Swin4d(64, (4, 4, 4, 4), depth=1), Swin2d(64, (8, 8))):
        for name, parameter in transformer.named_parameters():
            if name.endswith("bias"):
                assert not parameter.any()
            elif "norm" in name:
                assert (parameter == 1).all()
            else:
                assert 0.018 < parameter.std() < 0.022, name
