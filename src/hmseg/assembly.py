"""From a checked configuration to the objects that it names."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback, Checkpoint, LearningRateMonitor, ProgressBar
from pytorch_lightning.loggers import Logger

from hmseg.backbones import Backbone
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.manifest import read_manifest
from hmseg.errors import ConfigError
from hmseg.feature_store import FeatureStore
from hmseg.files import chosen_folder, writing_bytes
from hmseg.module import SegmentationModule
from hmseg.networks import FewShotNetwork, Head
from hmseg.plugins import WholeCheckpoints, check_cluster, cluster, strategy_of
from hmseg.run_checkpoints import fingerprint, pack, unpack
from hmseg.tracking.labels import labels_of
from hmseg.tracking.origin import Origin
from hmseg.tracking.run_logger import label_runs

UNTRAINED = Path("outputs") / "untrained"
"""Where checkpoints of networks without training are, below the working folder."""


def plain_config(cfg: DictConfig) -> dict[str, Any]:
    """The configuration with every interpolation resolved, as plain data."""
    resolved = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def build_network(cfg: DictConfig) -> FewShotNetwork:
    """Backbone, masking and head of ``cfg.backbone``, ``cfg.masking`` and ``cfg.model``, in eval mode."""
    backbone = instantiate(cfg.backbone)
    head = build_head(cfg, backbone)
    store = build_store(cfg, backbone, head) if "features" in cfg else None
    return FewShotNetwork(
        backbone,
        instantiate(cfg.masking),
        head,
        store=store,
        join_shots=cfg.aggregation == "concat",
        recompute=cfg.get("recompute"),  # of a training only
    ).eval()


def load_network(cfg: DictConfig, checkpoint: MutableMapping[str, Any]) -> FewShotNetwork:
    """The network of ``cfg`` with the weights of one of our checkpoints, in eval mode.

    Args:
        cfg: with model, masking, backbone and aggregation.
        checkpoint: as :func:`hmseg.run_checkpoints.read_checkpoint` gives it; changed in place.

    Raises:
        CheckpointError: it is of another network.
        WeightsError: it doesn't hold its backbone, and the weights can't be had.
    """
    network = build_network(cfg)
    own = {f"network.{name}": value for name, value in network.state_dict().items()}
    unpack(checkpoint, own, network.backbone.weights_origin, lambda: fingerprint(network.backbone))
    state: Mapping[str, Any] = checkpoint["state_dict"]
    network.load_state_dict({name.removeprefix("network."): value for name, value in state.items()})
    return network


def untrained_checkpoint(cfg: DictConfig) -> dict[str, Any]:
    """Return what a checkpoint of a network without learnable parameters holds: its configuration.

    Fold, shot and places are left out, so that one network has one checkpoint.

    Raises:
        ConfigError: the network has parameters to train.
    """
    network = build_network(cfg)
    if learnable := [name for name, each in network.named_parameters() if each.requires_grad]:
        raise ConfigError(f"ckpt: a value is required; this network is to be trained ({learnable[0]}, …)")
    config = plain_config(cfg)
    config = {key: config[key] for key in ("model", "masking", "backbone", "dataset", "aggregation", "seed")}
    config["loader"] = {"resize": cfg.loader.resize}
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    checkpoint = {"state_dict": state, "epoch": 0, "global_step": 0}
    pack(checkpoint, network.backbone.weights_origin, fingerprint(network.backbone), config)
    return checkpoint


def write_untrained(cfg: DictConfig) -> Path:
    """Write the checkpoint of a network without training to `UNTRAINED`, under a name of its settings.

    An evaluation leaves its records beside it, and finds them again when it is repeated.

    Raises:
        ConfigError: the network has parameters to train.
        DataError: the file can't be written.
    """
    checkpoint = untrained_checkpoint(cfg)
    about = json.dumps(checkpoint["hmseg"], sort_keys=True).encode()
    path = UNTRAINED / f"prototype-{hashlib.sha256(about).hexdigest()[:8]}.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        with writing_bytes(path) as file:
            torch.save(checkpoint, file)
    return path


def build_store(cfg: DictConfig, backbone: Backbone, head: Head) -> FeatureStore | None:
    """Where the maps of ``cfg.backbone`` are kept, as ``cfg.features`` says; None for nowhere."""
    folder = chosen_folder(cfg.features.folder, "features")
    if folder is None:
        return None
    # Two backbones may have the same weights and yet other maps (strides, blocks), so their options count.
    options = OmegaConf.to_container(cfg.backbone, resolve=True)
    made_by = json.dumps([fingerprint(backbone), options, sorted(head.levels)], sort_keys=True)
    return FeatureStore(folder, made_by, cfg.features.precision, cfg.features.limit_gb)


def build_head(cfg: DictConfig, backbone: Backbone) -> Head:
    """The untrained head of ``cfg.model`` for the maps of a backbone."""
    head: Head = instantiate(cfg.model)(backbone.feature_info)
    return head


def build_datamodule(cfg: DictConfig) -> EpisodeDataModule:
    """Episodes of ``cfg.dataset``, ``cfg.fold``, ``cfg.shot``, drawn and batched as ``cfg.loader`` says."""
    return EpisodeDataModule(
        source=instantiate(cfg.dataset.source),
        fold=cfg.fold,
        size=cfg.dataset.image_size,
        shot=cfg.shot,
        seed=cfg.seed,
        manifest=read_manifest(Path(cfg.episodes).expanduser()) if cfg.get("episodes") else None,
        **OmegaConf.to_container(cfg.loader, resolve=True),  # type: ignore[arg-type]
    )


def build_module(cfg: DictConfig, data: EpisodeDataModule) -> SegmentationModule:
    """The Lightning module of training (with an optimizer) or evaluation (without)."""
    optimizer = instantiate(cfg.optimizer) if "optimizer" in cfg else None
    return SegmentationModule(
        build_network(cfg),
        optimizer,
        data.classes,
        plain_config(cfg),
        original_size=cfg.loader.original_size,
        test_classes=data.test_classes,
        test_lists=data.test_lists,
        void_in_loss=cfg.get("void_in_loss", "background"),
        aggregation=cfg.aggregation,
    )


def build_trainer(
    cfg: DictConfig, callbacks: Mapping[str, Callback] | None = None, loggers: list[Logger] | None = None
) -> pl.Trainer:
    """Lightning's Trainer with the arguments of ``cfg.trainer`` and our plugins.

    Raises:
        ConfigError: SLURM started other processes than ``cfg.trainer`` is for.
    """
    # Reading images in the main process is a choice (loader.num_workers=0), and a short epoch no mistake.
    warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
    warnings.filterwarnings(
        "ignore", message=r"The number of training batches .* is smaller than the logging"
    )
    options: dict[str, Any] = OmegaConf.to_container(cfg.trainer, resolve=True)  # type: ignore[assignment]
    options["strategy"] = strategy_of(options["strategy"])
    trainer = pl.Trainer(
        **options,
        callbacks=list((callbacks or {}).values()),
        plugins=[WholeCheckpoints(), *cluster()],
        logger=loggers or False,
        enable_checkpointing=any(isinstance(each, Checkpoint) for each in (callbacks or {}).values()),
        default_root_dir=cfg.paths.output_dir,
    )
    check_cluster(trainer.num_devices, trainer.num_nodes)
    if not trainer.is_global_zero:  # all processes do the same: one tells of it
        for handler in logging.getLogger().handlers:
            handler.setLevel(logging.WARNING)
    return trainer


def build_callbacks(cfg: DictConfig) -> dict[str, Callback]:
    """The callbacks of ``cfg.callbacks`` by name; entries set to null are left out.

    So are checkpoints in a fast development run (Lightning still writes those saved by the clock there),
    progress bars where ``trainer.enable_progress_bar`` is false, and the learning rate's monitor where there
    is no logger (Lightning refuses them then).
    """
    named = {name: instantiate(node) for name, node in (cfg.callbacks or {}).items() if node is not None}
    unwanted: tuple[type[Callback], ...] = ()
    if cfg.trainer.fast_dev_run:
        unwanted += (Checkpoint,)
    if not cfg.trainer.enable_progress_bar:
        unwanted += (ProgressBar,)
    if not any((cfg.logger or {}).values()):
        unwanted += (LearningRateMonitor,)
    return {name: each for name, each in named.items() if not isinstance(each, unwanted)}


def build_loggers(cfg: DictConfig, kind: str, origin: Origin | None = None) -> list[Logger]:
    """The loggers of ``cfg.logger``; entries set to null are left out.

    Args:
        cfg: of a training or evaluation.
        kind: ``train`` or ``evaluate``, for W&B.
        origin: the W&B run that is continued, or whose checkpoint is evaluated.
    """
    loggers = [instantiate(node) for node in (cfg.logger or {}).values() if node is not None]
    label_runs(loggers, labels_of(plain_config(cfg), kind, chosen_experiment()), origin)
    return loggers


def chosen_experiment() -> str | None:
    """The option of ``experiment=…``; None for none, and outside a run."""
    run = HydraConfig.get() if HydraConfig.initialized() else None
    name = None if run is None else run.runtime.choices.get("experiment")
    return None if name is None else str(name)
