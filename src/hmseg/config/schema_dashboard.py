"""Typed schema of ``dashboard.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _key(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass
class DashboardConfig:
    """Root of ``dashboard.yaml``."""

    entity: str | None = _key(None, "user or team at W&B; null: the account's own")
    project: str = _key("hmseg", "project at W&B, that of logger.wandb.project")
    group: str | None = _key(None, "experiment whose runs are compared; null: all of the project")
    workspace: str = _key("Maskings over folds", "title of the workspace")
    checkpoint: str = _key("best", "whose test is compared: best or last")
    dry_run: bool = _key(False, "print the specification as JSON, change nothing; needs no account")
