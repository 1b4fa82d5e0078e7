"""The record of an evaluation: everything needed to understand, repeat and compare it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hmseg import environment
from hmseg.config.runs import RUN_FILE
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.protocols import digest
from hmseg.data.source import class_names_of
from hmseg.errors import CheckpointError
from hmseg.metrics import SMALL_OBJECT, Scores
from hmseg.module import SegmentationModule
from hmseg.records import FORMAT, Record, record_id
from hmseg.results import scores_record
from hmseg.run_checkpoints import HISTORY, entry, provenance
from hmseg.untrusted import json_or_none, parsing

ELSEWHERE = (
    "callbacks", "logger", "paths", "hydra", "features", "resume", "ckpt", "episodes", "recompute", "requeue",
)  # fmt: skip
"""Parts of the configuration that say where things go and change no number: left out of records."""
FULL_PRECISION = "32-true"
NETWORK = ("model", "masking", "backbone")

Pair = tuple[Scores, Scores]
"""Scores of all episodes, and of those with a small query object."""


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


def record_path(
    checkpoint: Path,
    dataset: str,
    data: EpisodeDataModule,
    aggregation: str = "vote",
    precision: str = FULL_PRECISION,
) -> Path:
    """Where the record of an evaluation goes: beside the checkpoint, one file for each setting."""
    fold = "" if data.fold is None else f"-fold{data.fold}"
    drawn = f"manifest{digest(data.test_specs)[:8]}" if data.manifest else data.protocol
    setting = f"{dataset}{fold}-{data.shot}shot-{drawn}-{len(data.test_specs)}"
    if data.protocol_seeds != (0,) and not data.manifest:
        setting += f"-seed{'-'.join(map(str, data.protocol_seeds))}"
    if data.original_size:
        setting += "-original"
    if aggregation != "vote":
        setting += f"-{aggregation}"
    if precision != FULL_PRECISION:
        setting += f"-{precision}"
    return checkpoint.with_name(f"{checkpoint.stem}.{setting}.json")


def table_path(record: Path) -> Path:
    """Where the table of episodes of a record beside a checkpoint is.

    Example:
        >>> table_path(Path("best.shapes-fold0-1shot-hsnet-1000.json")).name
        'best.shapes-fold0-1shot-hsnet-1000.episodes.csv.gz'
    """
    return record.with_name(f"{record.stem}.episodes.csv.gz")


def tested_on(module: SegmentationModule, data: EpisodeDataModule) -> dict[str, Any]:
    """The record's ``test`` entry: which episodes, at what size, and how supports are put together."""
    seeds = list(data.protocol_seeds)
    return {
        "dataset": data.source.name,
        "fold": data.fold,
        "shot": data.shot,
        "protocol": "manifest" if data.manifest else data.protocol,
        "protocol_seed": seeds[0] if len(seeds) == 1 else seeds,
        "manifest": data.manifest.header() if data.manifest else None,
        "lists": data.source.lists,
        "size": list(data.size),
        "original_size": data.original_size,
        "resize": data.resize,
        "digest": digest(data.test_specs),
        "aggregation": module.config.get("aggregation", "vote"),
    }


def identity(module: SegmentationModule, data: EpisodeDataModule, checkpoint: str) -> str:
    """The id of the record that an evaluation will leave.

    Args:
        module: with its configuration.
        data: of the evaluation.
        checkpoint: SHA-256 of the checkpoint.
    """
    network = {part: _without_places(module.config.get(part)) for part in NETWORK}
    kept = (module.config.get("features") or {}).get("precision") if module.network.store else None
    rounded = {"features": kept} if kept == "float16" else {}
    precision = (module.config.get("trainer") or {}).get("precision", FULL_PRECISION)
    if precision != FULL_PRECISION:
        rounded["precision"] = precision
    return record_id(checkpoint, tested_on(module, data), network | rounded)


def _without_places(node: Any) -> Any:
    """A backbone's weights may lie anywhere: the checkpoint's fingerprint says which they are."""
    return {key: value for key, value in node.items() if key != "weights"} if isinstance(node, dict) else node


def make_record(
    module: SegmentationModule,
    data: EpisodeDataModule,
    path: Path,
    checkpoint: Mapping[str, Any],
    checksum: str,
    rows: dict[str, Pair],
    seconds: float,
    training: Mapping[str, Any] | None = None,
) -> Record:
    """The record of an evaluation.

    Args:
        module: that was tested.
        data: its episodes.
        path: of the checkpoint.
        checkpoint: its content.
        checksum: SHA-256 of the file that was read; another one may have its name by now.
        rows: scores by name; the first are the checkpoint's, the others its baselines'.
        seconds: that the test took.
        training: what is known of the training beyond what the checkpoint tells.
    """
    names = class_names_of(data.source, "test")
    (_, (overall, small)), *others = rows.items()
    about = about_training(path, checkpoint) | dict(training or {})
    return {
        "format": FORMAT,
        "id": identity(module, data, checksum),
        **scores_record(overall, names),
        "small_objects": {"below": SMALL_OBJECT, **scores_record(small, names), "miou": small.miou_seen},
        "baselines": {
            name: {**scores_record(one, names), "miou_small": few.miou_seen} for name, (one, few) in others
        },
        "test": tested_on(module, data),
        **by_seed(module, data),
        "seconds": round(seconds, 1),
        "resumed": 0 if module.tested is None else len(module.tested),  # episodes not in these seconds
        "kept_maps": module.network.store is not None,  # and a backbone that had less to do
        "checkpoint": {
            "file": path.name,
            "sha256": checksum,
            "which": path.stem if path.stem in ("best", "last") else "other",
            **provenance(checkpoint),
        },
        "run": about.pop("run"),
        "training": about,
        "backbone": {
            "weights": module.network.backbone.weights_origin,
            "fingerprint": module.backbone_fingerprint(),
        },
        "config": told(module.config),
        **environment.describe(),
    }


def about_training(path: Path, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The record's ``training`` entry, and ``run``, as far as the checkpoint and its folder tell.

    ``complete`` is true where the run came to its end, false where it has not (yet), None for a checkpoint
    that was imported or moved out of its run folder.
    """
    with parsing(
        lambda why: CheckpointError(
            f"{path}: its history of the training can't be used ({why}): give another checkpoint of the run"
        )
    ):
        about = _about_training(path, checkpoint)
        json.dumps(about, allow_nan=False)  # as it will be written
    return about


def _about_training(path: Path, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    history = (checkpoint.get("callbacks") or {}).get(HISTORY) or {}
    run, stored = history.get("run"), entry(checkpoint)["config"]
    found = json_or_none(path.parent.parent / RUN_FILE)
    inside = (path.parent.parent / ".hydra").is_dir()
    complete = isinstance(found, dict) and found.get("run") == run is not None
    loader = stored.get("loader") or {}
    return {
        "run": run,
        "epoch": checkpoint.get("epoch"),
        "step": checkpoint.get("global_step"),
        "seconds": history.get("seconds"),
        "complete": True if complete else (False if run is not None and inside else None),
        "selection": loader.get("selection", "published"),
        "history": [_validation(each) for each in history.get("validations") or []],
        "config": told(stored),
    }


def _validation(entry: Any) -> dict[str, float]:
    numbers = isinstance(entry, dict) and all(type(each) in (int, float) for each in entry.values())
    if not numbers or not entry.keys() >= {"epoch", "miou"}:
        raise ValueError(f"{str(entry)[:60]} came for a validation's epoch, step, seconds and miou")
    return dict(entry)


def told(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that changes numbers; of the feature store, only that it rounds.

    Example:
        >>> told({"fold": 1, "logger": {}, "features": {"folder": "kept", "precision": "float16"}})
        {'fold': 1, 'features': {'precision': 'float16'}}
        >>> told({"fold": 1, "features": {"folder": None, "precision": "float16"}})
        {'fold': 1}
    """
    chosen = {key: value for key, value in config.items() if key not in ELSEWHERE}
    store = config.get("features") or {}
    if store.get("folder") is not None and store.get("precision") == "float16":
        chosen["features"] = {"precision": "float16"}
    return chosen
