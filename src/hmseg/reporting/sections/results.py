"""What was measured: every configuration, per fold, over folds and seeds; and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hmseg.reporting.configurations import Configuration
from hmseg.reporting.gathering import Unfinished
from hmseg.reporting.page import Block, Cell, Listing, Section, Table, Text
from hmseg.reporting.sections.baselines import baselines
from hmseg.reporting.sections.glance import glance
from hmseg.reporting.setting import Setting, differing
from hmseg.reporting.words import (
    ABSENT,
    bounds,
    circumstances,
    fold_name,
    join,
    number,
    shared,
    spread,
    subject,
    swatch,
)

_APART = ("masking", "aggregation", "size", "original_size", "checkpoint", "origin", "selection", "precision")
"""What rows of one table may differ in; each has a column where they do."""
_NAMES = {
    "masking": "masking",
    "aggregation": "supports put together by",
    "size": "scored at",
    "checkpoint": "checkpoint",
    "origin": "from",
    "selection": "chosen on",
    "precision": "precision",
}


def results(every: Sequence[Configuration]) -> Section:
    """One table for each model, backbone, data set, shots and way to draw episodes."""
    blocks: list[Block] = [
        Text(
            "mIoU and FB-IoU in percent. A fold's value is the mean over the seeds of training, ± their "
            "sample standard deviation; the mean is over the folds that are there, ± over seeds that have "
            "them all. The interval is the middle 95 % of a bootstrap over episodes within class: what "
            "other episodes of the same classes could have given. It doesn't say what another training "
            "could have given."
        )
    ]
    blocks += glance(every)
    for common, members in _grouped(every).items():
        blocks.append(_table(common, members))
        blocks += [*baselines(members), *_remarks(members)]
    return Section("results", "Results", tuple(blocks))


def _grouped(every: Iterable[Configuration]) -> dict[Setting, list[Configuration]]:
    groups: dict[Setting, list[Configuration]] = {}
    for one in every:
        groups.setdefault(one.setting.without(*_APART), []).append(one)
    return groups


def _table(common: Setting, members: Sequence[Configuration]) -> Table:
    shown = [name for name in _NAMES if name in _columns(members)]
    folds = sorted(
        {fold for one in members for fold in one.folds}, key=lambda fold: -1 if fold is None else fold
    )
    several = folds != [None]
    sets = any(run.miou_by_set for one in members for run in one.measurements)
    header = (
        *(_NAMES[name] for name in shown),
        *((fold_name(fold) for fold in folds) if several else ()),
        "mIoU",
        "95 % interval",
        *(("over episode sets",) if sets else ()),
        "FB-IoU",
        "seeds",
    )
    rows = []
    for one in members:
        per_fold = [spread(*one.fold_score(fold)) if fold in one.folds else ABSENT for fold in folds]
        rows.append(
            (
                *(_cell(one.setting, name) for name in shown),
                *(per_fold if several else ()),
                Cell(spread(*one.score()), "strong"),
                bounds(one.interval),
                *((_sets(one),) if sets else ()),
                spread(*one.score("fb_iou")),
                ", ".join(map(str, one.seeds)),
            )
        )
    caption = join(
        subject(common), circumstances(common), "" if len(shown) > 1 else circumstances_of(members)
    )
    return Table(caption, header, tuple(rows), left=len(shown))


def circumstances_of(members: Sequence[Configuration]) -> str:
    """At what size and from which checkpoint, where all agree."""
    setting = members[0].setting
    return join(setting.at, f"{setting.checkpoint} checkpoint")


def _columns(members: Sequence[Configuration]) -> set[str]:
    """The masking always; else what they differ in. Checkpoint and size go together with anything else."""
    apart = set(differing(one.setting for one in members)) & set(_APART)
    if "original_size" in apart:
        apart.add("size")
    return {"masking"} | apart | ({"size", "checkpoint"} if apart - {"masking"} else set())


def _cell(setting: Setting, name: str) -> Cell | str:
    if name == "masking":
        return Cell(setting.masking, swatch(setting.masking))
    if name == "size":
        return setting.at
    if name == "selection":
        return {"clean": "classes set aside", "published": "the held-out classes"}.get(
            setting.selection, ABSENT
        )
    if name == "precision":
        return setting.precision or "float32"
    return str(getattr(setting, name)).replace("_", " ") or ABSENT


def _sets(one: Configuration) -> str:
    found = [run.miou_by_set for run in one.measurements if run.miou_by_set]
    return "; ".join(spread(*each) for each in found) or ABSENT


def _remarks(members: Sequence[Configuration]) -> Iterable[Block]:
    """Why numbers stand apart from the published ones: what all have in common, then the rest."""
    common = [r for r in members[0].remarks if all(r in one.remarks for one in members)]
    if common:
        yield Text(f"Not comparable with published numbers: {', '.join(common)}.", note=True)


def missing(every: Sequence[Configuration], unfinished: Sequence[Unfinished]) -> Section:
    """Which folds and seeds each configuration has and lacks, and the jobs of a sweep without a record."""
    common, apart = shared([one.setting for one in every])
    rows = [
        (
            rest or common,
            ", ".join(map(str, one.folds)) if one.folds != (None,) else ABSENT,
            ", ".join(map(str, one.seeds)),
            Cell("; ".join(_gaps(one)) or "nothing", "strong" if _gaps(one) else "quiet"),
        )
        for one, rest in zip(every, apart, strict=True)
    ]
    header = ("configuration", "folds", "seeds", "missing")
    blocks: list[Block] = [Table(f"What there is: {common}", header, tuple(rows), left=4)]
    if unfinished:
        blocks.append(Text("Jobs of the sweep without a record: failed, stopped or still running."))
        blocks.append(Listing(tuple(f"{one.job}: {' '.join(one.overrides)}" for one in unfinished)))
    return Section("missing", "What is missing", tuple(blocks))


def _gaps(one: Configuration) -> list[str]:
    gaps = [f"folds {', '.join(map(str, one.missing_folds))}"] if one.missing_folds else []
    gaps += [f"seed {seed} of {fold_name(fold)}" for fold, seed in one.missing_cells]
    tables = [fold_name(run.fold) for run in one.measurements if run.table_path is None]
    return gaps + ([f"tables of episodes of {', '.join(dict.fromkeys(tables))}"] if tables else [])


def means(every: Sequence[Configuration]) -> list[Table]:
    """The short tables on the terminal: one for each model, backbone, data set and shots."""
    groups: dict[str, list[Configuration]] = {}
    for one in every:
        groups.setdefault(subject(one.setting), []).append(one)
    tables = []
    for name, members in groups.items():
        _, apart = shared(
            [one.setting for one in members], but=("masking", "model", "backbone", "dataset", "shot")
        )
        rows = tuple(
            (
                one.setting.masking,
                rest,
                f"{len(one.folds)}/{len(one.folds) + len(one.missing_folds)}",
                str(len(one.seeds)),
                spread(*one.score()),
                number(one.score("fb_iou")[0]),
            )
            for one, rest in zip(members, apart, strict=True)
        )
        tables.append(Table(name, ("masking", "", "folds", "seeds", "mIoU", "FB-IoU"), rows, left=2))
    return tables
