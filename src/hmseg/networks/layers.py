"""Layers of the heads: resizing one plane of a 4-D tensor, the centre-pivot 4-D convolution.

A 4-D tensor is (N, C, hq, wq, hs, ws) everywhere. On a CPU its channels lie innermost in memory, as
(N, hq, wq, hs, ws, C): either of its planes is then a channels-last image without any copy, and what has to
be copied is copied a whole vector of channels at a time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from hmseg.exporting import is_exporting, known_equal
from hmseg.products import product

FEW_OUTPUTS = 4
"""Support positions up to which each is a product of its own where no gradient is wanted."""


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize with aligned corners of (N, C, h, w), the field's only way to resize features."""
    if known_equal((x.shape[-2], x.shape[-1]), size):
        return x
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def resize_query_plane(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize the query plane of (N, C, hq, wq, hs, ws); the support plane stays."""
    n, c, hq, wq, hs, ws = x.shape
    if known_equal((hq, wq), size):
        return x
    rows = x.permute(0, 2, 3, 4, 5, 1)
    if rows.is_contiguous() and not is_exporting():
        # A channels-last image, and one that says so for a batch of one: else it is resized plane by plane.
        image = resize(rows.view(n, hq, wq, hs * ws * c).permute(0, 3, 1, 2), size)
        return image.permute(0, 2, 3, 1).reshape(n, *size, hs, ws, c).permute(0, 5, 1, 2, 3, 4)
    planes = x.permute(0, 4, 5, 1, 2, 3).reshape(n, hs * ws * c, hq, wq)
    planes = resize(planes, size)
    return planes.reshape(n, hs, ws, c, *size).permute(0, 3, 4, 5, 1, 2)


def resize_support_plane(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize the support plane of (N, C, hq, wq, hs, ws); the query plane stays."""
    n, c, hq, wq, hs, ws = x.shape
    if known_equal((hs, ws), size):
        return x
    planes = x.permute(0, 2, 3, 1, 4, 5).reshape(n * hq * wq, c, hs, ws)
    planes = resize(planes, size)
    return planes.reshape(n, hq, wq, c, *size).permute(0, 3, 1, 2, 4, 5)


def mean_over_support(x: Tensor) -> Tensor:
    """The mean over the support plane of (N, C, hq, wq, hs, ws): (N, C, hq, wq), strides as before."""
    rows = x.permute(0, 2, 3, 4, 5, 1)
    if is_exporting() or not rows.is_contiguous():
        return x.mean(dim=(-2, -1))
    return rows.flatten(3, 4).mean(dim=3).permute(0, 3, 1, 2)


class CentrePivotConv4d(nn.Module):
    """Centre-pivot 4-D convolution: a 2-D convolution over each of the two planes, summed.

    The kernel of a full 4-D convolution is kept only where one of its two planes is at its centre, which
    leaves a convolution over the query plane (at the support positions 0, s, 2s, ...) and one over the
    support plane with stride s. REFERENCE section 4; HSNet (ICCV 2021), section 4.2.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: odd side k of both 2-D kernels; padding is k // 2.
        support_stride: stride s over the support plane; the query plane is never strided.

    Example:
        >>> import torch
        >>> CentrePivotConv4d(2, 8, 3, support_stride=2)(torch.rand(1, 2, 6, 5, 7, 4)).shape
        torch.Size([1, 8, 6, 5, 4, 2])
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, support_stride: int = 1
    ) -> None:
        super().__init__()
        self.support_stride = support_stride
        padding = kernel_size // 2
        # Published names: conv1 acts on the query plane, conv2 on the support plane.
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding)
        self.conv2 = nn.Conv2d(in_channels, out_channels, kernel_size, support_stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, hq, wq, hs, ws) -> (N, C', hq, wq, ceil(hs / s), ceil(ws / s))."""
        if known_equal(x.shape[4:], (1, 1)):
            return self._on_single_support_position(x[..., 0, 0])[..., None, None]
        plain = x.device.type != "cpu" or is_exporting()
        return self._on_planes(x) if plain else self._on_channels_last(x)

    def _on_planes(self, x: Tensor) -> Tensor:
        """As a GPU likes it, and the plain way: both planes by permuted copies."""
        n, c, hq, wq, hs, ws = x.shape
        pivots = x[..., :: self.support_stride, :: self.support_stride]
        hp, wp = pivots.shape[-2:]
        over_query = self.conv1(pivots.permute(0, 4, 5, 1, 2, 3).reshape(n * hp * wp, c, hq, wq))
        over_support = self.conv2(x.permute(0, 2, 3, 1, 4, 5).reshape(n * hq * wq, c, hs, ws))
        over_query = over_query.view(n, hp, wp, -1, hq, wq).permute(0, 3, 4, 5, 1, 2)
        over_support = over_support.view(n, hq, wq, -1, hp, wp).permute(0, 3, 1, 2, 4, 5)
        return over_query + over_support  # type: ignore[no-any-return]

    def _on_channels_last(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 3, 4, 5, 1).contiguous()  # no copy behind another such layer
        hs, ws = rows.shape[3:5]
        if self.support_stride == 1 and 2 * hs * ws <= self.conv2.kernel_size[0] ** 2:
            return self._dense_over_support(rows).permute(0, 5, 1, 2, 3, 4)
        rows, pivots = with_pivots(rows, self.support_stride)
        over_query = self.over_query(pivots)
        over_support = self._over_support(rows.flatten(0, 2))
        return added(over_support.reshape(over_query.shape), over_query).permute(0, 5, 1, 2, 3, 4)

    def _over_support(self, rows: Tensor) -> Tensor:
        """The convolution over the support plane: (P, hs, ws, C) -> (P, hs', ws', C')."""
        down, right = (self._taps(side) for side in rows.shape[1:3])
        if len(down) * len(right) > FEW_OUTPUTS or torch.is_grad_enabled():
            return self.conv2(rows.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # type: ignore[no-any-return]
        # Almost every output lies at a border: products leave out the taps beyond it.
        weight = self.conv2.weight.permute(0, 2, 3, 1)  # (C', k, k, C)
        outputs = [
            product(rows[:, y, x].flatten(1), weight[:, of_y, of_x].flatten(1), self.conv2.bias)
            for y, of_y in down
            for x, of_x in right
        ]
        return torch.stack(outputs, dim=1).view(len(rows), len(down), len(right), -1)

    def _taps(self, side: int) -> list[tuple[slice, slice]]:
        """Along an axis, for each output: the inputs that it sees, and the kernel's taps over them."""
        kernel, stride = self.conv2.kernel_size[0], self.support_stride
        found = []
        for start in range(-(kernel // 2), side - kernel // 2, stride):
            first, last = max(0, start), min(side, start + kernel)
            found.append((slice(first, last), slice(first - start, last - start)))
        return found

    def over_query(self, pivots: Tensor, bias: Tensor | None = None) -> Tensor:
        """The convolution over the query plane.

        Args:
            pivots: (N, hq, wq, h, w, C).
            bias: (C',) in place of this convolution's own.

        Returns:
            (N, hq, wq, h, w, C').
        """
        n, hq, wq, h, w, c = pivots.shape
        planes = pivots.permute(0, 3, 4, 1, 2, 5).contiguous().view(n * h * w, hq, wq, c).permute(0, 3, 1, 2)
        bias = self.conv1.bias if bias is None else bias
        result = F.conv2d(planes, self.conv1.weight, bias, padding=self.conv1.padding)
        return result.permute(0, 2, 3, 1).reshape(n, h, w, hq, wq, -1).permute(0, 3, 4, 1, 2, 5)

    def _dense_over_support(self, rows: Tensor) -> Tensor:
        """Both convolutions, where the kernel covers the support plane twice over.

        Most of such a kernel lies beyond the plane: one product with a matrix from all positions to all
        positions takes fewer operations.
        """
        hs, ws = rows.shape[3:5]
        over_query = self.over_query(rows, self.conv1.bias + self.conv2.bias)  # type: ignore[operator]
        taps = tap_choice(hs, ws, self.conv2.kernel_size[0]).to(rows.dtype)
        # A product, for its gradient is one too; that of an index would add up element by element.
        matrix = (self.conv2.weight.flatten(2) @ taps).view(*self.conv2.weight.shape[:2], hs * ws, hs * ws)
        matrix = matrix.permute(3, 0, 2, 1).flatten(2).flatten(0, 1)  # to (position, C') from (position, C)
        over_support = product(rows.flatten(0, 2).flatten(1), matrix)
        return added(over_support.view(over_query.shape), over_query)

    def _on_single_support_position(self, x: Tensor) -> Tensor:
        """The same on (N, C, hq, wq): the support kernel meets its centre only: one convolution does."""
        pad = self.conv1.kernel_size[0] // 2
        centre = self.conv2.weight[:, :, pad, pad, None, None]
        weight = self.conv1.weight + F.pad(centre, [pad] * 4)
        bias = self.conv1.bias + self.conv2.bias  # type: ignore[operator]
        return F.conv2d(x, weight, bias, padding=self.conv1.padding)


class _WithPivots(torch.autograd.Function):
    """See :func:`with_pivots`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        ctx.stride = stride
        return rows.view_as(rows), rows[:, :, :, ::stride, ::stride].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, for_rows: Tensor, for_pivots: Tensor) -> tuple[Tensor, None]:
        # In place: a convolution's backward has just made it, for nobody else.
        for_rows[:, :, :, :: ctx.stride, :: ctx.stride].add_(for_pivots)
        return for_rows, None


def with_pivots(rows: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """``rows`` (N, hq, wq, hs, ws, C) for one convolution, and every ``stride``-th support position of them.

    As ``rows, rows[:, :, :, ::stride, ::stride]``, but that the gradients meet without zeros being written
    where the second has none.
    """
    if torch.is_grad_enabled() and rows.requires_grad:
        return _WithPivots.apply(rows, stride)  # type: ignore[no-untyped-call, no-any-return]
    return rows, rows[:, :, :, ::stride, ::stride]


def added(fresh: Tensor, other: Tensor) -> Tensor:
    """Their sum, in the memory of the first where no gradient is wanted; nobody else may hold it."""
    return fresh + other if torch.is_grad_enabled() else fresh.add_(other)


@lru_cache
def tap_choice(height: int, width: int, kernel: int) -> Tensor:
    """Which of a kernel's taps lies between each position of a plane and each position of the result.

    Returns:
        (kernel ** 2, (h * w) ** 2), positions that come in first: 1 for the tap that does, else 0.

    Example:
        >>> tap_choice(1, 2, 3).view(3, 3, 2, 2)[1]  # the middle row of a 3 x 3 kernel
        tensor([[[0., 1.],
                 [0., 0.]],
        <BLANKLINE>
                [[1., 0.],
                 [0., 1.]],
        <BLANKLINE>
                [[0., 0.],
                 [1., 0.]]])
    """
    places = torch.arange(height * width)
    y, x = places // width, places % width
    down, right = (each[:, None] - each[None] + kernel // 2 for each in (y, x))
    reached = (down >= 0) & (down < kernel) & (right >= 0) & (right < kernel)
    tap = torch.where(reached, down * kernel + right, -1).flatten()
    return (torch.arange(kernel**2)[:, None] == tap).float()


class Upsample2x(nn.Module):
    """Bilinear upsampling of (N, C, h, w) to twice the side, corners aligned."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, 2h, 2w)."""
        return resize(x, (2 * x.shape[-2], 2 * x.shape[-1]))
