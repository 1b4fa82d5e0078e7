"""What a result was made with: versions, commit, hardware, command."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "numpy", "pillow", "hydra-core")


def describe() -> dict[str, Any]:
    """Everything a result needs beside it to be repeated, as plain data.

    Example:
        >>> sorted(describe())
        ['command', 'commit', 'date', 'hardware', 'versions']
    """
    return {
        "command": command(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": versions(),
        "hardware": hardware(),
    }


def command() -> str:
    """The command line, with the program as one would type it and not as the file that was found."""
    program = Path(sys.argv[0])
    ours = program.parent == Path(__file__).parent
    name = f"python -m hmseg.{program.stem}" if ours else program.name
    return f"{name} {shlex.join(sys.argv[1:])}".rstrip()


def versions() -> dict[str, str]:
    """Versions of hmseg, Python and the packages that numbers depend on."""
    found = {"hmseg": _version("hmseg"), "python": platform.python_version()}
    return found | {name: _version(name) for name in PACKAGES}


def hardware() -> dict[str, Any]:
    """Processor, cores in use, and GPU if there is one."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": _processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(), "gpu": gpu}


def commit() -> str | None:
    """Commit of the checkout that hmseg runs from, ``-dirty`` when changed; None when it is installed."""
    folder = Path(__file__).resolve().parent
    try:
        out = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        tracked = ["git", "-C", str(folder), "ls-files", "--error-unmatch", Path(__file__).name]
        subprocess.run(
            tracked, capture_output=True, timeout=10, check=True
        )  # not some other repository's commit
    except (OSError, subprocess.SubprocessError):
        return None
    return out.stdout.strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
