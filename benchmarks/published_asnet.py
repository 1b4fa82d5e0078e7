"""ASNet's head as the published code computes it: attention with its similarities whole in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hmseg.networks.asnet_layers import HEADS

LEAST_PLANE = 17  # the published code fails below it; see hmseg.networks.asnet
EXCLUDED = -1e9


def asnet_head(head: Any, pyramid: dict[int, Tensor], query: Any, mask: Tensor) -> Tensor:
    """Logits of correlations (B, L, hq, wq, hs, ws) by level, with the modules of our ``ASNetHead``."""
    deep = squeeze(head.encoder_layer4, pyramid[4], mask).mean(dim=(-2, -1), keepdim=True)
    middle = squeeze(head.encoder_layer3, enlarged(pyramid[3]), mask)
    shallow = squeeze(head.encoder_layer2, enlarged(pyramid[2]), mask)
    mixed = squeeze(head.encoder_layer4to3, over_query(deep, middle) + middle, mask)
    mixed = squeeze(head.encoder_layer3to2, over_query(mixed.mean((-2, -1), True), shallow) + shallow, mask)
    decoded = head.decoder1(mixed.mean(dim=(-2, -1)))
    size = 2 * decoded.shape[-2], 2 * decoded.shape[-1]
    decoded = F.interpolate(decoded, size, mode="bilinear", align_corners=True)
    return head.decoder2(decoded)  # type: ignore[no-any-return]


def squeeze(layers: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
    """Attentive squeeze layers one after the other."""
    hq, wq = x.shape[2:4]
    for layer in layers.children():
        x = x.reshape(*x.shape[:2], hq * wq, *x.shape[-2:])
        x = attention(layer.attn, x, mask)
        x = layer.ff.out_norm(layer.ff.ff(x) + x)  # type: ignore[union-attr, operator]
        x = x.reshape(*x.shape[:2], hq, wq, *x.shape[-2:])
    return x


def attention(layer: Any, x: Tensor, mask: Tensor) -> Tensor:
    """Similarities of every query position with every key, masked by a large number, as one tensor."""
    shortcut = layer.short_cut(x)
    queries, keys, values = layer.qhead(x), layer.khead(x), layer.vhead(x)
    n, hidden, t, *out = queries.shape
    q, k, v = (
        each.reshape(n, HEADS, hidden // HEADS, t, each.shape[-2] * each.shape[-1])
        for each in (queries, keys, values)
    )
    similarity = torch.einsum("ngctl,ngctm->ngtlm", q, k)
    resized = F.interpolate(mask[:, None].float(), keys.shape[-2:], mode="bilinear", align_corners=True)
    similarity = similarity.masked_fill(resized.view(n, 1, 1, 1, -1) == 0, EXCLUDED)
    mixed = torch.einsum("ngtlm,ngctm->ngctl", F.softmax(similarity, dim=-1), v)
    mixed = mixed.reshape(n, hidden, t, *out)
    return layer.out_norm(layer.agg(mixed) + shortcut)  # type: ignore[no-any-return]


def enlarged(x: Tensor) -> Tensor:
    """The support plane enlarged where two strides of 4 would leave too little of it."""
    size = max(x.shape[-2], LEAST_PLANE), max(x.shape[-1], LEAST_PLANE)
    if size == x.shape[-2:]:
        return x
    resized = F.interpolate(x.flatten(1, 3), size, mode="bilinear", align_corners=True)
    return resized.view(*x.shape[:4], *size)


def over_query(x: Tensor, like: Tensor) -> Tensor:
    """(N, C, h, w, 1, 1) resized over its query plane."""
    size = like.shape[2:4]
    return F.interpolate(x[..., 0, 0], size, mode="bilinear", align_corners=True)[..., None, None]
