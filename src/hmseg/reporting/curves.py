"""How trainings went: validation mIoU against epochs and seconds, and how soon it was as good as it got."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hmseg.reporting.fields import printable
from hmseg.reporting.measurement import Measurement, Validation
from hmseg.reporting.setting import Setting

NEARLY = 0.95
"""Share of the best validation mIoU that counts as nearly there."""


@dataclass(frozen=True)
class Curve:
    """The validations of one training run.

    Attributes:
        common: the setting of its training: what belongs to a test alone is blank.
        fold: of the training.
        seed: of the training.
        run: its name.
        hardware: what it ran on, in words.
        complete: did the training end by itself? None where unknown.
        points: its validations, in order.
    """

    common: Setting
    fold: int | None
    seed: int
    run: str
    hardware: str
    complete: bool | None
    points: tuple[Validation, ...]

    @property
    def best(self) -> Validation:
        """The first validation with the highest mIoU."""
        return max(self.points, key=lambda point: point.miou)

    @property
    def nearly(self) -> Validation:
        """The first validation with at least 95 % of the highest mIoU."""
        return next(point for point in self.points if point.miou >= NEARLY * self.best.miou)


def curves(measurements: Iterable[Measurement]) -> list[Curve]:
    """One curve for each training run, in a fixed order.

    The records of a run's checkpoints share its validations; the longest list of them counts.
    """
    runs: dict[str, Measurement] = {}
    for one in measurements:
        if one.run and one.history and len(one.history) > len(getattr(runs.get(one.run), "history", ())):
            runs[one.run] = one
    found = [_curve(one) for one in runs.values()]
    return sorted(found, key=lambda c: (c.common.order, -1 if c.fold is None else c.fold, c.seed, c.run))


def _curve(one: Measurement) -> Curve:
    training = one.record.get("training")
    complete = training.get("complete") if isinstance(training, dict) else None
    return Curve(
        common=one.setting.without(
            "shot", "protocol", "protocol_seeds", "episodes", "original_size", "aggregation", "checkpoint"
        ),
        fold=one.fold,
        seed=one.seed,
        run=one.run,
        hardware=hardware_of(one),
        complete=complete if isinstance(complete, bool) else None,
        points=one.history,
    )


def hardware_of(one: Measurement) -> str:
    """GPU, or processor and threads, of a record."""
    found = one.record.get("hardware")
    if not isinstance(found, dict):
        return "unknown hardware"
    if found.get("gpu"):
        return printable(str(found["gpu"]))
    threads = found.get("threads", "?")
    return printable(
        f"{found.get('cpu', 'unknown processor')}, {threads} thread{'' if threads == 1 else 's'}"
    )


def several_hardware(found: Sequence[Curve]) -> bool:
    """Were they trained on different hardware, so that their seconds say nothing about each other?"""
    return len({each.hardware for each in found}) > 1
