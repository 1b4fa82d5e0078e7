"""Programs that take turns: each in a process of its own, with the memory that it has there."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from timing import interleaved


class EndedError(Exception):
    """A program ended before its turn was over; the last line of what it said."""


def in_turns(programs: Mapping[str, Sequence[str]], repeats: int) -> dict[str, list[float]]:
    """The seconds that each program tells in each of its turns, the first of which isn't counted.

    Args:
        programs: by name, the words after ``python``; each calls :func:`take_turns`.
        repeats: turns that count.

    Raises:
        EndedError: a program ended early.
    """
    with ExitStack() as stack:
        return interleaved(
            {name: stack.enter_context(_program(words)) for name, words in programs.items()}, repeats
        )


def take_turns(work: Callable[[], float]) -> None:
    """Do the work once for each line that comes in, and tell its seconds."""
    for _ in sys.stdin:
        print(work(), flush=True)


@contextmanager
def _program(words: Sequence[str]) -> Iterator[Callable[[], float]]:
    pipe = subprocess.PIPE
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, *words], stdin=pipe, stdout=pipe, stderr=said, text=True)

        def turn() -> float:
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write("\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except BrokenPipeError:
                answer = ""
            if answer:
                return float(answer)
            code = process.wait()
            said.seek(0)
            lines = [line for line in said.read().splitlines() if line.strip()]
            raise EndedError(lines[-1] if lines else f"exit {code}")

        try:
            yield turn
        finally:
            process.kill()
            process.communicate()
