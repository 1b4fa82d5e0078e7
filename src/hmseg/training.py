"""Training: fit the head, then test the best checkpoint beside the baselines, and the last one."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback

from hmseg import environment, evaluation
from hmseg.assembly import (
    build_callbacks,
    build_datamodule,
    build_loggers,
    build_module,
    build_trainer,
    plain_config,
)
from hmseg.callbacks import RunHistory
from hmseg.config.runs import RUN_FILE
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.source import class_names_of
from hmseg.episode_table import read_table
from hmseg.errors import CheckpointError, ConfigError
from hmseg.evaluation_record import make_record, table_path
from hmseg.module import SegmentationModule
from hmseg.plugins import ending_together, restoring
from hmseg.results import print_classes, print_comparison, write_json
from hmseg.run_checkpoints import has_optimizer, read_checkpoint, read_with_digest
from hmseg.run_origin import write_origin
from hmseg.tracking.origin import read_origin
from hmseg.tracking.run_logger import ends_its_runs
from hmseg.tracking.tables import log_test
from hmseg.visualise.mask_sheet import first_masks, write_sheet

log = logging.getLogger(__name__)


@ends_its_runs
def run(cfg: DictConfig) -> float | None:
    """The entry point's work; gives the best validation mIoU, for sweepers.

    Raises:
        HmsegError: data, weights or a checkpoint that cannot be used.
    """
    environment.commit()
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data = build_datamodule(cfg)
    module = build_module(cfg, data)
    origin = read_origin(Path(cfg.paths.output_dir)) if cfg.resume else None
    trainer = build_trainer(cfg, build_callbacks(cfg), build_loggers(cfg, "train", origin))
    draw_evaluation(cfg, data)
    announce(cfg, data, module)
    if not trainer.fast_dev_run and trainer.is_global_zero:  # type: ignore[attr-defined]
        Path(cfg.paths.output_dir).mkdir(parents=True, exist_ok=True)
        write_config(cfg)
        folder, devices = Path(cfg.paths.output_dir), trainer.world_size
        write_origin(folder, cfg.seed, data, cfg.test, devices, cfg.resume)
        if getattr(data.source, "own_data", False):  # whose masks nobody has looked at yet
            write_sheet(folder / "masks.jpg", first_masks(data.source, data.fold))
    for logger in trainer.loggers:
        logger.log_hyperparams(plain_config(cfg))
    if cfg.resume:
        check_resumed(cfg)
    with ending_together(trainer), restoring(trainer, cfg.resume):
        trainer.fit(module, data, ckpt_path=cfg.resume, weights_only=True)
        best = best_checkpoint(trainer)
        score = float(best.best_model_score) if best and best.best_model_score is not None else None
        mark_complete(cfg, trainer, score)
        if cfg.test:
            evaluate_checkpoints(cfg, trainer, module, data, best)
    return score


def check_resumed(cfg: DictConfig) -> None:
    """Refuse a checkpoint that can't be gone on from, with our words.

    Raises:
        CheckpointError: it is missing, damaged or not one of ours.
        ConfigError: fewer epochs are asked for than the run has begun.
    """
    checkpoint, most = read_checkpoint(cfg.resume), cfg.trainer.max_epochs
    epoch = checkpoint.get("epoch")
    remedy = "give another checkpoint of the run, or begin a new one"
    if type(epoch) is not int or epoch < 0:
        raise CheckpointError(f"{cfg.resume} doesn't say its epoch: {remedy}")
    if not has_optimizer(checkpoint):
        raise CheckpointError(f"{cfg.resume} holds no state of an optimiser: {remedy}")
    begun = epoch + 1
    if most is not None and 0 <= most < begun:
        raise ConfigError(
            f"trainer.max_epochs={most}: the run in {cfg.resume} has begun epoch {begun}; give at least as "
            "many, or begin a new run"
        )


def draw_evaluation(cfg: DictConfig, data: EpisodeDataModule) -> None:
    """Draw validation and test episodes now: lists that can't be tested on are found before the training."""
    episodes = len(data.val_specs) + (len(data.test_specs) if cfg.test else 0)
    log.debug("%d validation and test episodes drawn", episodes)


def announce(cfg: DictConfig, data: EpisodeDataModule, module: SegmentationModule) -> None:
    """What is about to be trained, in one line."""
    learnable = sum(p.numel() for p in module.network.parameters() if p.requires_grad)
    log.info(
        "%s, %s masking, backbone %s (%s), %s parameters to learn; %s fold %s, %d training pairs, without %s",
        type(module.network.head).__name__,
        type(module.network.masking).__name__.removesuffix("Masking").lower(),
        cfg.backbone.get("name", type(module.network.backbone).__name__),
        module.network.backbone.weights_origin,
        f"{learnable:,}",
        data.source.name,
        cfg.fold,
        len(data.train_listing.pairs),
        evaluation.name_classes(data.source, "val", data.source.classes("val", data.fold)),
    )
    log.info(evaluation.describe_lists(data.source))


def write_config(cfg: DictConfig) -> None:
    """The resolved configuration as ``config.yaml`` in the run folder."""
    path = Path(cfg.paths.output_dir) / "config.yaml"
    temporary = path.with_name(".config.yaml.part")
    temporary.write_text(OmegaConf.to_yaml(OmegaConf.create(plain_config(cfg))))
    temporary.replace(path)


def best_checkpoint(trainer: pl.Trainer) -> pl.callbacks.ModelCheckpoint | None:
    """The callback that keeps the best model by a validation score, if there is one."""
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, pl.callbacks.ModelCheckpoint) and callback.monitor:
            return callback
    return None


def evaluate_checkpoints(
    cfg: DictConfig,
    trainer: pl.Trainer,
    module: SegmentationModule,
    data: EpisodeDataModule,
    best: pl.callbacks.ModelCheckpoint | None,
) -> None:
    """Test the best checkpoint beside the baselines, then the last one; without any, the network as it is.

    The papers report the best; the last one shows how much of it is the choice.
    """
    chosen = Path(best.best_model_path) if best and best.best_model_path else None
    paths = [] if chosen is None else [chosen, chosen.with_name("last.ckpt")]
    paths = [path for path in dict.fromkeys(paths) if path.is_file()]
    for path in paths:
        with evaluation.recording(cfg, trainer, data, path):
            evaluate_one(cfg, trainer, module, data, path, with_baselines=cfg.baselines and path == chosen)
    if not paths:
        scores = evaluation.test(trainer, module, data)
        if trainer.is_global_zero:
            title = f"the network after training: {evaluation.describe_episodes(data)}"
            print_classes(title, scores[0], class_names_of(data.source, "test"))


def evaluate_one(
    cfg: DictConfig,
    trainer: pl.Trainer,
    module: SegmentationModule,
    data: EpisodeDataModule,
    path: Path,
    with_baselines: bool,
) -> None:
    """Test a checkpoint, print, and record it; an interrupted test goes on where it was."""
    checkpoint, checksum = read_with_digest(path)
    module.restore(checkpoint)
    journal = evaluation.start_journal(cfg, module, data, path, checksum, trainer.world_size)
    added: list[Callback] = [] if journal is None else [journal]
    trainer.callbacks.extend(added)  # type: ignore[attr-defined]  # set by its connector
    started = time.perf_counter()
    try:
        scores = evaluation.test(trainer, module, data)
    finally:
        for callback in added:
            trainer.callbacks.remove(callback)  # type: ignore[attr-defined]
    seconds = time.perf_counter() - started
    if not trainer.is_global_zero:
        return
    title = f"{path.name}: {evaluation.describe_episodes(data)}"
    print_classes(title, scores[0], class_names_of(data.source, "test"))
    rows = {"trained network": scores}
    if with_baselines and not trainer.fast_dev_run:  # type: ignore[attr-defined]
        rows |= evaluation.baselines(cfg, data, module, trainer.strategy.root_device)
        print_comparison(f"The same {len(data.test_specs)} episodes", rows)
    if journal is not None:
        whole = history_of(trainer)  # of a best checkpoint, too, the curve after it
        training = {} if whole is None else {"history": whole.validations, "seconds_in_all": whole.seconds}
        record = make_record(module, data, path, checkpoint, checksum, rows, seconds, training)
        target = evaluation.save_record(cfg, path, data, record, journal)
        log.info("checkpoint %s, record %s", path, target.name)
        log_test(
            trainer.loggers,
            record["checkpoint"]["which"],
            scores,
            class_names_of(data.source, "test"),
            read_table(table_path(target)),
            record["training"]["step"],
        )


def history_of(trainer: pl.Trainer) -> RunHistory | None:
    """The callback that knows the run's course, if there is one."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]  # set by its connector
    return next((each for each in callbacks if isinstance(each, RunHistory)), None)


def mark_complete(cfg: DictConfig, trainer: pl.Trainer, score: float | None = None) -> None:
    """Leaves word in the run folder that the training came to its end, by epochs, steps or time.

    Args:
        cfg: of the run.
        trainer: that trained.
        score: its best validation mIoU, for sweeps.
    """
    history = history_of(trainer)
    if history is None or trainer.fast_dev_run or not trainer.is_global_zero:  # type: ignore[attr-defined]
        return
    ended = {"run": history.run, "epochs": trainer.current_epoch, "steps": trainer.global_step}
    ended |= {"best_miou": score}
    write_json(Path(cfg.paths.output_dir) / RUN_FILE, ended | {"seconds": round(history.seconds, 1)})
