"""Writing without half-written files, and the disk's troubles in one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from hmseg.errors import DataError
from hmseg.files import owned

_REASONS = {
    errno.ENOSPC: "the disk is full; free space and run again, what is done is kept",
    errno.EDQUOT: "the quota is used up; free space and run again, what is done is kept",
    errno.EROFS: "the file system is read-only; choose another root",
    errno.EACCES: "writing is not permitted; choose another root or change the permissions",
}
_LOCK = ".prepare.lock"


def trouble(error: OSError, path: Path) -> DataError:
    """What the operating system refused, as one line."""
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return DataError(f"{path}: {reason}")


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary name beside ``target``, moved there when the block ends well and removed when it does not.

    Raises:
        DataError: the disk is full or can't be written.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, target)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:  # decompressors raise it too, without
            raise trouble(error, target) from error
        raise


def locked(root: Path) -> AbstractContextManager[None]:
    """One preparation of a folder at a time; the lock ends with the process, however it ends.

    Raises:
        HmsegError: another process prepares the folder, or the folder can't be made.
    """
    return owned(root / _LOCK, str(root), "choose another root")


def names(folder: Path, *suffixes: str) -> set[str]:
    """Stems of the files in a folder with one of the suffixes; empty if there is no such folder.

    Example:
        >>> names(Path("no such folder"), ".png")
        set()
    """
    try:
        found = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise DataError(f"{folder} can't be read: {error.strerror}") from None
    parts = (os.path.splitext(name) for name in found if not name.startswith("."))
    return {stem for stem, suffix in parts if suffix in suffixes}
