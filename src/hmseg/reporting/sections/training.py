"""How trainings went: curves, and how soon each was as good as it got."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hmseg.reporting.curves import Curve, curves, several_hardware
from hmseg.reporting.figures import curve_figure
from hmseg.reporting.measurement import Measurement
from hmseg.reporting.page import Block, Cell, Figure, Figures, Section, Table, Text
from hmseg.reporting.setting import Setting
from hmseg.reporting.statistics import mean_and_deviation
from hmseg.reporting.words import (
    ABSENT,
    duration,
    fold_name,
    join,
    number,
    shared,
    spread,
    subject,
    swatch,
)

Group = tuple[Setting, int | None]


def training(measurements: Iterable[Measurement]) -> Section:
    """Curves against epochs and against time, the runs, and their means by masking."""
    runs = curves(measurements)
    if not runs:
        nothing = Text("No record here holds the validations of its training.")
        return Section("training", "Training", (nothing,))
    blocks: list[Block] = [
        Text(
            "Validation mIoU while training; a dot marks the best model. The claim behind it: hybrid masking "
            "needs fewer epochs to its best model. A best model at the last validations means that the "
            "training was not long enough to tell; of a run whose last checkpoint was not tested, only the "
            "validations up to its best model are known."
        ),
        Figures(tuple(_figures(runs))),
        _means(runs),
        _runs(runs),
    ]
    if several_hardware(runs):
        text = "The runs were on different hardware: their seconds say nothing about each other."
        blocks.insert(1, Text(text, note=True))
    return Section("training", "Training", tuple(blocks))


def _figures(runs: Sequence[Curve]) -> Iterable[Figure]:
    groups: dict[Group, list[Curve]] = {}
    for run in runs:
        groups.setdefault((run.common.without("masking"), run.fold), []).append(run)
    for place, ((common, fold), members) in enumerate(groups.items()):
        title = join(subject(common), "" if fold is None else fold_name(fold))
        for seconds in (False, True):
            name = f"curve-{place}-{'seconds' if seconds else 'epochs'}"
            drawn = curve_figure(name, title, members, seconds)
            if drawn is not None:
                yield drawn


def _means(runs: Sequence[Curve]) -> Table:
    """Means over folds and seeds for each masking."""
    groups: dict[Setting, list[Curve]] = {}
    for run in runs:
        groups.setdefault(run.common, []).append(run)
    common, apart = shared(list(groups), but=("masking", "lists"))
    rows = []
    for (setting, members), rest in zip(groups.items(), apart, strict=True):
        rows.append(
            (
                Cell(setting.masking, swatch(setting.masking)),
                *((rest,) if any(apart) else ()),
                str(len(members)),
                spread(*mean_and_deviation([run.best.miou for run in members])),
                spread(*mean_and_deviation([run.best.epoch for run in members])),
                duration(_mean([run.best.seconds for run in members])),
                spread(*mean_and_deviation([run.nearly.epoch for run in members])),
                duration(_mean([run.nearly.seconds for run in members])),
            )
        )
    header = (
        "masking", *(("of",) if any(apart) else ()), "runs", "best validation mIoU", "epochs to it",
        "time to it", "epochs to 95 % of it", "time to 95 %",
    )  # fmt: skip
    caption = f"Convergence: means over folds and seeds, ± standard deviation over runs: {common}"
    return Table(caption, header, tuple(rows), left=2 if any(apart) else 1)


def _runs(runs: Sequence[Curve]) -> Table:
    common, apart = shared([run.common for run in runs], but=("masking", "lists"))
    rows = []
    for run, rest in zip(runs, apart, strict=True):
        last = run.points[-1]
        rows.append(
            (
                Cell(run.common.masking, swatch(run.common.masking)),
                join(rest, "" if run.fold is None else fold_name(run.fold), f"seed {run.seed}"),
                number(run.best.miou),
                f"{run.best.epoch} of {last.epoch}",
                f"{duration(run.best.seconds)} of {duration(last.seconds)}",
                str(run.nearly.epoch),
                duration(run.nearly.seconds),
                {True: "yes", False: "no", None: ABSENT}[run.complete],
                run.hardware,
            )
        )
    header = (
        "masking", "run", "best validation mIoU", "at epoch", "after", "95 % at epoch", "after", "complete",
        "tested on",
    )  # fmt: skip
    return Table(f"Every run: {common}", header, tuple(rows), left=2)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
