"""``hydra/launcher=joblib``: several jobs at a time on this machine, each with its share of it."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Sequence

from hmseg.errors import HmsegError
from hmseg.sweeps.devices import Share, SharesMachine
from hmseg.sweeps.jobs import Job, Outcome
from hmseg.sweeps.launcher import SweepLauncher, began, ended, missing
from hmseg.sweeps.work import Worker


class JoblibLauncher(SharesMachine, SweepLauncher):
    """joblib's threads hand the jobs out; each job is a process, ``python -m hmseg.train …``.

    A process of its own, not one of joblib's that are used again: a GPU must be chosen before CUDA starts,
    memory is given back, and a job that is killed takes no other with it, as a broken pool would.

    Args:
        **options: of :class:`SharesMachine` and of :class:`SweepLauncher`.
    """

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """All of them, as many at a time as there are shares."""
        try:
            import joblib
        except ImportError:
            raise missing("joblib", "hydra/launcher=joblib") from None
        pool = _Pool(self.shares())
        parallel = joblib.Parallel(n_jobs=len(pool.shares), backend="threading", batch_size=1)
        try:
            outcomes: list[Outcome] = parallel(joblib.delayed(pool.run)(job) for job in jobs)
        except BaseException:
            pool.stop()
            raise
        return outcomes


class _Pool:
    """The shares that are free, and the workers that are busy."""

    def __init__(self, shares: Sequence[Share]) -> None:
        self.shares = shares
        self._free: queue.SimpleQueue[Share] = queue.SimpleQueue()
        for share in shares:
            self._free.put(share)
        self._busy: dict[int, Worker] = {}
        self._stopped = threading.Event()

    def run(self, job: Job) -> Outcome:
        """One job, with the share that is free."""
        share = self._free.get()
        try:
            if self._stopped.is_set():
                raise HmsegError("the sweep has been stopped")
            worker = self._busy[job.number] = Worker(job, share.environment())
            began(job)
            outcome = worker()
            ended(outcome)
            return outcome
        finally:
            self._busy.pop(job.number, None)
            self._free.put(share)

    def stop(self) -> None:
        """Starts no more, and ends what runs as Ctrl-C would; each leaves its checkpoint."""
        self._stopped.set()
        for worker in list(self._busy.values()):
            worker.stop(signal.SIGINT)
