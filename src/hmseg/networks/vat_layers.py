"""Layers of VAT's head: the pooled 4-D convolution, its encoders, and transformers added to their input.

REFERENCE section 6; Hong, Cho et al., "Cost Aggregation with 4D Convolutional Swin Transformer for Few-Shot
Segmentation", ECCV 2022. Modules are nested and named as published.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmseg.networks.group_norm import GroupNorm
from hmseg.networks.swin import TABLE_STD, SwinBlock

HEADS = 4
"""Attention heads of every transformer."""


def max_pool(x: Tensor, stride: int, dims: Sequence[int]) -> Tensor:
    """Maximum over blocks of side ``stride`` in each of ``dims``; a last block may be cut off (ceil mode).

    As ``F.max_pool2d`` with ``kernel = stride`` over any dimensions, without moving them to the end first.

    Example:
        >>> max_pool(torch.tensor([[1, 5], [2, 3], [9, 4]]), 2, dims=[0])
        tensor([[2, 5],
                [9, 4]])
    """
    for dim in dims:
        pooled, *others = (x[(slice(None),) * dim + (slice(i, None, stride),)] for i in range(stride))
        for other in others:
            if other.shape[dim] < pooled.shape[dim]:  # the last block is cut off: one of its own fills it
                other = torch.cat((other, pooled.narrow(dim, -1, 1)), dim)
            pooled = torch.maximum(pooled, other)
        x = pooled
    return x


class Conv4d(nn.Module):
    """VAT's 4-D convolution: a 2-D convolution over each of the two planes, summed.

    Where the stride shrinks a plane, the convolution over the *other* plane finds it max-pooled to the same
    size, so that the two results can be added.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        query_stride: over the query plane.
        support_stride: over the support plane.

    Example:
        >>> Conv4d(2, 8, query_stride=1, support_stride=2)(torch.rand(1, 2, 6, 5, 7, 4)).shape
        torch.Size([1, 8, 6, 5, 4, 2])
    """

    def __init__(
        self, in_channels: int, out_channels: int, query_stride: int = 1, support_stride: int = 1
    ) -> None:
        super().__init__()
        self.query_conv = nn.Conv2d(in_channels, out_channels, 3, query_stride, padding=1)
        self.supp_conv = nn.Conv2d(in_channels, out_channels, 3, support_stride, padding=1)
        self.query_stride, self.support_stride = query_stride, support_stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, hq, wq, hs, ws) -> (N, C', ceil(hq / q), ceil(wq / q), ceil(hs / s), ceil(ws / s))."""
        return self.convolve(*self.pool(x))

    def pool(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the convolutions over the query and the support plane take; each channel by itself."""
        return max_pool(x, self.support_stride, dims=(4, 5)), max_pool(x, self.query_stride, dims=(2, 3))

    def convolve(self, for_query: Tensor, for_support: Tensor) -> Tensor:
        """The sum of both convolutions of what :meth:`pool` gives."""
        return self._over_query(for_query).add_(self._over_support(for_support))

    # Both as a 3-D convolution whose kernel has a side of 1 along one plane, flattened: the planes need not
    # change places in memory, which takes longer than the convolution itself.

    def _over_query(self, x: Tensor) -> Tensor:
        weight, stride = self.query_conv.weight[..., None], self.query_stride
        planes = x.flatten(4)  # (N, C, hq, wq, hs * ws)
        result = F.conv3d(planes, weight, self.query_conv.bias, (stride, stride, 1), (1, 1, 0))
        return result.view(*result.shape[:4], *x.shape[4:])

    def _over_support(self, x: Tensor) -> Tensor:
        weight, stride = self.supp_conv.weight[:, :, None], self.support_stride
        planes = x.flatten(2, 3)  # (N, C, hq * wq, hs, ws)
        result = F.conv3d(planes, weight, self.supp_conv.bias, (1, stride, stride), (0, 1, 1))
        return result.view(*result.shape[:2], *x.shape[2:4], *result.shape[3:])


class Encoder4d(nn.Module):
    """4-D convolutions, each with GroupNorm and ReLU, from correlations to the channels of a transformer.

    Args:
        in_channels: maps of the level.
        channels: out of each convolution.
        strides: of each convolution, over the query and the support plane.
        groups: of each GroupNorm.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        strides: Sequence[tuple[int, int]],
        groups: Sequence[int],
    ) -> None:
        super().__init__()
        self.conv4d = nn.Sequential()
        for out_channels, stride, group in zip(channels, strides, groups, strict=True):
            convolution = Conv4d(in_channels, out_channels, *stride)
            norm = GroupNorm(group, out_channels)
            self.conv4d.append(nn.Sequential(convolution, norm, nn.ReLU(inplace=True)))
            in_channels = out_channels

    def forward(self, correlations: Iterable[Tensor]) -> Tensor:
        """(N, C, hq', wq', hs', ws').

        Args:
            correlations: the level's maps (N, hq, wq, hs, ws). Each is pooled before the next one is asked
                for: all those of level 2 together would take 268 MB an episode with ResNet-50.
        """
        first, *others = self.conv4d
        convolution, *norm_and_relu = cast(nn.Sequential, first)
        convolution = cast(Conv4d, convolution)
        pooled = zip(*(convolution.pool(each[:, None]) for each in correlations), strict=True)
        x = convolution.convolve(*(torch.cat(maps, dim=1) for maps in pooled))
        for layer in (*norm_and_relu, *others):
            x = layer(x)
        return x


class Blocks(nn.Module):
    """Swin blocks one after the other, every second one shifted by half a window."""

    def __init__(self, channels: int, grid: Sequence[int], window: int, depth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(SwinBlock(channels, grid, window, HEADS, window // 2 if i % 2 else 0) for i in range(depth))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, positions, C) -> (N, positions, C)."""
        return self.blocks(x)  # type: ignore[no-any-return]


class Swin4d(nn.Module):
    """Transformer over a 4-D grid, window 4.

    The LayerNorm after the blocks is in every published file but takes no part in what is computed; it is
    kept for the names, and takes no gradient, so that DDP needs no search for unused parameters.
    """

    def __init__(self, channels: int, grid: Sequence[int], depth: int) -> None:
        super().__init__()
        self.layer = Blocks(channels, grid, 4, depth)
        self.norm = nn.LayerNorm(channels).requires_grad_(False)
        self.apply(init_linear)

    def forward(self, x: Tensor) -> Tensor:
        """(N, positions, C) -> (N, positions, C)."""
        return self.layer(x)  # type: ignore[no-any-return]


class Swin2d(nn.Module):
    """Transformer over a 2-D grid, window 8, two blocks, with a LayerNorm after them."""

    def __init__(self, channels: int, grid: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.Sequential(Blocks(channels, grid, 8, 2))
        self.norm = nn.LayerNorm(channels)
        self.apply(init_linear)

    def forward(self, x: Tensor) -> Tensor:
        """(N, positions, C) -> (N, positions, C)."""
        return self.norm(self.layers(x))  # type: ignore[no-any-return]


class AddTransformed(nn.Module):
    """x + transformer(x) on (N, C, *grid); the transformer takes and gives (N, positions, C)."""

    def __init__(self, transformer: Swin4d | Swin2d) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *grid) -> (N, C, *grid)."""
        positions = x.flatten(2).transpose(1, 2).contiguous()
        added: Tensor = positions + self.transformer(positions)
        return added.transpose(1, 2).view(x.shape)


def init_linear(module: nn.Module) -> None:
    """The published initial weights of a transformer's linear layers."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=TABLE_STD)
        nn.init.zeros_(module.bias)
