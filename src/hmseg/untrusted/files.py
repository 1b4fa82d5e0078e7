"""Files of unknown origin, opened so that none can hang the program or fill its memory."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

FEW_BYTES = 64 * 2**20
"""Most bytes of a file that is small by nature: a list, a record, a configuration."""


@contextmanager
def opened(path: str | os.PathLike[str], most: int | None = None) -> Iterator[BinaryIO]:
    """An ordinary file, for a ``with`` block.

    A pipe without a writer would be waited for, a device such as ``/dev/zero`` never ends: neither is opened.

    Args:
        path: of the file.
        most: bytes that it may have; None for any number.

    Raises:
        OSError: it is missing, may not be read, is no ordinary file, or is larger.

    Example:
        >>> with opened(os.devnull) as file:
        ...     file.read()
        Traceback (most recent call last):
        OSError: [Errno 22] it is no ordinary file: ...
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        about = os.fstat(handle)
        if stat.S_ISDIR(about.st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder", os.fspath(path))
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file", os.fspath(path))
        if most is not None and about.st_size > most:
            raise OSError(errno.EINVAL, f"it has more than {most // 10**6} MB", os.fspath(path))
        with open(handle, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(handle)


def read_bytes(path: str | os.PathLike[str], most: int = FEW_BYTES) -> bytes:
    """All bytes of an ordinary file; raises OSError as :func:`opened`."""
    with opened(path, most) as file:
        return file.read()


def read_text(path: str | os.PathLike[str], most: int = FEW_BYTES, encoding: str = "utf-8") -> str:
    """The text of an ordinary file, line ends as ``\\n``; raises OSError, UnicodeDecodeError."""
    return read_bytes(path, most).decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def json_or_none(path: str | os.PathLike[str], most: int = FEW_BYTES) -> Any:
    """The JSON of a file that may be missing, damaged or of something else; then None.

    Example:
        >>> json_or_none("there is no such file")
    """
    try:
        return json.loads(read_bytes(path, most))
    except Exception:  # noqa: BLE001 - missing, no JSON, nested too deep: it counts as not there
        return None
