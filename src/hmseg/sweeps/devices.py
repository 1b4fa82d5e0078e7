"""How a machine's cores and GPUs are shared out among the jobs that run side by side."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hmseg.errors import ConfigError

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What PyTorch and NumPy ask for the number of their threads."""


@dataclass(frozen=True)
class Share:
    """What one job at a time has of a machine.

    Attributes:
        threads: for computing; None leaves the environment's setting.
        gpus: their ids; None where the machine has none, and nothing is said about them.
    """

    threads: int | None
    gpus: tuple[str, ...] | None

    def environment(self) -> dict[str, str]:
        """As environment variables.

        Example:
            >>> Share(2, ("0", "3")).environment()["CUDA_VISIBLE_DEVICES"]
            '0,3'
        """
        threads = {} if self.threads is None else dict.fromkeys(THREADS, str(self.threads))
        return threads | ({} if self.gpus is None else {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus)})


def shares(
    n_jobs: int | None, threads: int | None, gpus: Sequence[object] | None, gpus_per_job: int
) -> list[Share]:
    """One share for each job that runs at a time.

    Args:
        n_jobs: how many; None: one for each GPU (or set of them), without GPUs one for every two cores.
        threads: of each job; None: the cores by the jobs, unless ``OMP_NUM_THREADS`` is set already.
        gpus: ids, of which one may stand several times to be shared; None: those that can be seen.
        gpus_per_job: how many of them a job gets.

    Raises:
        ConfigError: a number below 1, or more jobs than there are GPUs for.

    Example:
        >>> [share.gpus for share in shares(None, 1, [0, 1, 2, 3], 2)]
        [('0', '1'), ('2', '3')]
    """
    for name, value in (("n_jobs", n_jobs), ("threads", threads), ("gpus_per_job", gpus_per_job)):
        if value is not None and value < 1:
            raise ConfigError(f"hydra.launcher.{name}: expected at least 1, got {value}")
    ids = visible_gpus() if gpus is None else [str(each) for each in gpus]
    sets = [tuple(ids[at : at + gpus_per_job]) for at in range(0, len(ids) - gpus_per_job + 1, gpus_per_job)]
    if ids and (n_jobs or 1) > len(sets):
        raise ConfigError(
            f"hydra.launcher.n_jobs: {n_jobs or 1} at a time with {gpus_per_job} GPU each, but there are "
            f"{len(ids)} ({','.join(ids)}); to share them name one several times, hydra.launcher.gpus=[0,0]"
        )
    cores = len(os.sched_getaffinity(0))
    count = n_jobs or len(sets) or max(1, cores // 2)
    if threads is None and THREADS[0] not in os.environ:
        threads = max(1, cores // count)
    return [Share(threads, sets[at] if sets else None) for at in range(count)]


class SharesMachine:
    """Of a launcher whose jobs run side by side on this machine; stands before the launcher among the bases.

    Args:
        n_jobs: how many at a time; None: one for each GPU, without GPUs one for every two cores.
        threads: of each; None: the cores shared out.
        gpus: their ids; None: those that can be seen.
        gpus_per_job: how many a job gets.
        **options: of the launcher.
    """

    def __init__(
        self,
        n_jobs: int | None = None,
        threads: int | None = None,
        gpus: Sequence[int | str] | None = None,
        gpus_per_job: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.n_jobs, self.threads, self.gpus, self.gpus_per_job = n_jobs, threads, gpus, gpus_per_job

    def shares(self) -> list[Share]:
        """One for each job that runs at a time; raises ConfigError as :func:`shares` does."""
        return shares(self.n_jobs, self.threads, self.gpus, self.gpus_per_job)


def visible_gpus() -> list[str]:
    """Ids of the GPUs that a program started here would see, found without PyTorch."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return [each.strip() for each in told.split(",") if each.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in found.stdout.splitlines() if line.strip().isdecimal()]
