"""Signals in the processes that read images."""

from __future__ import annotations

import os
import signal
import threading


def heed_only_the_parent() -> None:
    """Makes a reading process deaf to signals that were meant for the run; to be called in it.

    SLURM, and a shell that stops a whole group, send theirs to every process. Readers that died of one would
    take the run with them before it could save: the loader raises an error when a reader is gone. So SIGUSR1
    is ignored, and SIGTERM too unless the parent sent it, which is how PyTorch ends a reader that hangs.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_wait, args=(os.getppid(),), name="signals", daemon=True).start()


def _wait(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
