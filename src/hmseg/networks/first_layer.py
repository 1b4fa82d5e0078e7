"""HSNet's first layers on a CPU: correlation and centre-pivot convolution in one, piece by piece.

The convolution over the support plane needs one query position's similarities only, the one over the query
plane only those with the support positions 0, s, 2s, …. So without gradients a level's whole correlation
(100 MB at level 2 and 400 px) never has to be in memory: it is made, used and dropped piece by piece, inside
the processor's cache.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hmseg.correlation import Pieces, hypercorrelation, on_plain_cpu, similarity_pieces
from hmseg.networks.layers import CentrePivotConv4d


def correlate_and_convolve(
    layer: CentrePivotConv4d, query: Sequence[Tensor], support: Sequence[Tensor]
) -> Tensor:
    """``layer(hypercorrelation(query, support))``.

    Args:
        layer: takes L channels.
        query: L maps (B, C_l, hq, wq).
        support: L maps (B * K, C_l, hs, ws).

    Returns:
        (B * K, C', hq, wq, ceil(hs / s), ceil(ws / s)).
    """
    if not on_plain_cpu(*query, *support) or support[0].shape[2:] == (1, 1):
        return layer(hypercorrelation(query, support))  # type: ignore[no-any-return]
    planes = (*query[0].shape[2:], *support[0].shape[2:])
    if torch.is_grad_enabled():
        return layer(_channels_last(query, support, planes))  # type: ignore[no-any-return]
    results = [_convolved(layer, pieces, planes) for pieces in similarity_pieces(query, support)]
    return results[0] if len(results) == 1 else torch.cat(results)


def _convolved(layer: CentrePivotConv4d, pieces: Pieces, planes: tuple[int, ...]) -> Tensor:
    """(1, C', hq, wq, …) of one query's and one support's similarities."""
    hq, wq, hs, ws = planes
    stride = layer.support_stride
    hp, wp = -(-hs // stride), -(-ws // stride)
    pivots = layer.conv2.weight.new_empty(hp, wp, hq * wq, layer.conv2.in_channels)
    result = pivots.new_empty(hq * wq, hp, wp, layer.conv2.out_channels)
    for part, similarities in pieces:
        x = similarities.view(*similarities.shape[:2], hs, ws)  # (positions, L, hs, ws)
        pivots[:, :, part] = x[..., ::stride, ::stride].permute(2, 3, 0, 1)
        result[part] = layer.conv2(x).permute(0, 2, 3, 1)
    over_query = layer.over_query(pivots.view(1, hp, wp, hq, wq, -1).permute(0, 3, 4, 1, 2, 5))
    return result.view(over_query.shape).add_(over_query).permute(0, 5, 1, 2, 3, 4)


def _channels_last(query: Sequence[Tensor], support: Sequence[Tensor], planes: tuple[int, ...]) -> Tensor:
    """The whole hypercorrelation, kept for the gradients of the layer's weights, channels innermost."""
    hq, wq, hs, ws = planes
    result = query[0].new_empty(len(support[0]), hq * wq, hs * ws, len(support))
    for of_support, pieces in zip(result, similarity_pieces(query, support), strict=True):
        for part, similarities in pieces:
            of_support[part] = similarities.transpose(1, 2)
    return result.view(-1, *planes, len(support)).permute(0, 5, 1, 2, 3, 4)
