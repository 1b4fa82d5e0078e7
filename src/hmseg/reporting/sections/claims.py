"""What papers claim against what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hmseg.reporting.configurations import paired
from hmseg.reporting.fields import printable
from hmseg.reporting.measurement import Measurement
from hmseg.reporting.page import Block, Cell, Section, Table, Text
from hmseg.reporting.setting import model_name
from hmseg.reporting.statistics import Interval, interval
from hmseg.reporting.words import ABSENT, bounds, number, signed

Row = Mapping[str, Any]
_KINDS = {"verified": "good", "differs": "bad", "failed": "bad", "unverified": "quiet"}
_HEADER = (
    "claim", "status", "claimed", "measured", "difference", "95 % interval", "claimed per fold",
    "measured per fold", "difference per fold", "claimed FB-IoU", "measured FB-IoU", "why",
)  # fmt: skip


def claims(rows: Sequence[Row], measurements: Iterable[Measurement]) -> Section:
    """One line for each claim of the ledger.

    Args:
        rows: as `hmseg.reporting.ledger` makes them.
        measurements: for the interval of those records.
    """
    by_id = {one.identity: one for one in measurements}
    if not rows:
        text = "The ledger of claims is not here: nothing is set against published numbers."
        return Section("claims", "Claimed against measured", (Text(text),))
    counts: dict[str, int] = {}
    for row in rows:
        counts[_text(row, "status")] = counts.get(_text(row, "status"), 0) + 1
    blocks: list[Block] = [
        Text(
            f"{len(rows)} claims: "
            + ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
            + ". mIoU in percent; the difference is measured less claimed, in points, its interval that of a "
            "bootstrap over the measured episodes within class: the claim's own episodes are taken as "
            "fixed. A claim without a measurement on its full protocol stays unverified."
        )
    ]
    benchmarks = dict.fromkeys(_text(row, "benchmark") for row in rows)
    for benchmark in benchmarks:
        members = [row for row in rows if _text(row, "benchmark") == benchmark]
        blocks.append(_table(benchmark, members, by_id))
    return Section("claims", "Claimed against measured", tuple(blocks))


def _table(benchmark: str, rows: Sequence[Row], by_id: Mapping[str, Measurement]) -> Table:
    """Columns of which every cell is empty are left out."""
    lines = [_line(row, by_id) for row in rows]
    kept = [
        n for n in range(len(_HEADER)) if n < 4 or any(_of(line[n]) not in (ABSENT, "") for line in lines)
    ]
    return Table(
        benchmark,
        tuple(_HEADER[n] for n in kept),
        tuple(tuple(line[n] for n in kept) for line in lines),
        left=2,
    )


def _line(row: Row, by_id: Mapping[str, Measurement]) -> tuple[Cell | str, ...]:
    claimed, measured = _number(row, "claimed"), _number(row, "measured")
    theirs, ours = _numbers(row, "per_fold"), _numbers(row, "measured_per_fold")
    gaps = [o - t if o is not None and t is not None else None for o, t in zip(ours, theirs, strict=False)]
    status = _text(row, "status")
    return (
        _name(row),
        Cell(status, _KINDS.get(status, "")),
        number(claimed),
        Cell(number(measured), "strong"),
        signed(measured - claimed) if measured is not None and claimed is not None else ABSENT,
        bounds(_interval(row, by_id, claimed), with_sign=True),
        " ".join(number(each) for each in theirs) or ABSENT,
        " ".join(number(each) for each in ours) if any(each is not None for each in ours) else ABSENT,
        " ".join(signed(each) if each is not None else ABSENT for each in gaps) if any(gaps) else ABSENT,
        number(_number(row, "fb_iou")),
        number(_number(row, "measured_fb_iou")),
        _text(row, "reason"),
    )


def _name(row: Row) -> str:
    words = (model_name(_text(row, "model")), _text(row, "masking"), _text(row, "backbone"))
    return f"{', '.join(words)}, {_text(row, 'shot')}-shot"


def _interval(row: Row, by_id: Mapping[str, Measurement], claimed: float | None) -> Interval | None:
    """Of measured less claimed, where the records that count are among the measurements."""
    ids = [each for each in row.get("records") or () if isinstance(each, str)]
    runs = [by_id[each] for each in ids if each in by_id]
    if claimed is None or not ids or len(runs) < len(ids):
        return None
    folds: dict[int | None, list[Measurement]] = {}
    for run in runs:
        folds.setdefault(run.fold, []).append(run)
    contrasts = [paired([members], (1.0,)) for members in folds.values()]
    if None in contrasts:
        return None
    found = interval([each for each in contrasts if each is not None])
    return Interval(*(each - claimed for each in found))


def _of(cell: Cell | str) -> str:
    return cell.text if isinstance(cell, Cell) else cell


def _text(row: Row, key: str) -> str:
    value = row.get(key)
    return "" if value is None else printable(str(value))


def _number(row: Row, key: str) -> float | None:
    return _as_number(row.get(key))


def _numbers(row: Row, key: str) -> list[float | None]:
    value = row.get(key)
    every = list(value.values()) if isinstance(value, Mapping) else list(value or ())
    return [_as_number(each) for each in every]


def _as_number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
