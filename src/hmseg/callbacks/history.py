"""What a run has been through: which run it is, how long it has trained, and how each validation ended."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from hmseg.run_checkpoints import HISTORY


class RunHistory(Callback):
    """Keeps the course of a run in each of its checkpoints, so that a curve needs no log files.

    Seconds are those spent in training and its validations, over all resumptions; time between them and work
    lost when a run was killed do not count.

    Attributes:
        run: 32 hex digits, the same in all checkpoints of a run and of its resumptions.
        validations: one entry for each validation: ``epoch`` (from 1), ``step``, ``seconds``, ``miou``.
    """

    def __init__(self) -> None:
        self.run = uuid.uuid4().hex
        self.validations: list[dict[str, float]] = []
        self._before = 0.0  # seconds of the run before this process
        self._started: float | None = None

    @property
    def state_key(self) -> str:
        """The entry of a checkpoint's ``callbacks``; other modules read it there."""
        return HISTORY

    @property
    def seconds(self) -> float:
        """Seconds trained so far."""
        return self._before + (0.0 if self._started is None else time.monotonic() - self._started)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock; all devices take the first one's name for the run."""
        self._started = time.monotonic()
        self.run = trainer.strategy.broadcast(self.run)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops the clock."""
        self._before, self._started = self.seconds, None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds the validation, before the checkpoint callbacks, which Lightning calls last, save it."""
        if trainer.sanity_checking or self._started is None or "val/miou" not in trainer.callback_metrics:
            return
        self.validations.append(
            {
                "epoch": trainer.current_epoch + 1,
                "step": trainer.global_step,
                "seconds": round(self.seconds, 2),
                "miou": float(trainer.callback_metrics["val/miou"]),
            }
        )

    def state_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"run": self.run, "seconds": self.seconds, "validations": [dict(v) for v in self.validations]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where the checkpoint was made."""
        self.run, self._before = state_dict["run"], state_dict["seconds"]
        self.validations = [dict(each) for each in state_dict["validations"]]
