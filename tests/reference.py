"""Inputs and weights of the reference outputs, rebuilt as REFERENCE section 13 says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from numpy.random import PCG64, Generator
from numpy.typing import NDArray
from torch import Tensor

from hmseg import FewShotNetwork, export_published


def load(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The config of a reference file, and its arrays."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("config"))), arrays


def weight(name: str, shape: tuple[int, ...], salt: int = 0) -> Tensor:
    """The value of one state-dict entry, from its published name."""
    n = Generator(PCG64([crc32(name.encode()), salt])).standard_normal(shape)
    if name.endswith("running_var"):
        value = 1 + 0.1 * np.abs(n)
    elif len(shape) >= 2:
        value = n / np.sqrt(np.prod(shape[1:]))
    elif name.endswith("weight"):
        value = 1 + 0.1 * n
    else:
        value = 0.1 * n
    return torch.from_numpy(np.asarray(value, dtype=np.float32))


def state_dict(network: FewShotNetwork, salt: int = 0) -> dict[str, Tensor]:
    """Reference weights for every entry of the network, under published names."""
    return {
        name: weight(name, tuple(value.shape), salt)
        for name, value in export_published(network).items()
        if value.is_floating_point() and not name.endswith("attn_mask")
    }


def inputs(batch: int, shots: int, side: int, seed: int, radius: float) -> tuple[Tensor, Tensor, Tensor]:
    """Query, support images and support masks."""
    rng = Generator(PCG64(seed))

    def images() -> NDArray[np.float64]:
        base = rng.standard_normal((batch, 3, side // 8, side // 8))
        noise = rng.standard_normal((batch, 3, side, side))
        return base.repeat(8, axis=2).repeat(8, axis=3) + 0.3 * noise

    def mask() -> NDArray[np.bool_]:
        cy, cx = rng.uniform(0.3, 0.7, (2, batch))
        y, x = np.mgrid[:side, :side] / side
        return (y[None] - cy[:, None, None]) ** 2 + (x[None] - cx[:, None, None]) ** 2 < radius**2

    query = images()
    supports = np.stack([images() for _ in range(shots)], axis=1)
    masks = np.stack([mask() for _ in range(shots)], axis=1)
    to_float = lambda a: torch.from_numpy(a.astype(np.float32))  # noqa: E731
    return to_float(query), to_float(supports), torch.from_numpy(masks)
