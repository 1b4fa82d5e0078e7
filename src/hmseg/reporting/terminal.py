"""Tables of a page on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from hmseg.reporting.page import Table


def print_tables(tables: Iterable[Table]) -> None:
    """Prints tables to standard output; their texts are shown as they are."""
    console = Console(soft_wrap=True)
    for table in tables:
        grid = Grid(title=escape(table.caption), title_justify="left")
        for place, name in enumerate(table.header):
            grid.add_column(escape(name), justify="right" if place >= table.left else "left")
        for row in table.cells:
            grid.add_row(*(escape(cell.text) for cell in row))
        console.print(grid)
