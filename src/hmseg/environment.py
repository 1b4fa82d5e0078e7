"""What a result was made with: versions, commit, hardware, command."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import torch

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "numpy", "pillow", "hydra-core")
_CPUINFO = Path("/proc/cpuinfo")


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
    """The command line as it was typed (``sys.argv`` is what the entry points made of it)."""
    words = sys.orig_argv[1:]
    if "-m" in words:
        return f"python {shlex.join(words[words.index('-m') :])}"
    return shlex.join([Path(words[0]).name, *words[1:]]) if words else "python"


def versions() -> dict[str, str]:
    """Versions of hmseg, Python and the packages that numbers depend on."""
    found = {"hmseg": _version("hmseg"), "python": platform.python_version()}
    return found | {name: _version(name) for name in PACKAGES}


def hardware() -> dict[str, Any]:
    """Processor, cores in use, and GPU if there is one."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": _processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(), "gpu": gpu}


@cache
def commit() -> str | None:
    """Commit of the checkout that hmseg runs from, ``-dirty`` when changed; None when it is installed.

    Looked up once: ask at the start of a run, for a long one may outlive the state that it was started in.
    """
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


class Checkout(NamedTuple):
    """State of the checkout that hmseg runs from.

    Attributes:
        commit: full hash.
        untracked: files that git doesn't know, the first hundred.
        diff: changes to tracked files against the commit, at most so many bytes; empty where there are none.
        cut: whether there are more.
    """

    commit: str
    untracked: tuple[str, ...]
    diff: bytes
    cut: bool

    @property
    def dirty(self) -> bool:
        """Whether tracked files are changed, as ``commit()`` says it too."""
        return bool(self.diff)


def checkout(limit: int = 1_000_000) -> Checkout | None:
    """What the commit alone doesn't tell: changes that were not committed. None where hmseg is installed.

    Args:
        limit: most bytes of the diff.
    """
    if commit() is None:
        return None
    try:
        top = _git("rev-parse", "--show-toplevel").decode().strip()
        head = _git("rev-parse", "HEAD").decode().strip()
        others = _git("-C", top, "ls-files", "--others", "--exclude-standard", "-z").decode(errors="replace")
        diff = _git("-C", top, "diff", "--no-ext-diff", "--no-color", "--binary", "HEAD")
    except (OSError, subprocess.SubprocessError):
        return None
    untracked = tuple(name for name in others.split("\0") if name)[:100]
    return Checkout(head, untracked, diff[:limit], len(diff) > limit)


def _git(*words: str) -> bytes:
    command = ["git", "-C", str(Path(__file__).resolve().parent), *words]
    return subprocess.run(command, capture_output=True, timeout=30, check=True).stdout


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    told: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        told.setdefault(name.strip(), value.strip())
    if "model name" not in told:
        return platform.machine()
    if "cpu family" not in told:
        return told["model name"]
    # A virtual machine's name may say no more than the maker's.
    return f"{told['model name']} (family {told['cpu family']}, model {told.get('model', 'unknown')})"
