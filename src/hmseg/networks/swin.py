"""Shifted-window transformer (Swin) blocks on grids of any number of dimensions: two and four for VAT.

REFERENCE section 6; Liu et al., "Swin Transformer", ICCV 2021; Hong, Cho et al., "Cost Aggregation with 4D
Convolutional Swin Transformer for Few-Shot Segmentation" (VAT), ECCV 2022. Parameters bear VAT's published
names.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmseg.exporting import is_exporting
from hmseg.products import Linear

MASKED = -100.0
"""Added to the logit of a pair that must not see each other; published, in place of minus infinity."""

TABLE_STD = 0.02
"""Standard deviation of the initial weights, as published."""


CPU_ROWS = 8192
"""Positions that a CPU puts through a block at once. What the block makes of them then stays below the size
for which the C library asks the system for fresh memory, which takes as long as the block itself."""


def window_order(grid: Sequence[int], window: int, shift: int = 0) -> Tensor:
    """Which position each place of each window holds.

    The grid is rolled back by ``shift`` in every dimension, then cut into cubes of side ``window``.

    Args:
        grid: sides of the grid, multiples of ``window``.
        window: side of a window.
        shift: cyclic shift.

    Returns:
        (windows, window ** dimensions) indices into the flattened grid, row-major everywhere.

    Example:
        >>> window_order((4,), window=2, shift=1)
        tensor([[1, 2],
                [3, 0]])
    """
    positions = torch.arange(prod(grid)).view(*grid)
    return _cut(positions.roll([-shift] * len(grid), list(range(len(grid)))), window)


def shift_mask(grid: Sequence[int], window: int, shift: int) -> Tensor:
    """What keeps apart the positions that only the cyclic shift has brought into one window.

    Returns:
        (windows, L, L) with L = window ** dimensions: 0 for pairs that may attend, ``MASKED`` for others.

    Example:
        >>> shift_mask((4,), window=2, shift=1)[1]  # holds positions 3 and 0
        tensor([[   0., -100.],
                [-100.,    0.]])
    """
    region = torch.zeros(*grid, dtype=torch.long)
    for dimension, side in enumerate(grid):
        part = torch.zeros(side, dtype=torch.long)
        part[-window:] = 1
        part[-shift:] = 2
        region = 3 * region + part.view([-1 if d == dimension else 1 for d in range(len(grid))])
    region = _cut(region, window)
    apart = region[:, :, None] != region[:, None, :]
    return torch.zeros(apart.shape).masked_fill(apart, MASKED)


def relative_position_index(window: int, dimensions: int) -> Tensor:
    """The row of the bias table for each pair of places in a window.

    Returns:
        (L, L) with L = window ** dimensions: the differences of the coordinates, each moved to begin at 0,
        as the digits of a number of base 2 * window - 1.

    Example:
        >>> relative_position_index(2, dimensions=1)
        tensor([[1, 0],
                [2, 1]])
    """
    sides = [torch.arange(window)] * dimensions
    places = torch.stack(torch.meshgrid(*sides, indexing="ij")).flatten(1)  # (dimensions, L)
    steps = places[:, :, None] - places[:, None, :] + window - 1
    base = (2 * window - 1) ** torch.arange(dimensions - 1, -1, -1)
    return (steps * base[:, None, None]).sum(0)


def _cut(grid: Tensor, window: int) -> Tensor:
    """A grid cut into windows: (windows, window ** dimensions)."""
    d = grid.ndim
    split = grid.view([each for side in grid.shape for each in (side // window, window)])
    return split.permute(*range(0, 2 * d, 2), *range(1, 2 * d, 2)).reshape(-1, window**d)


class WindowAttention(nn.Module):
    """Multi-head self-attention inside windows, with a learned bias for each relative position.

    Args:
        channels: a multiple of ``heads``.
        window: side of a window.
        dimensions: of the grid.
        heads: attention heads.
    """

    relative_position_index: Tensor

    def __init__(self, channels: int, window: int, dimensions: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        rows = (2 * window - 1) ** dimensions
        self.relative_position_bias_table = nn.Parameter(torch.empty(rows, heads))
        self.register_buffer(
            "relative_position_index", relative_position_index(window, dimensions), persistent=False
        )
        self.qkv = Linear(channels, 3 * channels)
        self.proj = Linear(channels, channels)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=TABLE_STD)

    def forward(self, windows: Tensor, bias: Tensor) -> Tensor:
        """Attend.

        Args:
            windows: (W, L, C).
            bias: (1, heads, L, L), added to the logits.

        Returns:
            (W, L, C).
        """
        w, length, channels = windows.shape
        qkv = self.qkv(windows).view(w, length, 3, self.heads, channels // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (W, heads, L, C / heads)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.proj(seen.transpose(1, 2).reshape(w, length, channels))  # type: ignore[no-any-return]

    def bias(self) -> Tensor:
        """(1, heads, L, L): the table's rows for every pair of places."""
        return self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)[None]


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(channels, hidden)
        self.fc2 = Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))  # type: ignore[no-any-return]


class SwinBlock(nn.Module):
    """Window attention and an MLP, each on normalised input and added to it.

    Windows that lie wholly inside the grid need no mask, and those at its edge need one of few: 2 to the
    power of the dimensions at most. Windows are therefore sorted by their mask, and each kind passes the
    block with the mask of its first window. The buffer ``attn_mask`` holds one mask per window, as published
    files do.

    Args:
        channels: of a position.
        grid: sides of the grid, multiples of ``window``.
        window: side of a window.
        heads: attention heads.
        shift: cyclic shift; 0 for none.
        mlp_ratio: hidden channels of the MLP over ``channels``.

    Raises:
        ValueError: a side of the grid is no multiple of the window.
    """

    attn_mask: Tensor | None
    order: Tensor
    back: Tensor
    kinds: Tensor

    def __init__(
        self, channels: int, grid: Sequence[int], window: int, heads: int, shift: int = 0, mlp_ratio: int = 4
    ) -> None:
        super().__init__()
        if any(side % window for side in grid):
            raise ValueError(f"a grid of {tuple(grid)} can't be cut into windows of side {window}")
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, window, len(grid), heads)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, mlp_ratio * channels)
        order = window_order(grid, window, shift)
        by_kind = windows_by_kind(grid, window) if shift else [list(range(len(order)))]
        self.counts = [len(kind) for kind in by_kind]
        # Buffers follow from the grid and stay out of the state dict: they would add 102 MB to a checkpoint.
        mask = shift_mask(grid, window, shift) if shift else None
        self.register_buffer("attn_mask", mask, persistent=False)
        self.register_buffer("kinds", torch.tensor([kind[0] for kind in by_kind]), persistent=False)
        self.register_buffer("order", order[[w for kind in by_kind for w in kind]], persistent=False)
        self.register_buffer("back", self.order.flatten().argsort(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, positions, C) -> (N, positions, C)."""
        if is_exporting():
            return self._sample_by_sample(x)
        n, positions, channels = x.shape
        length = self.order.shape[1]
        # Rows of x.flatten(0, 1) in the order (window, sample, place): the windows of a kind, of all samples,
        # lie next to each other, and roll, cut and sort are one gather.
        samples = torch.arange(n, device=x.device) * positions
        rows = (self.order[:, None] + samples[:, None]).flatten()
        windows = x.flatten(0, 1).index_select(0, rows).view(-1, length, channels)
        at_once = max(1, CPU_ROWS // length) if x.device.type == "cpu" else len(windows)
        kinds = torch.split(windows, [n * count for count in self.counts])
        done = [
            self._transform(part, bias)
            for kind, bias in zip(kinds, torch.split(self._biases(), 1), strict=True)
            for part in torch.split(kind, at_once)
        ]
        back = torch.empty_like(rows).index_copy_(0, rows, torch.arange(len(rows), device=x.device))
        return torch.cat(done).flatten(0, 1).index_select(0, back).view_as(x)

    def _sample_by_sample(self, x: Tensor) -> Tensor:
        """The same where the number of samples is left open: they stay the first dimension throughout."""
        n, _, channels = x.shape
        windows = x.index_select(1, self.order.flatten()).view(n, *self.order.shape, channels)
        kinds = zip(torch.split(windows, self.counts, dim=1), torch.split(self._biases(), 1), strict=True)
        done = [self._transform(kind.flatten(0, 1), bias).view(kind.shape) for kind, bias in kinds]
        return torch.cat(done, dim=1).flatten(1, 2).index_select(1, self.back)

    def _transform(self, windows: Tensor, bias: Tensor) -> Tensor:
        windows = windows + self.attn(self.norm1(windows), bias)
        return windows + self.mlp(self.norm2(windows))  # type: ignore[no-any-return]

    def _biases(self) -> Tensor:
        """(kinds, heads, L, L)."""
        bias = self.attn.bias()
        return bias if self.attn_mask is None else bias + self.attn_mask.index_select(0, self.kinds)[:, None]


def windows_by_kind(grid: Sequence[int], window: int) -> list[list[int]]:
    """The windows of a shifted grid by their mask: last or not last in each dimension.

    Example:
        >>> windows_by_kind((6, 4), window=2)  # 3 x 2 windows
        [[0, 2], [1, 3], [4], [5]]
    """
    counts = [side // window for side in grid]
    kinds: dict[tuple[bool, ...], list[int]] = {}
    for index, place in enumerate(product(*map(range, counts))):
        last = tuple(at == count - 1 for at, count in zip(place, counts, strict=True))
        kinds.setdefault(last, []).append(index)
    return list(kinds.values())
