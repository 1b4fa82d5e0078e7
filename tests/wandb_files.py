"""The file that a W&B run leaves, read back: records of protocol buffers in LevelDB's log format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from wandb.proto import wandb_internal_pb2 as pb

_HEADER, _BLOCK, _RECORD = 7, 32768, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def records(path: Path) -> list[Any]:
    """Every record of a ``run-….wandb``."""
    data, place, whole, found = path.read_bytes(), _HEADER, b"", []
    assert data[:4] == b":W&B"
    while place + _RECORD <= len(data):
        left = _BLOCK - place % _BLOCK
        if left < _RECORD:  # too little for another header: the block's rest is zeros
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        whole += data[place + _RECORD : place + _RECORD + length]
        place += _RECORD + length
        if kind in (_FULL, _LAST):
            record = pb.Record()
            record.ParseFromString(whole)
            found.append(record)
            whole = b""
    return found


class Written(NamedTuple):
    """What a run's file says.

    Attributes:
        run: its first record: group, job type, tags, name.
        config: with its changes.
        metrics: definitions by name (or pattern).
        history: rows of what was logged, in order.
        artifacts: in order.
        exit_code: None where it has not ended.
    """

    run: Any
    config: dict[str, Any]
    metrics: dict[str, Any]
    history: list[dict[str, Any]]
    artifacts: list[Any]
    exit_code: int | None

    def values(self, name: str) -> list[Any]:
        return [row[name] for row in self.history if name in row]


def read_run(path: Path) -> Written:
    """A run's file as plain data."""
    every: dict[str, list[Any]] = {}
    for record in records(path):
        kind = record.WhichOneof("record_type")
        every.setdefault(kind, []).append(getattr(record, kind))
    config: dict[str, Any] = {}
    for update in [run.config for run in every["run"]] + every.get("config", []):
        for item in update.update:
            _put(config, item)
    return Written(
        run=every["run"][0],
        config=config,
        metrics={each.name or each.glob_name: each for each in every.get("metric", [])},
        history=[_row(each) for each in every.get("history", [])],
        artifacts=every.get("artifact", []),
        exit_code=every["exit"][0].exit_code if "exit" in every else None,
    )


def _row(history: Any) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for item in history.item:
        _put(row, item)
    return row


def _put(target: dict[str, Any], item: Any) -> None:
    keys = [item.key] if item.key else list(item.nested_key)
    for key in keys[:-1]:
        target = target.setdefault(key, {})
    target[keys[-1]] = json.loads(item.value_json)


def only_run(folder: Path) -> Path:
    """The one run's file below a folder."""
    (path,) = folder.glob("wandb/*run-*/run-*.wandb")
    return path
