"""What work costs on a device: seconds, peak memory, operations, bytes; and the device's ceilings."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

Work = Callable[[], object]


def seconds_on(device: torch.device, work: Work) -> float:
    """Time of one call: by CUDA events on a GPU, which must end before it counts, else by the wall clock."""
    if device.type != "cuda":
        started = time.perf_counter()
        work()
        return time.perf_counter() - started
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    start.record()
    work()
    end.record()
    torch.cuda.synchronize(device)
    return float(start.elapsed_time(end)) / 1e3


def peak_memory(device: torch.device) -> float:
    """Most memory ever held, in 10^9 bytes: of this process on a CPU, of PyTorch's tensors on a GPU.

    On a CPU nothing is subtracted: interpreter and libraries are in it (Linux counts in units of 1024).
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


class ByteCounter(TorchDispatchMode):
    """Bytes that operators read and write: all their tensors, each once; views cost nothing.

    What a cache keeps between two operators, or an operator reads twice, it can't see: a count to compare
    two programs by, and the least that an operator-by-operator program moves.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [each for each in tree_leaves((args, kwargs or {})) if isinstance(each, Tensor)]
        made = [each for each in tree_leaves(result) if isinstance(each, Tensor)]
        memories = {memory(each) for each in given}
        writes = func._schema.is_mutable
        if writes or any(memory(each) not in memories for each in made):
            self.bytes += sum(each.numel() * each.element_size() for each in (*given, *made))
        return result


def memory(tensor: Tensor) -> int:
    """Where a tensor's numbers lie; oneDNN's own order has no address that can be asked for."""
    return id(tensor) if tensor.is_mkldnn else tensor.untyped_storage().data_ptr()


def _linear(x: Sequence[int], weight: Sequence[int], *_: Any, **__: Any) -> int:
    return int(2 * prod(x) * weight[0])


def _convolution(
    x: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any
) -> int:
    return int(2 * prod(out_shape) * prod(weight[1:]))


def _onto(onto: Sequence[int], x: Sequence[int], weight: Sequence[int], *_: Any, **__: Any) -> int:
    return int(2 * prod(onto) * prod(weight[1:]))


UNCOUNTED = {
    "_linear_pointwise": _linear,
    "_convolution_pointwise": _convolution,
    "_convolution_pointwise_": _onto,
}
"""oneDNN's fused operators, whose operations PyTorch's counter doesn't know."""


def operations_and_bytes(work: Work) -> tuple[float, float]:
    """Floating-point operations (2 per multiply-add, in 10^9) and bytes moved by operators (in 10^9)."""
    known = {
        getattr(torch.ops.mkldnn, name): formula
        for name, formula in UNCOUNTED.items()
        if hasattr(torch.ops.mkldnn, name)
    }
    with FlopCounterMode(display=False, custom_mapping=known) as flops:
        work()
    with ByteCounter() as counter:
        work()
    return flops.get_total_flops() / 1e9, counter.bytes / 1e9


def ceilings(device: torch.device, repeats: int = 5) -> dict[str, float]:
    """What the device reaches at best: 10^9 operations a second in products and convolutions, 10^9 bytes/s.

    The best of several repetitions of: a product of two square matrices; a 3x3 and a 1x1 convolution of
    ResNet's third stage, channels last; a copy of 200 MB (read and written: twice its size).
    """
    side = 8192 if device.type == "cuda" else 2048
    batch = 64 if device.type == "cuda" else 2
    a, b = (torch.randn(side, side, device=device) for _ in range(2))
    x = torch.randn(batch, 256, 64, 64, device=device).to(memory_format=torch.channels_last)
    w3, w1 = (
        torch.randn(256, 256, k, k, device=device).to(memory_format=torch.channels_last) for k in (3, 1)
    )
    source = torch.randn(50_000_000, device=device)
    target = torch.empty_like(source)
    positions = x.numel() // 256
    works: dict[str, tuple[Work, float]] = {
        "matmul_gflops": (lambda: torch.mm(a, b), 2 * side**3),
        "conv3x3_gflops": (lambda: F.conv2d(x, w3, padding=1), 2 * positions * 256 * 256 * 9),
        "conv1x1_gflops": (lambda: F.conv2d(x, w1), 2 * positions * 256 * 256),
        "copy_gbytes": (lambda: target.copy_(source), 2 * source.numel() * 4),
    }
    found = {}
    for name, (work, amount) in works.items():
        with torch.no_grad():
            work()
            found[name] = round(amount / 1e9 / min(seconds_on(device, work) for _ in range(repeats)), 1)
    return found
