"""Which files are queries, and what their results are called; without PyTorch."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hmseg.data.opening import ENDINGS
from hmseg.data.pairs import images_in, not_read_note, visible
from hmseg.errors import ConfigError


class Query(NamedTuple):
    """An image to segment.

    Attributes:
        path: of the image.
        name: of its results below the output folder, with ``/`` and without an ending.
    """

    path: Path
    name: str

    @property
    def file(self) -> str:
        """The image's name below the folder of the queries, with ``/``."""
        return PurePosixPath(self.name).with_name(self.path.name).as_posix()


def find_queries(given: str, out: Path) -> list[Query]:
    """The images to segment, in the order of their paths.

    Args:
        given: an image, a folder (the images in it, not below), or a pattern such as ``photos/**/*.jpg``.
        out: what lies in it is no query.

    Raises:
        ConfigError: no such file, or no image among those found.
    """
    path = Path(given).expanduser()
    matched, root = _matched(path)
    files = matched if path.is_file() else images_in(matched)  # one that was named has any ending
    inside = out.resolve()
    files = [each for each in sorted(files) if not each.resolve().is_relative_to(inside)]
    if not files:
        what = "no image in this folder" if path.is_dir() else "no image there"
        note = not_read_note(matched)
        raise ConfigError(
            f"query={given}: {what}{f' ({note})' if note else ''}; give an image, a folder of images "
            f"({', '.join(ENDINGS)}) or a pattern"
        )
    return _named(files, root)


def queries_not_read(given: str) -> str | None:
    """A line for images among the queries in formats that are not read; None where there are none."""
    path = Path(given).expanduser()
    return None if path.is_file() else not_read_note(_matched(path)[0])


def _matched(path: Path) -> tuple[list[Path], Path]:
    """The files that are meant, and the folder that they are named from."""
    if path.is_dir():
        return [each for each in visible(path) if each.is_file()], path
    if path.is_file():
        return [path], path.parent
    root, rest = _fixed_part(path)
    matches = [root / each for each in glob.glob(rest, root_dir=root, recursive=True)]
    return [each for each in matches if each.is_file()], root


def _named(files: Sequence[Path], root: Path) -> list[Query]:
    """Without their endings, but where that would give two results one name."""
    relative = [each.relative_to(root) for each in files]
    counts = Counter(str(each.with_suffix("")).lower() for each in relative)
    return [
        Query(
            file,
            (name.with_suffix("") if counts[str(name.with_suffix("")).lower()] == 1 else name).as_posix(),
        )
        for file, name in zip(files, relative, strict=True)
    ]


def _fixed_part(pattern: Path) -> tuple[Path, str]:
    """The folder up to the first part that is a wild card, and the rest; a folder ``run[1]`` is none."""
    root, parts = Path(), list(pattern.parts)
    while len(parts) > 1 and (not glob.has_magic(parts[0]) or (root / parts[0]).exists()):
        root /= parts.pop(0)
    return root, str(Path(*parts))
