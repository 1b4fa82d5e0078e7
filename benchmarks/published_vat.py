"""VAT's head as the published code computes it: permuted copies, rolled windows, whole attention matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hmseg.networks.vat_aggregator import STAGES


def to_grid(maps: dict[int, list[Tensor]], sides: dict[int, int]) -> dict[int, list[Tensor]]:
    """Maps of each level resized to the published grid."""
    return {
        level: [
            F.interpolate(each, (sides[level], sides[level]), mode="bilinear", align_corners=True)
            for each in found
        ]
        for level, found in maps.items()
    }


def vat_head(head: Any, pyramid: dict[int, Tensor], query: dict[int, list[Tensor]], mask: Tensor) -> Tensor:
    """Logits of correlations (B, L, h, h, h, h) by level, with the modules of our ``VATHead``."""
    ours, deeper = head.ours, None
    for level, encoder, transformer in zip((4, 3, 2), ours.encoders, ours.transformer, strict=True):
        x = pyramid[level]
        for convolution, norm, relu in encoder.conv4d:
            x = relu(norm(conv4d(convolution, x)))
        if deeper is not None:
            n, c, hq, wq, hs, ws = deeper.shape
            planes = deeper.permute(0, 4, 5, 1, 2, 3).reshape(n * hs * ws, c, hq, wq)
            planes = F.interpolate(planes, x.shape[2:4], mode="bilinear", align_corners=True)
            x = x + planes.view(n, hs, ws, c, *x.shape[2:4]).permute(0, 3, 4, 5, 1, 2)
        deeper = x + transformed(transformer.transformer, x)
    assert deeper is not None
    return decode(ours, deeper.mean(dim=(-2, -1)), query)


def decode(ours: Any, x: Tensor, query: dict[int, list[Tensor]]) -> Tensor:
    """The decoder with its projected query features."""
    for index, (stage, seen) in enumerate(zip(STAGES, ours.affinity, strict=True)):
        if index > 0:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        if seen:
            feature = ours.proj_query_feat[index](query[stage.level][-1])
            x = torch.cat((x, ours.dropout(feature) if index < 2 else feature), dim=1)
        adding, *last = ours.swin_decoder[index]
        x = x + transformed(adding.transformer, x)
        for layer in last:
            x = layer(x)
    return ours.decoder(x)  # type: ignore[no-any-return]


def conv4d(layer: Any, x: Tensor) -> Tensor:
    """Max-pool one plane, convolve the other, each between two permuted copies; then the sum."""
    n = len(x)
    for_query = pooled(x, layer.support_stride)
    c, hq, wq, hs, ws = for_query.shape[1:]
    first = layer.query_conv(for_query.permute(0, 4, 5, 1, 2, 3).reshape(-1, c, hq, wq))
    first = first.view(n, hs, ws, *first.shape[1:]).permute(0, 3, 4, 5, 1, 2)
    swapped = pooled(x.permute(0, 1, 4, 5, 2, 3), layer.query_stride).permute(0, 1, 4, 5, 2, 3)
    c, hq, wq, hs, ws = swapped.shape[1:]
    second = layer.supp_conv(swapped.permute(0, 2, 3, 1, 4, 5).reshape(-1, c, hs, ws))
    second = second.view(n, hq, wq, *second.shape[1:]).permute(0, 3, 1, 2, 4, 5)
    return (first + second).contiguous()


def pooled(x: Tensor, stride: int) -> Tensor:
    """Max-pool the last plane of (N, C, h, w, h', w')."""
    if stride == 1:
        return x
    n, c, h, w, *plane = x.shape
    planes = x.permute(0, 2, 3, 1, 4, 5).reshape(n * h * w, c, *plane)
    planes = F.max_pool2d(planes, stride, stride, ceil_mode=True)
    return planes.view(n, h, w, c, *planes.shape[2:]).permute(0, 3, 1, 2, 4, 5)


def transformed(transformer: Any, x: Tensor) -> Tensor:
    """A Swin transformer over the grid of (N, C, *grid), without the addition of its input."""
    grid = x.shape[2:]
    rows = x.flatten(2).transpose(1, 2)
    if hasattr(transformer, "layer"):  # 4-D: the LayerNorm behind the blocks is not used
        for number, each in enumerate(transformer.layer.blocks):
            rows = block(each, rows, grid, 4, 2 * (number % 2))
    else:
        for number, each in enumerate(transformer.layers[0].blocks):
            rows = block(each, rows, grid, 8, 4 * (number % 2))
        rows = transformer.norm(rows)
    return rows.transpose(1, 2).reshape(x.shape)


def block(layer: Any, x: Tensor, grid: Sequence[int], window: int, shift: int) -> Tensor:
    """One block: roll, cut into windows, attend, put together, roll back, MLP."""
    n, positions, channels = x.shape
    dims, sides = len(grid), list(range(1, len(grid) + 1))
    y = layer.norm1(x).view(n, *grid, channels)
    if shift:
        y = torch.roll(y, [-shift] * dims, sides)
    counts = [side // window for side in grid]
    split = [each for count in counts for each in (count, window)]
    outer, inner = [1 + 2 * d for d in range(dims)], [2 + 2 * d for d in range(dims)]
    order = [0, *outer, *inner, 1 + 2 * dims]
    windows = y.view(n, *split, channels).permute(order).reshape(-1, window**dims, channels)
    windows = attended(layer.attn, windows, layer.attn_mask if shift else None)
    back = [order.index(d) for d in range(len(order))]
    y = windows.view(n, *counts, *([window] * dims), channels).permute(back).reshape(n, *grid, channels)
    if shift:
        y = torch.roll(y, [shift] * dims, sides)
    x = x + y.view(n, positions, channels)
    return x + layer.mlp(layer.norm2(x))  # type: ignore[no-any-return]


def attended(layer: Any, windows: Tensor, mask: Tensor | None) -> Tensor:
    """Window attention step by step, the mask added to the similarities of every window."""
    rows, length, channels = windows.shape
    qkv = layer.qkv(windows).view(rows, length, 3, layer.heads, channels // layer.heads)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    similarity = (q * (channels // layer.heads) ** -0.5) @ k.transpose(-2, -1)
    table = layer.relative_position_bias_table[layer.relative_position_index.view(-1)]
    similarity = similarity + table.view(length, length, -1).permute(2, 0, 1).contiguous()[None]
    if mask is not None:
        count = len(mask)
        split = similarity.view(rows // count, count, layer.heads, length, length)
        similarity = (split + mask[None, :, None]).view(-1, layer.heads, length, length)
    seen = similarity.softmax(dim=-1) @ v
    return layer.proj(seen.transpose(1, 2).reshape(rows, length, channels))  # type: ignore[no-any-return]
