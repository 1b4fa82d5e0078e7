"""Training: fit the head, then test the best checkpoint beside the baselines."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from hmseg import environment, evaluation
from hmseg.assembly import (
    build_callbacks,
    build_datamodule,
    build_loggers,
    build_module,
    build_trainer,
    plain_config,
)
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.source import class_names_of
from hmseg.module import SegmentationModule
from hmseg.results import print_classes, print_comparison, write_json
from hmseg.run_checkpoints import read_checkpoint

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> float | None:
    """The entry point's work; gives the best validation mIoU, for sweepers.

    Raises:
        HmsegError: data, weights or a checkpoint that cannot be used.
    """
    environment.commit()
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data = build_datamodule(cfg)
    module = build_module(cfg, data)
    trainer = build_trainer(cfg, build_callbacks(cfg), build_loggers(cfg))
    draw_evaluation(cfg, data)
    announce(cfg, data, module)
    if not trainer.fast_dev_run and trainer.is_global_zero:  # type: ignore[attr-defined]
        Path(cfg.paths.output_dir).mkdir(parents=True, exist_ok=True)
        write_config(cfg)
    for logger in trainer.loggers:
        logger.log_hyperparams(plain_config(cfg))
    if cfg.resume:
        read_checkpoint(cfg.resume)  # damage is found here, with our words
    trainer.fit(module, data, ckpt_path=cfg.resume, weights_only=True)
    best = best_checkpoint(trainer)
    if cfg.test:
        test_best(cfg, trainer, module, data, best)
    return float(best.best_model_score) if best and best.best_model_score is not None else None


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
        evaluation.name_classes(data.source, "val", data.classes),
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


def test_best(
    cfg: DictConfig,
    trainer: pl.Trainer,
    module: SegmentationModule,
    data: EpisodeDataModule,
    best: pl.callbacks.ModelCheckpoint | None,
) -> None:
    """Test the best checkpoint (without one, the network as it is) beside the baselines, and record it."""
    path = Path(best.best_model_path) if best and best.best_model_path else None
    if path is not None:
        module.restore(read_checkpoint(path))
    started = time.perf_counter()
    scores = evaluation.test(trainer, module, data)
    seconds = time.perf_counter() - started
    if not trainer.is_global_zero:
        return
    what = path.name if path else "the network after training"
    names = class_names_of(data.source, "test")
    print_classes(f"{what}: {evaluation.describe_episodes(data)}", scores[0], names)
    rows = {"trained network": scores}
    if cfg.baselines and not trainer.fast_dev_run:  # type: ignore[attr-defined]
        rows |= evaluation.baselines(cfg, data, module, trainer.strategy.root_device)
        print_comparison(f"The same {len(data.test_specs)} episodes", rows)
    if path is not None:
        record = evaluation.make_record(module, data, path, rows, seconds)
        target = evaluation.record_path(path, cfg.dataset.name, data)
        write_json(target, record)
        log.info("best checkpoint %s, record %s", path, target.name)
