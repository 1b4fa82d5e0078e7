"""How the numbers were made: commands, commits, versions, hardware, dates, digests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hmseg.reporting.configurations import Configuration
from hmseg.reporting.curves import hardware_of
from hmseg.reporting.fields import printable
from hmseg.reporting.measurement import Measurement
from hmseg.reporting.page import Block, Listing, Section, Table, Text
from hmseg.reporting.words import ABSENT, duration, fold_name, join, shared


def origin(every: Sequence[Configuration], command: str, about: Mapping[str, Any]) -> Section:
    """One line for each record, the commands, and what the page itself was made with.

    Args:
        every: the configurations.
        command: that made the page.
        about: its commit and versions.
    """
    runs = [run for one in every for run in one.measurements]
    blocks: list[Block] = [
        Text("This page:"),
        Listing((printable(command),), code=True),
        Text(f"hmseg at commit {about.get('commit') or 'unknown (installed)'}, {_versions(about)}."),
        _records(runs),
        Text("The commands that measured:"),
        Listing(tuple(dict.fromkeys(_text(run, "command") for run in runs)), code=True),
        _software(runs),
    ]
    return Section("made", "How it was made", tuple(blocks))


def _records(runs: Sequence[Measurement]) -> Table:
    common, apart = shared([run.setting for run in runs])
    rows = [
        (
            run.identity,
            join(rest, "" if run.fold is None else fold_name(run.fold), f"seed {run.seed}"),
            run.setting.lists,
            run.digest[:12],
            _of(run, "checkpoint", "sha256")[:12] or ABSENT,
            _training(run),
            _of(run, "backbone", "weights") or ABSENT,
            _text(run, "commit") or ABSENT,
            _text(run, "date")[:16].replace("T", " ") or ABSENT,
            hardware_of(run),
        )
        for run, rest in zip(runs, apart, strict=True)
    ]
    header = (
        "record", "of", "lists", "episodes (SHA-256)", "checkpoint (SHA-256)", "trained", "backbone weights",
        "commit", "date (UTC)", "tested on",
    )  # fmt: skip
    return Table(f"Records: {common}", header, tuple(rows), left=len(header))


def _training(run: Measurement) -> str:
    found = run.record.get("training")
    if not isinstance(found, Mapping):
        return ABSENT
    seconds, epoch = found.get("seconds"), found.get("epoch")
    known = isinstance(seconds, int | float)
    complete = {"True": "complete", "False": "not complete"}.get(str(found.get("complete")), "")
    return (
        join(
            f"epoch {epoch}" if isinstance(epoch, int) else "",
            duration(float(seconds)) if known and seconds is not None else "",
            complete,
        )
        or ABSENT
    )


def _software(runs: Iterable[Measurement]) -> Table:
    versions: dict[str, list[str]] = {}
    for run in runs:
        found = run.record.get("versions")
        for name, value in found.items() if isinstance(found, Mapping) else ():
            versions.setdefault(printable(str(name)), []).append(printable(str(value)))
    rows = tuple((name, ", ".join(dict.fromkeys(values))) for name, values in versions.items())
    return Table("Versions that measured", ("package", "versions"), rows, left=2)


def _versions(about: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in about.get("versions", {}).items())


def _of(run: Measurement, node: str, key: str) -> str:
    found = run.record.get(node)
    value = found.get(key) if isinstance(found, Mapping) else None
    return printable(str(value)) if value is not None else ""


def _text(run: Measurement, key: str) -> str:
    value = run.record.get(key)
    return printable(str(value)) if value is not None else ""
