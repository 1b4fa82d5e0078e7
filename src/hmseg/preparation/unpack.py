"""Unpacking that trusts nothing: names stay below the root, no links or devices, bounded sizes."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from hmseg.errors import DataError
from hmseg.files import sha256
from hmseg.preparation.bars import Bar, size
from hmseg.preparation.files import trouble

Select = Callable[[str], str | None]
"""The path below the root for a member's name, or None for members that are not needed."""
MAX_RATIO = 30
"""Unpacked bytes for each byte of an archive: photos and compressed files take 1, COCO's JSON files 4."""
MAX_SMALL = 64 << 20
"""Unpacked bytes that any archive may have."""
_CHUNK = 1 << 20
_DRIVE = re.compile(r"[A-Za-z]:")


class _DamagedError(DataError):
    """The archive itself is at fault."""


@dataclass(frozen=True)
class _Member:
    """A member: its name, its unpacked size, whether it is a plain file or a folder, and how to open it.

    Of a zip also its CRC-32, which is compared when the member is read to its end.
    """

    name: str
    size: int
    plain: bool
    folder: bool
    open: Callable[[], IO[bytes] | None]
    crc: int | None = None

    def is_in(self, path: Path) -> bool:
        """Whether a file is known to have this content without unpacking it."""
        if self.crc is None or not path.is_file() or path.stat().st_size != self.size:
            return False
        crc = 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                crc = zlib.crc32(chunk, crc)
        return crc == self.crc


def unpack(archive: Path, root: Path, select: Select) -> int:
    """Write the members that are needed; those there already with the same content are left alone.

    Everything is unpacked to ``.NAME.unpacking`` below the root and moved to its place when the archive was
    read to its end, since a compressed tar may tell only there that its content was wrong. Of a zip, whose
    members carry checksums, that folder is kept where the work was stopped, and the next call goes on.

    Args:
        archive: a tar (of any compression) or zip file.
        root: nothing is written outside of it.
        select: which members go where.

    Returns:
        The number of members that were needed, whether written now or before.

    Raises:
        DataError: the archive is truncated or damaged, a name leaves the root, a needed member is a link or a
            device, the unpacked size is out of all proportion, or the disk is full.
    """
    limit = max(MAX_RATIO * archive.stat().st_size, MAX_SMALL)
    stage = root / f".{archive.name}.unpacking"
    try:
        written = _unpack(archive, root, stage, select, limit)
        _move(written, stage, root)
    except BaseException as error:
        stopped = not isinstance(error, DataError) or isinstance(error.__cause__, OSError)
        if not (stopped and _is_zip(archive)):
            shutil.rmtree(stage, ignore_errors=True)
        raise
    return len(written)


def _unpack(archive: Path, root: Path, stage: Path, select: Select, limit: int) -> set[str]:
    """Writes what isn't there yet to the stage; gives the places of all members that were needed."""
    total, written = 0, set[str]()
    with (
        _opened(archive) as (members, position),
        Bar(f"unpacking {archive.name}", archive.stat().st_size, "bytes") as bar,
    ):
        for member in members:
            _check_name(member.name, archive)
            place = None if member.folder else select(member.name)
            if place is not None:
                _check_name(place, archive)
                total += member.size
                _check_member(member, place, archive, written, total, limit)
                written.add(place)
                if not member.is_in(root / place):
                    _write(member, stage / place, root / place, archive)
            bar.at(position())
    return written


def _write(member: _Member, staged: Path, target: Path, archive: Path) -> None:
    """Unpacks a member; it is kept unless the target is the same."""
    if member.is_in(staged):
        return
    try:
        staged.parent.mkdir(parents=True, exist_ok=True)
        source = member.open()
        if source is None:
            raise DataError(f"{archive}: the member {member.name!r} has no content")
        with source, staged.open("wb") as file:
            shutil.copyfileobj(source, file, _CHUNK)
        if (came := staged.stat().st_size) != member.size:
            raise _DamagedError(
                f"{archive} is truncated: {member.name} has {came:,} of {member.size:,} bytes"
            )
        if target.is_file() and target.stat().st_size == came and sha256(target) == sha256(staged):
            staged.unlink()
    except BaseException as error:
        with suppress(OSError):
            staged.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:  # decompressors raise it too, without
            raise trouble(error, target) from error
        raise


def _move(places: Iterable[str], stage: Path, root: Path) -> None:
    """Puts what was unpacked in its place, after it has reached the disk."""
    try:
        if hasattr(os, "sync"):  # not on Windows; a file at a time would take minutes
            os.sync()
        for place in sorted(places):
            if (stage / place).is_file():
                (root / place).parent.mkdir(parents=True, exist_ok=True)
                os.replace(stage / place, root / place)
    except OSError as error:
        raise trouble(error, root) from error
    shutil.rmtree(stage, ignore_errors=True)


def listing(archive: Path) -> list[str]:
    """The names of all plain members, checked as :func:`unpack` checks them.

    Raises:
        DataError: the archive is damaged, or a name leaves the root.
    """
    with _opened(archive) as (members, _):
        found = [member for member in members if not member.folder]
    for member in found:
        _check_name(member.name, archive)
    return [member.name for member in found if member.plain]


def _check_name(name: str, archive: Path) -> None:
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or _DRIVE.match(name) or ".." in parts or "\0" in name:
        raise DataError(f"{archive}: the member {name!r} leaves the folder; don't use this archive")


def _check_member(
    member: _Member, place: str, archive: Path, written: set[str], total: int, limit: int
) -> None:
    if not member.plain:
        raise DataError(
            f"{archive}: the member {member.name!r} is a link or a device, a file was expected; "
            "don't use this archive"
        )
    if place in written:
        raise DataError(f"{archive}: two members belong at {place}; use the published archive")
    if total > limit:
        raise DataError(
            f"{archive}: unpacks to more than {size(limit)}, far more than such an archive holds; "
            "don't use it"
        )


def _is_zip(archive: Path) -> bool:
    with archive.open("rb") as file:
        return file.read(4) == b"PK\3\4"


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[Iterator[_Member], Callable[[], int]]]:
    """The members, and how many bytes of the archive are behind; errors of the formats become one line."""
    try:
        with archive.open("rb") as file:
            if _is_zip(archive):
                with zipfile.ZipFile(file) as zip_file:
                    yield _zip_members(zip_file), file.tell
            else:
                with tarfile.open(fileobj=file) as tar:
                    yield _tar_members(tar), file.tell
    except DataError:
        raise
    except OSError as error:
        if error.errno is None:  # gzip's and bz2's own
            raise _DamagedError(f"{archive} is damaged ({error}); fetch it again") from None
        raise trouble(error, archive) from error
    except Exception as error:  # noqa: BLE001 - on damage the formats' readers raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise _DamagedError(
            f"{archive} is truncated, damaged or no archive ({reason}); fetch it again"
        ) from error


def _zip_members(zipped: zipfile.ZipFile) -> Iterator[_Member]:
    for info in zipped.infolist():
        mode = info.external_attr >> 16
        plain = stat.S_IFMT(mode) in (0, stat.S_IFREG)  # 0: made where there are no modes
        yield _Member(
            info.filename, info.file_size, plain, info.is_dir(), partial(zipped.open, info), info.CRC
        )


def _tar_members(tar: tarfile.TarFile) -> Iterator[_Member]:
    for info in tar:
        yield _Member(info.name, info.size, info.isreg(), info.isdir(), partial(tar.extractfile, info))
    # A tar that is cut off between two members reads like a complete one but for the zeros at its end.
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("no end mark")
    left = MAX_SMALL
    while chunk := tar.fileobj.read(_CHUNK):  # decompressors check their sums at the end of the stream
        left -= len(chunk)
        if left < 0:
            raise tarfile.ReadError("much follows the end mark")
