"""Files that are whole or not there, folders that have one owner, digests, and the user's cache folder."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from hmseg.errors import HmsegError

log = logging.getLogger(__name__)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems say that have no locks, such as some of clusters."""


@contextmanager
def writing(path: Path) -> Iterator[TextIO]:
    """A text file under a temporary name beside ``path``, moved there when the block ends well.

    What was written is on the disk before the file has its name, so that a power cut leaves no empty one.
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
        file.flush()
        os.fsync(handle)


@contextmanager
def writing_bytes(path: Path, durable: bool = True) -> Iterator[BinaryIO]:
    """The same for a binary file.

    Args:
        path: of the file.
        durable: wait for the disk. Not for caches, whose files carry a checksum and can be made again.

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
        file.flush()
        if durable:
            os.fsync(handle)


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


def new_folder(wanted: Path) -> Path:
    """Makes a folder that was not there: the one wanted, or where that is taken ``NAME-2``, ``NAME-3``, …

    Several processes may ask for the same one at once: each gets a folder of its own.

    Raises:
        OSError: it can't be made.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [new_folder(Path(folder) / "12-00-00").name for _ in range(3)]
        ['12-00-00', '12-00-00-2', '12-00-00-3']
    """
    wanted.parent.mkdir(parents=True, exist_ok=True)
    number, folder = 2, wanted
    while True:
        try:
            folder.mkdir()
        except FileExistsError:
            folder, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
        else:
            return folder


@contextmanager
def owned(lock: Path, what: str, elsewhere: str = "choose another folder") -> Iterator[None]:
    """While the block lasts, no other process has the same lock.

    The lock is the operating system's: it ends with the process, however that ends. Beside the file stands
    who holds it, for others to read. Where a file system has no locks, a warning says so.

    Args:
        lock: its file, in a folder that is made where it is missing; it stays, since removing it would let
            two others in at once.
        what: that it is for, in messages.
        elsewhere: what to do where its folder can't be written.

    Raises:
        HmsegError: another process has it, or the folder can't be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with owned(Path(folder) / ".lock", "the folder"):
        ...         with owned(Path(folder) / ".lock", "the folder"):
        ...             pass
        Traceback (most recent call last):
        hmseg.errors.HmsegError: the folder is in use by process ... since ...: wait for it or end it
    """
    from filelock import FileLock, Timeout

    holder, locked = lock.with_name(f"{lock.name}.holder"), FileLock(lock, timeout=0)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        locked.acquire()
    except Timeout:
        raise HmsegError(f"{what} is in use by {_told_by(holder)}: wait for it or end it") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            reason = f"{lock.parent} can't be written ({error.strerror})"
            raise HmsegError(f"{reason}: {elsewhere}") from None
        log.warning("%s has no locks (%s): nothing keeps another process out", lock.parent, error.strerror)
    try:
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        with suppress(OSError):  # a disk without room for it is told of by what fails to be written there
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()} since {now}")
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        locked.release()


def _told_by(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8") or "another process"
    except (OSError, UnicodeDecodeError):
        return "another process"


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
