"""Whatever a parser raises becomes the reader's one line; our own errors and interruptions pass."""

from __future__ import annotations

import struct
import zlib

import pytest

from hmseg.errors import CheckpointError, DataError, HmsegError
from hmseg.untrusted import parsing, reason


def refuse(why: str) -> DataError:
    return DataError(f"list a.txt can't be read ({why}): fetch it again")


@pytest.mark.parametrize(
    "error",
    [
        zlib.error("invalid distance"),
        struct.error("unpack requires a buffer"),
        IndexError("list index out of range"),
        AssertionError(),
        RecursionError("maximum recursion depth exceeded"),
        OverflowError("int too large"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        MemoryError(),
        FileNotFoundError(2, "No such file or directory"),
        KeyError("images"),
        ZeroDivisionError("division by zero"),
        type("Unheard", (Exception,), {})("of"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_exception_becomes_one_line_with_its_cause(error: Exception) -> None:
    line = r"^list a\.txt can't be read \(.+\): fetch it again$"
    with pytest.raises(DataError, match=line) as caught, parsing(refuse):
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [CheckpointError("its own line"), KeyboardInterrupt(), SystemExit(3)])
def test_own_errors_and_interruptions_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, parsing(refuse):
        raise error
    assert caught.value is error


def test_the_reason_is_short_printable_and_one_line() -> None:
    said = reason(ValueError("bad\x1b]0;title\x07 " + "x" * 10_000 + "\nsecond line"))
    assert said.isprintable() and len(said) <= 201 and "second" not in said


def test_what_is_done_well_is_left_alone() -> None:
    with parsing(refuse):
        value = 3
    assert value == 3 and issubclass(DataError, HmsegError)
