"""Typed schema of ``predict.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from hmseg.config.schema_data import MASK_HELP


def _key(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass
class PredictBackboneConfig:
    """Where the backbone's weights are, if the checkpoint neither holds them nor says where they are now."""

    weights: str | None = None


@dataclass
class PredictConfig:
    """Root of ``predict.yaml``."""

    ckpt: str | None = _key(None, "checkpoint, or a run folder (its best checkpoint); null: the bundled one")
    support: str = _key(
        MISSING,
        "annotated images: a folder with images and masks, or one such folder for each class; LabelMe's or "
        "YOLO's files; a COCO file",
    )
    support_images: str | None = _key(
        None, "folder of the support's images, where they don't lie beside the annotations"
    )
    query: str = _key(MISSING, "image, folder of images, or pattern such as photos/**/*.jpg")
    out: str = _key(MISSING, "folder to write")
    format: str = _key("png", "of the masks: png, tiff, labelme, yolo or coco")
    reading: Any = _key("auto", MASK_HELP)
    name: str = _key("object", "of the class, where support has no folder for each class")
    overwrite: bool = _key(False, "replace results that are there")
    resume: bool = _key(
        False, "go on with an unfinished prediction in out; images that failed are tried again"
    )
    overlays: bool = _key(True, "also write each image with its masks laid over it")
    side: int | None = _key(None, "images are resized to squares of this side; null: that of the training")
    aggregation: str | None = _key(
        None, "of several supports: vote, mean_logits, mean_probability, concat; null: the training's"
    )
    refine: str = _key(
        "grabcut", "of outlines, to the image's edges: grabcut, or none: as the network decides"
    )
    presence: float | None = _key(
        None, "a class less present (a cosine) gets no mask; -1: always one; null: as chosen for the backbone"
    )
    device: str = _key("auto", "auto (CUDA where there is one), cpu, cuda, cuda:1, …")
    precision: str = _key("auto", "auto, float32, bfloat16 or float16; auto is float32 on a CPU")
    batch: int | None = _key(None, "images that pass the backbone together; null: 8 on a GPU, else 1")
    masking: Any = None
    backbone: PredictBackboneConfig = field(default_factory=PredictBackboneConfig)
