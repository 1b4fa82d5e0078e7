"""A run stops at the first loss that is no number, and leaves the batch that it came from."""

from __future__ import annotations

import io
import math
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from hmseg.checkpoint_files import replace_whole
from hmseg.data.episode import Episode
from hmseg.data.loader import TrainLoader
from hmseg.errors import HmsegError
from hmseg.state_dicts import listed, not_finite

_REMEDY = "lower optimizer.lr, set trainer.gradient_clip_val, or train with trainer.precision=32-true"
BEHIND = 2
"""Steps that the host may run ahead of the look at a GPU's losses; their batches are kept so long."""


@dataclass
class _Seen:
    """A step whose loss is not looked at yet."""

    batch: Any
    loss: Tensor
    bad: Tensor  # () int32 on the host, 1 where the loss of any device is no number
    arrived: torch.cuda.Event | None  # when ``bad`` is there; None: it is
    step: int
    epoch: int


class FiniteLoss(Callback):
    """Stops training at a loss that is NaN or infinite, before it is saved in any checkpoint.

    On the CPU before the weights are changed by it. On a GPU the answer is fetched while the next steps are
    queued, and read when it is there, at most two steps later: the host never waits for the step at hand. All
    devices learn of it in the same step.

    The batch is written to ``FOLDER/stepNNNNNN-deviceN.pt``, for ``torch.load(…, weights_only=True)``: a
    dictionary of ``episode`` (tensors by the names of ``hmseg.data.episode.Episode``), ``names`` (query,
    supports and class of each episode; empty where the loader isn't ours), ``loss``, ``step`` and ``epoch``.

    Args:
        folder: where the batch goes.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._batch: Any = None
        self._unread: deque[_Seen] = deque()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keeps the batch until its loss is known."""
        self._batch = batch

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Asks for the loss, and reads what has arrived."""
        loss = loss.detach()
        bad = (~torch.isfinite(loss)).to(torch.int32)
        if trainer.world_size > 1:
            torch.distributed.all_reduce(bad, op=torch.distributed.ReduceOp.MAX)  # no wait on a GPU
        arrived = None
        if bad.is_cuda:
            host = torch.empty((), dtype=torch.int32, pin_memory=True)
            bad = host.copy_(bad, non_blocking=True)
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
        seen = _Seen(self._batch, loss, bad, arrived, trainer.global_step, trainer.current_epoch)
        self._unread.append(seen)
        self._read(trainer, behind=0 if arrived is None else BEHIND)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reads all."""
        self._read(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Reads all, and looks at the weights: no checkpoint of a network that has diverged."""
        self._read(trainer)
        learnt = {name: each.data for name, each in pl_module.named_parameters() if each.requires_grad}
        if damaged := not_finite(checkpoint["state_dict"]) or not_finite(learnt):
            raise HmsegError(
                f"the weights became NaN or infinite before step {trainer.global_step} ({listed(damaged)}): "
                f"nothing of it is saved; {_REMEDY}"
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reads all."""
        self._read(trainer)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Lets go of the batches."""
        self._batch = None
        self._unread.clear()

    def _read(self, trainer: pl.Trainer, behind: int = 0) -> None:
        """Looks at all losses but the latest few; at those too that have arrived by now."""
        while self._unread:
            seen = self._unread[0]
            if seen.arrived is not None and not _due(seen.arrived, wait=len(self._unread) > behind):
                return
            self._unread.popleft()
            if seen.bad.item():
                self._stop(trainer, seen)

    def _stop(self, trainer: pl.Trainer, seen: _Seen) -> None:
        if math.isfinite(value := seen.loss.item()):
            found, batch = "no number on another device", ""
        else:
            found, batch = str(value), self._save(trainer, seen, value)
        raise HmsegError(
            f"the training loss became {found} at step {seen.step} (epoch {seen.epoch}){batch}: {_REMEDY}"
        )

    def _save(self, trainer: pl.Trainer, seen: _Seen, loss: float) -> str:
        """Writes the batch; where it is, in words."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]  # set by its connector; it leaves nothing
            return ""
        path = self.folder / f"step{seen.step:06d}-device{trainer.global_rank}.pt"
        batch = seen.batch
        fields = batch._asdict() if isinstance(batch, Episode) else {"batch": batch}
        content = {
            "episode": {name: value.cpu() for name, value in fields.items()},
            "names": _names(trainer, batch),
            "loss": loss,
            "step": seen.step,
            "epoch": seen.epoch,
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        try:
            replace_whole(path, buffer.getbuffer())
        except OSError as error:
            return f"; its batch could not be saved ({path}: {error.strerror})"
        return f"; its batch is in {path}"


def _due(arrived: torch.cuda.Event, wait: bool) -> bool:
    if wait:
        arrived.synchronize()
    return bool(arrived.query())  # type: ignore[no-untyped-call]


def _names(trainer: pl.Trainer, batch: Any) -> list[dict[str, Any]]:
    loader = trainer.train_dataloader
    if not isinstance(loader, TrainLoader):
        return []
    return [
        {"class": spec.class_id, "query": spec.query, "supports": list(spec.supports)}
        for spec in loader.specs(batch.index.tolist())
    ]
