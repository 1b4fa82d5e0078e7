"""What a W&B run gets besides the metrics that every logger gets."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, ModelCheckpoint

from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.source import class_names_of
from hmseg.errors import first_line
from hmseg.files import sha256
from hmseg.module import SegmentationModule
from hmseg.tracking.artifacts import TYPE, artifact_name
from hmseg.tracking.origin import Origin, write_origin
from hmseg.tracking.run_logger import RunLogger, run_loggers
from hmseg.tracking.tables import class_table

log = logging.getLogger(__name__)
STEP = "trainer/global_step"
BEST_SCORE = "val/miou_best"
"""What a W&B sweep is steered by (conf/wandb/sweep.yaml)."""
_BY_EPOCH = ("train/loss_epoch", "train/iou_epoch")
_BEST = {
    "val/miou": "max",
    "val/fb_iou": "max",
    "val/miou_small": "max",
    "val/loss": "min",
    "train/loss": "min",
}


class WandbRun(Callback):
    """Metrics with steps and summaries, IoU of classes, checkpoints; does nothing without ``logger=wandb``.

    The summary of a score is its best and its last value, ``val/miou.max`` and ``val/miou.last``;
    ``val/miou_best`` is a number that a sweep can be steered by. A table of classes is logged for each best
    validation so far. When the training has come to its end, its best and its last checkpoint go to W&B as
    versions ``best`` and ``last`` of one artifact.

    Args:
        checkpoints: false: checkpoints stay on this machine.
    """

    def __init__(self, checkpoints: bool = True) -> None:
        self.checkpoints = checkpoints
        self._best: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where the checkpoint was made."""
        self._best = state_dict["best"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Says what belongs to which step, and leaves word in the run folder which W&B run this is."""
        if not trainer.is_global_zero:
            return
        for logger in run_loggers(trainer.loggers):
            define_metrics(logger)
            write_origin(Path(trainer.default_root_dir), logger.origin)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the best mIoU so far, and the IoU of each class where it is this one's."""
        score = trainer.callback_metrics.get("val/miou")
        if trainer.sanity_checking or trainer.state.fn != "fit" or score is None:
            return
        better = self._best is None or float(score) > self._best
        self._best = max(float(score), -1.0 if self._best is None else self._best)
        for logger in run_loggers(trainer.loggers) if trainer.is_global_zero else ():
            values: dict[str, Any] = {BEST_SCORE: self._best}
            if better:
                values["val/classes"] = _classes(trainer, pl_module)
            logger.log_step(values, trainer.global_step)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sends the checkpoints."""
        if self.checkpoints and trainer.is_global_zero:
            paths = _checkpoints(trainer)
            for logger in run_loggers(trainer.loggers) if paths else ():
                send_checkpoints(logger, paths, trainer)


def define_metrics(logger: RunLogger) -> None:
    """Steps and summaries of the metrics; what isn't named goes by the step and is its last value."""
    run = logger.experiment
    run.define_metric("epoch", step_metric=STEP)
    for name in _BY_EPOCH:
        run.define_metric(name, step_metric="epoch")
    for name, best in _BEST.items():
        run.define_metric(name, step_metric=STEP, summary=f"{best},last")
    run.define_metric("test/*", step_metric=STEP, hidden=True)  # of whichever checkpoint: test_best/… tell


def send_checkpoints(logger: RunLogger, paths: list[Path], trainer: pl.Trainer) -> None:
    """Logs checkpoints as versions of the run's artifact, each under its name as alias.

    What W&B doesn't take stays on this machine, with a warning: the training is done, and its test follows.

    Args:
        logger: of the run.
        paths: ``best.ckpt``, ``last.ckpt``; the last one becomes ``latest``.
        trainer: of the training.
    """
    from wandb.errors import Error

    origin = logger.origin
    assert origin.run is not None
    name, held = artifact_name(origin.run), {}
    for path in paths:
        about = _about(path, origin, trainer)
        try:
            _send(logger, name, path, about)
        except (Error, ValueError, OSError) as error:
            log.warning("%s was not sent to W&B (%s)", path.name, first_line(error))
        else:
            held[path.name] = f"{name}:{path.stem}"
    write_origin(Path(trainer.default_root_dir), replace(origin, artifacts=held))


def _send(logger: RunLogger, name: str, path: Path, about: dict[str, Any]) -> None:
    import wandb

    artifact = wandb.Artifact(name, TYPE, metadata=about)
    artifact.add_file(str(path), name=path.name)  # a copy: last.ckpt may be written again
    logger.experiment.log_artifact(artifact, aliases=[path.stem])


def _about(path: Path, origin: Origin, trainer: pl.Trainer) -> dict[str, Any]:
    """What is known of a checkpoint; an evaluation takes group and run from it."""
    about = {"sha256": sha256(path), "run": origin.run, "group": origin.group}
    if path.stem == "last":
        return {**about, "step": trainer.global_step}
    return {**about, "val_miou": _score(trainer)}


def _checkpoints(trainer: pl.Trainer) -> list[Path]:
    """The best and the last one, as far as there are any."""
    folders = {Path(each.dirpath) for each in _savers(trainer) if each.dirpath}
    found = [folder / f"{stem}.ckpt" for stem in ("best", "last") for folder in sorted(folders)]
    return [path for path in found if path.is_file()]


def _savers(trainer: pl.Trainer) -> list[ModelCheckpoint]:
    return [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]


def _score(trainer: pl.Trainer) -> float | None:
    """The best checkpoint's."""
    scores = [each.best_model_score for each in _savers(trainer) if each.monitor]
    return next((float(score) for score in scores if score is not None), None)


def _classes(trainer: pl.Trainer, pl_module: pl.LightningModule) -> Any:
    data = trainer.datamodule  # type: ignore[attr-defined]  # set by its connector
    assert isinstance(pl_module, SegmentationModule) and isinstance(data, EpisodeDataModule)
    assert pl_module.scores is not None
    return class_table(pl_module.scores, class_names_of(data.source, "val"))
