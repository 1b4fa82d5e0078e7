"""``hydra/launcher=submitit_local`` and ``submitit_slurm``: submitit starts jobs, and starts them again."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmseg.errors import ConfigError, first_line
from hmseg.sweeps.devices import Share, SharesMachine
from hmseg.sweeps.jobs import Job, Outcome, shown
from hmseg.sweeps.launcher import SweepLauncher, began, ended, log, missing
from hmseg.sweeps.work import Worker

if TYPE_CHECKING:
    import submitit

_POLL = 0.2


class SubmititLauncher(SweepLauncher):
    """Base of the two.

    Args:
        timeout_min: minutes that a job gets; None: ``trainer.max_time`` and ``extra_min``.
        extra_min: for what comes before and after the training: reading, the test.
        signal_delay_s: so many seconds before its time is up a job is warned, to write its checkpoint.
        max_num_timeout: how often a job whose time is up is queued again, to go on.
        folder: submitit's files; None: ``.submitit`` in the sweep's folder.
        **options: of :class:`SweepLauncher`.
    """

    cluster = ""

    def __init__(
        self,
        timeout_min: float | None = None,
        extra_min: float = 30,
        signal_delay_s: int = 120,
        max_num_timeout: int = 10,
        folder: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.timeout_min, self.extra_min = timeout_min, extra_min
        self.signal_delay_s, self.max_num_timeout = signal_delay_s, max_num_timeout
        self.folder = folder

    def executor(self) -> submitit.Executor:
        """submitit's, set for this sweep.

        Raises:
            ConfigError: submitit is missing, or the jobs have no limit of time.
        """
        try:
            import submitit
        except ImportError:
            raise missing("submitit", f"hydra/launcher=submitit_{self.cluster}") from None
        folder = Path(self.folder).expanduser() if self.folder else self.sweep.folder / ".submitit"
        kind = {"local": submitit.LocalExecutor, "slurm": submitit.SlurmExecutor}[self.cluster]
        limit = {"local": "timeout_min", "slurm": "time"}[self.cluster]
        executor = kind(folder=folder.absolute(), max_num_timeout=self.max_num_timeout)
        executor.update_parameters(**{limit: self.minutes()}, signal_delay_s=self.signal_delay_s)
        return executor

    def minutes(self) -> int:
        """The time that a job gets."""
        given, name = self.timeout_min, f"hydra/launcher=submitit_{self.cluster}"
        if given is None:
            if None in self.max_times:
                raise ConfigError(
                    f"{name}: how long may a job take? give trainer.max_time=DD:HH:MM:SS or "
                    "hydra.launcher.timeout_min=MINUTES"
                )
            given = max(minutes_of(most) for most in self.max_times if most is not None) + self.extra_min
        if not 60 * given > self.signal_delay_s:
            raise ConfigError(
                f"hydra.launcher.timeout_min: expected more than signal_delay_s ({self.signal_delay_s} s), "
                f"got {given:g} minutes"
            )
        return math.ceil(given)


class LocalLauncher(SharesMachine, SubmititLauncher):
    """submitit on this machine: what a cluster would do, tried out without one.

    Args:
        **options: of :class:`SharesMachine` and of :class:`SubmititLauncher`.
    """

    cluster = "local"

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """submitit would start all at once: here the next one starts when a share is free."""
        executor = self.executor()
        free = self.shares()
        waiting, outcomes = list(reversed(jobs)), list[Outcome]()
        running: list[tuple[Job, Share, submitit.Job[Outcome]]] = []
        while waiting or running:
            while waiting and free:
                job, share = waiting.pop(), free.pop(0)
                began(job)
                running.append((job, share, executor.submit(Worker(job, share.environment()))))
            for each in [each for each in running if each[2].done()]:
                running.remove(each)
                free.append(each[1])
                outcomes.append(_outcome(each[0], each[2]))
            time.sleep(_POLL)
        return outcomes


class SlurmLauncher(SubmititLauncher):
    """submitit on a SLURM cluster: one array of jobs, each queued again when it is preempted.

    Args:
        array_parallelism: how many run at a time.
        nodes: machines of a job.
        tasks_per_node: processes of a job on each; as many as GPUs for ``trainer=ddp``.
        gpus_per_node: GPUs of a job on each machine.
        cpus_per_task: cores of a process.
        mem_gb: memory of a job on each machine.
        partition: and ``account``, ``qos``, ``constraint``: as ``sbatch`` has them.
        setup: lines of shell before the job, such as ``module load cuda``.
        additional: further options of ``sbatch`` by name.
        **options: of :class:`SubmititLauncher`.
    """

    cluster = "slurm"

    def __init__(
        self,
        array_parallelism: int = 16,
        nodes: int = 1,
        tasks_per_node: int = 1,
        gpus_per_node: int | None = 1,
        cpus_per_task: int | None = 4,
        mem_gb: float | None = None,
        partition: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        constraint: str | None = None,
        setup: Sequence[str] = (),
        additional: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        memory = None if mem_gb is None else f"{math.ceil(1024 * mem_gb)}MB"
        every = {"nodes": nodes, "ntasks_per_node": tasks_per_node, "gpus_per_node": gpus_per_node,
                 "cpus_per_task": cpus_per_task, "mem": memory, "array_parallelism": array_parallelism,
                 "partition": partition, "account": account, "qos": qos, "constraint": constraint,
                 "setup": list(setup) or None,
                 "additional_parameters": {"requeue": True, **(additional or {})}}  # fmt: skip
        self.parameters = {name: value for name, value in every.items() if value is not None}
        self.threads = None if cpus_per_task is None else cpus_per_task

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """All as one array; waits for them. Where this process is ended, they go on and note how they end."""
        if shutil.which("srun") is None or shutil.which("sbatch") is None:
            raise ConfigError(
                "hydra/launcher=submitit_slurm: srun and sbatch are not on this machine: start the sweep "
                "where jobs are submitted, or use hydra/launcher=submitit_local"
            )
        executor = self.executor()
        executor.update_parameters(job_name=f"hmseg-{self.sweep.program}", **self.parameters)
        share = Share(self.threads, None).environment()  # SLURM itself gives the GPUs
        started = executor.submit_array([Worker(job, share) for job in jobs])
        for job, one in zip(jobs, started, strict=True):
            log.info("%s: SLURM job %s, in %s", job, one.job_id, shown(job.folder))
        running, outcomes = list(zip(jobs, started, strict=True)), list[Outcome]()
        while running:
            for each in [each for each in running if each[1].done()]:
                running.remove(each)
                outcomes.append(_outcome(*each))
            time.sleep(_POLL)
        return outcomes


def _outcome(job: Job, started: submitit.Job[Outcome]) -> Outcome:
    """What the job's worker said; where it could say nothing, that."""
    try:
        outcome = started.results()[0]  # of the first process, if there are several
    except Exception as error:  # noqa: BLE001 - submitit's own, or whatever a cluster's commands end with
        outcome = Outcome(job, "failed", error=first_line(error), log=started.paths.stderr)
    ended(outcome)
    return outcome


def minutes_of(max_time: str) -> float:
    """``trainer.max_time`` in minutes.

    Example:
        >>> minutes_of("01:02:03:30")
        1563.5
    """
    days, hours, minutes, seconds = map(int, max_time.split(":"))
    return (days * 24 + hours) * 60 + minutes + seconds / 60
