"""What ``hmseg.reproduce`` prints: plans, verdicts, the ledger in short."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from hmseg.claims import STATUSES, Row, Verdict
from hmseg.progress import clock
from hmseg.reproduction.estimate import Estimate
from hmseg.reproduction.plan import Request, Step
from hmseg.reproduction.process import printed

WIDTH = 120
"""Of tables where there is no terminal."""


def rows(found: Sequence[Row], tolerance: float) -> None:
    """All claims as a table."""
    table = Table(title=f"Claims, mIoU %; verified: within {tolerance:g} points", title_justify="left")
    for column in ("claim", "claimed", "measured", "difference", "status"):
        table.add_column(column, justify="left" if column in ("claim", "status") else "right", no_wrap=True)
    for row in found:
        table.add_row(row.claim, row.claimed, row.miou or row.per_fold, row.difference, row.status)
    _print(table)


def summary(found: Sequence[Row], tolerance: float) -> None:
    """How many claims of each benchmark have which status, then every claim with something to say."""
    table = Table(title=f"{len(found)} claims; verified: within {tolerance:g} points", title_justify="left")
    table.add_column("benchmark")
    for status in STATUSES:
        table.add_column(status, justify="right")
    benchmarks = dict.fromkeys(row.benchmark for row in found)
    for name in benchmarks:
        _counted(table, name, (row for row in found if row.benchmark == name))
    if len(benchmarks) > 1:
        table.add_section()
        _counted(table, "all", found)
    _print(table)
    for row in found:
        if row.miou or row.note:
            measured = f"measured {row.miou} ({row.difference}), " if row.miou else ""
            note = f": {row.note}" if row.note else ""
            print(f"{row.claim}: claimed {row.claimed}, {measured}{row.status}{note}")


def _counted(table: Table, name: str, found: Iterable[Row]) -> None:
    count = Counter(row.status for row in found)
    table.add_row(name, *(str(count[status]) for status in STATUSES))


def _print(table: Table) -> None:
    """Where there is no terminal, rich takes 80 columns and cuts what is longer."""
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=WIDTH)
    console.print(table, markup=False)


def step(one: Step) -> None:
    """What is about to be done, or why it isn't."""
    fold = "" if one.fold is None else f"fold {one.fold}, "
    words = {"run": one.kind, "resume": f"{one.kind}, resumed", "skip": f"{one.kind}, skipped"}[one.state]
    why = f": {one.why}" if one.why else ""
    print(f"\n{fold}{words}{why}", flush=True)


def plan(request: Request, steps: Sequence[Step], estimate: Estimate) -> None:
    """Each step with its command and a time, then their sum."""
    claim = request.claim
    assert claim is not None
    print(f"{claim.id}: {claim.claimed:.1f} mIoU claimed ({claim.source})")
    for one, duration in zip(steps, estimate.steps, strict=True):
        step(one)
        if one.state != "skip":
            print(printed(one.program, one.words))
        if duration is not None:
            until = "" if duration.likely is None else f", best model after about {clock(duration.likely)}"
            bound = "at most " if one.kind == "train" else ""
            print(f"takes {bound}{_time(duration.most)}{until}")
    waiting = [duration for duration in estimate.steps if duration is not None]
    most, best = estimate.epochs
    whole = _time(sum(duration.most for duration in waiting))
    print(f"\n{len(waiting)} of {len(steps)} steps to do, at most {whole}")
    if most is not None and any(one.kind == "train" and one.state != "skip" for one in steps):
        early = f"; the published models were best after {best}, the mean over folds" if best else ""
        print(f"trainings: {most} epochs at most{early}")
    print(f"times: {estimate.source}")


def _time(seconds: float) -> str:
    """A duration, ``unknown`` where it is.

    Example:
        >>> _time(65.0), _time(math.inf)
        ('1:05', 'unknown')
    """
    return clock(seconds) if math.isfinite(seconds) else "unknown"


def verdict(found: Verdict, tolerance: float) -> None:
    """What came out for one claim."""
    claim = found.claim
    print(f"\n{claim.id}: {found.status}")
    if found.miou is not None:
        print(
            f"claimed {claim.claimed:.1f}, measured {found.miou:.2f} mIoU ({found.difference:+.2f}; within "
            f"{tolerance:g} counts as verified), FB-IoU {found.fb_iou:.2f}"
        )
    for fold, miou in found.by_fold.items():
        if fold is not None:
            claimed = f", claimed {claim.per_fold[fold]:.1f}" if claim.per_fold else ""
            print(f"  fold {fold}: {miou:.2f}{claimed}")
    if found.note:
        print(found.note)
