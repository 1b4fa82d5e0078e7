"""Entry point ``python -m hmseg.evaluate``: test a trained network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmseg.cli import Program, entry
from hmseg.config.stored import from_checkpoint

if TYPE_CHECKING:
    from omegaconf import DictConfig


def task(cfg: DictConfig) -> object:
    """Evaluate as configured; PyTorch is imported here, when the configuration is known to be right."""
    from hmseg.evaluation import run

    return run(cfg)


PROGRAM = Program(
    config_name="evaluate",
    task=task,
    purpose="Test a checkpoint: mIoU, FB-IoU and a table of classes; what is not given is as in training.",
    examples=(
        "ckpt=outputs/2024-01-31/12-00-00",
        "ckpt=outputs/2024-01-31/12-00-00/checkpoints/last.ckpt shot=5 protocol=strict",
        "ckpt=best.ckpt dataset=pascal paths.data=/data loader.original_size=true",
        "-m ckpt=best.ckpt shot=1,5",
    ),
    prepare=from_checkpoint,
)


def main() -> None:
    """The console script ``hmseg-evaluate``."""
    entry(PROGRAM)


if __name__ == "__main__":
    main()
