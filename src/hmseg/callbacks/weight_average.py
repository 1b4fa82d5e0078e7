"""An exponential moving average of the head, which is validated, tested and saved in the head's place."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from hmseg.errors import ConfigError
from hmseg.module import SegmentationModule

HEAD = "network.head."
"""Prefix of the head's keys in the state dict of the LightningModule."""


class WeightAverage(Callback):
    """Keeps an exponential moving average (EMA) of the head's parameters beside those that are trained.

    Validation and its pictures, the checkpoints' ``state_dict`` and the network after training have the
    averaged parameters, so that whoever reads a checkpoint gets them; the trained ones are among the
    checkpoint's ``callbacks``, and a resumed run goes on from both, bit by bit.

    Lightning's own ``EMAWeightAveraging`` (2.6) averages the whole module: the frozen backbone would be
    rounded anew at each step, and no longer be the one that its fingerprint tells of.

    The n-th step moves the average by ``1 - min(decay, (1 + n) / (10 + n))``, as TensorFlow's does, so that
    the random weights of the beginning are soon forgotten. Nothing waits for the device.

    Args:
        decay: in (0, 1); None, as published: nothing is averaged.

    Raises:
        ConfigError: ``decay`` is out of range.
    """

    def __init__(self, decay: float | None = None) -> None:
        if decay is not None and not 0 < decay < 1:
            raise ConfigError(f"callbacks.ema.decay: expected a number between 0 and 1, or null, got {decay}")
        self.decay = decay
        self._other: dict[str, Tensor] = {}  # the average; while the head has it, what is trained
        self._swapped = False
        self._steps = 0  # of the optimiser that are in the average
        self._stored: dict[str, Tensor] = {}  # what was trained, from a checkpoint

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with what is in the head: a new network, or the average of a checkpoint."""
        if self.decay is None:
            return
        head = _head(pl_module)
        self._other, self._swapped = {name: each.clone() for name, each in head.items()}, False
        for name, trained in self._stored.items():
            head[name].copy_(trained)
        self._stored = {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average where the optimiser has made a step, not between accumulated gradients."""
        if self.decay is None or trainer.global_step == self._steps:
            return
        self._steps = trainer.global_step
        kept = min(self.decay, (1 + self._steps) / (10 + self._steps))
        for name, trained in _head(pl_module).items():
            self._other[name].lerp_(trained, 1 - kept)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average into the head."""
        if self._other:
            self._swap(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put back what is trained, after the pictures and before the checkpoints."""
        if self._swapped:
            self._swap(pl_module)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the average in the head."""
        if self._other and not self._swapped:
            self._swap(pl_module)
        self._other, self._swapped = {}, False

    def _swap(self, pl_module: pl.LightningModule) -> None:
        for name, parameter in _head(pl_module).items():
            value = parameter.clone()
            parameter.copy_(self._other[name])
            self._other[name].copy_(value)
        self._swapped = not self._swapped

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the average where readers look, and what is trained into the callback's state."""
        if not self._other:
            return
        head = _head(pl_module)
        average, trained = (head, self._other) if self._swapped else (self._other, head)
        checkpoint["state_dict"] = {
            **checkpoint["state_dict"],
            **{HEAD + name: each for name, each in average.items()},
        }
        checkpoint["callbacks"][self.state_key] = {"steps": self._steps, "trained": trained}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep what was trained until the module is on its device."""
        if self.decay is not None:
            self._steps, self._stored = state_dict["steps"], state_dict["trained"]


def _head(pl_module: pl.LightningModule) -> dict[str, Tensor]:
    """The head's parameters by name, to be read and changed in place."""
    assert isinstance(pl_module, SegmentationModule)
    return {name: parameter.data for name, parameter in pl_module.network.head.named_parameters()}
