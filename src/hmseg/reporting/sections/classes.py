"""IoU of each class, masking beside masking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hmseg.reporting.configurations import Configuration
from hmseg.reporting.figures import MAX_CLASSES, class_figure
from hmseg.reporting.page import Block, Cell, Figure, Figures, Section, Table, Text
from hmseg.reporting.setting import Setting
from hmseg.reporting.words import ABSENT, circumstances, fold_name, join, main_view, number, subject

Values = Mapping[str, Mapping[str, float]]


def classes(every: Sequence[Configuration]) -> Section:
    """Bars and a table for each fold."""
    shown = main_view(every)
    text = (
        "IoU of each held-out class in percent, mean over the seeds of training: best checkpoint, network's "
        "size, several supports by the vote, where there is a choice. Classes with few episodes jump; their "
        "number stands in the table."
    )
    if any(len(run.classes) > MAX_CLASSES for one in shown for run in one.measurements):
        text += f" Of more than {MAX_CLASSES} classes the bars show those with the most episodes."
    groups: dict[tuple[Setting, int | None], list[Configuration]] = {}
    for one in shown:
        for fold in one.folds:
            groups.setdefault((one.setting.without("masking"), fold), []).append(one)
    tables, figures = [], []
    for place, ((common, fold), members) in enumerate(groups.items()):
        title = join(subject(common), "" if fold is None else fold_name(fold))
        figures.append(_figure(f"classes-{place}", title, members, fold))
        tables.append(_table(join(title, circumstances(common, but=("lists",))), members, fold))
    blocks: list[Block] = [Text(text), Figures(tuple(figures)), *tables]
    return Section("classes", "Per class", tuple(blocks))


def _values(one: Configuration, fold: int | None) -> dict[tuple[int, str], tuple[float, int]]:
    """Mean IoU over the seeds, and number of episodes, by class."""
    runs = one.of_fold(fold)
    found: dict[tuple[int, str], list[tuple[float, int]]] = {}
    for run in runs:
        for score in run.classes:
            found.setdefault((score.class_id, score.name), []).append((score.iou, score.episodes))
    return {key: (sum(iou for iou, _ in values) / len(values), values[0][1]) for key, values in found.items()}


def _figure(name: str, title: str, members: Sequence[Configuration], fold: int | None) -> Figure:
    by_masking = {one.setting.masking: _values(one, fold) for one in members}
    order = _most_episodes(by_masking.values())
    bars = {
        masking: {key[1]: values[key][0] for key in order if key in values}
        for masking, values in by_masking.items()
    }
    return class_figure(name, title, bars)


def _most_episodes(rows: Iterable[Mapping[tuple[int, str], tuple[float, int]]]) -> list[tuple[int, str]]:
    """Classes by id; where they are too many, those with the most episodes."""
    episodes = {key: count for row in rows for key, (_, count) in row.items()}
    kept = sorted(episodes, key=lambda key: (-episodes[key], key))[:MAX_CLASSES]
    return sorted(kept)


def _table(caption: str, members: Sequence[Configuration], fold: int | None) -> Table:
    columns = [_values(one, fold) for one in members]
    keys = sorted({key for values in columns for key in values})
    rows: list[tuple[Cell | str, ...]] = []
    for key in keys:
        episodes = next(values[key][1] for values in columns if key in values)
        cells = [number(values[key][0]) if key in values else ABSENT for values in columns]
        rows.append((key[1], *cells, str(episodes)))
    means = [Cell(number(one.fold_score(fold)[0]), "strong") for one in members]
    total = str(members[0].setting.episodes)
    rows.append((Cell("mean", "strong"), *means, total))
    header = ("class", *(one.setting.masking for one in members), "episodes")
    return Table(caption, header, tuple(rows))
