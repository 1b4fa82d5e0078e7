"""One job of a sweep, and what its folder says about it (``job.json``)."""

from __future__ import annotations

import fcntl
import json
import math
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from hmseg.checkpoint_files import first_whole
from hmseg.config.runs import quoted
from hmseg.errors import HmsegError
from hmseg.files import writing

JOB_FILE = "job.json"
LOG_FILE = "job.log"
RUN_FILE = "run.json"
"""As ``hmseg.evaluation_record`` names it, which imports PyTorch."""
FORMAT = 1
STATUSES = ("started", "finished", "failed")
_LOCK = ".job.lock"
_OVERRIDES = Path(".hydra") / "overrides.yaml"


@dataclass(frozen=True)
class Job:
    """A job: one configuration and the folder that belongs to it.

    Attributes:
        number: in the sweep, from 0.
        program: ``train``, ``evaluate``, …
        words: its overrides.
        settings: overrides of Hydra's own that a job needs too.
        flags: of the command line, such as ``--config-dir``.
        folder: its run folder.
        digest: of the configuration; None where the program's jobs can't be told to be done.
        label: the overrides that set it apart from its neighbours.
    """

    number: int
    program: str
    words: tuple[str, ...]
    settings: tuple[str, ...]
    flags: tuple[str, ...]
    folder: Path
    digest: str | None
    label: str = ""

    @property
    def resumable(self) -> bool:
        """Has an earlier start left a checkpoint from which it can go on?"""
        if self.digest is None or not (self.folder / _OVERRIDES).is_file():
            return False
        return first_whole(self.folder / "checkpoints")[0] is not None

    @property
    def overrides(self) -> list[str]:
        """The words with which the program does this job in its folder, from the start or going on."""
        place = [f"hydra.run.dir={quoted(self.folder)}"]
        return [
            *self.words,
            *self.settings,
            *place,
            *([f"resume={quoted(self.folder)}"] if self.resumable else []),
        ]

    @property
    def command(self) -> list[str]:
        """The process that does this job."""
        return [sys.executable, "-m", f"hmseg.{self.program}", *self.flags, *self.overrides]

    def __str__(self) -> str:
        return f"#{self.number} {self.label}".rstrip()


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        job: which one.
        status: ``finished``, ``already`` (finished by an earlier sweep) or ``failed``.
        value: what the program gave, for instance the best validation mIoU; None for nothing.
        error: one line, of a failed job.
        seconds: that it took now.
        log: file with its output.
    """

    job: Job
    status: str
    value: float | None = None
    error: str = ""
    seconds: float = 0.0
    log: Path | None = field(default=None)

    @property
    def failed(self) -> bool:
        """Is there something to mend?"""
        return self.status == "failed"

    def line(self) -> str:
        """A failed job in one line: number, what sets it apart, why, and where to read more."""
        log = f" (log: {self.log})" if self.log is not None else ""
        return f"{self.job}: {self.error}{log}"


def read_job(folder: Path) -> dict[str, Any] | None:
    """What ``job.json`` of a folder says; None where it is missing, damaged or of another format."""
    try:
        found = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(found, dict) and found.get("format") == FORMAT and found.get("status") in STATUSES
    if not known or not isinstance(found.get("digest"), str):
        return None
    if not isinstance(found.get("value"), int | float | None):
        return None
    return dict(found)


def write_job(
    job: Job, status: str, value: float | None = None, error: str = "", seconds: float = 0.0
) -> None:
    """Notes in the job's folder how far it is; nothing for jobs without a digest.

    Raises:
        OSError: the folder can't be written.
    """
    if job.digest is None:
        return
    about = {"format": FORMAT, "digest": job.digest, "program": job.program, "overrides": list(job.words)}
    ending = {"status": status, "value": finite(value), "error": error, "seconds": round(seconds, 1)}
    with writing(job.folder / JOB_FILE) as file:
        json.dump({**about, **ending}, file, indent=1)


def best_value(folder: Path) -> float | None:
    """The best validation mIoU of a training that has come to its end; None where it isn't known."""
    try:
        found = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return finite(found.get("best_miou")) if isinstance(found, dict) else None


def finite(value: object) -> float | None:
    """A number that can be compared, else None.

    Example:
        >>> finite(41.5), finite(float("nan")), finite(None), finite("41")
        (41.5, None, None, None)
    """
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if number else None  # type: ignore[arg-type]


@contextmanager
def locked(folder: Path) -> Iterator[IO[str]]:
    """A job's folder in which no other process is at work; yields the locked file, for children to keep open.

    Raises:
        HmsegError: another process is at work there, or the folder can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / _LOCK).open("w")
    except OSError as error:
        raise HmsegError(f"{folder} can't be written ({error.strerror})") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise HmsegError(
                f"{folder}: another process is at work on this job; wait for it or end it"
            ) from None
        yield file


def shown(folder: Path) -> str:
    """A folder as it is typed here: relative where it is below the current one.

    Example:
        >>> shown(Path.cwd() / "multirun" / "3"), shown(Path("/tmp/3"))
        ('multirun/3', '/tmp/3')
    """
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)


def labels(every: Sequence[Sequence[str]]) -> list[str]:
    """For each job the overrides that not all jobs share; all of them where there is one job only.

    Example:
        >>> labels([["a=1", "b=2"], ["a=1", "b=3"]])
        ['b=2', 'b=3']
    """
    common = set.intersection(*map(set, every)) if len(every) > 1 else set()
    return [shlex.join(word for word in words if word not in common) for words in every]


def environment(changes: dict[str, str]) -> dict[str, str]:
    """This process's environment with changes, without what belongs to this process alone."""
    return {key: value for key, value in os.environ.items() if key != "HYDRA_FULL_ERROR"} | changes
