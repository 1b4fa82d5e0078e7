"""Layers of the heads: resizing one plane of a 4-D tensor, and the centre-pivot 4-D convolution."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize with aligned corners of (N, C, h, w), the field's only way to resize features."""
    if (x.shape[-2], x.shape[-1]) == size:
        return x
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def resize_query_plane(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize the query plane of (N, C, hq, wq, hs, ws); the support plane stays."""
    n, c, hq, wq, hs, ws = x.shape
    if (hq, wq) == size:
        return x
    planes = x.permute(0, 4, 5, 1, 2, 3).reshape(n * hs * ws, c, hq, wq)
    planes = resize(planes, size)
    return planes.view(n, hs, ws, c, *size).permute(0, 3, 4, 5, 1, 2)


def resize_support_plane(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize the support plane of (N, C, hq, wq, hs, ws); the query plane stays."""
    n, c, hq, wq, hs, ws = x.shape
    if (hs, ws) == size:
        return x
    planes = x.permute(0, 2, 3, 1, 4, 5).reshape(n * hq * wq, c, hs, ws)
    planes = resize(planes, size)
    return planes.view(n, hq, wq, c, *size).permute(0, 3, 1, 2, 4, 5)


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
        n, c, hq, wq, hs, ws = x.shape
        if hs == ws == 1:
            return self._on_single_support_position(x[..., 0, 0])[..., None, None]
        pivots = x[..., :: self.support_stride, :: self.support_stride]
        hp, wp = pivots.shape[-2:]
        over_query = self.conv1(pivots.permute(0, 4, 5, 1, 2, 3).reshape(n * hp * wp, c, hq, wq))
        over_support = self.conv2(x.permute(0, 2, 3, 1, 4, 5).reshape(n * hq * wq, c, hs, ws))
        over_query = over_query.unflatten(0, (n, hp, wp)).permute(0, 3, 4, 5, 1, 2)
        over_support = over_support.unflatten(0, (n, hq, wq)).permute(0, 3, 1, 2, 4, 5)
        return over_query + over_support  # type: ignore[no-any-return]

    def _on_single_support_position(self, x: Tensor) -> Tensor:
        """The same on (N, C, hq, wq): the support kernel meets its centre only: one convolution does."""
        pad = self.conv1.kernel_size[0] // 2
        centre = self.conv2.weight[:, :, pad, pad, None, None]
        weight = self.conv1.weight + F.pad(centre, [pad] * 4)
        bias = self.conv1.bias + self.conv2.bias  # type: ignore[operator]
        return F.conv2d(x, weight, bias, padding=self.conv1.padding)


class Upsample2x(nn.Module):
    """Bilinear upsampling of (N, C, h, w) to twice the side, corners aligned."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, 2h, 2w)."""
        return resize(x, (2 * x.shape[-2], 2 * x.shape[-1]))
