"""Entry point ``python -m hmseg.dashboard``: a W&B workspace that compares maskings over folds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmseg.cli import Program, entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def task(cfg: DictConfig) -> None:
    """Publish or print as configured."""
    from hmseg.tracking.workspace import Request, run

    run(
        Request(
            entity=cfg.entity,
            project=cfg.project,
            group=cfg.group,
            title=cfg.workspace,
            checkpoint=cfg.checkpoint,
            dry_run=cfg.dry_run,
        )
    )


PROGRAM = Program(
    config_name="dashboard",
    task=task,
    purpose="Create a W&B workspace that compares maskings over folds and seeds (needs an account).",
    examples=("group=voc_maskings dry_run=true", "entity=team project=hmseg group=voc_maskings"),
)


def main() -> None:
    """The console script ``hmseg-dashboard``."""
    entry(PROGRAM)


if __name__ == "__main__":
    main()
