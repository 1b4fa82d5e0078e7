"""Entry point ``python -m hmseg.export``: a trained network as a file for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmseg.cli import Program, entry
from hmseg.config.for_export import for_export

if TYPE_CHECKING:
    from omegaconf import DictConfig


def task(cfg: DictConfig) -> object:
    """Export as configured; PyTorch is imported here, when the configuration is known to be right."""
    from hmseg.exportation import run

    return run(cfg)


PROGRAM = Program(
    config_name="export",
    task=task,
    purpose="Write a trained network as ONNX, TorchScript or torch.export's program, and check it.",
    examples=(
        "ckpt=outputs/2024-01-31/12-00-00 out=network.onnx",
        "ckpt=best.ckpt format=torchscript out=network.pt",
        "ckpt=best.ckpt part=split out=network.onnx",
        "ckpt=best.ckpt any_size=true image_size=400 out=network.onnx",
    ),
    prepare=for_export,
)


def main() -> None:
    """The console script ``hmseg-export``."""
    entry(PROGRAM)


if __name__ == "__main__":
    main()
