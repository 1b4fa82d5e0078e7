"""Evaluation of a checkpoint on the test episodes of a fold, and of the baselines beside it."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from tqdm import tqdm  # type: ignore[import-untyped]

from hmseg import environment
from hmseg.assembly import build_datamodule, build_head, build_module, build_trainer
from hmseg.baselines import AllForeground, CorrelationPrior, Predictor, score
from hmseg.callbacks import RunProgress
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.protocols import digest
from hmseg.data.source import Source, Split, class_names_of
from hmseg.errors import HmsegError
from hmseg.metrics import SMALL_OBJECT, Scores
from hmseg.module import SegmentationModule
from hmseg.networks import FewShotNetwork
from hmseg.results import print_classes, print_comparison, scores_record, sha256, write_json
from hmseg.run_checkpoints import provenance, read_checkpoint

log = logging.getLogger(__name__)
CALIBRATION_EPISODES = 40
"""Training episodes on which the correlation prior's threshold is chosen."""
ELSEWHERE = ("callbacks", "logger", "paths", "hydra")
"""Parts of the configuration that say where things go and change no number: left out of records."""

Pair = tuple[Scores, Scores]
"""Scores of all episodes, and of those with a small query object."""


def run(cfg: DictConfig) -> float:
    """The entry point's work: evaluate ``cfg.ckpt``, print, write a JSON record beside it; gives the mIoU.

    Raises:
        HmsegError: a checkpoint or data that cannot be used.
    """
    environment.commit()
    path = Path(cfg.ckpt).expanduser()
    checkpoint = read_checkpoint(path)
    data = build_datamodule(cfg)
    episodes = len(data.test_specs)  # drawn now: lists or a manifest that can't be used are found at once
    log.info("%s; %d episodes", describe_lists(data.source), episodes)
    module = build_module(cfg, data)
    module.restore(checkpoint)
    progress = {"progress": RunProgress()} if cfg.trainer.enable_progress_bar else {}
    trainer = build_trainer(cfg, progress)
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
    record = make_record(module, data, path, rows, seconds) | {
        "trained": {"epoch": checkpoint.get("epoch"), "step": checkpoint.get("global_step")}
    }
    record["checkpoint"] |= provenance(checkpoint)
    target = record_path(path, cfg.dataset.name, data)
    write_json(target, record)
    print(f"written to {target}")
    return scores[0].miou


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

    The network with its head as it was before training; the training-free correlation prior, its threshold
    chosen on training classes; everything foreground.
    """
    network = module.network.to(device)  # Lightning takes it off a GPU when the test ends
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cfg.seed)
        head = build_head(cfg, network.backbone)
    untrained = FewShotNetwork(network.backbone, network.masking, head).eval().to(device)
    prior = CorrelationPrior(network.backbone)
    batches = islice(data.train_dataloader(), max(1, CALIBRATION_EPISODES // data.batch_size))
    threshold = prior.calibrate(batches, device)
    rows: dict[str, Predictor] = {
        "untrained network": untrained,
        f"correlation prior (threshold {threshold:.2f})": prior,
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


def by_seed(module: SegmentationModule, data: EpisodeDataModule) -> dict[str, Any]:
    """Scores of each protocol seed, mean and standard deviation; empty for one seed."""
    each = [(scores.miou, scores.fb_iou) for scores in module.scores_by_seed]
    if not each:
        return {}
    mious = [miou for miou, _ in each]
    return {
        "miou_mean": statistics.mean(mious),
        "miou_std": statistics.stdev(mious),
        "seeds": [
            {"seed": seed, "miou": miou, "fb_iou": fb_iou}
            for seed, (miou, fb_iou) in zip(data.protocol_seeds, each, strict=True)
        ],
    }


def record_path(checkpoint: Path, dataset: str, data: EpisodeDataModule) -> Path:
    """Where the record of an evaluation goes: beside the checkpoint, one file for each setting."""
    fold = "" if data.fold is None else f"-fold{data.fold}"
    drawn = f"manifest{digest(data.test_specs)[:8]}" if data.manifest else data.protocol
    setting = f"{dataset}{fold}-{data.shot}shot-{drawn}-{len(data.test_specs)}"
    if data.protocol_seeds != (0,) and not data.manifest:
        setting += f"-seed{'-'.join(map(str, data.protocol_seeds))}"
    if data.original_size:
        setting += "-original"
    return checkpoint.with_name(f"{checkpoint.stem}.{setting}.json")


def make_record(
    module: SegmentationModule,
    data: EpisodeDataModule,
    checkpoint: Path,
    rows: dict[str, Pair],
    seconds: float,
) -> dict[str, Any]:
    """Everything needed to understand and repeat an evaluation; the first row is the result."""
    names = class_names_of(data.source, "test")
    seeds = list(data.protocol_seeds)
    (_, (overall, small)), *others = rows.items()
    return {
        "format": 1,
        **scores_record(overall, names),
        "small_objects": {"below": SMALL_OBJECT, **scores_record(small, names), "miou": small.miou_seen},
        "baselines": {
            name: {**scores_record(one, names), "miou_small": few.miou_seen} for name, (one, few) in others
        },
        "test": {
            "dataset": data.source.name,
            "fold": data.fold,
            "shot": data.shot,
            "protocol": "manifest" if data.manifest else data.protocol,
            "protocol_seed": seeds[0] if len(seeds) == 1 else seeds,
            "manifest": data.manifest.header() if data.manifest else None,
            "lists": data.source.lists,
            "size": list(data.size),
            "original_size": data.original_size,
            "digest": digest(data.test_specs),
        },
        **by_seed(module, data),
        "seconds": round(seconds, 1),
        "checkpoint": {"file": checkpoint.name, "sha256": sha256(checkpoint), "origin": "trained"},
        "backbone": {
            "weights": module.network.backbone.weights_origin,
            "fingerprint": module.backbone_fingerprint(),
        },
        "config": {key: value for key, value in module.config.items() if key not in ELSEWHERE},
        **environment.describe(),
    }
