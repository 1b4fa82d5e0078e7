"""Several devices in a test: processes forked from one that has imported everything and computed nothing.

One that has computed gradients can't be forked: PyTorch refuses to compute any in the copy.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.strategies import Strategy

from hmseg.plugins import strategy_of

ADDRESS = "127.0.0.1"


@contextmanager
def folder_of_all(factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """A folder that all processes of pytest-xdist share, and that one of them has to itself in the block.

    Without it each would make anew what a fixture of a module makes for several tests.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = factory.getbasetemp().parent / name
        folder.mkdir(exist_ok=True)
    else:
        folder = factory.mktemp(name)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        yield folder


def on_devices(count: int, function: Callable[..., Any], folder: Path, *args: Any) -> list[Any]:
    """Calls a function in so many processes at once, as Lightning's devices; what each gave back.

    Lightning takes rank and number from the environment, as where a cluster started the processes. Results
    that are in the folder already are taken from there.
    """
    if not all((folder / f"result-{rank}").is_file() for rank in range(count)):
        _call(count, function, folder, args)
    return [torch.load(folder / f"result-{rank}", weights_only=False) for rank in range(count)]


def _call(count: int, function: Callable[..., Any], folder: Path, args: tuple[Any, ...]) -> None:
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = free.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hmseg.module", "hmseg.plugins", "hmseg.data.datamodule"])
    processes = [
        context.Process(target=_device, args=(rank, count, port, function, folder, args))
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    hanging = [process for process in processes if process.is_alive()]
    for process in hanging:
        process.kill()
        process.join()
    failures = [path.read_text() for path in sorted(folder.glob("failed-*"))]
    assert not failures and not hanging, "\n".join(failures) or f"{len(hanging)} of {count} processes hang"


def _device(
    rank: int, count: int, port: int, function: Callable[..., Any], folder: Path, args: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    os.environ |= {
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": ADDRESS,
        "MASTER_PORT": str(port),
    }
    try:
        torch.save(function(rank, *args), folder / f"result-{rank}")
    except BaseException:
        (folder / f"failed-{rank}").write_text(traceback.format_exc())
        raise


def several(count: int) -> dict[str, int | str | Strategy]:
    """Options of a Trainer for so many devices on the CPU."""
    strategy = strategy_of("ddp") if count > 1 else "auto"
    return {"devices": count, "strategy": strategy, "use_distributed_sampler": False}
