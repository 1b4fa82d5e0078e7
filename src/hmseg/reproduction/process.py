"""One step as a process of its own: output passed on, its last word kept, Ctrl-C handed over."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from hmseg.claims.commands import command
from hmseg.errors import HmsegError

PATIENCE = 10.0
"""Seconds that a step has to answer Ctrl-C by itself before it is told again."""
_TAIL = 4096


class Ended(KeyboardInterrupt):
    """This process alone was asked to end, not its steps."""


class Outcome(NamedTuple):
    """How a step ended.

    Attributes:
        code: exit status; 0 is good.
        said: the last line of its error output.
    """

    code: int
    said: str


def printed(program: str, words: Sequence[str]) -> str:
    """The command line that is run, to be typed in this shell.

    ``python`` where that is this Python, else its path.
    """
    found = shutil.which("python")
    same = found is not None and os.path.realpath(found) == os.path.realpath(sys.executable)
    return command(program, words, "python" if same else sys.executable)


def call(program: str, words: Sequence[str], lock: IO[str]) -> Outcome:
    """Runs a program of hmseg and waits for it.

    Args:
        program: ``train``, ``convert`` or ``evaluate``.
        words: its settings.
        lock: a locked file; the process keeps it locked, even where this one is killed.

    Raises:
        KeyboardInterrupt: the user's; the process has ended then.
    """
    sys.stdout.flush()
    process = subprocess.Popen(
        [sys.executable, "-m", f"hmseg.{program}", *words], stderr=subprocess.PIPE, pass_fds=[lock.fileno()]
    )
    assert process.stderr is not None
    tail = b""
    try:
        while chunk := os.read(process.stderr.fileno(), 65536):
            sys.stderr.write(chunk.decode(errors="replace"))
            sys.stderr.flush()
            tail = (tail + chunk)[-_TAIL:]
        code = process.wait()
    except BaseException as error:
        _end(process, patience=0.0 if isinstance(error, Ended) else PATIENCE)
        raise
    finally:
        process.stderr.close()
    return Outcome(code, last_line(tail.decode(errors="replace")) or f"exit status {code}")


def _end(process: subprocess.Popen[bytes], patience: float) -> None:
    """Lets a process end by itself: a terminal's Ctrl-C reaches it too. Else it gets one, then the axe."""
    for send in (None, signal.SIGINT, signal.SIGKILL):
        if send is not None:
            process.send_signal(send)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=patience if send is None else 6 * PATIENCE)
            return


def last_line(text: str) -> str:
    """The last line that says something; progress bars overwrite theirs with carriage returns.

    Example:
        >>> last_line("10 %\\r20 %\\nerror: no space left\\n\\n")
        'no space left'
    """
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else ""


@contextmanager
def locked(folder: Path) -> Iterator[IO[str]]:
    """A folder that no other process of this program works in.

    Raises:
        HmsegError: another one does, or the folder can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".reproduce.lock").open("w")
    except OSError as error:
        raise HmsegError(f"{folder} can't be written ({error.strerror}): give runs=FOLDER") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise HmsegError(f"{folder}: another process is at work there; wait for it or end it") from None
        yield file


@contextmanager
def interruptible() -> Iterator[None]:
    """While it lasts, a request to end (SIGTERM) is the same as Ctrl-C, so that steps are ended too."""

    def stop(number: int, frame: object) -> None:
        raise Ended

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
