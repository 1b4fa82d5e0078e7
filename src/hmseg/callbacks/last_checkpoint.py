"""The checkpoint from which a run goes on."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint


class LastCheckpoint(ModelCheckpoint):
    """Lightning's ``ModelCheckpoint``, which writes ``last.ckpt`` at the end of each epoch too.

    Told to save by the clock, Lightning (2.6) does so by the clock alone: the last epoch would then end
    without a checkpoint, and "the last one" would be up to an interval old.
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves, unless this very step was saved already."""
        super().on_train_epoch_end(trainer, pl_module)
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
