"""Products with a matrix on a CPU by oneDNN, forward and backward.

PyTorch's own float32 products on a CPU are MKL's, which keep to narrower instructions on AMD's processors:
oneDNN's take half of their time there (results/pieces.md).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from hmseg import onednn
from hmseg.exporting import is_exporting


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight^T + bias: a new tensor, with gradients (of the first order) where they are wanted.

    Args:
        x: (…, C), of two dimensions at least.
        weight: (C', C).
        bias: (C').

    Returns:
        (…, C').

    Example:
        >>> product(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 0.0], [0.0, -4.0]]))
        tensor([[ 3., -8.]])
    """
    if not _on_onednn(x):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled():
        return _Product.apply(x, weight, bias)  # type: ignore[no-untyped-call, no-any-return]
    return _onednn(x, weight, bias)


def clamped_product(x: Tensor, weight: Tensor) -> Tensor:
    """max(x @ weight^T, 0) of rows (M, C) and (P, C): (M, P), a new tensor. No gradients.

    Example:
        >>> clamped_product(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 0.0], [0.0, -4.0]]))
        tensor([[3., 0.]])
    """
    with torch.no_grad():
        return _onednn(x, weight, None, "relu") if _on_onednn(x) else F.linear(x, weight).clamp_(min=0)


class StackedProducts:
    """max(x_l @ weight_l^T, 0) for L pairs of matrices at once, many times with the same weights.

    By oneDNN it is a 1x1 convolution of L groups, whose kernel is put in order once and whose results lie
    side by side. No gradients.

    Args:
        weights: (L, P, C).
        rows: those that each call will have; others come out right, but may take long.

    Example:
        >>> multiply = StackedProducts(torch.tensor([[[1.0, 2.0]], [[3.0, -4.0]]]), rows=1)
        >>> multiply(torch.tensor([[[1.0, 1.0], [1.0, 1.0]]]))
        tensor([[[3.],
                 [0.]]])
    """

    def __init__(self, weights: Tensor, rows: int) -> None:
        groups, each, channels = weights.shape
        self._weights = weights
        self._options = [0, 0], [1, 1], [1, 1], groups  # padding, stride, dilation
        if _on_onednn(weights):
            kernel = weights.view(groups * each, channels, 1, 1)
            shape = [1, groups * channels, rows, 1]
            self._weights = torch.ops.mkldnn._reorder_convolution_weight(kernel, *self._options, shape)

    def __call__(self, x: Tensor) -> Tensor:
        """(rows, L, C) -> (rows, L, P), a new tensor."""
        with torch.no_grad():
            if not self._weights.is_mkldnn:
                pairs = zip(x.unbind(1), self._weights, strict=True)
                return torch.stack([F.linear(*pair) for pair in pairs], dim=1).clamp_(min=0)
            image = x.view(1, len(x), 1, -1).permute(0, 3, 1, 2)  # channels last
            convolve = torch.ops.mkldnn._convolution_pointwise
            result = convolve(image, self._weights, None, *self._options, "relu", [], "")
            return result.permute(0, 2, 3, 1).view(len(x), x.shape[1], -1)  # type: ignore[no-any-return]


class Linear(nn.Linear):
    """PyTorch's linear layer, by :func:`product`."""

    def forward(self, input: Tensor) -> Tensor:
        """(…, C) -> (…, C')."""
        return product(input, self.weight, self.bias)


class _Product(torch.autograd.Function):
    """See :func:`product`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _onednn(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        gradient = gradient.contiguous()  # a sum's is one number seen many times, which oneDNN can't read
        rows = gradient.flatten(0, -2)
        return (
            _onednn(gradient, weight.t()) if for_x else None,
            _onednn(rows.t(), x.flatten(0, -2).t()) if for_weight else None,
            rows.sum(0) if for_bias else None,
        )


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None, after: str = "none") -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, after, [], "")  # type: ignore[no-any-return]


def _on_onednn(x: Tensor) -> bool:
    """oneDNN's operators don't take nothing, and other programs don't know them."""
    return onednn.takes(x) and x.numel() > 0 and not is_exporting()
