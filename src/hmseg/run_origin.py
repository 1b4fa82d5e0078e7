"""What a run's folder says about where the run comes from: code, machine, seeds and episodes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hmseg import environment
from hmseg.checkpoint_files import replace_whole
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.protocols import digest
from hmseg.results import write_json
from hmseg.untrusted import json_or_none

log = logging.getLogger(__name__)
ORIGIN_FILE = "environment.json"
FORMAT = 1


def write_origin(
    folder: Path, seed: int, data: EpisodeDataModule, test: bool, devices: int, resumed: str | None
) -> None:
    """Writes ``environment.json``: seeds, digests of the episodes, and one entry for each start of the run.

    Where the checkout is changed against its commit, ``changes-N.diff`` of start N is written too, at most
    1 MB of it. A start with other code or versions than the one before it is warned of.

    Args:
        folder: of the run.
        seed: of the run.
        data: its episodes.
        test: whether there will be a test; else its episodes are not drawn.
        devices: how many processes there are.
        resumed: checkpoint that the run goes on from.
    """
    starts = _starts(folder / ORIGIN_FILE)
    code = environment.checkout()
    start = environment.describe() | {
        "devices": devices,
        "resumed": None if resumed is None else Path(resumed).name,
        "git": None if code is None else _git_entry(code, len(starts) + 1),
        "torch": {
            "cuda": torch.version.cuda,
            "cudnn": _cudnn(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
        },
    }
    if starts:
        _warn_of_changes(starts[-1], start)
    if code is not None and code.dirty:
        replace_whole(folder / start["git"]["diff"], code.diff)
    episodes = {"val": _episodes(data, "val"), "test": _episodes(data, "test") if test else None}
    seeds = {"seed": seed, "protocol_seeds": list(data.protocol_seeds)}
    record = {"format": FORMAT, "seeds": seeds, "episodes": episodes, "starts": [*starts, start]}
    write_json(folder / ORIGIN_FILE, record)


def _starts(path: Path) -> list[dict[str, Any]]:
    """Earlier starts of the run; none where the file is missing or not ours."""
    found = json_or_none(path)
    starts = found.get("starts") if isinstance(found, dict) else None
    return [each for each in starts if isinstance(each, dict)] if isinstance(starts, list) else []


def _cudnn() -> int | None:
    return torch.backends.cudnn.version() if torch.cuda.is_available() else None  # type: ignore[no-untyped-call]


def _git_entry(code: environment.Checkout, number: int) -> dict[str, Any]:
    return {
        "commit": code.commit,
        "dirty": code.dirty,
        "diff": f"changes-{number}.diff" if code.dirty else None,
        "diff_cut": code.cut,
        "untracked": list(code.untracked),
    }


def _episodes(data: EpisodeDataModule, split: str) -> dict[str, Any]:
    specs, shot = (data.val_specs, data.train_shot) if split == "val" else (data.test_specs, data.shot)
    return {
        "digest": digest(specs),
        "episodes": len(specs),
        "shot": shot,
        "protocol": "manifest" if split == "test" and data.manifest else data.protocol,
        "lists": data.source.lists,
    }


def _warn_of_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    old, new = (dict(each.get("versions") or {}) | {"commit": each.get("commit")} for each in (before, now))
    changed = [f"{name} {old[name]} -> {new[name]}" for name in new if name in old and old[name] != new[name]]
    if changed:
        log.warning(
            "the run goes on with other code (%s): it may end otherwise than without a stop",
            ", ".join(changed),
        )
