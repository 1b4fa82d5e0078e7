"""Where measurements come from: a JSON Lines file of records, or the folder of a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from hmseg.errors import DataError
from hmseg.records import episodes_path, parse_record, read_records
from hmseg.reporting.fields import printable
from hmseg.reporting.measurement import Measurement, measurement
from hmseg.untrusted import json_or_none, read_text

_OVERRIDES = Path(".hydra/overrides.yaml")
_FEW = 10**6  # bytes of overrides; YAML is slow
_SWEEP, _JOB = "sweep.json", "job.json"
"""As ``hmseg.sweeps`` names them."""


@dataclass(frozen=True)
class Unfinished:
    """A job of a sweep without a record: it failed, was stopped, or is still running.

    Attributes:
        job: its folder's name.
        overrides: what set it apart.
    """

    job: str
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Gathered:
    """What a report is made from.

    Attributes:
        measurements: one for each id, in a fixed order.
        unfinished: jobs of a sweep without a record.
    """

    measurements: tuple[Measurement, ...]
    unfinished: tuple[Unfinished, ...] = ()


def from_records(path: Path) -> Gathered:
    """The records of a JSON Lines file, with the tables of episodes beside it.

    Raises:
        DataError: the file can't be read, holds no record of today's format, or a damaged one.
    """
    found = []
    for record in read_records(path):
        table = episodes_path(path, str(record["id"]))
        found.append(measurement(record, path, table if table.is_file() else None))
    if not found:
        raise DataError(f"{path}: no record of format 2 is in it; hmseg.evaluate writes them")
    return Gathered(ordered(found))


def from_sweep(folder: Path) -> Gathered:
    """The records beside the checkpoints below a sweep's folder, and its jobs that have none.

    Raises:
        DataError: the folder doesn't exist or holds neither record nor job; a damaged record.
    """
    if not folder.is_dir():
        raise DataError(f"sweep={folder}: there is no such folder")
    found = _records([folder, *earlier_folders(folder)])
    unfinished = tuple(_unfinished(folder, [one.source for one in found.values()]))
    if not found:
        jobs = f" ({len(unfinished)} jobs, none finished)" if unfinished else ""
        raise DataError(f"sweep={folder}: no record of format 2 beside a checkpoint is below it{jobs}")
    return Gathered(ordered(found.values()), unfinished)


def from_folders(folders: Iterable[Path]) -> Gathered:
    """The records beside the checkpoints below some run folders.

    Raises:
        DataError: there is none, or a damaged one.
    """
    found = _records(folders)
    if not found:
        raise DataError("no record of format 2 is beside a checkpoint of these runs")
    return Gathered(ordered(found.values()))


def earlier_folders(sweep: Path) -> list[Path]:
    """Run folders elsewhere of a sweep's jobs: those that an earlier sweep had begun (``sweep.json``)."""
    try:
        jobs = json_or_none(sweep / _SWEEP).get("jobs", [])
        folders = [Path(job["folder"]) for job in jobs]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
    own = sweep.resolve()
    return [each for each in folders if (each / _JOB).is_file() and not each.resolve().is_relative_to(own)]


def _records(folders: Iterable[Path]) -> dict[str, Measurement]:
    found: dict[str, Measurement] = {}
    for path in (path for folder in folders for path in sorted(folder.rglob("checkpoints/*.json"))):
        record = parse_record(_text(path))
        if record is not None:
            table = path.with_name(f"{path.stem}.episodes.csv.gz")
            one = measurement(record, path, table if table.is_file() else None)
            found[one.identity] = one
    return found


def ordered(measurements: Iterable[Measurement]) -> tuple[Measurement, ...]:
    """Measurements in a fixed order, settings of the training completed, and those left out that all share.

    The record of an evaluation doesn't hold the training's settings; that of another checkpoint of the same
    run may. Where no two trainings of a data set, model and backbone are known to differ, they count as one.
    """
    every = list(measurements)
    by_run = {one.run: one.setting.training for one in every if one.run and one.setting.training}
    completed = [
        replace(one, setting=replace(one.setting, training=by_run.get(one.run, one.setting.training)))
        for one in every
    ]
    variants: dict[tuple[str, str, str], set[str]] = {}
    for one in completed:
        variants.setdefault(_kind(one), set()).add(one.setting.training)
    kept = []
    for one in completed:
        telling = _telling(one.setting.training, variants[_kind(one)])
        kept.append(replace(one, setting=replace(one.setting, training=telling)))
    kept = _beside_each_other(kept)
    return tuple(sorted(kept, key=_order))


def _beside_each_other(measurements: list[Measurement]) -> list[Measurement]:
    """Where each masking was trained in one way only, that way becomes part of its name.

    Maskings trained for unequally long, say, then stand in one table. Names say so but for the way that more
    than half of the maskings have in common.
    """
    ways: dict[tuple[str, str, str], dict[str, set[str]]] = {}
    for one in measurements:
        found = ways.setdefault(_kind(one), {}).setdefault(one.setting.masking, set())
        found.add(one.setting.training)
    result = []
    for one in measurements:
        of_kind = ways[_kind(one)]
        if one.setting.training and all(len(found) == 1 for found in of_kind.values()):
            usual = 2 * list(of_kind.values()).count({one.setting.training}) > len(of_kind)
            name = one.setting.masking if usual else f"{one.setting.masking} ({one.setting.training})"
            one = replace(one, setting=replace(one.setting, masking=name, training=""))
        result.append(one)
    return result


def _telling(training: str, variants: set[str]) -> str:
    """The settings of a training that not all known ones share.

    Example:
        >>> _telling("lr=1, epochs=3", {"lr=1, epochs=3", "lr=1, epochs=6", ""})
        'epochs=3'
    """
    common = set.intersection(*({*each.split(", ")} for each in variants - {""} or {""}))
    return ", ".join(part for part in training.split(", ") if part not in common)


def _kind(one: Measurement) -> tuple[str, str, str]:
    return one.setting.dataset, one.setting.model, one.setting.backbone


def _order(one: Measurement) -> tuple[object, ...]:
    return (*one.setting.order, -1 if one.fold is None else one.fold, one.seed, one.identity)


def _unfinished(folder: Path, sources: Sequence[Path]) -> Iterable[Unfinished]:
    """Jobs are folders with Hydra's overrides; those of ``sources`` are done."""
    for path in sorted(folder.rglob(str(_OVERRIDES)), key=lambda path: _number(path.parents[1].name)):
        job = path.parents[1]
        if not any(source.is_relative_to(job) for source in sources):
            yield Unfinished(printable(str(job.relative_to(folder))), _overrides(path))


def _number(name: str) -> tuple[int, str]:
    return (int(name), name) if name.isdecimal() else (2**31, name)


def _overrides(path: Path) -> tuple[str, ...]:
    try:
        stored = yaml.safe_load(read_text(path, _FEW))
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it can't be read
        stored = None
    if not isinstance(stored, list):
        return ("its overrides can't be read",)
    return tuple(printable(str(each)) for each in stored)


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError):
        return ""  # not one of ours
