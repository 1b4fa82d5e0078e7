"""Evaluation of a checkpoint on the test episodes of a fold, and of the baselines beside it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Callback
from tqdm import tqdm  # type: ignore[import-untyped]

from hmseg import environment
from hmseg.assembly import (
    build_datamodule,
    build_head,
    build_loggers,
    build_module,
    build_trainer,
    plain_config,
    write_untrained,
)
from hmseg.baselines import AllForeground, Predictor, prototype, score
from hmseg.callbacks import Interruption, RunProgress
from hmseg.callbacks.journal import ELSEWHERE, TestJournal
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.source import Source, Split, class_names_of
from hmseg.episode_table import read_table, write_table
from hmseg.errors import DataError, HmsegError
from hmseg.evaluation_record import (
    Pair,
    about_training,
    by_seed,
    identity,
    make_record,
    record_path,
    table_path,
)
from hmseg.files import owned
from hmseg.module import SegmentationModule
from hmseg.networks import FewShotNetwork
from hmseg.plugins import ending_together
from hmseg.records import Record, append_record
from hmseg.results import print_classes, print_comparison, write_json
from hmseg.run_checkpoints import read_with_digest
from hmseg.tracking.lineage import use_checkpoint
from hmseg.tracking.origin import origin_of
from hmseg.tracking.run_logger import ends_its_runs, run_loggers
from hmseg.tracking.tables import log_test

log = logging.getLogger(__name__)


@ends_its_runs
def run(cfg: DictConfig) -> float:
    """The entry point's work: evaluate ``cfg.ckpt``, print, record; gives the mIoU.

    An evaluation that was stopped goes on where it was.

    Raises:
        HmsegError: a checkpoint or data that cannot be used.
    """
    environment.commit()
    path = write_untrained(cfg) if cfg.ckpt is None else Path(cfg.ckpt).expanduser()
    checkpoint, checksum = read_with_digest(path)
    about_training(path, checkpoint)  # its record will tell of it: what can't be told is found now
    data = build_datamodule(cfg)
    episodes = len(data.test_specs)  # drawn now: lists or a manifest that can't be used are found at once
    log.info("%s; %d episodes", describe_lists(data.source), episodes)
    module = build_module(cfg, data)
    module.restore(checkpoint)
    callbacks: dict[str, Callback] = {"interruption": Interruption()}
    if cfg.trainer.enable_progress_bar:
        callbacks["progress"] = RunProgress()
    trainer = build_trainer(cfg, callbacks, build_loggers(cfg, "evaluate", origin_of(path)))
    with recording(cfg, trainer, data, path), ending_together(trainer):
        start_logging(cfg, trainer, path)
        return _evaluate(cfg, trainer, module, data, path, checkpoint, checksum)


def _evaluate(
    cfg: DictConfig,
    trainer: pl.Trainer,
    module: SegmentationModule,
    data: EpisodeDataModule,
    path: Path,
    checkpoint: Mapping[str, Any],
    checksum: str,
) -> float:
    journal = start_journal(cfg, module, data, path, checksum, trainer.world_size)
    if journal is not None:
        trainer.callbacks.append(journal)  # type: ignore[attr-defined]  # set by its connector
    started = time.perf_counter()
    scores = test(trainer, module, data)
    seconds = time.perf_counter() - started
    if not trainer.is_global_zero:
        return scores[0].miou
    title = f"{cfg.dataset.name}, {describe_episodes(data)}: {path.name}"
    print_classes(title, scores[0], class_names_of(data.source, "test"))
    if spread := by_seed(module, data):
        print(f"mIoU by seed: {spread['miou_mean']:.2f} ± {spread['miou_std']:.2f}")
    rows = {"this checkpoint": scores}
    if cfg.baselines:
        rows |= baselines(cfg, data, module, trainer.strategy.root_device)
        print_comparison(f"The same {len(data.test_specs)} episodes", rows)
    if journal is not None:
        record = make_record(module, data, path, checkpoint, checksum, rows, seconds)
        target = save_record(cfg, path, data, record, journal)
        print(f"written to {target}")
        which, step = record["checkpoint"]["which"], record["training"]["step"] or 0
        names = class_names_of(data.source, "test")
        log_test(trainer.loggers, which, scores, names, read_table(table_path(target)), step)
    return scores[0].miou


def start_logging(cfg: DictConfig, trainer: pl.Trainer, path: Path) -> None:
    """Tells the loggers the configuration, and W&B which checkpoint is tested."""
    for logger in trainer.loggers:
        logger.log_hyperparams(plain_config(cfg))
    if trainer.is_global_zero:
        for run in run_loggers(trainer.loggers):
            use_checkpoint(run, path)


def recording(
    cfg: DictConfig, trainer: pl.Trainer, data: EpisodeDataModule, path: Path
) -> AbstractContextManager[None]:
    """While it lasts, no other process tests what goes into the same record.

    Raises:
        HmsegError: another one does, or the checkpoint's folder can't be written.
    """
    if not trainer.is_global_zero or cfg.trainer.fast_dev_run:
        return nullcontext()
    target = record_path(path, cfg.dataset.name, data, cfg.aggregation, cfg.trainer.precision)
    return owned(target.with_name(f".{target.stem}.lock"), f"the record {target}", ELSEWHERE)


def start_journal(
    cfg: DictConfig,
    module: SegmentationModule,
    data: EpisodeDataModule,
    path: Path,
    checksum: str,
    devices: int,
) -> TestJournal | None:
    """The journal of a test that is about to start, after telling module and data what is done already.

    None in a fast development run, which leaves nothing. One episode at least is left for each device.
    """
    if cfg.trainer.fast_dev_run:
        return None
    target = record_path(path, cfg.dataset.name, data, cfg.aggregation, cfg.trainer.precision)
    key = identity(module, data, checksum)
    journal = TestJournal(target.with_name(f"{target.stem}.unfinished"), key)
    done = journal.done[: max(0, len(data.test_specs) - devices)]
    if len(done):
        log.info("%d of %d episodes were tested before: going on", len(done), len(data.test_specs))
    module.tested = torch.from_numpy(done)
    data.tested = frozenset(done[:, 0].tolist())
    return journal


def save_record(
    cfg: DictConfig, path: Path, data: EpisodeDataModule, record: Record, journal: TestJournal
) -> Path:
    """Writes record and table of episodes beside the checkpoint, and adds them to ``cfg.paths.records``.

    Returns:
        The record's path.

    Raises:
        DataError: they can't be written, or the table isn't of as many episodes as the record.
    """
    target = record_path(path, cfg.dataset.name, data, cfg.aggregation, cfg.trainer.precision)
    table = journal.read()
    if len(table) != record["episodes"]:
        raise DataError(
            f"{journal.path}.* hold {len(table)} episodes, {record['episodes']} were tested: something else "
            "has changed these files; evaluate the checkpoint again"
        )
    write_table(table_path(target), table)
    write_json(target, record)
    if cfg.paths.records is not None:
        records = Path(cfg.paths.records).expanduser()
        records.parent.mkdir(parents=True, exist_ok=True)
        append_record(records, record, table)
    journal.remove()
    return target


def test(trainer: pl.Trainer, module: SegmentationModule, data: EpisodeDataModule) -> Pair:
    """Run the test episodes; overall scores and those on small objects."""
    trainer.test(module, data, verbose=False)
    if module.scores is None or module.small_scores is None:
        raise HmsegError("no test episode was run: trainer.limit_test_batches must leave at least one batch")
    return module.scores, module.small_scores


def baselines(
    cfg: DictConfig, data: EpisodeDataModule, module: SegmentationModule, device: torch.device
) -> dict[str, Pair]:
    """What any training must beat, on the same episodes at the network's size.

    The network with its head as it was before training, the training-free prototype on the same backbone,
    and everything foreground.
    """
    network = module.network.to(device)  # Lightning takes it off a GPU when the test ends
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.seed)
        head = build_head(cfg, network.backbone)
    untrained = FewShotNetwork(network.backbone, network.masking, head).eval().to(device)
    rows: dict[str, Predictor] = {
        "untrained network": untrained,
        "prototype, no training": prototype(network.backbone).to(device),
        "everything foreground": AllForeground(),
    }
    log.info("scoring the baselines on %d episodes", len(data.test_specs))
    shown = tqdm(
        data.whole_test(), desc="baselines", unit="batch", leave=False, disable=None
    )  # on a terminal
    return score(rows, shown, data.test_classes, device)


def describe_episodes(data: EpisodeDataModule) -> str:
    """Fold, shots and protocol in words."""
    fold = "" if data.fold is None else f"fold {data.fold}, "
    drawn = "of a manifest" if data.manifest else f"protocol {data.protocol}"
    return f"{fold}{data.shot}-shot, {len(data.test_specs)} episodes, {drawn}"


def describe_lists(source: Source) -> str:
    """Whether the image lists are the published ones, in words."""
    what = "the published ones" if source.lists == "published" else "own, not the published ones"
    return f"image lists of {source.name}: {what}"


def name_classes(source: Source, split: Split, classes: Sequence[int]) -> str:
    """Names of classes, the first twenty of them."""
    names = [class_names_of(source, split)[each] for each in classes]
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
