"""What our Trainer gets besides callbacks: how checkpoints are written, and how processes find each other."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.io import TorchCheckpointIO
from pytorch_lightning.strategies import DDPStrategy, Strategy

from hmseg.checkpoint_files import LAST, PREVIOUS, is_whole, replace_whole, seal
from hmseg.errors import CheckpointError, ConfigError, HmsegError
from hmseg.interruption import Terminated
from hmseg.run_checkpoints import read_checkpoint
from hmseg.untrusted import reason

GRACE = 5.0
"""Seconds that other processes of this machine have to leave by themselves."""
PATIENCE = timedelta(hours=2)
"""How long devices wait for one another: the first one scores the baselines by itself."""


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints that are whole or not there, and keeps the last but one.

    ``last.ckpt`` is moved to ``last-previous.ckpt`` before a new one takes its place, so that a run can go on
    even where a disk loses what it said it had written.
    """

    def __init__(self) -> None:
        self._written: set[Path] = set()

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Reads a file onto the CPU, tensors and plain data only, whatever is asked for.

        Raises:
            CheckpointError: it is damaged, or not a run's.
        """
        return read_checkpoint(Path(path))

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Writes a file by way of a temporary one.

        Raises:
            CheckpointError: it can't be written, for instance because the disk is full.
        """
        target = Path(path)
        buffer = io.BytesIO()  # at once: torch.save's own errors don't say that a disk is full
        torch.save(checkpoint, buffer)
        seal(buffer)
        # One that this process found there may be damaged; the one before it is then worth more.
        kept = target.name == LAST and (target in self._written or is_whole(target))
        try:
            replace_whole(target, buffer.getbuffer(), target.with_name(PREVIOUS) if kept else None)
        except OSError as error:
            stays = "the one before it is untouched" if target.is_file() else "there was none before it"
            raise CheckpointError(
                f"the checkpoint {target} can't be written ({error.strerror}), {stays}: make room on that "
                f"disk, then go on with resume={target.parent.parent}"
            ) from None
        self._written.add(target)


def cluster() -> list[SLURMEnvironment]:
    """SLURM's processes where ``srun`` started this one, else none: Lightning then starts its own.

    Without Lightning's own requeueing, in whose place ``hmseg.callbacks.Interruption`` stands: it would write
    checkpoints into another folder.

    Raises:
        ConfigError: SLURM was asked for its tasks in a way that doesn't say how many a machine has.
    """
    if not SLURMEnvironment.detect():
        return []
    try:
        return [SLURMEnvironment(auto_requeue=False)]
    except RuntimeError:
        raise ConfigError(
            f"SLURM started {os.environ.get('SLURM_NTASKS')} tasks by --ntasks: give --nodes and "
            "--ntasks-per-node instead, with one task for each device (docs/distributed.md)"
        ) from None


def strategy_of(name: str) -> str | Strategy:
    """Lightning's strategy of a name, with the options that our modules allow.

    Example:
        >>> strategy_of("auto")
        'auto'
    """
    if name != "ddp":
        return name
    # The frozen backbone's buffers never change, and devices may have unequally many evaluation batches:
    # sending the buffers around before each would hang there.
    return DDPStrategy(broadcast_buffers=False, timeout=PATIENCE)


@contextmanager
def ending_together(trainer: pl.Trainer) -> Iterator[None]:
    """Ends the processes that Lightning started when the block fails: they would wait for this one.

    Those that were asked to stop have a few seconds to do so by themselves.

    Raises:
        HmsegError: one of them failed first, and what failed here is only that it is gone.
    """
    try:
        yield
    except BaseException as error:
        processes: list[Popen[bytes]] = getattr(trainer.strategy.launcher, "procs", None) or []
        asked = isinstance(error, Terminated)
        until = time.monotonic() + (GRACE if asked or not isinstance(error, HmsegError) else 0.0)
        while time.monotonic() < until and any(each.poll() is None for each in processes):
            time.sleep(0.05)
        failed = [rank for rank, each in enumerate(processes, start=1) if each.poll()]
        for each in processes:
            each.kill()
        if failed and not isinstance(error, HmsegError) and isinstance(error, Exception):
            raise HmsegError(f"process {failed[0]} of the run failed: its message is above") from None
        raise


@contextmanager
def restoring(trainer: pl.Trainer, resumed: str | None) -> Iterator[None]:
    """Around ``fit``: what goes wrong while Lightning takes up a checkpoint's state, as one line.

    Raises:
        CheckpointError: the state of an optimiser, a loop or a callback in it is not what it can be.
    """
    try:
        yield
    except HmsegError:
        raise
    except Exception as error:
        # Lightning holds what it read until all of it is restored.
        if resumed is None or not trainer._checkpoint_connector._loaded_checkpoint:
            raise
        raise CheckpointError(
            f"{resumed} can't be gone on from ({reason(error)}): its state is damaged or of another version; "
            "give another checkpoint of the run, or begin a new one"
        ) from error


def check_cluster(devices: int, nodes: int) -> None:
    """Compares the devices of a Trainer with the tasks that SLURM started.

    Raises:
        ConfigError: they differ: processes would wait for others that never come, or all do the same.
    """
    if not SLURMEnvironment.detect() or (devices * nodes == 1 and "SLURM_STEP_ID" not in os.environ):
        return  # one device in a batch script, without srun, is a run like any other
    tasks, machines = (os.environ.get(name, "") for name in ("SLURM_NTASKS", "SLURM_NNODES"))
    if tasks != str(devices * nodes) or machines not in ("", str(nodes)):
        raise ConfigError(
            f"trainer.devices={devices} on trainer.num_nodes={nodes}, but SLURM started {tasks} task(s) on "
            f"{machines or '?'} machine(s): start one for each device, with srun and --ntasks-per-node; "
            "trainer=slurm takes both numbers from SLURM"
        )
