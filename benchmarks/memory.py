"""What the memory of a pass is made of, in the baseline's and in the product's way.

python benchmarks/memory.py results/memory [--model hsnet] [--masking hybrid] [--backbone resnet50]
    [--scenarios forward1 forward5 step] [--side 400]

Each way of each scenario in a process of its own, on a CPU: what the process holds when Python has started,
with PyTorch, with hmseg and what it imports, with the network; then its peak, and the most that tensors made
in a warm call hold at once (PyTorch's record of every block of memory that an operator takes and gives back),
which is what a GPU's memory would see. Writes NAME.json and NAME.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Record = dict[str, Any]
STAGES = ("interpreter", "and PyTorch", "and hmseg", "and the network")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure both ways of each scenario, write the page."""
    args = parse(argv)
    if args.way:
        print(json.dumps(measure(args)))
        return
    from scenarios import PRODUCT, PUBLISHED, SIDES
    from timing import made_on, write

    args.side = args.side or SIDES[args.model]
    settings = {name: getattr(args, name) for name in ("model", "masking", "backbone", "side")}
    found = []
    for scenario in args.scenarios:
        for way in (PUBLISHED, PRODUCT):
            given = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
            words = [sys.executable, __file__, *given, "--scenarios", scenario, "--way", way]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            found.append({"scenario": scenario, "way": way, **json.loads(done.stdout.splitlines()[-1])})
    record = {"settings": settings, "found": found, **made_on()}
    write(args.out.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    write(args.out.with_suffix(".md"), report(record))
    print(report(record))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", help="path of the results without its ending")
    parser.add_argument("--model", default="hsnet")
    parser.add_argument("--masking", default="hybrid")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--scenarios", nargs="+", default=["forward1", "forward5", "step"])
    parser.add_argument("--side", type=int)
    parser.add_argument("--way", help=argparse.SUPPRESS)  # measure one in this process
    args = parser.parse_args(argv)
    if args.out is None and args.way is None:
        parser.error("give the path of the results without its ending, such as results/memory")
    return args


def measure(args: argparse.Namespace) -> Record:
    """One way of one scenario, in this process."""
    held = [resident()]
    import torch  # noqa: F401

    held.append(resident())
    from scenarios import PRODUCT, Cell, works_of
    from torch.profiler import ProfilerActivity, profile

    from hmseg.allocator import keep_freed_memory

    held.append(resident())
    if args.way == PRODUCT:
        keep_freed_memory()
    cell = Cell(args.model, args.masking, args.backbone, args.scenarios[0], args.side)
    work = works_of(cell, (args.way,))[args.way]
    held.append(resident())
    work(), work()  # the optimiser's state is there, kernels are folded
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen:
        work()
    assert seen.profiler is not None
    blocks = [each for each in seen.profiler.kineto_results.events() if each.name() == "[memory]"]
    changes = (each.nbytes() for each in sorted(blocks, key=lambda each: each.start_ns()))
    return {
        "held": dict(zip(STAGES, held, strict=True)),
        "peak": peak,
        "tensors": most(changes) / 1e9,
    }


def resident() -> float:
    """What of this process is in memory now, in 10^9 bytes (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e9


def most(changes: Iterable[int]) -> int:
    """The largest sum on the way.

    Example:
        >>> most([3, 4, -4, 2])
        7
    """
    held = found = 0
    for change in changes:
        held += change
        found = max(found, held)
    return found


def report(record: Mapping[str, Any]) -> str:
    """The page."""
    from timing import footer  # it imports hmseg, which `measure` does by itself

    settings = record["settings"]
    lines = [
        "# What memory is made of",
        "",
        f"{settings['model']}, {settings['masking']} masking, {settings['backbone']}, {settings['side']} px, "
        "random weights, one episode; GB, each process by itself. From `interpreter` to `peak`: all that the "
        "process has in memory. `tensors`: the most that those made in a warm call hold at once, without "
        "weights and folded kernels.",
        "",
        f"| scenario | way | {' | '.join(STAGES)} | peak | tensors |",
        f"|---|---|{'--:|' * (len(STAGES) + 2)}",
    ]
    for each in record["found"]:
        numbers = [*each["held"].values(), each["peak"], each["tensors"]]
        cells = " | ".join(f"{number:.2f}" for number in numbers)
        lines.append(f"| {each['scenario']} | {each['way']} | {cells} |")
    return "\n".join(
        [
            *lines,
            "",
            *footer(record),
        ]
    )


if __name__ == "__main__":
    main()
