"""Records and tables of episodes that nobody measured, in the shape that evaluations write."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from hmseg.episode_table import COLUMNS, Rows, write_table
from hmseg.records import append_record, record_id

CLASSES = ("bus", "car", "cat", "chair", "cow")
_HELP = {"No": 0.0, "Feature": 8.0, "Input": 10.0, "Hybrid": 13.0}


def table(miou: float, fold: int = 1, episodes: int = 60, seed: int = 0, list_seed: int = 0) -> Rows:
    """Episodes whose difficulty depends on the list alone, their IoU on the method too.

    Args:
        miou: about what the table's mIoU is, in percent.
        fold: its five classes are 5 · fold to 5 · fold + 4.
        episodes: rows.
        seed: of the method's own noise.
        list_seed: of classes, sizes and difficulties.
    """
    drawn, noise = np.random.default_rng((list_seed, fold)), np.random.default_rng((seed, fold, 7))
    counted = np.full(episodes, 160 * 160)
    foreground = (counted * np.exp(drawn.uniform(np.log(0.004), np.log(0.5), episodes))).astype(np.int64)
    hardness = drawn.normal(0, 12, episodes)
    share = np.clip((miou + hardness + noise.normal(0, 6, episodes)) / 100, 0, 0.98)
    inter = (foreground * share).astype(np.int64)
    union = foreground + (foreground * 0.3 * (1 - share)).astype(np.int64)
    rows = np.zeros((episodes, len(COLUMNS)), dtype=np.int64)
    rows[:, 0] = np.arange(episodes)
    rows[:, 1] = 5 * fold + drawn.integers(0, 5, episodes)
    rows[:, 2], rows[:, 3] = foreground, counted
    rows[:, 4], rows[:, 5] = counted - union, counted - inter
    rows[:, 6], rows[:, 7] = inter, union
    return rows


def scores(rows: Rows, fold: int, names: tuple[str, ...] = CLASSES) -> dict[str, Any]:
    """mIoU, FB-IoU and classes of a table, by a loop."""
    per_class = []
    for place, name in enumerate(names):
        own = rows[rows[:, 1] == 5 * fold + place]
        iou = 100 * own[:, 6].sum() / max(own[:, 7].sum(), 1)
        per_class.append(
            {"class_id": 5 * fold + place, "name": name, "iou": float(iou), "episodes": len(own)}
        )
    foreground, background = (100 * rows[:, at].sum() / rows[:, at + 1].sum() for at in (6, 4))
    return {
        "miou": sum(each["iou"] for each in per_class) / len(per_class),
        "fb_iou": float(foreground + background) / 2,
        "episodes": len(rows),
        "per_class": per_class,
    }


def record(
    masking: str = "Hybrid",
    *,
    fold: int = 1,
    seed: int = 0,
    shot: int = 1,
    aggregation: str = "vote",
    which: str = "best",
    original_size: bool = False,
    names: tuple[str, ...] = CLASSES,
    episodes: int = 60,
    options: dict[str, Any] | None = None,
    **others: Any,
) -> tuple[dict[str, Any], Rows]:
    """A record and its table; ``others`` replaces entries of the record."""
    level = 30 + _HELP.get(masking, 5.0) + 2 * (shot > 1) - 3 * (which == "last") + fold
    level -= 2 * ("mean" in aggregation)
    rows = table(level, fold, episodes, seed=seed + 10 * len(masking) + 100 * shot + len(aggregation))
    run = hashlib.md5(f"{masking}{fold}{seed}{options}".encode()).hexdigest()
    checksum = hashlib.sha256(f"{run}{which}".encode()).hexdigest()
    test = {
        "dataset": "pascal",
        "fold": fold,
        "shot": shot,
        "protocol": "hsnet",
        "protocol_seed": 0,
        "manifest": None,
        "lists": "own",
        "size": [160, 160],
        "original_size": original_size,
        "digest": hashlib.sha256(f"{fold} {shot} {episodes}".encode()).hexdigest(),
        "aggregation": aggregation,
    }
    config = {
        "fold": fold,
        "seed": seed,
        "masking": {"_target_": f"hmseg.masking.{masking}Masking", **(options or {})},
        "model": {"_target_": "hmseg.networks.hsnet.HSNetHead", "_partial_": True},
        "backbone": {"name": "resnet50_caffe"},
        "dataset": {"name": "pascal", "folds": 4},
    }
    found = {
        "format": 2,
        "id": record_id(checksum, test, config),
        **scores(rows, fold, names),
        "test": test,
        "checkpoint": {"file": f"{which}.ckpt", "sha256": checksum, "origin": "trained", "which": which},
        "run": run,
        "training": {
            "epoch": 12,
            "step": 900,
            "seconds": 3000.0,
            "complete": True,
            "selection": "published",
            "history": history(level, seed, 4 + 3 * ("Feature" in masking)),
        },
        "backbone": {"weights": "file", "fingerprint": "ab" * 32},
        "config": config,
        "command": f"python -m hmseg.evaluate ckpt=runs/{masking}/{fold} shot={shot}",
        "date": "2026-01-31T10:00:00+00:00",
        "commit": "0123456789ab",
        "versions": {"hmseg": "0.1.0", "python": "3.11.7", "torch": "2.11.0"},
        "hardware": {"cpu": "AMD EPYC", "cores": 2, "threads": 2, "gpu": None},
    }
    return {**found, **others}, rows


def history(best: float, seed: int, slow: float, validations: int = 14) -> list[dict[str, float]]:
    """A curve that rises to about ``best``, the later the larger ``slow`` is."""
    noise = np.random.default_rng(seed).normal(0, 0.6, validations)
    values = best * (1 - np.exp(-np.arange(1, validations + 1) / slow)) + noise
    return [
        {"epoch": n + 1, "step": 75 * (n + 1), "seconds": 200.0 * (n + 1), "miou": max(0.0, float(value))}
        for n, value in enumerate(values)
    ]


def several() -> list[tuple[dict[str, Any], Rows]]:
    """Four maskings on two folds, one and five shots, two aggregations, best and last, two sizes."""
    found = []
    for masking in ("No", "Feature", "Input", "Hybrid"):
        for fold in (1, 3):
            for shot in (1, 5):
                ways = ("vote", "mean_probability") if shot > 1 else ("vote",)
                found += [record(masking, fold=fold, shot=shot, aggregation=way) for way in ways]
            found.append(record(masking, fold=fold, which="last"))
            found.append(record(masking, fold=fold, original_size=True))
    found += [record("Hybrid", fold=1, seed=1), record("Hybrid", fold=3, seed=1)]
    return found


def write_records(path: Path, records: list[tuple[dict[str, Any], Rows]]) -> Path:
    """A JSON Lines file with its tables of episodes beside it."""
    for found, rows in records:
        append_record(path, found, rows)
    return path


def write_beside_checkpoint(run: Path, found: dict[str, Any], rows: Rows) -> Path:
    """A record as evaluations leave it in a run folder, with its table."""
    path = run / "checkpoints" / f"{found['checkpoint']['which']}.{found['id']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    write_table(path.with_name(f"{path.stem}.episodes.csv.gz"), rows)
    return path
