"""The ledger: every claim with its commands and what was measured, one CSV file, generated from records."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hmseg.claims.commands import evaluate_command, train_command
from hmseg.claims.events import Event, read_events
from hmseg.claims.fit import Record
from hmseg.claims.table import Claim, published
from hmseg.claims.verdict import TOLERANCE, Verdict, verdict
from hmseg.errors import DataError
from hmseg.files import writing

RECORDS, EVENTS, LEDGER = "records.jsonl", "reproduce.jsonl", "claims.csv"
"""Names of the files in the folder of results."""


@dataclass(frozen=True)
class Row:
    """A line of the ledger, as text: percentages with the digits that were published or two."""

    claim: str
    benchmark: str
    shot: str
    model: str
    masking: str
    backbone: str
    claimed: str
    claimed_per_fold: str
    claimed_fb_iou: str
    source: str
    experiment: str
    train_command: str
    evaluate_command: str
    status: str
    miou: str
    per_fold: str
    fb_iou: str
    difference: str
    tolerance: str
    seeds: str
    episodes: str
    lists: str
    checkpoints: str
    commit: str
    versions: str
    hardware: str
    date: str
    note: str


def ledger(
    records: Sequence[Record],
    events: Sequence[Event] = (),
    tolerance: float = TOLERANCE,
    claims: Iterable[Claim] | None = None,
) -> list[Row]:
    """A row for each claim.

    Args:
        records: of evaluations.
        events: of ``hmseg.reproduce``.
        tolerance: points of mIoU within which a result verifies a claim.
        claims: the published ones by default.

    Example:
        >>> row = ledger([])[0]
        >>> row.claim, row.status, row.claimed_per_fold, row.miou
        ('coco/1shot/hsnet/hybrid/resnet50', 'unverified', '41.0 45.7 46.9 43.7', '')
    """
    chosen = published() if claims is None else claims
    return [row_of(verdict(claim, records, events, tolerance), tolerance) for claim in chosen]


def row_of(found: Verdict, tolerance: float) -> Row:
    """The row of a verdict."""
    claim = found.claim
    counting = [record for fold in found.records for record in found.records[fold]]
    return Row(
        claim=claim.id,
        benchmark=claim.benchmark,
        shot=str(claim.shot),
        model=claim.model,
        masking=claim.masking,
        backbone=claim.backbone,
        claimed=f"{claim.claimed:.1f}",
        claimed_per_fold=" ".join(f"{each:.1f}" for each in claim.per_fold),
        claimed_fb_iou=_number(claim.fb_iou, 1),
        source=claim.source,
        experiment=claim.experiment,
        train_command=train_command(claim),
        evaluate_command=evaluate_command(claim),
        status=found.status,
        miou=_number(found.miou),
        per_fold=_per_fold(found),
        fb_iou=_number(found.fb_iou),
        difference="" if found.difference is None else f"{found.difference:+.2f}",
        tolerance=f"{tolerance:g}",
        seeds=_different(_seed(record) for record in counting),
        episodes=_different(record["episodes"] for record in counting),
        lists=_different(record["test"].get("lists") for record in counting),
        checkpoints=found.origin or "",
        commit=_different(record.get("commit") for record in counting),
        versions=_different(_versions(record.get("versions") or {}) for record in counting),
        hardware=_different(_hardware(record.get("hardware") or {}) for record in counting),
        date=max((str(record["date"]) for record in counting if record.get("date")), default=""),
        note=found.note,
    )


def _per_fold(found: Verdict) -> str:
    """In order of the folds, ``-`` where one is missing; empty without folds or without a record."""
    if not found.by_fold or found.claim.folds == (None,):
        return ""
    return " ".join(
        f"{found.by_fold[fold]:.2f}" if fold in found.by_fold else "-" for fold in found.claim.folds
    )


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _different(values: Iterable[Any]) -> str:
    """The different ones in order of their first place; what is not known is left out."""
    return "; ".join(dict.fromkeys(str(value) for value in values if value is not None))


def _seed(record: Record) -> Any:
    if record["checkpoint"]["origin"] != "trained":
        return None  # nobody told
    return (record["training"].get("config") or {}).get("seed")


def _versions(versions: dict[str, Any]) -> str:
    return " ".join(f"{name} {versions[name]}" for name in ("hmseg", "python", "torch") if name in versions)


def _hardware(hardware: dict[str, Any]) -> str:
    return str(hardware.get("gpu") or f"{hardware.get('cpu')}, {hardware.get('threads')} threads")


def write_ledger(
    path: Path,
    records: Path | None = None,
    events: Path | None = None,
    tolerance: float = TOLERANCE,
    claims: Iterable[Claim] | None = None,
) -> list[Row]:
    """Generates the ledger from the files of records and events; files that are not there yet are empty.

    Args:
        path: of the CSV file, ``results/claims.csv``.
        records: JSON Lines of evaluations; ``records.jsonl`` beside ``path`` by default.
        events: JSON Lines of ``hmseg.reproduce``; ``reproduce.jsonl`` beside ``path`` by default.
        tolerance: points of mIoU.
        claims: the published ones by default.

    Returns:
        The rows that were written.

    Raises:
        DataError: a file is damaged, or the ledger can't be written.
    """
    records = path.with_name(RECORDS) if records is None else records
    found = read_if_there(records)
    noted = read_events(path.with_name(EVENTS) if events is None else events)
    rows = ledger(found, noted, tolerance, claims)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing(path) as file:
            file.write(as_csv(rows))
    except OSError as error:
        raise DataError(f"ledger {path} can't be written ({error.strerror}): give results=FOLDER") from None
    return rows


def read_if_there(path: Path) -> list[dict[str, Any]]:
    """The records of a file, none where it is not there yet. Raises DataError where it can't be read."""
    if not path.exists():
        return []
    from hmseg.records import read_records  # imports PyTorch

    return read_records(path)


def as_csv(rows: Iterable[Row]) -> str:
    """The rows under their column names, lines ended by a newline alone."""
    text = io.StringIO()
    names = [each.name for each in fields(Row)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: getattr(row, name) for name in names} for row in rows)
    return text.getvalue()
