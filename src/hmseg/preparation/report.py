"""What was looked for and what was found, as a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hmseg.preparation.masks import Pair, faults
from hmseg.preparation.parallel import each

State = Literal["ok", "note", "missing", "wrong"]
SAMPLE = 200
"""Pairs looked at by ``check=true``: a second or two; ``check=deep`` looks at all of them."""
_COLOURS = {"ok": "green", "note": "yellow", "missing": "red", "wrong": "red"}
_SHOWN = 20
_WIDTH = 110  # of the table in a file or pipe


@dataclass(frozen=True)
class Row:
    """One thing that was looked for.

    Attributes:
        what: the thing.
        expected: in words.
        found: in words.
        state: ``missing`` and ``wrong`` are failures, ``note`` is worth knowing.
        items: the files that it is about, shown in a table of their own.
    """

    what: str
    expected: str
    found: str
    state: State
    items: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the data can't be used as they are."""
        return self.state in ("missing", "wrong")


def count(what: str, expected: int, found: int) -> Row:
    """A number of files; more than expected is worth a note.

    Example:
        >>> count("photos", 3, 2).state, count("photos", 3, 3).state, count("photos", 3, 4).state
        ('missing', 'ok', 'note')
    """
    state: State = "missing" if found < expected else "ok" if found == expected else "note"
    return Row(what, f"{expected:,}", f"{found:,}", state)


def sample(pairs: Sequence[Pair], deep: bool) -> Sequence[Pair]:
    """All pairs, or :data:`SAMPLE` of them spread evenly."""
    if deep or len(pairs) <= SAMPLE:
        return pairs
    return [pairs[place * len(pairs) // SAMPLE] for place in range(SAMPLE)]


def look(what: str, pairs: Sequence[Pair], deep: bool, workers: int) -> Row:
    """Read masks (and, deep, photos): damaged, of another size than the photo, or with strange values?"""
    chosen = sample(pairs, deep)
    found = each(faults, chosen, len(chosen), workers, f"looking at {what}")
    return faulty(what, [fault for fault in found if fault is not None], len(chosen), len(pairs))


def faulty(what: str, found: Sequence[str], looked_at: int, there: int) -> Row:
    """The outcome of looking at files one by one."""
    amount = f"{looked_at:,} of {there:,} looked at, {len(found):,} faulty"
    state: State = "wrong" if found else "ok" if looked_at else "missing"
    return Row(what, "none faulty", amount, state, tuple(found))


def show(title: str, rows: Sequence[Row], console: Console | None = None) -> None:
    """Print what was looked for, then the files that are noteworthy, to standard output."""
    console = console or Console(width=None if sys.stdout.isatty() else _WIDTH)
    table = Table(title=title, title_justify="left")
    for column in ("what", "expected", "found", "state"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            escape(row.what), row.expected, escape(row.found), f"[{_COLOURS[row.state]}]{row.state}"
        )
    console.print(table)
    if not any(row.items for row in rows):
        return
    table = Table(title="in particular", title_justify="left")
    table.add_column("what", overflow="fold")
    table.add_column("file", overflow="fold")
    for row in rows:
        for item in row.items[:_SHOWN]:
            table.add_row(escape(row.what), escape(item))
        if len(row.items) > _SHOWN:
            table.add_row(escape(row.what), f"… and {len(row.items) - _SHOWN:,} more")
    console.print(table)
