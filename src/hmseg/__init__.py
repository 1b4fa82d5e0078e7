"""hmseg: experiments in few-shot semantic segmentation, with Hybrid Masking at its heart.

Names are loaded when first used, so that entry points can answer before PyTorch is imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hmseg.backbones import build_backbone
    from hmseg.checkpoints import export_published, load_published
    from hmseg.errors import HmsegError
    from hmseg.masking import feature_mask, hybrid_mask, input_mask
    from hmseg.metrics import FewShotIoU
    from hmseg.networks import FewShotNetwork, build_network, vote
    from hmseg.published import import_published
    from hmseg.segmenter import Box, Polygon, Scribble, Segmentation, Segmenter

__version__ = "0.1.0"

_HOME = {
    "Box": "hmseg.segmenter",
    "FewShotIoU": "hmseg.metrics",
    "FewShotNetwork": "hmseg.networks",
    "HmsegError": "hmseg.errors",
    "Polygon": "hmseg.segmenter",
    "Scribble": "hmseg.segmenter",
    "Segmentation": "hmseg.segmenter",
    "Segmenter": "hmseg.segmenter",
    "build_backbone": "hmseg.backbones",
    "build_network": "hmseg.networks",
    "export_published": "hmseg.checkpoints",
    "feature_mask": "hmseg.masking",
    "hybrid_mask": "hmseg.masking",
    "import_published": "hmseg.published",
    "input_mask": "hmseg.masking",
    "load_published": "hmseg.checkpoints",
    "vote": "hmseg.networks",
}

__all__ = [
    "Box",
    "FewShotIoU",
    "FewShotNetwork",
    "HmsegError",
    "Polygon",
    "Scribble",
    "Segmentation",
    "Segmenter",
    "build_backbone",
    "build_network",
    "export_published",
    "feature_mask",
    "hybrid_mask",
    "import_published",
    "input_mask",
    "load_published",
    "vote",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hmseg' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
