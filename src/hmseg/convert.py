"""Entry point ``python -m hmseg.convert``: published checkpoints into ours, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmseg.cli import Program, entry
from hmseg.config.exported import for_conversion

if TYPE_CHECKING:
    from omegaconf import DictConfig


def task(cfg: DictConfig) -> object:
    """Convert as configured; PyTorch is imported here, when the configuration is known to be right."""
    from hmseg.conversion import run

    return run(cfg)


PROGRAM = Program(
    config_name="convert",
    task=task,
    purpose="Turn a published checkpoint of HSNet, ASNet or VAT into one to evaluate, or ours into theirs.",
    examples=(
        "source=hsnet_fold0.pt out=hsnet.ckpt model=hsnet masking=feature backbone=resnet50 fold=0",
        "source=best_model.ckpt out=asnet.ckpt model=asnet masking=hybrid backbone=resnet101 dataset=coco",
        "source=vat.pt out=vat.ckpt model=vat masking=feature backbone=vgg16 backbone.weights=vgg16.pth",
        "source=outputs/2024-01-31/12-00-00 out=published.pt export=true",
    ),
    prepare=for_conversion,
)


def main() -> None:
    """The console script ``hmseg-convert``."""
    entry(PROGRAM)


if __name__ == "__main__":
    main()
