"""A job as a process of its own: what a launcher's worker does, here or on a cluster."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmseg.errors import HmsegError
from hmseg.reproduction.process import last_line
from hmseg.sweeps.jobs import (
    LOG_FILE,
    Job,
    Outcome,
    best_value,
    environment,
    finite,
    locked,
    read_job,
    write_job,
)

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

PATIENCE = 60.0
"""Seconds that a job has to write its checkpoint and end when it is asked to."""
_POLL = 0.1
_TAIL = 8192
_TELLING = re.compile(r"error: (.+)|([\w.]*(?:Error|Exception)(?:: .+)?)$")


@dataclass
class Worker:
    """Does one job; called once, in a thread of the sweep or in a process that submitit starts.

    Attributes:
        job: what to do.
        changes: of the environment, such as ``OMP_NUM_THREADS`` and ``CUDA_VISIBLE_DEVICES``.
    """

    job: Job
    changes: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __call__(self) -> Outcome:
        """Runs the job, from where an earlier start has left it; its errors are its outcome."""
        job, first = self.job, _rank() == 0
        try:
            with locked(job.folder) if first else nullcontext() as lock:
                known = read_job(job.folder)
                if known and known["status"] == "finished" and known["digest"] == job.digest:
                    return Outcome(job, "already", finite(known["value"]))
                keep = () if lock is None else (lock.fileno(),)
                return self._run(keep, first)
        except HmsegError as error:
            return Outcome(job, "failed", error=str(error))
        except OSError as error:
            return Outcome(job, "failed", error=f"{job.folder}: {error.strerror or error}")

    def _run(self, keep: tuple[int, ...], first: bool) -> Outcome:
        job, started = self.job, time.monotonic()
        log = job.folder / (LOG_FILE if first else f"rank{_rank()}.log")
        if first:
            write_job(job, "started")
        with log.open("ab") as out:
            begin = out.tell()
            self._process = _start(job.command, out.fileno(), environment(self.changes), keep)
            try:
                code = self._wait()
            except BaseException:
                self.stop(signal.SIGINT)
                raise
        seconds = time.monotonic() - started
        value = best_value(job.folder) if code == 0 else None
        error = "" if code == 0 else _reason(code, _end_of(log, begin))
        status = "failed" if code else "finished"
        if first:
            write_job(job, status, value, error, seconds)
        return Outcome(job, status, value, error, seconds, log)

    def _wait(self) -> int:
        """Waits by looking: a signal's handler may have to wait for the process at the same time."""
        assert self._process is not None
        while (code := self._process.poll()) is None:
            time.sleep(_POLL)
        return code

    def stop(self, number: int) -> None:
        """Sends the job's process a signal, and kills it where that hasn't ended it after ``PATIENCE``."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(number)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if _ended(process.pid):
                return
            time.sleep(_POLL)
        process.kill()

    def checkpoint(self) -> DelayedSubmission:
        """Called by submitit when the job is preempted or its time is up: ends it, and says how it goes on.

        The job is asked to end by SIGTERM; the same worker started again resumes from ``last.ckpt``.
        """
        import submitit

        self.stop(signal.SIGTERM)
        return submitit.helpers.DelayedSubmission(Worker(self.job, self.changes))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_process": None}  # a process doesn't travel


def _start(
    command: list[str], out: int, env: dict[str, str], keep: tuple[int, ...]
) -> subprocess.Popen[bytes]:
    """A process in a session of its own, so that a terminal's Ctrl-C reaches it once, through us.

    SLURM sends its warning signal (SIGUSR2 with submitit) to every process of a job. It is for the worker:
    the process that trains would be killed by it, and so is started ignoring it.
    """
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGUSR2, signal.SIG_IGN) if main else None
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=env,
            pass_fds=keep,
            start_new_session=True,
        )
    finally:
        if main:
            signal.signal(signal.SIGUSR2, before)


def _ended(pid: int) -> bool:
    """Has a child ended? It is left for its ``Popen`` to collect."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _rank() -> int:
    """This process's number among those that SLURM started for the job; 0 anywhere else."""
    under = os.environ.get("SUBMITIT_EXECUTOR") == "slurm"
    return int(os.environ.get("SLURM_PROCID", "0")) if under else 0


def _end_of(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(begin, size - _TAIL))
        return file.read().decode(errors="replace")


def _reason(code: int, text: str) -> str:
    """Why a process ended badly, in one line.

    Example:
        >>> _reason(1, "epoch 1\\nerror: no images\\n"), _reason(-9, "epoch 1\\n")
        ('no images', 'killed by SIGKILL')
        >>> _reason(1, "Traceback …\\nKeyError: 'fold'\\nwandb: see the logs\\n")
        "KeyError: 'fold'"
    """
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    for line in reversed(text.splitlines()):
        if found := _TELLING.match(line):
            return found[1] or found[2]
    return last_line(text) or f"exit status {code}"
