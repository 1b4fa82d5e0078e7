"""The same work on many files, over processes, with progress; the first error stops it."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from hmseg.errors import DataError
from hmseg.preparation.bars import Bar

T = TypeVar("T")
R = TypeVar("R")
_CHUNK = 32  # tasks sent at once: a task is milliseconds
_AHEAD = 4  # chunks waiting per process, so that none idles and memory stays small
_FEW = 500  # tasks that are done sooner than processes start


def default_workers() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def each(function: Callable[[T], R], tasks: Iterable[T], total: int, workers: int, title: str) -> list[R]:
    """Call ``function`` on every task.

    Args:
        function: of a module, and its tasks and results plain, for they go to other processes.
        tasks: drawn as they are needed.
        total: how many tasks there are.
        workers: processes; 0 or 1 works in this one.
        title: of the progress bar.

    Returns:
        The results in the order of the tasks.

    Raises:
        DataError: what the function raised first, or a process was killed.
    """
    results: list[R] = []
    if total == 0:
        return results
    with Bar(title, total) as bar:
        if workers <= 1 or total <= _FEW:
            for task in tasks:
                results.append(function(task))
                bar.advance()
        else:
            for chunk in _over_processes(function, tasks, workers):
                results += chunk
                bar.advance(len(chunk))
    return results


def _over_processes(function: Callable[[T], R], tasks: Iterable[T], workers: int) -> Iterator[Sequence[R]]:
    # Started anew, not forked: a fork beside another thread can hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupts)
    waiting: deque[Future[list[R]]] = deque()
    try:
        for chunk in _chunks(tasks):
            waiting.append(pool.submit(_call, function, chunk))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise DataError(
            "a process was killed, for want of memory perhaps; run again with fewer workers=…"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _chunks(tasks: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(tasks)
    while chunk := list(itertools.islice(iterator, _CHUNK)):
        yield chunk


def _call(function: Callable[[T], R], tasks: list[T]) -> list[R]:
    return [function(task) for task in tasks]


def _ignore_interrupts() -> None:
    """Ctrl-C reaches all processes; the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
