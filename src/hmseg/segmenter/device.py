"""Where the network runs and with how many bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hmseg.errors import ConfigError, unknown

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def find_device(device: str | torch.device) -> torch.device:
    """``auto``: CUDA where there is one, else the CPU.

    Raises:
        ConfigError: a name that PyTorch doesn't know, or a device that is not there.

    Example:
        >>> find_device("cpu")
        device(type='cpu')
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device '{device}' can't be used ({reason}): give auto, cpu or cuda") from error
    return found


def find_precision(precision: str, device: torch.device) -> torch.dtype:
    """``auto``: on CUDA bfloat16 where the GPU has it, else float16; elsewhere float32.

    Raises:
        ConfigError: an unknown name.

    Example:
        >>> find_precision("auto", torch.device("cpu"))
        torch.float32
    """
    if precision not in PRECISIONS:
        raise ConfigError(unknown("precision", precision, PRECISIONS))
    if precision != "auto":
        chosen: torch.dtype = getattr(torch, precision)
        return chosen
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


@contextmanager
def computing(device: torch.device, precision: torch.dtype) -> Iterator[None]:
    """Without gradients; convolutions and products in ``precision``, what needs more in float32."""
    reduced = precision != torch.float32
    with torch.no_grad(), torch.autocast(device.type, precision if reduced else None, enabled=reduced):
        yield
