"""Progress of long steps: a bar with the time left in a terminal, else a line now and then."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Literal, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from hmseg.progress import clock

_REFRESH = 0.2  # seconds; drawn by hand, for a drawing thread and forked workers don't go together
_LINE = 30.0  # seconds between lines where there is no terminal


def size(number: float) -> str:
    """Bytes as a person reads them.

    Example:
        >>> size(512), size(252_872_794), size(13_510_573_713)
        ('512 bytes', '253 MB', '13.5 GB')
    """
    for unit, name, digits in ((1e9, "GB", 1), (1e6, "MB", 0), (1e3, "kB", 0)):
        if number >= unit:
            return f"{number / unit:.{digits}f} {name}"
    return f"{number:.0f} bytes"


class Bar:
    """Progress of one step; a context manager.

    Args:
        title: what is done.
        total: bytes or files; None if unknown.
        unit: what is counted.
        console: where it is shown; standard error by default.
    """

    def __init__(
        self,
        title: str,
        total: int | None,
        unit: Literal["bytes", "files"] = "files",
        console: Console | None = None,
    ) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._console = console or Console(stderr=True)
        amount = (DownloadColumn(), TransferSpeedColumn()) if unit == "bytes" else (MofNCompleteColumn(),)
        columns = (TextColumn("{task.description}"), BarColumn(), *amount, TimeRemainingColumn())
        self._progress = Progress(*columns, console=self._console, auto_refresh=False)
        self._task = self._progress.add_task(title, total=total)
        self._done = 0
        self._begun = self._shown = time.monotonic()
        self._first: int | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._progress.update(self._task, completed=self._done, refresh=True)
            self._progress.stop()

    def advance(self, amount: int = 1) -> None:
        """So much more is done."""
        self.at(self._done + amount)

    def at(self, done: int) -> None:
        """So much is done altogether."""
        if self._first is None:
            self._first = self._done  # what an earlier run did says nothing about the pace
        self._done = done
        now = time.monotonic()
        if now - self._shown < (_REFRESH if self._console.is_terminal else _LINE):
            return
        self._shown = now
        if self._console.is_terminal:
            self._progress.update(self._task, completed=done, refresh=True)
        else:
            self._console.print(self.line(now - self._begun), highlight=False, soft_wrap=True)

    def start_at(self, done: int) -> None:
        """So much was done before; called first."""
        self._done = done

    def line(self, seconds: float) -> str:
        """The state in words.

        Args:
            seconds: since the beginning.

        Example:
            >>> bar = Bar("masks", 200)
            >>> bar.at(50)
            >>> bar.line(60.0)
            'masks: 50 of 200 (25 %), 3:00 left'
        """
        shown = size if self._unit == "bytes" else str
        if not self._total:
            return f"{self._title}: {shown(self._done)}"
        pace = (self._done - (self._first or 0)) / seconds if seconds > 0 else 0.0
        left = clock((self._total - self._done) / pace if pace > 0 else float("inf"))
        share = 100 * self._done // self._total
        return f"{self._title}: {shown(self._done)} of {shown(self._total)} ({share} %), {left} left"
