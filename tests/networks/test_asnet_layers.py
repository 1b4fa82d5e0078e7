"""Attentive squeeze against a slow version in loops, and masks that leave its attention little or nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hmseg.masking import resize_mask
from hmseg.networks.asnet_layers import HEADS, AttentiveSqueezeLayer, _attend_stepwise, masked_attention

Array = NDArray[np.float64]


def slow_conv(x: Array, conv: nn.Conv3d) -> Array:
    """(C, t, h, w): each position of t by itself."""
    weight = conv.weight.detach().numpy()[:, :, 0]
    (_, k, _), (_, stride, _), (_, p, _) = conv.kernel_size, conv.stride, conv.padding
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    height, width = ((side + 2 * p - k) // stride + 1 for side in x.shape[2:])
    out = np.zeros((len(weight), x.shape[1], height, width))
    for t, i, j in np.ndindex(*out.shape[1:]):
        window = padded[:, t, i * stride : i * stride + k, j * stride : j * stride + k]
        out[:, t, i, j] = np.tensordot(weight, window, axes=3)
    bias = np.zeros(len(weight)) if conv.bias is None else conv.bias.detach().numpy()
    return out + bias[:, None, None, None]


def slow_norm(x: Array, norm: nn.GroupNorm) -> Array:
    """Each quarter of the channels by its own mean and variance, over t, h and w too."""
    parts = [(part - part.mean()) / np.sqrt(part.var() + norm.eps) for part in np.split(x, 4)]
    weight, bias = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    return np.concatenate(parts) * weight[:, None, None, None] + bias[:, None, None, None]


def slow_attention(query: Array, key: Array, value: Array, mask: Array) -> Array:
    """(C, t, h', w'), twice (C, t, h, w), and (h, w): the published way, -1e9 where the mask is 0."""
    channels, ts, *plane = query.shape
    out = np.zeros_like(query)
    size = channels // HEADS
    for head, t, i, j in itertools.product(range(HEADS), range(ts), *map(range, plane)):
        c = slice(head * size, head * size + size)
        similarity = np.einsum("c,chw->hw", query[c, t, i, j], key[c, t])
        similarity[mask == 0] = -1e9
        weights = np.exp(similarity - similarity.max())
        out[c, t, i, j] = (value[c, t] * weights).sum(axis=(1, 2)) / weights.sum()
    return out


def slow_layer(layer: AttentiveSqueezeLayer, x: Array, mask: Tensor) -> Array:
    """(C, t, h, w) and (H, W)."""
    attn, ff = layer.attn, layer.ff
    query, key, value = (slow_conv(x, head) for head in (attn.qhead, attn.khead, attn.vhead))
    resized = resize_mask(mask[None], key.shape[2:])[0].numpy()
    mixed = slow_attention(query, key, value, resized)
    mixed = slow_conv(np.maximum(slow_norm(mixed, attn.agg[0]), 0), attn.agg[2])
    mixed = np.maximum(slow_norm(mixed, attn.agg[3]), 0)
    if isinstance(attn.short_cut, nn.Identity):
        shortcut = x
    else:
        shortcut = np.maximum(slow_norm(slow_conv(x, attn.short_cut[0]), attn.short_cut[1]), 0)
    mixed = slow_norm(mixed + shortcut, attn.out_norm)
    inner = np.maximum(slow_norm(slow_conv(mixed, ff.ff[0]), ff.ff[1]), 0)
    return slow_norm(mixed + slow_conv(inner, ff.ff[3]), ff.out_norm)


def disc(side: int, centre: tuple[float, float], radius: float) -> Tensor:
    y, x = np.mgrid[:side, :side] / side
    return torch.from_numpy(((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2).astype(np.float32))


@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "pool_kv", "plane"),
    [
        ((3, 32), 5, 4, False, (9, 7)),
        ((4, 32), 5, 4, True, (7, 10)),
        ((32, 32), 3, 2, False, (4, 4)),
        ((16, 16), 2, 1, False, (2, 3)),
        ((16, 16), 1, 1, False, (2, 2)),
    ],
)
def test_equals_the_slow_version(
    channels: tuple[int, int], kernel: int, stride: int, pool_kv: bool, plane: tuple[int, int]
) -> None:
    layer = AttentiveSqueezeLayer(*channels, kernel, stride, pool_kv).double()
    for parameter in layer.parameters():  # norms start as the identity
        parameter.data += 0.2 * torch.randn_like(parameter)
    x = 3 * torch.randn(3, channels[0], 4, *plane, dtype=torch.float64)
    masks = torch.stack([disc(20, (0.3, 0.4), 0.3), torch.zeros(20, 20), torch.ones(20, 20)])
    got = layer(x, masks).detach().numpy()
    for n in range(3):
        np.testing.assert_allclose(got[n], slow_layer(layer, x[n].numpy(), masks[n]), atol=1e-9)


def attention_inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    shapes = (2, HEADS, 2, 3, 2, 1), (2, HEADS, 2, 3, 2, 4), (2, HEADS, 2, 3, 2, 4)
    query, key, value = (torch.randn(shape, dtype=torch.float64).to(dtype) for shape in shapes)
    return query, key, value


def test_what_lies_outside_the_mask_has_no_part() -> None:
    query, key, value = attention_inputs()
    mask = torch.tensor([[[1.0, 0, 0, 0], [1, 1, 0, 0]]]).expand(2, -1, -1)
    outside = (mask == 0)[:, None, None, None].expand_as(key)
    changed = torch.where(outside, 100.0, key), torch.where(outside, -50.0, value)
    expected = masked_attention(query, key, value, mask)
    torch.testing.assert_close(masked_attention(query, *changed, mask), expected, rtol=0, atol=0)
    assert (masked_attention(query, *changed, torch.ones(2, 2, 4)) - expected).abs().max() > 1


def test_only_exact_zeros_of_the_resized_mask_are_outside() -> None:
    query, key, value = attention_inputs()
    mask = torch.zeros(2, 9, 7)
    mask[:, 0, 2] = 1  # resized to 2 x 4, the object's only pixel weighs 1 at one position
    one = masked_attention(query, key, value, mask)
    torch.testing.assert_close(one, value[..., :1, 1:2].expand_as(query))
    mask = torch.zeros(2, 9, 8)
    mask[:, 0, 2] = 1  # now 2/3 at one position: a weight says nothing but that it takes part
    torch.testing.assert_close(masked_attention(query, key, value, mask), one)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_an_empty_mask_gives_the_plain_mean(dtype: torch.dtype) -> None:
    query, key, value = attention_inputs(dtype)
    masks = torch.zeros(2, 5, 5)
    masks[1, 1:4, 1:4] = 1  # leaves nothing at the four corners and on the sides, to which 2 x 4 comes down
    got = masked_attention(100 * query, key, value, masks.to(dtype))
    mean = value.mean(dim=(-2, -1), keepdim=True).expand_as(query)
    torch.testing.assert_close(got, mean)


def test_fused_and_stepwise_agree() -> None:
    query, key, value = attention_inputs()
    mask = disc(16, (0.2, 0.2), 0.4).expand(2, -1, -1)
    allowed = (resize_mask(mask, (2, 4)) != 0).flatten(1)
    assert allowed.any() and not allowed.all()
    stepwise = _attend_stepwise(query.flatten(-2), key.flatten(-2), value.flatten(-2), allowed)
    torch.testing.assert_close(masked_attention(query, key, value, mask), stepwise.view(query.shape))


@pytest.mark.parametrize("empty", [False, True])
def test_gradients(empty: bool) -> None:
    mask = torch.zeros(2, 8, 8) if empty else disc(8, (0.2, 0.2), 0.6).expand(2, -1, -1)
    inputs = [x[:, :1].requires_grad_() for x in attention_inputs()]
    assert torch.autograd.gradcheck(lambda *x: masked_attention(*x, mask), inputs)


def test_nothing_given_is_changed() -> None:
    layer = AttentiveSqueezeLayer(16, 16, 1, 1)  # the shortcut is the input itself
    x, mask = torch.randn(1, 16, 2, 3, 3), torch.zeros(1, 4, 4)
    before = x.clone(), mask.clone()
    layer(x, mask)
    assert torch.equal(x, before[0]) and torch.equal(mask, before[1])
