"""Files that are whole or not there, their digests, and the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO


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
    """The same for a binary file.

    Raises:
        OSError: the folder does not exist or can't be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with writing_bytes(Path(folder) / "a.bin") as file:
        ...         _ = file.write(b"whole")
        ...     os.listdir(folder)
        ['a.bin']
    """
    with _moved(path) as handle, open(handle, "wb") as file:
        yield file


@contextmanager
def _moved(path: Path) -> Iterator[int]:
    """The handle of a temporary file, which whoever takes it closes; it is moved to ``path`` at the end."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        yield handle
        os.chmod(part, 0o644)  # mkstemp's own is for this user alone
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def append_json(path: Path, content: Mapping[str, Any]) -> None:
    """Adds one line of JSON to a file, which is made where it is missing; several processes may at once.

    A line cut by a full disk is ended before the next one begins: readers leave it out.

    Raises:
        OSError: the folder does not exist or can't be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.jsonl"
        ...     _ = path.write_text('{"cut": ')
        ...     append_json(path, {"a": 1})
        ...     path.read_text().splitlines()
        ['{"cut": ', '{"a": 1}']
    """
    import fcntl  # not on Windows

    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        cut = size > 0 and file.read(1) != b"\n"
        file.write(b"\n" * cut + json.dumps(content).encode() + b"\n")


def sha256(path: Path) -> str:
    """SHA-256 of a file, hex; raises OSError where it can't be read.

    Example:
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     sha256(Path(file.name))[:12]
        'e3b0c44298fc'
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def given_path(setting: str | None) -> Path | None:
    """The path that a setting gives, None where it gives none.

    Example:
        >>> given_path(None), given_path("a.jsonl").name
        (None, 'a.jsonl')
    """
    return None if setting is None else Path(setting).expanduser()


def user_cache() -> Path:
    """hmseg's folder in the user's cache: ``XDG_CACHE_HOME``, or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hmseg"


def chosen_folder(setting: str | Path | None, name: str) -> Path | None:
    """The folder that a setting means.

    Args:
        setting: None for none, a path, or ``auto`` for ``name`` in the user's cache folder.

    Example:
        >>> chosen_folder(None, "images"), chosen_folder("/fast/disk", "images").name
        (None, 'disk')
        >>> chosen_folder("auto", "images") == user_cache() / "images"
        True
    """
    if setting is None:
        return None
    return user_cache() / name if str(setting) == "auto" else Path(setting).expanduser()
