"""How fast a training goes and how much memory it needs."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from hmseg.data.episode import Episode

_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of ``ru_maxrss``."""


class Throughput(Callback):
    """Logs ``train/episodes_per_second`` and ``train/memory_gb`` at the steps that are logged.

    The rate is that since the last logged step, validations and checkpoints left out, over all devices. On a
    GPU, steps run behind the host, so that a single value may be off a little; nothing waits for them. Memory
    is the peak so far in 10^9 bytes: of the first device's tensors on a GPU, of the process on a CPU.
    """

    def __init__(self) -> None:
        self._episodes, self._seconds = 0, 0.0
        self._since: float | None = None
        self._step = 0  # that was logged last

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Goes on with the clock after a pause."""
        if self._since is None:
            self._since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Episode, batch_idx: int
    ) -> None:
        """Counts the batch; logs where Lightning will write this step to the loggers."""
        self._episodes += len(batch.query_image)
        every = max(1, trainer.log_every_n_steps)  # type: ignore[attr-defined]  # set by its connector
        if trainer.global_step % every or trainer.global_step == self._step:  # or gradients are collected
            return
        self._step = trainer.global_step
        self._pause()
        values = {"train/memory_gb": peak_memory(pl_module.device) / 1e9}
        if self._seconds > 0:
            values["train/episodes_per_second"] = trainer.world_size * self._episodes / self._seconds
        for (
            name,
            value,
        ) in values.items():  # as tensors of the host: Lightning would move numbers to the device
            pl_module.log(name, torch.tensor(value), rank_zero_only=True)
        self._episodes, self._seconds = 0, 0.0

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops the clock."""
        self._pause()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops the clock: checkpoints follow."""
        self._pause()

    def _pause(self) -> None:
        if self._since is not None:
            self._seconds += time.perf_counter() - self._since
            self._since = None


def peak_memory(device: torch.device) -> int:
    """Most bytes so far: of tensors on a GPU, else of this process. Doesn't wait for the device.

    Example:
        >>> peak_memory(torch.device("cpu")) > 10**6
        True
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
