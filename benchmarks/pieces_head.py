"""The pieces of HSNet's head that `pieces.py` measures."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pieces_backbone import Ways
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hmseg.correlation import hypercorrelation
from hmseg.networks import vote
from hmseg.networks.first_layer import correlate_and_convolve
from hmseg.networks.group_norm import GroupNorm4d
from hmseg.networks.layers import CentrePivotConv4d, added, resize, resize_query_plane, with_pivots

BY_PRODUCTS = "level 2, third layer", "mixing at level 2"
"""Where a product takes the place of a convolution."""


def pivot_pieces(scale: int) -> dict[str, tuple[Tensor, Ways]]:
    """Centre-pivot layers of HSNet, forward, and forward with gradients."""
    shapes = {
        "level 2, second layer": (16, 64, 5, 4, 50, 13),
        "level 2, third layer": (64, 128, 3, 2, 50, 4),
        "level 3, second layer": (16, 64, 3, 2, 25, 7),
        "mixing at level 2": (128, 128, 3, 1, 50, 2),
    }
    found: dict[str, tuple[Tensor, Ways]] = {}
    for name, (channels, out, kernel, stride, side, support) in shapes.items():
        layer = CentrePivotConv4d(channels, out, kernel, stride)
        x = torch.randn(1, channels, side // scale, side // scale, support, support)
        last = x.permute(0, 2, 3, 4, 5, 1).contiguous().permute(0, 5, 1, 2, 3, 4)
        with torch.no_grad():
            wanted = layer.double()._on_planes(x.double())
            layer.float()
        ways: Ways = {
            "plain": lambda layer=layer, x=x: layer._on_planes(x),  # type: ignore[misc]
            "channels innermost (product)": lambda layer=layer, x=last: layer._on_channels_last(x),  # type: ignore[misc]
        }
        found[f"centre-pivot, {name}, with gradients"] = wanted, with_gradients(ways, layer, (x, last))
        if name in BY_PRODUCTS:
            ways["by convolutions"] = lambda layer=layer, x=last: by_convolutions(layer, x)  # type: ignore[misc]
        found[f"centre-pivot, {name}"] = wanted, ways
    return found


def by_convolutions(layer: CentrePivotConv4d, x: Tensor) -> Tensor:
    """A centre-pivot layer without the products that take the place of a convolution in small planes."""
    rows, pivots = with_pivots(x.permute(0, 2, 3, 4, 5, 1), layer.support_stride)
    over_query = layer.over_query(pivots)
    over_support = layer.conv2(rows.flatten(0, 2).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    return added(over_support.reshape(over_query.shape), over_query).permute(0, 5, 1, 2, 3, 4)


def other_pieces(scale: int) -> dict[str, tuple[Tensor, Ways]]:
    """HSNet's first layer at level 2, the resize between its levels, and the vote of one shot."""
    side = 50 // scale
    query, support = ([torch.randn(1, 512, side, side) for _ in range(4)] for _ in range(2))
    layer = CentrePivotConv4d(4, 16, 5, 4)
    x = torch.randn(1, 25 // scale, 25 // scale, 2, 2, 128).permute(0, 5, 1, 2, 3, 4)
    planes = x.permute(0, 4, 5, 1, 2, 3).flatten(0, 2).contiguous()
    logits = torch.randn(1, 1, 2, 400 // scale, 400 // scale)
    with torch.no_grad():
        whole = hypercorrelation(*([each.double() for each in maps] for maps in (query, support)))
        convolved = layer.double()._on_planes(whole)
        layer.float()
        resized = F.interpolate(planes.double(), (side, side), mode="bilinear", align_corners=True)
    return {
        "first layer at level 2, with its correlation": (
            convolved,
            {
                "plain": lambda: layer._on_planes(hypercorrelation(query, support)),
                "piece by piece (product)": lambda: correlate_and_convolve(layer, query, support),
            },
        ),
        "query plane of 128 channels, 2x2 support positions, resized": (
            resized.view(1, 2, 2, 128, side, side).permute(0, 3, 4, 5, 1, 2),
            {
                "plane by plane": lambda: (
                    resize(x.permute(0, 4, 5, 1, 2, 3).reshape(1, 512, *x.shape[2:4]), (side, side))
                    .view(1, 2, 2, 128, side, side)
                    .permute(0, 3, 4, 5, 1, 2)
                ),
                "channels last (product)": lambda: resize_query_plane(x, (side, side)),
            },
        ),
        "vote of one shot": (
            (logits[:, 0, 1] > logits[:, 0, 0]).double(),
            {
                "argmax": lambda: logits.argmax(2).sum(1),
                "comparison (product)": lambda: vote(logits),
            },
        ),
    }


def with_gradients(ways: Ways, layer: CentrePivotConv4d, given: tuple[Tensor, Tensor]) -> Ways:
    """The same, with the gradients of input and weights; gives the result."""
    calls = (layer._on_planes, layer._on_channels_last)

    def step(call: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        result = call(x.detach().requires_grad_())
        result.backward(torch.ones_like(result))
        return result.detach()

    return {
        way: (lambda call=call, x=x: step(call, x))  # type: ignore[misc]
        for way, call, x in zip(ways, calls, given, strict=True)
    }


def norm_pieces(scale: int) -> dict[str, tuple[Tensor, Ways]]:
    """GroupNorm behind level 2's first layer: 16 channels, 422,500 positions."""
    side = 50 // scale
    x = 0.3 + 0.1 * torch.randn(1, 16, side, side, 13, 13)
    rows = x.permute(0, 2, 3, 4, 5, 1).contiguous()
    last, image = rows.permute(0, 5, 1, 2, 3, 4), rows.view(1, side * side, 169, 16).permute(0, 3, 1, 2)
    norm, in_place = GroupNorm4d(4, 16), GroupNorm4d(4, 16, inplace=True)
    wanted = F.group_norm(x.double(), 4)
    ways: Ways = {
        "plain, its copies in and out": lambda: (
            F.group_norm(last, 4).permute(0, 2, 3, 4, 5, 1).contiguous().permute(0, 5, 1, 2, 3, 4)
        ),
        "PyTorch's, channels last": lambda: F.group_norm(image, 4).reshape(x.shape),
        "tree order": lambda: norm(last),
        "and in place of its input (product)": lambda: in_place(last),
    }
    return {"GroupNorm behind level 2's first layer": (wanted, ways)}
