"""The size of the gradients."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.optim import Optimizer


class GradientNorm(Callback):
    """Logs the L2 norm of all gradients together, before any clipping, as ``train/grad_norm``.

    Computed on the device only at the steps that are logged (``log_every_n_steps``); nothing waits for it.
    """

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Logs the norm where Lightning will write this step to the loggers."""
        every = max(1, trainer.log_every_n_steps)  # type: ignore[attr-defined]  # set by its connector
        if (trainer.global_step + 1) % every == 0:
            gradients = [
                p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None
            ]
            if gradients:
                pl_module.log("train/grad_norm", torch.nn.utils.get_total_norm(gradients))
