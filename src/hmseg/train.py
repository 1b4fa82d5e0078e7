"""Entry point ``python -m hmseg.train``: train a few-shot segmentation network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig

from hmseg.cli import Program, entry
from hmseg.config.runs import check_srun, keep_overrides, replay

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from hmseg.config.composer import Composer


def task(cfg: DictConfig) -> object:
    """Train as configured; PyTorch is imported here, when the configuration is known to be right."""
    keep_overrides(Path(cfg.paths.output_dir), HydraConfig.get().overrides.task)
    from hmseg.training import run

    return run(cfg)


def prepare(composer: Composer, overrides: Sequence[str]) -> list[str]:
    """The overrides of a run, a continued one's own among them."""
    check_srun(overrides)
    return replay(composer, overrides)


PROGRAM = Program(
    config_name="train",
    task=task,
    purpose="Train a few-shot segmentation network; by default HSNet, hybrid masking, drawn shapes.",
    examples=(
        "",
        "masking=feature fold=2 shot=5",
        "-m masking=feature,hybrid fold=0,1,2,3",
        "-m hydra/launcher=joblib masking=feature,hybrid fold=0,1,2,3 seed=0,1",
        "experiment=hsnet_hm_pascal_resnet50 paths.data=/data",
        "trainer=gpu logger=[csv,tensorboard] trainer.max_epochs=100 trainer.max_time=null",
        "resume=outputs/2024-01-31/12-00-00",
    ),
    prepare=prepare,
    done_once=True,
)


def main() -> None:
    """The console script ``hmseg-train``."""
    entry(PROGRAM)


if __name__ == "__main__":
    main()
