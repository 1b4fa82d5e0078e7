"""What a benchmark's preparation is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from hmseg.preparation.archives import Archive, Shelf
from hmseg.preparation.unpack import Select, unpack


@dataclass(frozen=True)
class Work:
    """One benchmark's folder and how to work on it.

    Attributes:
        root: its folder.
        splits: folder of its image lists.
        shelf: where archives come from.
        downloads: folder of fetched archives.
        workers: processes.
        deep: look at every file when verifying.
        masks: folder of COCO's masks, or ``json`` where they are read from the annotation files and none are
            made; None: ``masks`` below the root, else ``annotations``, where HSNet's archives put them.
    """

    root: Path
    splits: Path
    shelf: Shelf
    downloads: Path
    workers: int = 0
    deep: bool = False
    masks: str | Path | None = None

    def unpack(self, archive: Archive, select: Select) -> None:
        """Get an archive and unpack what is needed of it."""
        path = self.shelf.get(archive, self.downloads)
        found = unpack(path, self.root, select)
        say(f"{path.name}: {found:,} files are in {self.root}")


def say(text: str) -> None:
    """A line on standard output about a step that is done."""
    Console(soft_wrap=True).print(text, highlight=False, markup=False)
