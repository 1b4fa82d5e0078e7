"""``hydra/launcher=sequential``: one job after the other, in this process."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobStatus, configure_log, run_job
from omegaconf import open_dict

from hmseg.config.runs import quoted
from hmseg.errors import HmsegError, first_line
from hmseg.sweeps.jobs import Job, Outcome, finite, locked, write_job
from hmseg.sweeps.launcher import SweepLauncher, began, ended

log = logging.getLogger(__name__)


class SequentialLauncher(SweepLauncher):
    """Hydra's way to run jobs in this process, each in its folder."""

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One after the other."""
        outcomes = []
        for job in jobs:
            began(job)
            outcomes.append(self._run(job))
            ended(outcomes[-1])
        return outcomes

    def _run(self, job: Job) -> Outcome:
        started = time.monotonic()
        try:
            with locked(job.folder):
                write_job(job, "started")
                value, error = self._call(job)
                seconds = time.monotonic() - started
                status = "failed" if error else "finished"
                write_job(job, status, finite(value), error, seconds)
        except HmsegError as refused:
            return Outcome(job, "failed", error=str(refused))
        own = job.folder / f"{self.config.hydra.job.name}.log"  # Hydra's
        said = own.is_file() and own.stat().st_size > 0
        return Outcome(job, status, finite(value), error, seconds, own if said else None)

    def _call(self, job: Job) -> tuple[Any, str]:
        """The task's value, and what went wrong in one line; a bug's traceback goes to the job's log too."""
        place = [f"hydra.sweep.dir={quoted(job.folder.parent)}", f'hydra.sweep.subdir="{job.folder.name}"']
        words = [*job.words, *place, *([f"resume={quoted(job.folder)}"] if job.resumable else [])]
        cfg = self.context.config_loader.load_sweep_config(self.config, words)
        with open_dict(cfg):
            cfg.hydra.job.id = cfg.hydra.job.num = job.number
        try:
            done = run_job(
                hydra_context=self.context,
                task_function=self.task,
                config=cfg,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
            if done.status == JobStatus.COMPLETED:
                return done.return_value, ""
            error: Exception = done._return_value
            if isinstance(error, HmsegError):
                return None, " ".join(str(error).split())
            log.error("a bug", exc_info=error)
            return None, f"{type(error).__name__}: {first_line(error)}"
        finally:
            configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
