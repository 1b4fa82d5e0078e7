"""Paired differences between maskings and between ways to put several supports together."""

from __future__ import annotations

from collections.abc import Container, Sequence

from hmseg.reporting.comparisons import Difference, Unpaired, differences
from hmseg.reporting.configurations import Configuration
from hmseg.reporting.figures import difference_figure
from hmseg.reporting.page import Block, Cell, Figures, Listing, Section, Table, Text
from hmseg.reporting.setting import Setting
from hmseg.reporting.words import (
    ABSENT,
    bounds,
    fold_name,
    main_view,
    shared,
    signed,
    subject,
)


def compared(every: Sequence[Configuration]) -> Section:
    """All pairs of maskings; all ways to put supports together; best and last checkpoint."""
    blocks: list[Block] = [
        Text(
            "Difference of mIoU in points between two methods on the same episodes. Both get the same draws "
            "of the bootstrap, so that what makes an episode hard for both cancels. An interval without "
            "zero is set off. Several seeds of training count by their mean; the interval holds the choice "
            "of episodes, not of trainings."
        )
    ]
    count = len(blocks)
    for attribute, title in (
        ("masking", "Maskings"),
        ("aggregation", "Supports put together"),
        ("checkpoint", "Best and last checkpoint"),
    ):
        found, unpaired = differences(every, attribute)
        if attribute == "masking":
            blocks += _figures(found, {one.setting.without(attribute) for one in main_view(every)})
        if attribute == "aggregation":
            blocks += _against_the_vote(found)
        blocks += _tables(found, title)
        if unpaired:
            blocks += [Text(f"{title}: pairs that can't be compared."), Listing(_unpaired(unpaired))]
    if len(blocks) == count:
        blocks.append(Text("No two configurations here differ in one of these alone."))
    return Section("differences", "Paired differences", tuple(blocks))


def _figures(found: Sequence[Difference], shown: Container[Setting]) -> list[Block]:
    by_common: dict[Setting, list[Difference]] = {}
    for one in (each for each in found if each.common in shown):
        by_common.setdefault(one.common, []).append(one)
    figures = []
    for place, (common, members) in enumerate(by_common.items()):
        rows = [(f"{_label(one.method)} − {_label(one.other)}", one.method, one.mean) for one in members]
        figures.append(difference_figure(f"differences-{place}", subject(common), rows))
    return [Figures(tuple(figures))] if figures else []


def _against_the_vote(found: Sequence[Difference]) -> list[Block]:
    """Best checkpoints at the network's size: every way to put supports together less the published one."""
    groups: dict[Setting, list[Difference]] = {}
    for one in found:
        if one.other == "vote" and one.common.checkpoint != "last" and not one.common.original_size:
            groups.setdefault(one.common.without("masking"), []).append(one)
    figures = []
    for place, (common, members) in enumerate(groups.items()):
        rows = [
            (f"{one.common.masking}, {_label(one.method)}", one.common.masking, one.mean) for one in members
        ]
        title = f"{subject(common)}: less the vote"
        figures.append(difference_figure(f"votes-{place}", title, rows))
    return [Figures(tuple(figures))] if figures else []


def _tables(found: Sequence[Difference], title: str) -> list[Block]:
    """One table for each model, backbone, data set and shots."""
    groups: dict[str, list[Difference]] = {}
    for one in found:
        groups.setdefault(subject(one.common), []).append(one)
    return [_table(title, members) for members in groups.values()]


def _table(title: str, members: Sequence[Difference]) -> Table:
    folds = list(dict.fromkeys(fold for one in members for fold in one.per_fold))
    several = folds != [None]
    common, apart = shared([one.common for one in members])
    rows = []
    for one, rest in zip(members, apart, strict=True):
        kind = ("good" if one.mean.value > 0 else "bad") if one.mean.clear else ""
        rows.append(
            (
                f"{_label(one.method)} − {_label(one.other)}",
                *((rest,) if any(apart) else ()),
                *((_fold(one, fold) for fold in folds) if several else ()),
                Cell(signed(one.mean.value), kind),
                Cell(bounds(one.mean, with_sign=True), kind),
            )
        )
    header = (
        "pair",
        *(("with",) if any(apart) else ()),
        *((fold_name(fold) for fold in folds) if several else ()),
        "mean",
        "95 % interval",
    )
    return Table(f"{title}: {common}", header, tuple(rows), left=2 if any(apart) else 1)


def _fold(one: Difference, fold: int | None) -> str:
    if fold not in one.per_fold:
        return ABSENT
    return f"{signed(one.per_fold[fold].value)} ({bounds(one.per_fold[fold], with_sign=True)})"


def _unpaired(unpaired: Sequence[Unpaired]) -> tuple[str, ...]:
    _, apart = shared([one.common for one in unpaired])
    return tuple(
        f"{_label(one.method)} − {_label(one.other)}{rest and f', {rest}'}: {one.reason}"
        for one, rest in zip(unpaired, apart, strict=True)
    )


def _label(name: str) -> str:
    return name.replace("_", " ")
