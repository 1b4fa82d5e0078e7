"""Checkpoint files that are whole or not there, and how one that is damaged is told from a whole one.

Nothing here imports PyTorch: the command line looks at checkpoints before it does.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import BinaryIO

LAST, PREVIOUS, BEST = "last.ckpt", "last-previous.ckpt", "best.ckpt"
RESUMED = (LAST, PREVIOUS, BEST)
"""Names in the order in which a run goes on from them."""
PRETRAINED = {"prototype": Path(str(resources.files("hmseg") / "assets" / "prototype.ckpt"))}
"""Checkpoints inside the package, by the names that stand for them; the first is the default."""
_SEAL = b"hmseg sha256 "
_LENGTH = (len(_SEAL) + 64).to_bytes(2, "little")
_SEALED = len(_LENGTH) + len(_SEAL) + 64
_CHUNK = 1 << 20


def seal(file: io.BytesIO) -> None:
    """Adds the SHA-256 of a checkpoint that was just saved, as the comment of the zip archive that it is.

    The archive's own CRC-32s cover its entries only: a bit that flips in its directory may let PyTorch fail,
    or read something else without a word.

    Raises:
        ValueError: it is no zip archive, or has a comment.
    """
    end = file.seek(-2, os.SEEK_END)
    if bytes(file.getbuffer()[-22:-18]) != b"PK\5\6" or file.read() != bytes(2):
        raise ValueError("no zip archive without a comment")
    digest = hashlib.sha256(file.getbuffer()[:end]).hexdigest()
    file.seek(end)
    file.write(_LENGTH + _SEAL + digest.encode())


def is_whole(path: Path) -> bool:
    """Whether a file is a checkpoint from its first byte to its last, by its seal or else by its CRC-32s.

    Reads all of it; a truncated file is found at once.

    Example:
        >>> is_whole(Path("there is no such file"))
        False
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _SEALED))
            length, mark, digest = (file.read(count) for count in (2, len(_SEAL), 64))
            if mark == _SEAL:
                return length == _LENGTH and digest == _sha256_of_first(file, size - _SEALED)
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError):
        return False


def _sha256_of_first(file: BinaryIO, size: int) -> bytes:
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (chunk := file.read(min(size, _CHUNK))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest().encode()


def first_whole(folder: Path, names: Sequence[str] = RESUMED) -> tuple[Path | None, list[Path]]:
    """The first of some checkpoints of a folder that is whole, and the damaged ones before it."""
    damaged: list[Path] = []
    for path in (folder / name for name in names):
        if path.is_file():
            if is_whole(path):
                return path, damaged
            damaged.append(path)
    return None, damaged


def replace_whole(path: Path, content: bytes | memoryview, previous: Path | None = None) -> None:
    """Puts a file in place of another, so that the folder holds a whole one whenever the machine stops.

    Written under the temporary name ``.NAME.part`` beside it, flushed to the disk and moved; a part left by
    a killed process is overwritten by the next. There is always a file of that name, and it never shares its
    bytes with the previous one, so that damage to one spares the other.

    Args:
        path: of the file; its folder is made.
        content: all of it.
        previous: where the file that was there goes; None: it is replaced.

    Raises:
        OSError: it can't be written; what was there is untouched and no part is left.
    """
    part, held = path.with_name(f".{path.name}.part"), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and path.is_file():
            held = _held(path, previous)
        os.replace(part, path)
        if held is not None and previous is not None:
            os.replace(held, previous)
    except BaseException:
        with suppress(OSError):  # the folder may be out of reach, and the error at hand says so
            part.unlink(missing_ok=True)
            if held is not None:
                held.unlink(missing_ok=True)
        raise
    _flush_names(path.parent)


def _held(path: Path, previous: Path) -> Path | None:
    """A second name for a file about to be replaced; None where it was moved to ``previous`` instead."""
    held = previous.with_name(f".{previous.name}.part")
    held.unlink(missing_ok=True)
    try:
        os.link(path, held)
    except OSError:  # not every file system has links; for a moment there is no file of the name then
        os.replace(path, previous)
        return None
    return held


def _flush_names(folder: Path) -> None:
    """Flushes the folder, so that the new name outlives a power cut; not every file system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
