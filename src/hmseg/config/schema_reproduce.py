"""Typed schema of ``reproduce.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _key(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass
class ReproduceConfig:
    """Root of ``reproduce.yaml``."""

    claim: str | None = _key(None, "id such as coco/1shot/hsnet/hybrid/resnet50; null: only write the ledger")
    list: bool = _key(False, "show all claims with their status, change nothing")
    dry_run: bool = _key(False, "print what would be done and how long it may take, do nothing")
    measure: bool = _key(True, "estimates: measure this machine for some seconds where no record tells")
    checkpoints: Any = _key(None, "published checkpoints instead of training: a path with {fold}, or a list")
    train: Any = _key(None, "further settings of each training: [trainer.max_epochs=300,dataset.root=/data]")
    evaluate: Any = _key(None, "further settings of each evaluation")
    both: Any = _key(None, "further settings of both: [trainer=gpu,paths.data=/data]")
    tolerance: float = _key(1.0, "points of mIoU by which a result may be off and still verifies a claim")
    claims_file: str | None = _key(None, "CSV file of claims of your own; null: the published ones")
    runs: str = _key("outputs/claims", "folder of the trainings, shared by claims that need the same ones")
    results: str = _key(
        "results", "folder of records.jsonl, of claims.csv (the ledger) and of reproduce.jsonl"
    )
