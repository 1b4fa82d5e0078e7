"""Random numbers of a training step that depend on nothing but the step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback


class StepSeed(Callback):
    """Seeds PyTorch's generators anew for each training batch, from (seed, epoch, batch, device).

    What a head draws in training (VAT's dropout) is then the same in a run that was interrupted, which begins
    with generators as new, and on any number of reading processes; and devices draw differently.

    Args:
        seed: of the run, 0 or more.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seeds; nothing waits for the device."""
        key = [self.seed, trainer.current_epoch, batch_idx, trainer.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]))
