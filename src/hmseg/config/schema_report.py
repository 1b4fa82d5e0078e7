"""Typed schema of ``report.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _key(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass
class ReportDatasetConfig:
    """Where the data of ``examples`` are, if not where their checkpoints say."""

    root: str | None = None
    coco: str | None = None
    pascal: str | None = None
    splits: str | None = None


@dataclass
class ReportBackboneConfig:
    """Where the backbone weights of ``examples`` are, if not where their checkpoints say."""

    weights: str | None = None


@dataclass
class ReportConfig:
    """Root of ``report.yaml``."""

    records: str | None = _key(None, "JSON Lines file of records")
    sweep: str | None = _key(
        None, "instead: folder of a sweep, whose records beside checkpoints are gathered"
    )
    out: str | None = _key(None, "pages to write, OUT.md and OUT.html; null: report beside the input")
    claims: bool = _key(True, "set the results against the published claims")
    examples: Any = _key(None, "one or two checkpoints or run folders, [A,B]: show episodes of A with both")
    examples_count: int = _key(3, "episodes of each kind: best, median and worst")
    dataset: ReportDatasetConfig = field(default_factory=ReportDatasetConfig)
    backbone: ReportBackboneConfig = field(default_factory=ReportBackboneConfig)
