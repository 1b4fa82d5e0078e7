"""Made-up records of evaluations, right in everything unless told otherwise."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

from hmseg.claims import Claim, digest_of, protocol_of
from hmseg.claims.protocol import experiment_config

ELSEWHERE = ("callbacks", "logger", "paths", "hydra", "features")


def made_record(
    claim: Claim, fold: int | None = 0, miou: float | None = None, seed: int = 0, **changes: Any
) -> dict[str, Any]:
    """A record on the claim's full protocol.

    Args:
        claim: whose.
        fold: of the test.
        miou: measured; the claimed one by default.
        seed: of the training, which also makes the checkpoint another one.
        **changes: values by key, dots as two underscores: ``test__shot=5``.
    """
    protocol = protocol_of(claim)
    trained = copy.deepcopy(experiment_config(claim.training, claim.folds[0]))
    for key in ELSEWHERE:
        trained.pop(key, None)
    trained |= {"fold": fold, "seed": seed}
    tested = copy.deepcopy(dict(protocol.config)) | {"fold": fold, "shot": claim.shot}
    tested = {key: value for key, value in tested.items() if key not in (*ELSEWHERE, "optimizer")}
    content = hashlib.sha256(f"{claim.training} {fold} {seed}".encode()).hexdigest()
    record: dict[str, Any] = {
        "format": 2,
        "id": hashlib.sha256(f"{claim.id} {content}".encode()).hexdigest()[:16],
        "miou": claim.claimed if miou is None else miou,
        "fb_iou": 70.0,
        "episodes": protocol.episodes,
        "per_class": [],
        "test": {
            "dataset": claim.benchmark,
            "fold": fold,
            "shot": claim.shot,
            "protocol": protocol.episodes_of,
            "protocol_seed": 0,
            "manifest": None,
            "lists": "published",
            "size": [protocol.size, protocol.size],
            "original_size": False,
            "resize": protocol.resize,
            "digest": digest_of(claim, fold) or "0" * 64,
            "aggregation": "vote",
        },
        "seconds": 100.0,
        "checkpoint": {"file": "best.ckpt", "sha256": content, "origin": "trained", "which": "best"},
        "run": content[:32],
        "training": {
            "epoch": 34,
            "step": 1000,
            "seconds": 5000.0,
            "complete": True,
            "selection": "published",
            "history": [],
            "config": trained,
        },
        "backbone": {"weights": "imagenet", "fingerprint": "f" * 64},
        "config": tested,
        "command": "python -m hmseg.evaluate ckpt=best.ckpt",
        "date": "2026-01-31T12:00:00+00:00",
        "commit": "0123456789ab",
        "versions": {"hmseg": "0.1.0", "python": "3.11.7", "torch": "2.11.0"},
        "hardware": {"cpu": "AMD EPYC", "cores": 2, "threads": 2, "gpu": None},
    }
    for key, value in changes.items():
        *path, last = key.split("__")
        node = record
        for name in path:
            node = node[name]
        node[last] = value
    return record
