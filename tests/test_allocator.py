"""Freed memory stays with the process, unless the user says otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from hmseg import allocator

FAULTS = """
import mmap, resource, torch
from hmseg.allocator import keep_freed_memory
done = keep_freed_memory()
def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    blocks = [torch.ones(size * 2**20 // 4) for size in (20, 60)]
for _ in range(8):  # small things that stay settle between the blocks
    work()
before = pages()
for _ in range(5):
    work()
print(done, (pages() - before) * mmap.PAGESIZE)
"""
WHOLE = 5 * 80 * 2**20
"""Bytes that the five rounds ask for."""


def faults(**environment: str) -> tuple[str, int]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    words = [sys.executable, "-c", FAULTS]
    out = subprocess.run(words, env=plain | environment, capture_output=True, text=True, check=True).stdout
    done, count = out.split()
    return done, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library is left as it is")
def test_blocks_are_used_again_without_being_fetched_anew() -> None:
    done, fetched = faults()
    assert done == "True"
    assert fetched < WHOLE / 10
    done, fetched = faults(MALLOC_TRIM_THRESHOLD_="131072")  # the user's own choice stands
    assert done == "False"
    assert fetched > WHOLE / 2


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(allocator.ctypes, "CDLL", None)  # would fail
    assert not allocator.keep_freed_memory()
