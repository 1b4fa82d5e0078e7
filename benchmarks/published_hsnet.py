"""HSNet's head as the published code computes it: a permuted copy in and out of every 2-D convolution."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hmseg.networks.layers import CentrePivotConv4d


def hsnet_head(head: Any, pyramid: dict[int, Tensor], query: Any, mask: Tensor) -> Tensor:
    """Logits of correlations (B, L, hq, wq, hs, ws) by level, with the modules of our ``HSNetHead``."""
    squeezed4 = squeeze(head.encoder_layer4, pyramid[4])
    squeezed3 = squeeze(head.encoder_layer3, pyramid[3])
    squeezed2 = squeeze(head.encoder_layer2, pyramid[2])
    mixed = squeeze(head.encoder_layer4to3, enlarge(squeezed4, squeezed3.shape[2:]) + squeezed3)
    mixed = squeeze(head.encoder_layer3to2, enlarge(mixed, squeezed2.shape[2:]) + squeezed2)
    batch, channels, hq, wq = mixed.shape[:4]
    context = mixed.view(batch, channels, hq, wq, -1).mean(dim=-1)
    decoded = head.decoder1(context)
    size = decoded.size(-1) * 2, decoded.size(-2) * 2
    decoded = F.interpolate(decoded, size[::-1], mode="bilinear", align_corners=True)
    return head.decoder2(decoded)  # type: ignore[no-any-return]


def squeeze(layers: nn.Module, x: Tensor) -> Tensor:
    """A block of centre-pivot convolutions, GroupNorm and ReLU."""
    for layer in layers.children():
        x = centre_pivot(layer, x) if isinstance(layer, CentrePivotConv4d) else layer(x)
    return x


def centre_pivot(layer: CentrePivotConv4d, x: Tensor) -> Tensor:
    """The two 2-D convolutions, each between two permuted copies, and their sum."""
    pivots = pruned(x, layer.support_stride) if layer.support_stride > 1 else x
    n, c, hq, wq, hp, wp = pivots.shape
    first = pivots.permute(0, 4, 5, 1, 2, 3).contiguous().view(-1, c, hq, wq)
    first = layer.conv1(first)
    first = first.view(n, hp, wp, first.shape[1], hq, wq).permute(0, 3, 4, 5, 1, 2).contiguous()
    n, c, hq, wq, hs, ws = x.shape
    second = x.permute(0, 2, 3, 1, 4, 5).contiguous().view(-1, c, hs, ws)
    second = layer.conv2(second)
    out = second.shape[1:]
    second = second.view(n, hq, wq, *out).permute(0, 3, 1, 2, 4, 5).contiguous()
    return first + second


def pruned(x: Tensor, stride: int) -> Tensor:
    """The support positions 0, s, 2s, …, selected by their indices."""
    *front, hs, ws = x.shape
    rows = torch.arange(0, hs, stride, device=x.device)
    columns = torch.arange(0, ws, stride, device=x.device)
    index = (columns.repeat(len(rows), 1) + rows.repeat(len(columns), 1).t() * ws).view(-1)
    kept = x.clone().contiguous().view(*front, -1).index_select(4, index)
    return kept.view(*front, len(rows), len(columns))


def enlarge(x: Tensor, size: torch.Size) -> Tensor:
    """Resize the query plane (and, where the planes differ, the support plane) to ``size``."""
    n, c, hq, wq, hs, ws = x.shape
    x = x.permute(0, 4, 5, 1, 2, 3).contiguous().view(n * hs * ws, c, hq, wq)
    x = F.interpolate(x, size[:2], mode="bilinear", align_corners=True)
    x = x.view(n, hs, ws, c, *size[:2]).permute(0, 3, 4, 5, 1, 2).contiguous()
    if (hs, ws) == size[2:]:
        return x
    planes = x.permute(0, 2, 3, 1, 4, 5).contiguous().view(-1, c, hs, ws)
    planes = F.interpolate(planes, size[2:], mode="bilinear", align_corners=True)
    return planes.view(n, *size[:2], c, *size[2:]).permute(0, 3, 1, 2, 4, 5).contiguous()
