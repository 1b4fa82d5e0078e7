"""Progress of the whole run."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar, Timer
from tqdm import tqdm  # type: ignore[import-untyped]

from hmseg.progress import Limits, clock, remaining

# What is shown, in this order: title and metric.
AT_STEP = {"loss": "train/loss", "IoU": "train/iou", "val mIoU": "val/miou"}
AT_EPOCH = {
    "loss": "train/loss_epoch",
    "IoU": "train/iou_epoch",
    "val mIoU": "val/miou",
    "val FB-IoU": "val/fb_iou",
}


def shown(trainer: pl.Trainer, titles: Mapping[str, str]) -> str:
    """The latest values of the metrics there are, e.g. ``loss 0.4120  IoU 31.0``; waits for the device."""
    metrics = trainer.callback_metrics
    return "  ".join(
        f"{title} {float(metrics[name]):{'.4f' if title == 'loss' else '.1f'}}"
        for title, name in titles.items()
        if name in metrics
    )


def limits(trainer: pl.Trainer, batches: int) -> Limits:
    """Where a training run stands against what can end it, after some batches of the current epoch."""
    epoch = min(1.0, batches / max(1, trainer.num_training_batches))
    timers = [
        callback
        for callback in trainer.callbacks  # type: ignore[attr-defined]  # set by the Trainer's connector
        if isinstance(callback, Timer) and callback.time_remaining() is not None
    ]
    return Limits(
        epochs=(trainer.current_epoch + epoch, trainer.max_epochs if trainer.max_epochs is not None else -1),
        steps=(trainer.global_step, trainer.max_steps),
        seconds=(timers[0].time_elapsed(), timers[0].time_remaining() or 0.0) if timers else None,
    )


class RunProgress(ProgressBar):
    """One bar over the whole run: the time that it still takes, live loss and IoU, the last val mIoU.

    On a terminal the bar is redrawn at most every ``refresh_seconds``. Elsewhere (a log file, a pipe) there
    is one line per epoch and per evaluation. All of it goes to stderr.

    Args:
        refresh_seconds: least time between two drawings; each reads metrics from the device once.
        stream: where to write; None for stderr.
    """

    def __init__(self, refresh_seconds: float = 0.5, stream: TextIO | None = None) -> None:
        super().__init__()
        self.refresh_seconds = refresh_seconds
        self._stream = stream
        self._enabled = True
        self._bar: tqdm[Any] | None = None
        self._drawn = -math.inf
        self._began = time.monotonic()
        self._start: float | None = None  # fraction of the run that was done before
        self._limits = Limits()

    @property
    def stream(self) -> TextIO:
        """Where to write."""
        return self._stream if self._stream is not None else sys.stderr

    def enable(self) -> None:
        """Shows progress again."""
        self._enabled = True

    def disable(self) -> None:
        """Shows nothing, as on all but the first device."""
        self._enabled = False

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Prints a line without breaking the bar."""
        if self._enabled:
            tqdm.write(kwargs.get("sep", " ").join(map(str, args)), file=self.stream)

    # Drawing

    def _line(self, text: str) -> None:
        if self._enabled:
            print(text, file=self.stream, flush=True)

    def _due(self) -> bool:
        """Whether to draw now: on a terminal, and not too soon after the last time."""
        now = time.monotonic()
        due = self._enabled and self.stream.isatty() and now - self._drawn >= self.refresh_seconds
        if due:
            self._drawn = now
        return due

    def _draw(self, fraction: float, text: str) -> None:
        if self._bar is None:
            layout = "{percentage:3.0f}%|{bar:20}| {desc}"
            self._bar = tqdm(total=1.0, bar_format=layout, file=self.stream, dynamic_ncols=True, leave=True)
        self._bar.n = fraction
        self._bar.set_description_str(text, refresh=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._drawn = -math.inf

    def _times(self) -> str:
        elapsed = time.monotonic() - self._began
        left = remaining(self._limits, self._start or 0.0, elapsed)
        return f"[{clock(elapsed)} < {clock(left)}]"

    def _position(self, trainer: pl.Trainer) -> str:
        epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > 0 else "?"
        return f"epoch {trainer.current_epoch + 1}/{epochs}  step {trainer.global_step}"

    # Training

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._began, self._start = time.monotonic(), None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Notes where a resumed run took over."""
        if self._start is None:
            self._limits = limits(trainer, batch_idx)
            self._start = self._limits.fraction

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Redraws the bar when that is due."""
        self._limits = limits(trainer, batch_idx + 1)
        if self._due():
            parts = (self._position(trainer), self._times(), shown(trainer, AT_STEP))
            self._draw(self._limits.fraction, "  ".join(parts))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One line for the epoch where there is no terminal."""
        # Read on every device: the epoch's means are synchronised when they are first looked at.
        values = shown(trainer, AT_EPOCH)
        text = "  ".join((self._position(trainer), self._times(), values))
        if not self.stream.isatty():
            self._line(text)
        elif self._enabled:
            self._draw(self._limits.fraction, text)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves the bar as it was last drawn."""
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Closes the bar, so that the message begins on a line of its own."""
        self._close()

    # Evaluation

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Redraws the bar with the mIoU of the episodes seen so far, when that is due."""
        batches = trainer.num_sanity_val_batches if trainer.sanity_checking else trainer.num_val_batches
        self._evaluated(trainer, pl_module, "validation", batch_idx + 1, batches[dataloader_idx])

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Redraws the bar with the mIoU of the episodes seen so far, when that is due."""
        batches = trainer.num_test_batches
        self._evaluated(trainer, pl_module, "test", batch_idx + 1, batches[dataloader_idx])

    def _evaluated(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, what: str, done: int, total: float
    ) -> None:
        if not self._due():
            return
        scores = running() if (running := getattr(pl_module, "running_scores", None)) else None
        if trainer.sanity_checking:
            text = f"trying out validation {done}/{total:g}"
        else:
            text = f"{what} {done}/{total:g}" + ("" if scores is None else f"  mIoU so far {scores.miou:.1f}")
        if trainer.state.fn == "fit":
            self._draw(self._limits.fraction, f"{self._position(trainer)}  {text}")
        else:
            self._draw(done / total if math.isfinite(total) else 0.0, text)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock of an evaluation on its own."""
        if trainer.state.fn != "fit":
            self._began = time.monotonic()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._began = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One line for an evaluation on its own; within training the epoch's line shows it."""
        if trainer.state.fn != "fit":
            self._finish(trainer, "val")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One line for the evaluation."""
        self._finish(trainer, "test")

    def _finish(self, trainer: pl.Trainer, stage: str) -> None:
        self._close()
        values = shown(trainer, {"mIoU": f"{stage}/miou", "FB-IoU": f"{stage}/fb_iou"})
        self._line(f"{stage}: {values}  [{clock(time.monotonic() - self._began)}]")
