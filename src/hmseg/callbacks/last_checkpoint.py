"""The checkpoint from which a run goes on."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from hmseg.callbacks.interruption import Interruption


class LastCheckpoint(ModelCheckpoint):
    """Lightning's ``ModelCheckpoint``, which writes ``last.ckpt`` so that going on from it changes nothing.

    It saves at the end of each epoch too: told to save by the clock, Lightning (2.6) does so by the clock
    alone; the last epoch would then end without a checkpoint, and "the last one" would be up to an interval
    old. It does not save where a resumed run would leave something out: between the steps of accumulated
    gradients, which no checkpoint holds, and before a validation, which Lightning would count as done. And it
    saves when ``Interruption`` is about to leave.
    """

    @property
    def saved_step(self) -> int | None:
        """The step of the last checkpoint that this process wrote."""
        return self._last_global_step_saved if self._last_checkpoint_saved else None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves when that is due and a run can go on from here."""
        if not _resumable(trainer, batch_idx):
            return
        if any(isinstance(each, Interruption) and each.leaving for each in _callbacks(trainer)):
            self._save(trainer)
        else:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves, unless this very step was saved already."""
        super().on_train_epoch_end(trainer, pl_module)
        self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))


def _resumable(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether the end of a step is neither within accumulated gradients nor just before a validation."""
    options: Any = trainer  # these are set by connectors, unknown to mypy
    if trainer.is_last_batch or trainer.should_stop or (batch_idx + 1) % options.accumulate_grad_batches:
        return False
    whole_run = options.check_val_every_n_epoch is None
    done = (trainer.fit_loop.total_batch_idx if whole_run else batch_idx) + 1
    return options.val_check_batch is None or done % options.val_check_batch != 0


def _callbacks(trainer: pl.Trainer) -> list[pl.Callback]:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by its connector
    return callbacks
