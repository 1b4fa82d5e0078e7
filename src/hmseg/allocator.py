"""Memory that was freed stays with the process: fewer page faults in work that asks for the same again.

A pass on a CPU makes and frees hundreds of maps. By default glibc gives memory at the heap's end back to the
system and fetches it anew, page by page: a tenth of the time of a forward pass (docs/performance.md).
"""

from __future__ import annotations

import ctypes
import os
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""glibc's names of the two settings, malloc.h."""
KEPT = 2**31 - 1
"""Free bytes at the heap's end that are not given back."""
LARGEST = 32 * 2**20
"""Bytes from which a block has pages of its own; glibc allows no more."""


def keep_freed_memory() -> bool:
    """Tells the C library not to give freed blocks below 32 MiB back, for the whole process.

    Nothing is done where the C library is not glibc, or where the user has set its allocator by ``MALLOC_…_``
    or ``GLIBC_TUNABLES``. The programs call it; a library that imports hmseg is left as it is.

    Returns:
        Whether it was done.
    """
    chosen = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if chosen or platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(TRIM_THRESHOLD, KEPT)) and bool(mallopt(MMAP_THRESHOLD, LARGEST))
