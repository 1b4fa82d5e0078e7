"""Typed schema of ``app.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _key(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass
class AppConfig:
    """Root of ``app.yaml``."""

    ckpt: str | None = _key(None, "checkpoint, or a run folder (its best checkpoint); null: the bundled one")
    masking: str | None = _key(
        None, "what the others are compared with: none, feature, input or hybrid; null: the checkpoint's"
    )
    port: int = _key(7860, "of 127.0.0.1; 0: any that is free")
    max_mb: float = _key(20.0, "most 10^6 bytes of an image file")
    max_pixels: int = _key(25_000_000, "most pixels of an image, decoded")
    device: str | None = _key(None, "cpu, cuda or mps; null: the fastest that there is")
