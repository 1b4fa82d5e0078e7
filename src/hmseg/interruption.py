"""Signals that ask a run to stop, and the queue that it goes back to under SLURM."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_JOB = re.compile(r"\d+(_\d+)?")
_INTERACTIVE = ("bash", "interactive")
"""Names of SLURM jobs in which somebody types: nothing is put back into the queue for them."""


class Terminated(SystemExit):
    """A signal asked the process to stop, and what had to be done before is done; no error.

    No ``Exception``, so that nothing on the way takes it for a failure; and a ``SystemExit``, so that
    processes forked by ours, which inherit the handler, end by it without a word.

    Args:
        signum: of the signal.
        note: what became of the run, a few words.

    Attributes:
        quiet: true on all processes of a run but the first, which speaks for them.

    Example:
        >>> str(Terminated(signal.SIGTERM, "saved at step 7")), Terminated(signal.SIGTERM).code
        ('stopped by SIGTERM, saved at step 7', 143)
    """

    def __init__(self, signum: int, note: str = "") -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}{f', {note}' if note else ''}")
        self.quiet = not is_first()
        # Lightning kills the first process, at its work still, as soon as another one ends with a failure.
        self.code: int = 0 if self.quiet else 128 + signum


def is_first(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is the first process of a run, or the only one, by what started it.

    Example:
        >>> is_first({}), is_first({"LOCAL_RANK": "1"}), is_first({"SLURM_PROCID": "3", "LOCAL_RANK": "0"})
        (True, False, False)
    """
    ranks = (environment.get(name) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"))
    return next((rank for rank in ranks if rank is not None), "0") == "0"


def heeded() -> list[signal.Signals]:
    """The signals that ask a run to stop: SIGTERM, and in a SLURM job SIGUSR1."""
    return [signal.SIGTERM] if slurm_job() is None else [signal.SIGTERM, signal.SIGUSR1]


@contextmanager
def stopping() -> Iterator[None]:
    """While the block runs, those signals stop the process where it is, by ``Terminated``."""
    in_main = threading.current_thread() is threading.main_thread()
    before = {signum: signal.signal(signum, _stop) for signum in (heeded() if in_main else [])}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _stop(signum: int, frame: object) -> None:
    raise Terminated(signum)


def slurm_job(environment: Mapping[str, str] = os.environ) -> str | None:
    """The SLURM job that this process is of, as ``scontrol`` takes it; None outside of a batch job.

    Example:
        >>> slurm_job({"SLURM_JOB_ID": "17", "SLURM_JOB_NAME": "train"})
        '17'
        >>> slurm_job({"SLURM_JOB_ID": "19", "SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "2"})
        '17_2'
        >>> slurm_job({"SLURM_JOB_ID": "17", "SLURM_JOB_NAME": "bash"}) is None
        True
    """
    job = environment.get("SLURM_JOB_ID")
    if "SLURM_ARRAY_JOB_ID" in environment:
        job = f"{environment['SLURM_ARRAY_JOB_ID']}_{environment.get('SLURM_ARRAY_TASK_ID')}"
    if job is None or not _JOB.fullmatch(job) or environment.get("SLURM_JOB_NAME") in _INTERACTIVE:
        return None
    return job


def requeue() -> str:
    """Puts the SLURM job of this process back into the queue, unless it is one of submitit, which does so.

    Returns:
        How that went, a few words; nothing outside of a job.
    """
    job = slurm_job()
    if job is None or "SUBMITIT_EXECUTOR" in os.environ:
        return ""
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"SLURM job {job} not requeued ({type(error).__name__}: is scontrol on the PATH?)"
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"code {done.returncode}"
        return f"SLURM job {job} not requeued ({said})"
    return f"SLURM job {job} requeued"
