"""Files that are whole or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO


@contextmanager
def writing(path: Path) -> Iterator[TextIO]:
    """A text file under a temporary name beside ``path``, moved there when the block ends well.

    Several processes may write the same path at once: each has a name of its own, and the last one stays.

    Raises:
        OSError: the folder does not exist or can't be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with writing(Path(folder) / "a.txt") as file:
        ...         _ = file.write("whole")
        ...     (Path(folder) / "a.txt").read_text()
        'whole'
    """
    with _moved(path) as handle, open(handle, "w", encoding="utf-8") as file:
        yield file


@contextmanager
def writing_bytes(path: Path) -> Iterator[BinaryIO]:
    """As :func:`writing`, a file of bytes."""
    with _moved(path) as handle, open(handle, "wb") as file:
        yield file


@contextmanager
def _moved(path: Path) -> Iterator[int]:
    """A handle, which the block closes, of the file under its temporary name."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        yield handle
        os.chmod(part, 0o644)  # mkstemp's own is for this user alone
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
