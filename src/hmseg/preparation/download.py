"""Downloads that go on where they broke off."""

from __future__ import annotations

import http.client
import re
import shutil
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import IO

from hmseg.errors import DataError
from hmseg.preparation.bars import Bar, size
from hmseg.preparation.files import trouble

ATTEMPTS = 5
PAUSE = 2.0
"""Seconds before the second attempt; doubled each time."""
LIMIT = 32 << 30
"""Bytes of a file of unknown size: more than any archive of the benchmarks has."""
_TIMEOUT = 60.0
_CHUNK = 1 << 20
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
BY_HAND = "fetch it by hand and give archive=…, or name another place with url=…"


class _RefusedError(Exception):
    """The server won't give the file."""


class _BrokenError(Exception):
    """The connection failed in a way that another attempt may mend."""


def download(
    url: str, target: Path, expected: int | None = None, by_hand: str = BY_HAND, limit: int = LIMIT
) -> Path:
    """Fetch a file, continuing what an earlier attempt or run left in ``<target>.part``.

    Args:
        url: http or https.
        target: where the file is meant to go; the caller checks and moves it.
        expected: its size in bytes, where that is known.
        by_hand: end of messages: what else can be done.
        limit: bytes that it may have where its size is not known.

    Returns:
        ``<target>.part``, complete.

    Raises:
        DataError: the server refuses, offers a file of another size or sends more than that, the connection
            keeps failing, or the disk is full. What has come stays in the ``.part``, unless it is too much.
    """
    part = target.with_name(f"{target.name}.part")
    reason: Exception | None = None
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(ATTEMPTS):
            try:
                _attempt(url, part, expected, limit)
                return part
            except _RefusedError as error:
                raise DataError(f"{url}: {error}; {by_hand}") from None
            except _BrokenError as error:
                reason = error
            if attempt + 1 < ATTEMPTS:
                time.sleep(PAUSE * 2**attempt)
    except OSError as error:
        raise trouble(error, part) from error
    have = part.stat().st_size if part.is_file() else 0
    raise DataError(f"{url}: {reason}, {size(have)} are kept; run again to go on, or {by_hand}")


def _attempt(url: str, part: Path, expected: int | None, limit: int) -> None:
    have = part.stat().st_size if part.is_file() else 0
    if expected is not None and have >= expected:
        if have == expected:
            return
        part.unlink()  # not of this file
        have = 0
    request = urllib.request.Request(url, headers={"User-Agent": "hmseg", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        _refused(error, part, have)
        return
    except urllib.error.URLError as error:
        raise _BrokenError(f"can't be reached ({error.reason})") from None
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(f"can't be reached ({error or type(error).__name__})") from None
    with response:
        _receive(response, part, have, expected, limit)


def _refused(error: urllib.error.HTTPError, part: Path, have: int) -> None:
    """An answer above 400; returns where it only says that everything has come already."""
    with error:
        if error.code == 416 and have:
            if _range(error.headers.get("Content-Range"))[1] == have:
                return
            part.unlink()
            raise _BrokenError("the server has another file than before")
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _BrokenError(f"the server answers {error.code} {error.reason}")
        raise _RefusedError(f"the server answers {error.code} {error.reason}")


def _receive(
    response: http.client.HTTPResponse, part: Path, have: int, expected: int | None, limit: int
) -> None:
    """Write a body to the part, behind what is there or, from a server without ranges, from the beginning."""
    length = response.headers.get("Content-Length")
    coming = int(length) if length is not None and length.isdecimal() else None
    if response.status == 206:
        start, _ = _range(response.headers.get("Content-Range"))
        if start != have:
            part.unlink(missing_ok=True)
            raise _BrokenError("the server sent another part than was asked for")
    else:
        have = 0
    total = have + coming if coming is not None else expected
    if expected is not None and total != expected:
        raise _RefusedError(f"the server offers {total:,} bytes, {expected:,} were expected: another file")
    most = limit if expected is None else expected
    if total is not None and total > most:
        raise _RefusedError(f"the server offers {total:,} bytes, more than such a file has ({most:,})")
    if coming is not None and coming > (free := shutil.disk_usage(part.parent).free):
        raise DataError(
            f"{part.parent}: the disk is too full: {size(coming)} are to come, {size(free)} are free; "
            "free space and run again, what has come is kept"
        )
    title = f"fetching {part.name.removesuffix('.part')}"
    with part.open("ab" if have else "wb") as file, Bar(title, total, "bytes") as bar:
        bar.start_at(have)
        _copy(response, file, bar, most - have)
    came = part.stat().st_size
    if came > most:
        part.unlink()
        raise _RefusedError(f"the server sends more than the {most:,} bytes that were expected: another file")
    if total is not None and came != total:
        raise _BrokenError(f"the connection broke off after {came:,} of {total:,} bytes")


def _copy(response: http.client.HTTPResponse, file: IO[bytes], bar: Bar, most: int) -> None:
    """Writes a body; stops where more than the most has come: without a length it may never end."""
    while most >= 0:
        try:
            chunk = response.read(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            with suppress(OSError):
                file.flush()
            raise _BrokenError(f"the connection broke off ({error or type(error).__name__})") from None
        if not chunk:
            return
        file.write(chunk)
        most -= len(chunk)
        bar.advance(len(chunk))


def _range(header: str | None) -> tuple[int | None, int | None]:
    """Start and total of a ``Content-Range``."""
    found = _RANGE.fullmatch(header or "")
    if found is None:
        return None, None
    return tuple(int(text) if text and text != "*" else None for text in found.groups())  # type: ignore[return-value]
