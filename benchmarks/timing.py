"""What the benchmarks share: repeated timing, and files that are whole or not there."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hmseg import environment
from hmseg.files import writing


class Spread(NamedTuple):
    """Median, smallest and largest of the repetitions."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        digits = 2 if self.median < 10 else 0
        return f"{self.median:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value.

    Example:
        >>> str(spread([1.0, 4.0, 2.0]))
        '2.00 (1.00 to 4.00)'
    """
    return Spread(statistics.median(values), min(values), max(values))


def interleaved(works: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """The figure of each work, ``repeats`` times, in turns: a busy minute of the machine meets all alike.

    One round before the first is not counted.
    """
    found: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(-1, repeats):
        for name, work in works.items():
            figure = work()
            if round_ >= 0:
                found[name].append(figure)
    return found


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def made_on(**versions: str) -> dict[str, Any]:
    """Versions, commit, hardware and command, and how busy the machine is (load of the last minute)."""
    described = environment.describe()
    described["versions"] |= versions
    return described | {"load": round(os.getloadavg()[0], 2)}


def footer(record: Mapping[str, Any]) -> list[str]:
    """The last lines of a page: machine, command, commit and versions of a record with :func:`made_on`."""
    machine = record["hardware"]
    return [
        f"- {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"GPU {machine['gpu'] or 'none'}; load {record['load']}",
        f"- `{record['command']}`, commit {record['commit']}, {record['date'][:10]}",
        f"- {', '.join(f'{name} {number}' for name, number in record['versions'].items())}",
        "",
    ]


def write(path: Path, text: str) -> None:
    """All of the file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as file:
        file.write(text)
