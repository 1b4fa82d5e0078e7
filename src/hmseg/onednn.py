"""Whether oneDNN's own operators serve: those that PyTorch's compiler uses on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor

OPERATORS = (
    "_convolution_pointwise",
    "_convolution_pointwise_",
    "_reorder_convolution_weight",
    "_linear_pointwise",
)
AVAILABLE = bool(torch._C._has_mkldnn) and all(hasattr(torch.ops.mkldnn, name) for name in OPERATORS)
"""Whether this PyTorch has all of them."""


def takes(x: Tensor) -> bool:
    """Whether they compute with ``x`` as it is: float32 on a CPU, and no reduced precision around it."""
    plain = x.device.type == "cpu" and x.dtype == torch.float32
    return AVAILABLE and plain and not torch.is_autocast_enabled("cpu")
