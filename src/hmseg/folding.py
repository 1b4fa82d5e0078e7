"""Batch norm of a frozen network folded into the convolution before it: an exact rewrite with one step fewer.

norm(conv(x)) with running statistics is itself a convolution: each output channel's kernel is multiplied by
gamma / sqrt(variance + eps), and its bias becomes beta - mean * gamma / sqrt(variance + eps). Modules keep
their own weights and names; what is folded from them lies beside them and is made anew when they change.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmseg import onednn
from hmseg.exporting import is_exporting

Folded = tuple[Tensor, Tensor]
"""Kernel and bias."""

ORDERS = 3
"""In how many orders a kernel is kept at most."""

if onednn.AVAILABLE:
    _POINTWISE = torch.ops.mkldnn._convolution_pointwise
    _ONTO = torch.ops.mkldnn._convolution_pointwise_.binary


def _packs(x: Tensor) -> bool:
    """Whether a convolution of ``x`` takes a kernel in oneDNN's order."""
    return onednn.takes(x) and not torch.is_grad_enabled()


def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Folded:
    """Kernel (channels last) and bias of the convolution that equals ``norm(conv(x))`` in eval mode.

    Computed in float64 and rounded once.

    Raises:
        ValueError: the norm keeps no running statistics, so that it depends on the batch.

    Example:
        >>> conv, norm = nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3).eval()
        >>> x = torch.rand(1, 2, 5, 5)
        >>> torch.allclose(F.conv2d(x, *fold(conv, norm)), norm(conv(x)), atol=1e-6)
        True
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch norm without running statistics can't be folded: it depends on the batch")
    mean, scale = norm.running_mean.double(), (norm.running_var.double() + norm.eps).rsqrt()
    shift = torch.zeros_like(mean) if conv.bias is None else conv.bias.double()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    bias = (shift - mean) * scale
    if norm.bias is not None:
        bias = bias + norm.bias.double()
    kernel = conv.weight.double() * scale[:, None, None, None]
    dtype = conv.weight.dtype
    return kernel.to(dtype, memory_format=torch.channels_last), bias.to(dtype)


class FoldedConvolutions:
    """Convolutions with their batch norms, folded when first needed and kept until a weight changes.

    On a CPU, float32 kernels are kept in the order that oneDNN computes in, which else is made at every call,
    and a ReLU or an addition behind the convolution is part of it, where PyTorch has these operators.

    No part of a module's state: state dicts, copies and pickles know nothing of what is kept here. A change
    is noticed by the tensors' version counters, memory and device: loading, moving, converting and in-place
    updates are all seen.

    Example:
        >>> conv, norm, run = nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3).eval(), FoldedConvolutions()
        >>> x = torch.rand(1, 2, 4, 4)
        >>> _ = run(conv, norm, x), nn.init.constant_(norm.bias, 7.0)
        >>> torch.allclose(run(conv, norm, x), norm(conv(x)), atol=1e-6)
        True
    """

    def __init__(self) -> None:
        self._kept: dict[nn.Module, tuple[tuple[Any, ...], dict[Any, Folded]]] = {}

    def __call__(
        self, conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor, relu: bool = False, onto: Tensor | None = None
    ) -> Tensor:
        """norm(conv(x)), in eval mode whatever the norm is told.

        Args:
            conv: the convolution.
            norm: the batch norm behind it.
            x: (N, C, H, W).
            relu: pass the result through a ReLU.
            onto: a tensor to which the result is added in place, and which is given back.
        """
        if is_exporting():
            return _unfolded(conv, norm, x, relu, onto)
        kernel, bias = self.folded(conv, norm, x)
        options = conv.padding, conv.stride, conv.dilation, conv.groups
        if kernel.is_mkldnn:
            if onto is not None:
                return _ONTO(onto, x, kernel, bias, *options, "add", 1.0, "relu" if relu else None, [], "")  # type: ignore[no-any-return]
            return _POINTWISE(x, kernel, bias, *options, "relu" if relu else "none", [], "")  # type: ignore[no-any-return]
        result = F.conv2d(x, kernel, bias, conv.stride, conv.padding, conv.dilation, conv.groups)
        if onto is not None:
            result = onto.add_(result)
        return result.relu_() if relu else result

    def folded(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> Folded:
        """As :func:`fold`, the kernel in oneDNN's order for images such as ``x`` where that is of use.

        The same tensors are given while no weight changes and images keep their shape.
        """
        parts = (conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean, norm.running_var)
        state = (*map(_state, parts), norm.eps)
        if conv not in self._kept or self._kept[conv][0] != state:
            self._kept[conv] = state, {}
        kept, order = self._kept[conv][1], _order(conv, x)
        if order not in kept:
            if len(kept) == ORDERS:
                del kept[next(iter(kept))]
            with torch.no_grad():
                kernel, bias = fold(conv, norm)
                if order is not None:
                    options = conv.padding, conv.stride, conv.dilation, conv.groups
                    kernel = torch.ops.mkldnn._reorder_convolution_weight(kernel, *options, list(x.shape))
                kept[order] = kernel, bias
        return kept[order]

    def __deepcopy__(self, memo: Any) -> FoldedConvolutions:
        return FoldedConvolutions()

    def __reduce__(self) -> tuple[type[FoldedConvolutions], tuple[()]]:
        return FoldedConvolutions, ()


def _unfolded(conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor, relu: bool, onto: Tensor | None) -> Tensor:
    """The same step by step, for a graph that another program will fold; nothing is changed in place."""
    result = F.batch_norm(conv(x), norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    if onto is not None:
        result = onto + result
    return result.relu() if relu else result


def _order(conv: nn.Conv2d, x: Tensor) -> tuple[int, ...] | None:
    """What oneDNN's order of a kernel depends on; None: it isn't put in order.

    A 1x1 kernel in the order for images of another shape can take twenty times the time.
    """
    if not _packs(x):
        return None
    return torch.get_num_threads(), *(x.shape if conv.kernel_size == (1, 1) else ())


def _state(tensor: Tensor | None) -> tuple[Any, ...] | None:
    """What changes with a tensor's values; tensors made in inference mode have no counter."""
    if tensor is None:
        return None
    version = 0 if tensor.is_inference() else tensor._version
    return tensor.data_ptr(), version, tensor.device, tensor.dtype
