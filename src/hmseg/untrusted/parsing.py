"""Whatever a parser raises on bytes of unknown origin, as the one line of its reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hmseg.errors import HmsegError

_LONGEST = 200
"""Characters of a parser's own words: some quote what they stumbled over, which may be all of it."""


@contextmanager
def parsing(refuse: Callable[[str], HmsegError]) -> Iterator[None]:
    """Turn any exception of a ``with`` block into the reader's own error.

    No list of what a parser may raise is ever complete: beside their own errors those of zlib, struct,
    Unicode, index, assertion, recursion and memory come out of zip, pickle, JSON, CSV and image decoders. So
    the block holds what is parsed and nothing else. The exception stays the error's cause:
    ``HYDRA_FULL_ERROR=1`` shows its traceback.

    Args:
        refuse: makes the error of the parser's reason, one line.

    Raises:
        HmsegError: of ``refuse``, or the block's own, unchanged.

    Example:
        >>> from hmseg.errors import DataError
        >>> with parsing(lambda reason: DataError(f"list a.txt can't be read ({reason})")):
        ...     b"\\xff".decode()
        Traceback (most recent call last):
        hmseg.errors.DataError: list a.txt can't be read (it is not text: byte 0 is no utf-8)
    """
    try:
        yield
    except HmsegError:
        raise
    except Exception as error:
        raise refuse(reason(error)) from error


def reason(error: BaseException) -> str:
    """What an exception says, as one short line that any terminal can show; its type where it says nothing.

    Example:
        >>> reason(EOFError()), reason(ValueError("bad\\x1b[2J header\\nat byte 3"))
        ('EOFError', 'bad [2J header')
        >>> reason(FileNotFoundError(2, "No such file or directory", "a.txt")), reason(KeyError("a"))
        ('No such file or directory', "KeyError 'a'")
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnicodeDecodeError):
        return f"it is not text: byte {error.start} is no {error.encoding}"
    lines = [line for line in str(error).splitlines() if line.strip()]
    said = "".join(char if char.isprintable() else " " for char in (lines or [""])[0][: 2 * _LONGEST])
    said = " ".join(said.split())
    if not said or isinstance(error, KeyError | AssertionError):
        said = f"{type(error).__name__} {said}".strip()
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
