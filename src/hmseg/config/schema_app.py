"""Typed schema of ``app.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _key(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass
class AppBackboneConfig:
    """Where the backbone's weights are, if the checkpoint neither holds them nor says where they are now."""

    weights: str | None = None


@dataclass
class AppConfig:
    """Root of ``app.yaml``."""

    ckpt: str | None = _key(None, "checkpoint, or a run folder (its best checkpoint); null: the bundled one")
    port: int = _key(7860, "of 127.0.0.1; 0: any that is free")
    max_mb: float = _key(20.0, "most 10^6 bytes of an image file")
    max_pixels: int = _key(25_000_000, "most pixels of an image, decoded")
    refine: str = _key(
        "grabcut", "of outlines, to the image's edges: grabcut, or none: as the network decides"
    )
    presence: float | None = _key(
        None, "a class less present (a cosine) gets no mask; -1: always one; null: as chosen for the backbone"
    )
    device: str = _key("auto", "auto (CUDA where there is one), cpu, cuda, cuda:1, …")
    masking: Any = None
    backbone: AppBackboneConfig = field(default_factory=AppBackboneConfig)
