"""PyTorch's files: tensors and plain data only, no code, bounded in memory before they are read."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hmseg.untrusted.archives import packed
from hmseg.untrusted.files import opened
from hmseg.untrusted.pickles import scan

_MOST_PICKLED = 64 * 10**6
"""Bytes of the pickle inside an archive, which holds names and shapes; those of the largest runs have 1."""
_LEGACY_PICKLES = 5
"""Before PyTorch 1.6: a number, the protocol, the system, the content, the names of the storages."""


def load(path: Path, mmap: bool = False) -> Any:
    """What ``torch.load(path, map_location="cpu", weights_only=True)`` gives.

    Args:
        path: of a file that ``torch.save`` wrote, in either of its formats.
        mmap: map tensors into memory instead of reading them, where the format allows it.

    Raises:
        Exception: for :func:`hmseg.untrusted.parsing`: damaged, no ordinary file, more than tensors and plain
            data, nested without end, or unpacked, or in the shape of a tensor, larger than the file.
    """
    zipped = check(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap and zipped)
    except pickle.UnpicklingError as error:
        raise pickle.UnpicklingError(_without_advice(error)) from error
    _check_tensors(content, path.stat().st_size)
    return content


def check(path: Path) -> bool:
    """Looks a file through without building anything of it; whether it is an archive, the format of today.

    Raises:
        Exception: as :func:`load`.
    """
    with opened(path) as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            size = path.stat().st_size
            for _ in range(_LEGACY_PICKLES):
                scan(file, most=size)
            return False
    if said := packed(path):
        raise ValueError(said)
    with zipfile.ZipFile(path) as archive:
        for each in archive.infolist():
            if each.filename.endswith(".pkl"):
                if each.file_size > _MOST_PICKLED:
                    raise ValueError(f"its {each.filename} has more than {_MOST_PICKLED // 10**6} MB")
                scan(io.BytesIO(archive.read(each)), most=each.file_size)
    return True


def _without_advice(error: Exception) -> str:
    """PyTorch's reason without its advice to load in an unsafe way."""
    said = str(error).partition("WeightsUnpickler error: ")[2].strip().partition(" Please use")[0]
    return said or ("it holds code" if str(error).startswith("Weights only load failed") else str(error))


def _check_tensors(content: Any, size: int) -> None:
    """Refuses tensors that are larger than the file: a shape may repeat one number without end."""
    waiting, seen = [content], set[int]()
    while waiting:
        each = waiting.pop()
        if isinstance(each, Tensor):
            if each.layout != torch.strided or each.device.type != "cpu":
                raise ValueError(f"it holds a tensor of layout {each.layout} on {each.device}")
            if each.numel() * each.element_size() > size:
                raise ValueError(f"a tensor of shape {tuple(each.shape)} is larger than the file")
        elif isinstance(each, dict | list | tuple | set) and id(each) not in seen:
            seen.add(id(each))
            waiting += [*each.keys(), *each.values()] if isinstance(each, dict) else each
