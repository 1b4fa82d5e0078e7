"""A page as Markdown, its drawings as SVG files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from hmseg.files import writing
from hmseg.reporting.page import Block, Cell, Examples, Figure, Figures, Listing, Page, Table, Text

MAX_BYTES = 290_000
"""Of all drawings together; further ones are in the HTML page alone."""
_SPECIAL = re.compile(r"([\\`*_\[\]|#~$])")


def escape(text: str) -> str:
    """A text that Markdown shows as it is.

    Example:
        >>> escape("a|b <script> *c*")
        'a\\\\|b &lt;script&gt; \\\\*c\\\\*'
    """
    html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", html)


def write_markdown(page: Page, path: Path) -> None:
    """Writes ``path`` and the drawings to ``<stem>_files`` beside it; drawings of an earlier page go.

    Raises:
        OSError: the folder can't be written.
    """
    folder = path.with_name(f"{path.stem}_files")
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    writer = _Writer(folder)
    lines = [f"# {escape(page.title)}", ""]
    lines += [line for text in page.summary for line in (escape(text), "")]
    for section in page.sections:
        lines += [f"## {escape(section.title)}", ""]
        for block in section.blocks:
            lines += [*writer.lines(block), ""]
    with writing(path) as file:
        file.write("\n".join(lines).rstrip() + "\n")


def write_tables(tables: Iterable[Table], path: Path) -> None:
    """Writes tables alone.

    Raises:
        OSError: the folder can't be written.
    """
    with writing(path) as file:
        file.write("\n".join(line for table in tables for line in (*_table(table), "")))


class _Writer:
    """Writes blocks as lines and drawings as files, as long as these stay small.

    Args:
        folder: of the drawings; made with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written = 0

    def lines(self, block: Block) -> list[str]:
        """One block, without the empty line after it."""
        if isinstance(block, Text):
            return [f"> {escape(block.text)}" if block.note else escape(block.text)]
        if isinstance(block, Listing):
            if block.code:
                return ["```sh", *(line.replace("```", "'''") for line in block.lines), "```"]
            return [f"- {escape(line)}" for line in block.lines]
        if isinstance(block, Table):
            return _table(block)
        if isinstance(block, Figures):
            return self._figures(block)
        assert isinstance(block, Examples)
        return [
            "The pictures are in the HTML page:",
            "",
            *(f"- {escape(one.title)}" for one in block.examples),
        ]

    def _figures(self, block: Figures) -> list[str]:
        lines, left_out = [], 0
        for figure in block.figures:
            text = _standing_alone(figure)
            if self._written + len(text.encode()) > MAX_BYTES:
                left_out += 1
                continue
            self._written += len(text.encode())
            self._folder.mkdir(exist_ok=True)
            with writing(self._folder / f"{figure.name}.svg") as file:
                file.write(text)
            image = f"![{escape(figure.title)}]({self._folder.name}/{figure.name}.svg)"
            lines += [f"**{escape(figure.title)}**", "", image, ""]
        if left_out:
            lines += [f"{left_out} more drawings are in the HTML page, to keep this folder small.", ""]
        return lines[:-1]


def _standing_alone(figure: Figure) -> str:
    """A drawing as a file of its own: on white, for pages of which it doesn't know the colour."""
    start = figure.svg.index(">") + 1
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', figure.svg)
    width, height = box.groups() if box else ("100%", "100%")
    ground = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    font = "<style>text{font-family:system-ui,sans-serif}</style>"
    return f"{figure.svg[:start]}{font}{ground}{figure.svg[start:]}\n"


def _table(table: Table) -> list[str]:
    def line(cells: list[str]) -> str:
        return f"| {' | '.join(cells)} |"

    marks = ["---" if place < table.left else "---:" for place in range(len(table.header))]
    head = [f"**{escape(table.caption)}**", ""] if table.caption else []
    rows = [line([_cell(cell) for cell in row]) for row in table.cells]
    return [*head, line([escape(each) for each in table.header]), line(marks), *rows]


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    return f"**{text}**" if cell.kind in ("strong", "good", "bad") and text else text
