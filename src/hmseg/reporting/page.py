"""A page as plain data, before it is written as Markdown or HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

_NARROW = 18  # letters
_LONG = 40  # rows


@dataclass(frozen=True)
class Cell:
    """A text in a table.

    Attributes:
        text: plain; writers escape it.
        kind: "" or how it is set off: ``strong``, ``quiet``, ``good``, ``bad``, or a masking's name, for that
            masking's colour.
    """

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph; a ``note`` is set off."""

    kind: ClassVar[str] = "text"
    text: str
    note: bool = False


@dataclass(frozen=True)
class Listing:
    """Lines, one below the other; ``code`` where they are to be typed."""

    kind: ClassVar[str] = "listing"
    lines: tuple[str, ...]
    code: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under a header.

    Attributes:
        caption: above it.
        header: names of the columns.
        rows: cells, or plain texts, as many as the header has.
        left: how many columns from the left hold words; the others hold numbers and stand right.
    """

    kind: ClassVar[str] = "table"
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell | str, ...], ...]
    left: int = 1

    @property
    def long(self) -> bool:
        """Is it so long that a page shows it only when it is asked for?"""
        return len(self.rows) > _LONG

    @property
    def narrow(self) -> bool:
        """Is the first column narrow enough to stay in sight while a phone's reader moves the others?"""
        return all(len(row[0].text) <= _NARROW for row in self.cells)

    @property
    def cells(self) -> list[list[Cell]]:
        """All rows as cells."""
        return [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in self.rows]


@dataclass(frozen=True)
class Figure:
    """A drawing.

    Attributes:
        name: letters, digits and dashes; unique on the page.
        title: what it shows; also its text for readers who don't see it.
        svg: the ``<svg>`` element, its colours as custom properties of the page.
    """

    name: str
    title: str
    svg: str


@dataclass(frozen=True)
class Figures:
    """Several drawings beside each other."""

    kind: ClassVar[str] = "figures"
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Picture:
    """A photo: a data URI, and what it shows."""

    uri: str
    title: str


@dataclass(frozen=True)
class Example:
    """One episode: heading, and its pictures in a row."""

    title: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Examples:
    """Episodes with their pictures; only the HTML page shows these."""

    kind: ClassVar[str] = "examples"
    examples: tuple[Example, ...]


Block = Text | Listing | Table | Figures | Examples


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        name: its anchor, letters and dashes.
        title: its heading.
        blocks: what it holds.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """Everything that a report says.

    Attributes:
        title: of the page.
        summary: paragraphs below it.
        sections: in order.
    """

    title: str
    summary: tuple[str, ...]
    sections: tuple[Section, ...] = field(default=())
