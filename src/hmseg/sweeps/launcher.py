"""What all launchers do: find the jobs that are done, run the others, note how each ended."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from hmseg.config.checks import check
from hmseg.errors import ConfigError
from hmseg.files import writing
from hmseg.sweeps.digest import digest
from hmseg.sweeps.jobs import Job, Outcome, labels, shown
from hmseg.sweeps.plan import earlier_jobs, place

SWEEP_FILE = "sweep.json"
_PARENTS_ALONE = ("hydra.launcher", "hydra/launcher", "hydra.sweep", "hydra/sweep", "hydra.mode", "hydra.run")
log = logging.getLogger(__name__)


@dataclass
class Sweep:
    """A sweep as the command line asked for it, and how its jobs ended so far.

    Attributes:
        program: ``train``, ``evaluate``, …
        flags: that its jobs need too.
        known_again: are its jobs done for good when they are done (a training), or worth repeating?
        folder: of the sweep.
        outcomes: in the order of the jobs.
    """

    program: str
    flags: tuple[str, ...] = ()
    known_again: bool = False
    folder: Path = Path()
    outcomes: list[Outcome] = field(default_factory=list)


class SweepLauncher(Launcher):
    """Base of the launchers; an engine's own part is :meth:`run`.

    Args:
        skip_finished: leave out jobs that an earlier sweep has finished, go on with those it began.
        root: folder of earlier sweeps.
    """

    def __init__(self, skip_finished: bool = True, root: str = "multirun") -> None:
        self.skip_finished, self.root = skip_finished, Path(root).expanduser()
        self.max_times: list[str | None] = []  # trainer.max_time of the batch's jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's: what to run, and the sweep's configuration."""
        self.context, self.task, self.config = hydra_context, task_function, config
        sweep = getattr(task_function, "sweep", None)
        self.sweep = sweep if isinstance(sweep, Sweep) else Sweep(str(config.hydra.job.name))
        self.sweep.folder = Path(str(config.hydra.sweep.dir))

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Runs jobs and gives their outcomes, in any order; what goes wrong in a job is its outcome.

        Raises:
            ConfigError: the engine can't be used as it is set.
        """
        raise NotImplementedError

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hydra's: runs a batch of jobs. A failed one counts as done, its value NaN, for the others' sake."""
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        self.sweep.folder.mkdir(parents=True, exist_ok=True)
        jobs = self._jobs(job_overrides, initial_job_idx)
        to_do, done = place(jobs, earlier_jobs([self.root, self.sweep.folder]), self.skip_finished)
        _announce(self.sweep.folder, to_do, done)
        ended = self.run(to_do) if to_do else []
        outcomes = sorted([*done, *ended], key=lambda outcome: outcome.job.number)
        self.sweep.outcomes += outcomes
        write_sweep(self.sweep)
        return [_returned(outcome) for outcome in outcomes]

    def _jobs(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[Job]:
        """The jobs, their configurations checked once more: of a large sweep that wasn't done before."""
        given = map(str, self.config.hydra.overrides.hydra)
        settings = tuple(word for word in given if not word.lstrip("+~").startswith(_PARENTS_ALONE))
        jobs, self.max_times = [], []
        for number, (words, label) in enumerate(
            zip(job_overrides, labels(job_overrides), strict=True), first
        ):
            cfg = self.context.config_loader.load_sweep_config(self.config, list(words))
            with open_dict(cfg):
                cfg.hydra.job.id = cfg.hydra.job.num = number
            folder = self.sweep.folder / str(OmegaConf.select(cfg, "hydra.sweep.subdir"))
            with open_dict(cfg):
                del cfg["hydra"]
            check(cfg)
            self.max_times.append(OmegaConf.select(cfg, "trainer.max_time"))
            known = digest(cfg) if self.sweep.known_again else None
            program, flags = self.sweep.program, self.sweep.flags
            jobs.append(Job(number, program, tuple(words), settings, flags, folder, known, label))
        return jobs


def _announce(folder: Path, to_do: Sequence[Job], done: Sequence[Outcome]) -> None:
    log.info("%d jobs, %d already finished, in %s", len(to_do) + len(done), len(done), shown(folder))
    for outcome in done:
        log.info("%s: already finished: %s", outcome.job, shown(outcome.job.folder))


def began(job: Job) -> None:
    """Says that a job is being started, and whether it goes on."""
    log.info("%s: %s %s", job, "goes on in" if job.resumable else "starts in", shown(job.folder))


def ended(outcome: Outcome) -> None:
    """Says how a job ended."""
    if outcome.failed:
        log.error("failed: %s", outcome.line())
        return
    value = "" if outcome.value is None else f", best validation mIoU {outcome.value:.2f}"
    log.info("%s: finished in %.0f s%s", outcome.job, outcome.seconds, value)


def _returned(outcome: Outcome) -> JobReturn:
    value = float("nan") if outcome.failed else outcome.value
    overrides = list(outcome.job.words)
    return JobReturn(overrides=overrides, status=JobStatus.COMPLETED, _return_value=value)


def write_sweep(sweep: Sweep) -> None:
    """Notes the sweep's jobs in ``sweep.json``, also those whose folder an earlier sweep made.

    Raises:
        ConfigError: the folder can't be written.
    """
    jobs: list[dict[str, Any]] = [
        {
            "number": each.job.number,
            "overrides": list(each.job.words),
            "folder": str(each.job.folder.absolute()),
            "status": each.status,
            "value": each.value,
            "error": each.error,
            "seconds": round(each.seconds, 1),
        }
        for each in sweep.outcomes
    ]
    try:
        with writing(sweep.folder / SWEEP_FILE) as file:
            json.dump({"format": 1, "program": sweep.program, "jobs": jobs}, file, indent=1)
    except OSError as error:
        raise ConfigError(f"hydra.sweep.dir={sweep.folder}: can't be written ({error.strerror})") from None


def missing(package: str, name: str) -> ConfigError:
    """The error for an engine that is not installed."""
    return ConfigError(f"{name} needs the package {package}: pip install hmseg[sweeps]")
