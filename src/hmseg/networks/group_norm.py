"""GroupNorm for files that other programs run, and of 4-D tensors whose channels lie innermost in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hmseg.exporting import is_exporting

PRODUCTS = 700_000
"""Products that are in memory at once: 3 MB, which a processor's cache holds."""


class GroupNorm(nn.GroupNorm):
    """PyTorch's GroupNorm, but that an exported file has its means in steps.

    Other programs add up a group's numbers one by one in float32, and there may be tens of millions. Means
    over two dimensions at a time, of equal parts, are the same means, and lose nothing.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) -> the same shape."""
        return self._in_steps(x) if is_exporting() else super().forward(x)

    def _in_steps(self, x: Tensor) -> Tensor:
        centred = x - self._mean(x)
        scale = (self._mean(centred * centred) + self.eps).rsqrt()
        ones = [1] * (x.ndim - 2)
        return centred * scale * self.weight.view(-1, *ones) + self.bias.view(-1, *ones)

    def _mean(self, x: Tensor) -> Tensor:
        """Of each group, for each of its channels: (N, C, 1, …)."""
        ones = [1] * (x.ndim - 2)
        while x.ndim > 2:
            x = x.mean(dim=-1 if x.ndim == 3 else (-2, -1))
        groups = x.view(x.shape[0], self.num_groups, -1)
        return (
            groups.mean(dim=2, keepdim=True).expand_as(groups).reshape(x.shape[0], self.num_channels, *ones)
        )


class GroupNorm4d(GroupNorm):
    """GroupNorm of (N, C, hq, wq, hs, ws) that keeps channels innermost in memory where they are.

    PyTorch's own would copy such a tensor, or, shown it as a channels-last image, add up its many positions
    one by one in float32: a relative error of 3e-5 at HSNet's first layer, a hundred times that of this one.

    Args:
        groups: of channels.
        channels: C.
        inplace: where no gradient is wanted, the result may take its input's place, as with ``nn.ReLU``.
    """

    def __init__(self, groups: int, channels: int, inplace: bool = False) -> None:
        super().__init__(groups, channels)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, hq, wq, hs, ws) -> the same shape."""
        rows = x.permute(0, 2, 3, 4, 5, 1)
        if (
            is_exporting()
            or x.device.type != "cpu"
            or not rows.is_contiguous()
            or x.dtype not in (torch.float32, torch.float64)
        ):
            return super().forward(x)
        given = rows, self.weight, self.bias, self.num_groups, self.eps
        if self.inplace and not torch.is_grad_enabled():
            scale, shift, _, _ = _scale_and_shift(*given)
            torch.addcmul(_spread(shift), rows, _spread(scale), out=rows)
            return x
        result: Tensor = _GroupNormOfRows.apply(*given)  # type: ignore[no-untyped-call]
        return result.permute(0, 5, 1, 2, 3, 4)


class _GroupNormOfRows(torch.autograd.Function):
    """GroupNorm of (N, hq, wq, hs, ws, C) with sums in tree order."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        scale, shift, mean, rstd = _scale_and_shift(rows, weight, bias, groups, eps)
        ctx.save_for_backward(rows, weight, mean, rstd)
        ctx.groups = groups
        return torch.addcmul(_spread(shift), rows, _spread(scale))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        rows, weight, mean, rstd = ctx.saved_tensors
        positions = rows[0, ..., 0].numel()
        grad = grad.contiguous()
        for_bias = _sum(grad)  # (N, C)
        for_weight = (_dot(grad, rows) - for_bias * mean) * rstd
        # Through a group's mean and variance every element of it has its part in all others.
        through_mean = _of_groups(for_bias * weight, ctx.groups) * rstd / positions
        through_variance = _of_groups(for_weight * weight, ctx.groups) * rstd * rstd / positions
        shift = _spread(through_variance * mean - through_mean)
        result = torch.addcmul(shift, rows, _spread(-through_variance))
        result.addcmul_(grad, _spread(rstd * weight))
        return result, for_weight.sum(dim=0), for_bias.sum(dim=0), None, None


def _scale_and_shift(
    rows: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the rows are multiplied by and what is added, then mean and 1 / deviation: (N, C) each."""
    positions = rows[0, ..., 0].numel()
    mean = _of_groups(_sum(rows), groups) / positions  # equal within a group
    squares = _of_groups(_dot(rows, rows), groups) / positions
    rstd = ((squares - mean * mean).clamp_(min=0) + eps).rsqrt_()
    scale = rstd * weight
    return scale, bias - mean * scale, mean, rstd


def _sum(rows: Tensor) -> Tensor:
    """Of each channel of (N, hq, wq, hs, ws, C): (N, C). In steps: those of long vectors are fast."""
    return rows.flatten(3).sum(dim=2).view(len(rows), -1, rows.shape[-1]).sum(dim=1)


def _dot(rows: Tensor, others: Tensor) -> Tensor:
    """As :func:`_sum`, of their products, some at a time: those are written before they are added up."""
    at_once = max(1, PRODUCTS // max(1, rows[:, :1].numel()))
    parts = zip(*(torch.split(each.flatten(3), at_once, dim=1) for each in (rows, others)), strict=True)
    dots = torch.cat([torch.linalg.vecdot(a, b, dim=2) for a, b in parts], dim=1)
    return dots.view(len(rows), -1, rows.shape[-1]).sum(dim=1)


def _spread(values: Tensor) -> Tensor:
    """(N, C) as (N, 1, 1, 1, 1, C)."""
    return values[:, None, None, None, None]


def _of_groups(values: Tensor, groups: int) -> Tensor:
    """Each channel's value of (N, C) replaced by the mean over the channels of its group."""
    n, channels = values.shape
    means = values.view(n, groups, -1).mean(dim=2, keepdim=True)
    return means.expand(n, groups, channels // groups).reshape(n, channels)
