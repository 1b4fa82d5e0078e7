"""Gives targets mutated inputs, for some time each: ``python tests/fuzz/run.py [--seconds 600] [TARGET …]``.

Each target runs in a process of its own with bounded memory, watched for hangs. What breaks a promise is put
beside the seeds as ``found-…``, where the tests take it up.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 12 * 2**30
"""Bytes of addresses; PyTorch alone takes some."""
PATIENCE = 60
"""Seconds for a single input."""


def main() -> int:
    """Exit code 1 where something was found."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("targets", nargs="*")
    options.add_argument("--seconds", type=float, default=600, help="for each target")
    options.add_argument("--start", type=int, default=0, help="number of the first mutation")
    options.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]
    from fuzz.targets import TARGETS

    for name in given.targets:
        if name not in TARGETS:
            options.error(f"unknown target {name} (known: {', '.join(TARGETS)})")
    if given.child:
        return work(given.targets[0], given.seconds, given.start)
    outcomes = [watched(name, given.seconds, given.start) for name in given.targets or TARGETS]
    return int(not all(outcomes))


def watched(name: str, seconds: float, start: int) -> bool:
    """Whether a target's process came to its end without a finding."""
    words = [sys.executable, __file__, name, "--child", "--seconds", str(seconds), "--start", str(start)]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "said").open("w+") as said:
        process = subprocess.Popen([*words], cwd=folder, stdout=said, stderr=subprocess.STDOUT)
        current, until = Path(folder) / "current", time.monotonic() + seconds + PATIENCE
        while process.poll() is None:
            time.sleep(0.5)
            began = current.stat().st_mtime if current.exists() else time.time()
            if time.time() - began > PATIENCE or time.monotonic() > until + PATIENCE:
                process.kill()
        said.seek(0)
        print(said.read().rstrip(), flush=True)
        if process.returncode < 0 and current.exists():
            keep(name, current.read_bytes(), f"ended by signal {-process.returncode}")
        return process.returncode == 0


def work(name: str, seconds: float, start: int) -> int:
    """Mutates in this process until the time is over."""
    from fuzz.mutating import mutated
    from fuzz.targets import Broken, run, seeds_of

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    logging.disable()
    seeds, number, taken, found = seeds_of(name), start, 0, set[str]()
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < until:
            content = mutated(seeds, number)
            Path("current").write_bytes(content)
            try:
                taken += run(name, content, Path(folder))
            except Broken as broken:
                kind = str(broken)[:60]
                if kind not in found:
                    keep(name, content, str(broken))
                found.add(kind)
            number += 1
    print(f"{name}: {number - start} inputs, {taken} taken, {len(found)} kinds of finding", flush=True)
    return int(bool(found))


def keep(name: str, content: bytes, why: str) -> None:
    """Puts an input beside the seeds."""
    path = ROOT / "tests" / "fuzz" / "seeds" / name / f"found-{hashlib.sha256(content).hexdigest()[:12]}"
    path.write_bytes(content)
    print(f"{name}: {path.name}: {why}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
