"""Memory that was freed stays with the process: fewer page faults in work that asks for the same again.

A pass on a CPU makes and frees hundreds of maps. By default glibc gives large blocks back to the system at
once, and memory at the heap's end too, and fetches all of it anew, page by page (docs/performance.md).
"""

from __future__ import annotations

import ctypes
import os
import platform

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""glibc's names of the two settings, malloc.h."""
KEPT = 2**31 - 1
"""Free bytes at the heap's end that are not given back."""


def keep_freed_memory() -> bool:
    """Tells the C library to take all blocks from its heap and to keep what is freed, for the whole process.

    A process then never gets smaller, and gaps between blocks may make it larger. Nothing is done where the C
    library is not glibc, or where the user has set its allocator by ``MALLOC_…_`` or ``GLIBC_TUNABLES``. The
    programs call it; a library that imports hmseg is left as it is.

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
    return bool(mallopt(TRIM_THRESHOLD, KEPT)) and bool(mallopt(MMAP_MAX, 0))
