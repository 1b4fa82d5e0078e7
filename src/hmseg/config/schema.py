"""Typed schemas of the configuration: what keys there are, of what type, and what they mean.

Registered in Hydra's ConfigStore as ``train_schema``, ``evaluate_schema`` and ``<group>/_<name>``; the YAML
files of ``conf/`` inherit them through their defaults lists. Names beginning with ``_`` are no options of a
group. Values worth tuning stand in the YAML files, with their reasons; the help texts here are shown by
``--help``. Nodes typed ``Any`` are open, so that a user's own YAML can name its own ``_target_``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from hmseg.config.schema_app import AppConfig
from hmseg.config.schema_dashboard import DashboardConfig
from hmseg.config.schema_data import DATASETS, DatasetConfig
from hmseg.config.schema_export import ExportConfig
from hmseg.config.schema_masking import HybridMaskingConfig, InputMaskingConfig
from hmseg.config.schema_predict import PredictConfig
from hmseg.config.schema_report import ReportConfig
from hmseg.config.schema_reproduce import ReproduceConfig
from hmseg.config.schema_sweeps import SWEEPS


def _key(default: Any, text: str) -> Any:
    """A field with its help text; mutable defaults are copied for each instance."""
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata={"help": text})
    return field(default=default, metadata={"help": text})


@dataclass
class LoaderConfig:
    """How episodes are drawn and batched."""

    batch_size: int = _key(8, "training episodes per step (and process)")
    eval_batch_size: int = _key(8, "validation and test episodes per step")
    num_workers: int = _key(0, "processes that read images; 0 reads in the main process")
    train_episodes: int | None = _key(None, "training episodes per epoch; null: as published")
    train_shot: int = _key(1, "support images per training and validation episode; published: 1")
    replacement: bool = _key(True, "training: may a support come twice in an episode? published: true")
    draw: str = _key("published", "of training queries: published, or class (each class as often)")
    without: list[str] | None = _key(None, "names of classes that are not trained on; null: none")
    val_episodes: int | None = _key(
        100, "validation episodes, the same every time; null: as many as the test"
    )
    test_episodes: int | None = _key(None, "test episodes; null: as published: 1000, FSS-1000 2400")
    protocol: str = _key("hsnet", "how test episodes are drawn: hsnet, ifsl or strict")
    protocol_seed: Any = _key(0, "seed of the validation and test episodes, or a list of them; published: 0")
    original_size: bool = _key(False, "test at the query's own size")
    resize: str = _key("pil", "how images are resized: pil (antialiased bilinear) or opencv (bilinear)")
    augmentation: str = _key(
        "none", "of training images: none, vat (colours) or geometric (flip, scale, crop)"
    )
    selection: str = _key("published", "classes of validation: published (the test's), or clean (set aside)")
    cache: str | None = _key(None, "folder of resized images, kept between runs; auto; null: none")
    keep_images: int = _key(512, "resized images that evaluation keeps in memory, per reading process")


@dataclass
class FeaturesConfig:
    """Backbone maps kept in files, for runs on a CPU."""

    folder: str | None = _key(None, "folder of kept backbone maps, shared by all runs; auto; null: none")
    precision: str = _key("float32", "how they are kept: float32, or float16 (half the space, rounded)")
    limit_gb: float = _key(50.0, "most 10^9 bytes of one backbone's maps; what comes later is not kept")


@dataclass
class TrainerConfig:
    """Arguments of Lightning's Trainer."""

    accelerator: str = _key("auto", "auto, cpu, gpu, cuda or mps")
    devices: Any = _key("auto", "how many (-1: all), which ([0,2]), or auto")
    num_nodes: int = _key(1, "machines")
    strategy: str = _key("auto", "auto, ddp, …: Lightning's strategies")
    precision: str = _key("32-true", "32-true, 16-mixed, bf16-mixed, 64-true, …")
    max_epochs: int | None = _key(None, "epochs at most; -1 without end")
    min_epochs: int | None = _key(None, "epochs at least")
    max_steps: int = _key(-1, "optimiser steps at most; -1 without end")
    max_time: str | None = _key(None, "training time at most, DD:HH:MM:SS")
    val_check_interval: int | float | None = _key(1.0, "validate every so many steps (3) or epochs (0.5)")
    check_val_every_n_epoch: int | None = _key(1, "validate every so many epochs")
    limit_train_batches: int | float | None = _key(None, "so many training steps (10) or this share (0.1)")
    limit_val_batches: int | float | None = _key(None, "the same for validation")
    limit_test_batches: int | float | None = _key(None, "the same for the test")
    gradient_clip_val: float | None = _key(None, "clip the gradient's norm at this value")
    accumulate_grad_batches: int = _key(1, "steps whose gradients are summed before the optimiser's")
    log_every_n_steps: int = _key(10, "log every so many steps")
    fast_dev_run: bool | int = _key(False, "run so many steps of everything, write nothing")
    deterministic: bool = _key(False, "only operations that repeat bit by bit")
    benchmark: bool | None = _key(None, "let cuDNN look for the fastest kernels")
    num_sanity_val_steps: int | None = _key(0, "validation steps before training")
    enable_progress_bar: bool = _key(True, "show progress")
    enable_model_summary: bool = _key(True, "print the table of modules")
    use_distributed_sampler: bool = _key(False, "keep false: the data module shards the episodes itself")
    sync_batchnorm: bool = _key(False, "share batch statistics between processes")
    profiler: str | None = _key(None, "simple, advanced or pytorch")
    detect_anomaly: bool = _key(False, "stop where a gradient becomes NaN (slow)")


@dataclass
class PathsConfig:
    """Folders."""

    data: str = _key("data", "data sets")
    weights: str = _key("weights", "weight files")
    records: str | None = _key("results/records.jsonl", "file to which evaluations append; null: none")
    output_dir: str = _key("${hydra:runtime.output_dir}", "what a run writes")


@dataclass
class BackboneConfig:
    """Shipped backbones."""

    _target_: str = MISSING
    name: str = MISSING
    weights: str = _key(MISSING, "imagenet, bundled, random or a file")


@dataclass
class TimmBackboneConfig(BackboneConfig):
    """``backbone=timm`` and its examples."""

    blocks: list[list[int]] | None = None
    image_size: int | None = MISSING


@dataclass
class AdamConfig:
    """``optimizer=adam``."""

    _target_: str = MISSING
    _partial_: bool = True
    lr: float = MISSING
    betas: list[float] = _key([0.9, 0.999], "torch's defaults")
    eps: float = 1e-8
    weight_decay: float = MISSING


@dataclass
class AdamWConfig(AdamConfig):
    """``optimizer=adamw``: the same keys."""


@dataclass
class SGDConfig:
    """``optimizer=sgd``."""

    _target_: str = MISSING
    _partial_: bool = True
    lr: float = MISSING
    momentum: float = MISSING
    weight_decay: float = MISSING
    nesterov: bool = False


@dataclass
class BaseConfig:
    """Keys that training and evaluation share."""

    fold: int | None = _key(0, "fold whose classes are held out; null for a data set without folds")
    shot: int = _key(1, "support images per episode")
    aggregation: str = _key("vote", "of several supports: vote, mean_logits, mean_probability or concat")
    seed: int = _key(0, "seed of everything drawn in training")
    model: Any = MISSING
    masking: Any = MISSING
    backbone: Any = MISSING
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class TrainConfig(BaseConfig):
    """Root of ``train.yaml``."""

    resume: str | None = _key(None, "run folder or checkpoint to continue, in place")
    test: bool = _key(True, "test the best and the last checkpoint at the end")
    baselines: bool = _key(True, "also report all-foreground, untrained and training-free baselines")
    recompute: int | None = _key(None, "supports whose activations are held at once; null: of all")
    void_in_loss: str = _key("background", "void pixels in training: background, as published, or ignore")
    requeue: bool = _key(True, "in a SLURM job: a signal to stop puts the job back into the queue")
    optimizer: Any = MISSING
    logger: Any = field(default_factory=dict)
    callbacks: Any = field(default_factory=dict)


@dataclass
class EvaluateConfig(BaseConfig):
    """Root of ``evaluate.yaml``."""

    ckpt: str | None = _key(
        MISSING,
        "checkpoint, run folder (its best), or wandb:entity/project/artifact:alias; prototype: none",
    )
    protocol: str = _key("hsnet", "how test episodes are drawn: hsnet, ifsl or strict")
    episodes: str | None = _key(None, "file of hmseg.episodes: test on exactly its episodes")
    requeue: bool = _key(True, "in a SLURM job: a signal to stop puts the job back into the queue")
    baselines: bool = _key(False, "also report all-foreground, untrained and training-free baselines")
    logger: Any = field(default_factory=dict)


@dataclass
class EpisodesConfig:
    """Root of ``episodes.yaml``."""

    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    fold: int | None = _key(0, "fold whose classes are held out; null for a data set without folds")
    shot: int = _key(1, "support images per episode")
    protocol: str = _key("hsnet", "how the episodes are drawn: hsnet, ifsl or strict")
    episodes: int | None = _key(None, "how many for each seed; null: as published")
    seeds: list[int] = _key([0], "of the protocol; the episodes of each come one after the other")
    split: str = _key("test", "test or val")
    out: str | None = _key(None, "file to write")
    check: str | None = _key(None, "file to read and check against the data, instead of writing one")
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class ConvertConfig(BaseConfig):
    """Root of ``convert.yaml``; what it shares with training is what the new checkpoint says about itself."""

    source: str = _key(MISSING, "published file; with export=true a checkpoint or run folder of hmseg")
    out: str = _key(MISSING, "file to write")
    export: bool = _key(False, "the other way: a checkpoint of hmseg into its model's published format")
    overwrite: bool = _key(False, "replace out if it is there")


@dataclass
class PrepareConfig:
    """Root of ``prepare.yaml``."""

    fold: int | None = None  # no meaning here: dataset=fss sets it
    dataset: Any = MISSING
    root: str | None = _key(None, "folder of the benchmark; null: dataset.root")
    archive: Any = _key(None, "archives that are there already, or their folder: a path or [path,path]")
    url: Any = _key(None, "other places to fetch archives from: a URL or a list, recognised by its end")
    downloads: str | None = _key(None, "folder of fetched archives; null: downloads below the root")
    checksum: bool = _key(True, "archives must be the published ones; false for repacked ones")
    splits: str | None = _key(None, "fetch: get the published image lists from HSNet's repository")
    check: Any = _key(False, "true: only verify and print the table; deep: look at every file")
    workers: int | None = _key(None, "processes; null: as many as there are cores")
    paths: PathsConfig = field(default_factory=PathsConfig)


SCHEMAS: tuple[tuple[str | None, str, type], ...] = (
    (None, "train_schema", TrainConfig),
    (None, "evaluate_schema", EvaluateConfig),
    (None, "convert_schema", ConvertConfig),
    (None, "episodes_schema", EpisodesConfig),
    (None, "export_schema", ExportConfig),
    (None, "prepare_schema", PrepareConfig),
    (None, "predict_schema", PredictConfig),
    (None, "report_schema", ReportConfig),
    (None, "reproduce_schema", ReproduceConfig),
    (None, "app_schema", AppConfig),
    (None, "dashboard_schema", DashboardConfig),
    ("backbone", "_backbone", BackboneConfig),
    ("backbone", "_timm", TimmBackboneConfig),
    ("masking", "_hybrid", HybridMaskingConfig),
    ("masking", "_input", InputMaskingConfig),
    *DATASETS,
    ("optimizer", "_adam", AdamConfig),
    ("optimizer", "_adamw", AdamWConfig),
    ("optimizer", "_sgd", SGDConfig),
    *SWEEPS,
)


def register() -> None:
    """Put the schemas where the YAML files find them; repeating it changes nothing."""
    store = ConfigStore.instance()
    for group, name, node in SCHEMAS:
        store.store(name=name, node=node, group=group, provider="hmseg")
