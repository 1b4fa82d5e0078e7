"""What is to be done of a sweep: new jobs, interrupted ones, and those that an earlier sweep has finished."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hmseg.sweeps.jobs import JOB_FILE, Job, Outcome, finite, read_job

Earlier = dict[str, list[tuple[Path, bool]]]
"""Folders by digest, and whether the job in each is finished."""


def earlier_jobs(roots: Iterable[Path]) -> Earlier:
    """The jobs below some folders.

    Args:
        roots: sweep folders, or folders of sweep folders; those that don't exist are left out.
    """
    found: Earlier = {}
    seen: set[Path] = set()
    for root in roots:
        for folder in _job_folders(root):
            real = folder.resolve()
            about = None if real in seen else read_job(folder)
            seen.add(real)
            if about is not None:
                found.setdefault(about["digest"], []).append((folder, about["status"] == "finished"))
    return found


def _job_folders(root: Path) -> Iterable[Path]:
    """Every folder with a job's file; nothing below such a folder is looked at."""
    for folder, below, files in os.walk(root):
        if JOB_FILE in files:
            below.clear()
            yield Path(folder)
        below[:] = sorted(name for name in below if not name.startswith("."))


def place(jobs: Sequence[Job], earlier: Earlier, skip: bool = True) -> tuple[list[Job], list[Outcome]]:
    """Gives each job its folder: that of an earlier job of the same configuration, else one of its own.

    Args:
        jobs: with the folders that they would have by themselves.
        earlier: jobs there are.
        skip: false: every job is new; none gets an earlier one's folder.

    Returns:
        The jobs still to do, an interrupted one in its earlier folder; and the finished ones.
    """
    taken = {folder.resolve() for each in earlier.values() for folder, _ in each}
    to_do: list[Job] = []
    done: list[Outcome] = []
    for job in jobs:
        known = [(folder, ended) for folder, ended in earlier.get(job.digest or "", ()) if skip]
        finished = next((folder for folder, ended in known if ended), None)
        if finished is not None:
            value = finite((read_job(finished) or {}).get("value"))
            done.append(Outcome(replace(job, folder=finished), "already", value))
            continue
        begun = next((folder for folder, _ in reversed(known) if not _given(folder, to_do)), None)
        folder = begun if begun is not None else _free(job.folder, taken)
        taken.add(folder.resolve())
        to_do.append(replace(job, folder=folder))
    return to_do, done


def _given(folder: Path, jobs: Sequence[Job]) -> bool:
    return any(job.folder == folder for job in jobs)


def _free(folder: Path, taken: set[Path]) -> Path:
    """The folder itself; where another configuration has it, the first free one beside it.

    Example:
        >>> _free(Path("sweep/0"), {Path("sweep/0").resolve(), Path("sweep/0-2").resolve()})
        PosixPath('sweep/0-3')
    """
    number, free = 2, folder
    while free.resolve() in taken:
        number, free = number + 1, folder.with_name(f"{folder.name}-{number}")
    return free
