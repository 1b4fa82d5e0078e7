"""Stopping a run by a signal so that nothing is lost."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from hmseg.interruption import Terminated, heeded


class Interruption(Callback):
    """Heeds SIGTERM, and in a SLURM job SIGUSR1: the run is saved at the end of the step, then left.

    In training all devices agree at the end of each step; the one after a signal is saved by
    ``LastCheckpoint``, and the next one doesn't begin. In validation and test each device leaves after its
    batch: the checkpoint is that of before, a test's journal keeps its episodes. The end is
    ``hmseg.interruption.Terminated``; the entry point then puts a SLURM job back into the queue.

    Takes the place of Lightning's own handlers, which leave without saving, and start a collective
    operation in whatever another device is at.

    Attributes:
        leaving: the devices have agreed to leave, and the step that has just ended is to be saved.
    """

    def __init__(self) -> None:
        self.leaving = False
        self._signum: int | None = None
        self._launcher: Any = None

    # Listening

    def _listen(self, trainer: pl.Trainer) -> None:
        """Again at the start of each loop: Lightning puts its handlers back before."""
        self._launcher = trainer.strategy.launcher
        if threading.current_thread() is threading.main_thread():
            for signum in heeded():
                signal.signal(signum, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self._signum is None:
            self._signum = signum
            if self._launcher is not None:  # processes that Lightning started don't get our signals
                self._launcher.kill(signum)

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listens."""
        self._listen(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listens."""
        self._listen(trainer)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listens."""
        self._listen(trainer)

    # Leaving

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Agrees whether to leave."""
        self.leaving = self._signum is not None
        if trainer.world_size > 1:
            self.leaving = trainer.strategy.reduce_boolean_decision(self.leaving, all=False)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Leaves, where that was agreed at the end of the last step; its values are logged by now."""
        if self.leaving:
            self._leave(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves before a validation within a run, likewise."""
        if self.leaving:
            self._leave(trainer)
        self._listen(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Leaves: a validation may take longer than the cluster waits."""
        if self._signum is not None:
            self._leave(trainer)

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Leaves."""
        if self._signum is not None:
            self._leave(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves a run that came to its end first: its test is for the next start."""
        if self._signum is not None:
            self._leave(trainer)

    def _leave(self, trainer: pl.Trainer) -> None:
        saved = [getattr(each, "saved_step", None) for each in trainer.checkpoint_callbacks]
        note = f"saved at step {trainer.global_step}" if trainer.global_step in saved else ""
        raise Terminated(self._signum or signal.SIGTERM, note)
