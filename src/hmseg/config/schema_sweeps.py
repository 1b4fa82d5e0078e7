"""Typed schemas of the launchers and the sweeper (``conf/hydra``); their classes say what the keys mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class LauncherConfig:
    """``hydra/launcher=sequential``, and what all launchers have."""

    _target_: str = MISSING
    skip_finished: bool = True
    root: str = "multirun"


@dataclass
class JoblibConfig(LauncherConfig):
    """``hydra/launcher=joblib``."""

    n_jobs: int | None = None
    threads: int | None = None
    gpus: list[Any] | None = None
    gpus_per_job: int = 1


@dataclass
class SubmititConfig(LauncherConfig):
    """What submitit's two have in common."""

    timeout_min: float | None = None
    extra_min: float = MISSING
    signal_delay_s: int = MISSING
    max_num_timeout: int = MISSING
    folder: str | None = None


@dataclass
class SubmititLocalConfig(SubmititConfig):
    """``hydra/launcher=submitit_local``."""

    n_jobs: int | None = None
    threads: int | None = None
    gpus: list[Any] | None = None
    gpus_per_job: int = 1


@dataclass
class SubmititSlurmConfig(SubmititConfig):
    """``hydra/launcher=submitit_slurm``."""

    array_parallelism: int = MISSING
    nodes: int = MISSING
    tasks_per_node: int = MISSING
    gpus_per_node: int | None = MISSING
    cpus_per_task: int | None = MISSING
    mem_gb: float | None = MISSING
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    setup: list[str] = field(default_factory=list)
    additional: Any = None


@dataclass
class OptunaConfig:
    """``hydra/sweeper=optuna``."""

    _target_: str = MISSING
    _recursive_: bool = False  # the sampler is built by the sweeper
    n_trials: int = MISSING
    n_jobs: int = MISSING
    direction: str = MISSING
    study_name: str = MISSING
    storage: str | None = None
    sampler: Any = MISSING
    params: Any = None


SWEEPS: tuple[tuple[str, str, type], ...] = (
    ("hydra/launcher", "_sequential", LauncherConfig),
    ("hydra/launcher", "_joblib", JoblibConfig),
    ("hydra/launcher", "_submitit_local", SubmititLocalConfig),
    ("hydra/launcher", "_submitit_slurm", SubmititSlurmConfig),
    ("hydra/sweeper", "_optuna", OptunaConfig),
)
