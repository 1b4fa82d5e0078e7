"""mIoU against object size; HM's claim is that it helps small objects most."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from hmseg.reporting.configurations import Configuration
from hmseg.reporting.figures import size_figure
from hmseg.reporting.object_sizes import BINS, SizeBin, size_bins, size_differences
from hmseg.reporting.page import Block, Cell, Figures, Section, Table, Text
from hmseg.reporting.setting import Setting
from hmseg.reporting.words import (
    ABSENT,
    bounds,
    circumstances,
    join,
    main_view,
    number,
    signed,
    subject,
    swatch,
)

_NAMES = [name for name, _, _ in BINS]


def sizes(every: Sequence[Configuration]) -> Section:
    """Bars, values and paired differences in each bin."""
    blocks: list[Block] = [
        Text(
            "Episodes by the share of the query's counted pixels that its object takes. mIoU of a bin is "
            "the mean over those classes, of all folds that are there, that have an episode in it: bins "
            "hold different classes, so compare maskings within a bin, not bins. A class with one episode "
            "in a bin adds nothing to its interval, which is then too narrow. Best checkpoint, network's "
            "size, several supports by the vote, where there is a choice."
        )
    ]
    groups: dict[Setting, list[Configuration]] = {}
    for one in main_view(every):
        groups.setdefault(one.setting.without("masking"), []).append(one)
    figures, tables = [], []
    for place, (common, members) in enumerate(groups.items()):
        found = {one: bins for one in members if (bins := size_bins(one)) is not None}
        if found:
            values = {one.setting.masking: [each.value for each in bins] for one, bins in found.items()}
            figures.append(size_figure(f"sizes-{place}", subject(common), _NAMES, values))
            caption = join(subject(common), circumstances(common, but=("lists",)))
            tables.append(_table(caption, found))
            tables += _differences(caption, list(found))
    if not figures:
        blocks = [Text("No configuration here has its tables of episodes: the size of objects is not known.")]
    else:
        blocks += [Figures(tuple(figures)), *tables]
    return Section("sizes", "Object size", tuple(blocks))


def _table(caption: str, found: dict[Configuration, list[SizeBin]]) -> Table:
    rows: list[tuple[Cell | str, ...]] = [
        (
            Cell(one.setting.masking, swatch(one.setting.masking)),
            *(_value(each) for each in bins),
        )
        for one, bins in found.items()
    ]
    counts = next(iter(found.values()))
    rows.append((Cell("episodes, classes", "quiet"), *(Cell(_count(each), "quiet") for each in counts)))
    return Table(f"mIoU with 95 % interval: {caption}", ("masking", *_NAMES), tuple(rows))


def _value(each: SizeBin) -> str:
    return f"{number(each.value.value)} ({bounds(each.value)})" if each.episodes else ABSENT


def _count(each: SizeBin) -> str:
    return f"{each.episodes}, {each.classes}"


def _differences(caption: str, members: Sequence[Configuration]) -> list[Table]:
    rows: list[tuple[Cell | str, ...]] = []
    for other, method in combinations(members, 2):
        bins = size_differences(method, other)
        if bins is not None:
            pair = f"{method.setting.masking} − {other.setting.masking}"
            rows.append((pair, *(_difference(each) for each in bins)))
    return [Table(f"Paired differences: {caption}", ("pair", *_NAMES), tuple(rows))] if rows else []


def _difference(each: SizeBin) -> Cell:
    if not each.episodes:
        return Cell(ABSENT)
    kind = ("good" if each.value.value > 0 else "bad") if each.value.clear else ""
    return Cell(f"{signed(each.value.value)} ({bounds(each.value, with_sign=True)})", kind)
