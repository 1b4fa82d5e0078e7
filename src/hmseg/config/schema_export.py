"""Typed schema of ``export.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from hmseg.config.schema_data import DatasetConfig


def _key(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass
class ExportConfig:
    """Root of ``export.yaml``."""

    ckpt: str = _key(MISSING, "checkpoint, or a run folder (its best checkpoint)")
    out: str = _key(MISSING, "file to write; with part=split two, OUT-encoder and OUT-segmenter")
    format: str = _key("onnx", "onnx, torchscript or torch_export")
    part: str = _key("whole", "whole, or split: a support encoder, and a query segmenter for its features")
    image_size: int = _key(MISSING, "side in pixels of the images with which it is traced and checked")
    any_size: bool = _key(False, "leave the sizes of query and supports open")
    opset: int = _key(18, "version of ONNX's operators, 18 to 23")
    overwrite: bool = _key(False, "replace what is there")
    aggregation: str = _key("vote", "of several supports, the checkpoint's; concat changes the network")
    fold: int | None = None  # no meaning here: data sets set it
    model: Any = MISSING
    masking: Any = MISSING
    backbone: Any = MISSING
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    paths: Any = MISSING  # for weight files, where the checkpoint doesn't hold its backbone
