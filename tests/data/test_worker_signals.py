"""Reading processes are deaf to the signals of a run, and not to their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection

from hmseg.data.worker_signals import heed_only_the_parent


def reader(ready: Connection) -> None:
    heed_only_the_parent()
    ready.send("listening")
    while True:
        time.sleep(0.01)


def test_only_the_parents_sigterm_ends_a_reader() -> None:
    ours, theirs = (context := get_context("fork")).Pipe()
    process = context.Process(target=reader, args=(theirs,))
    process.start()
    assert ours.recv() == "listening"
    for name in ("SIGTERM", "SIGUSR1"):  # from another process than the parent
        script = f"import os, signal; os.kill({process.pid}, signal.{name})"
        subprocess.run([sys.executable, "-c", script], check=True)
    process.join(timeout=0.3)
    assert process.is_alive()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGUSR1)
    process.terminate()
    process.join(timeout=60)
    assert process.exitcode == 0
