"""Speed and memory of the product beside a plain baseline that computes as the published code does.

python benchmarks/performance.py results/performance [--models hsnet asnet vat] [--maskings hybrid …]
    [--backbones resnet50 …] [--scenarios forward1 forward5 step evaluation1 evaluation5 kept_evaluation1]
    [--root VOC2012] [--side 400] [--batch 1] [--repeats 5] [--episodes 100] [--device auto]

Of each cell, after a check that both ways give the same numbers: their times, in turns, each in a process of
its own as its programs run; the baseline's again with the setting of the C library that hmseg's programs
make; peak memory of each way alone; floating-point operations and bytes. One record per cell is added to
NAME.jsonl with commit, versions and hardware; NAME.md shows the last record of each cell, NAME.svg all of
them over the commits. Evaluations read photos: they are left out without --root.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import torch
from measures import ceilings, operations_and_bytes, peak_memory
from performance_report import plot, report
from scenarios import PRODUCT, PUBLISHED, PUBLISHED_KEEPING, SCENARIOS, SIDES, Cell, works_of
from timing import made_on, write
from turns import EndedError, in_turns, take_turns

from hmseg.allocator import keep_freed_memory

Record = dict[str, Any]
PARTS = ("time", "turns", "memory", "operations", "ceilings")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure the cells, add their records, write table and plot."""
    args = parse(argv)
    if args.part == "turns":
        turns(Cell(**json.loads(args.cell)), args)
        return
    if args.part:
        print(json.dumps(measure(Cell(**json.loads(args.cell)), args)))
        return
    path = args.out.with_suffix(".jsonl")
    cells = cells_of(args)
    for number, cell in enumerate(cells, start=1):
        print(f"[{number}/{len(cells)}] {' '.join(map(str, cell[:4]))}", file=sys.stderr, flush=True)
        record = one(cell, args)
        if args.root:  # where the photos lie is nobody else's concern
            record["command"] = record["command"].replace(args.root, "VOC2012")
        lines = path.read_text() if path.is_file() else ""
        write(path, f"{lines}{json.dumps(record)}\n")
        records = [json.loads(line) for line in path.read_text().splitlines()]
        write(args.out.with_suffix(".md"), report(records, args.out.name))
        plot(records, args.out.with_suffix(".svg"))
    print(args.out.with_suffix(".md").read_text())


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", help="path of the results without its ending")
    parser.add_argument("--models", nargs="+", default=["hsnet"])
    parser.add_argument("--maskings", nargs="+", default=["hybrid"])
    parser.add_argument("--backbones", nargs="+", default=["resnet50"])
    parser.add_argument("--scenarios", nargs="+", default=SCENARIOS[:4], choices=SCENARIOS)
    parser.add_argument("--side", type=int, help="of the images; default: the model's published one")
    parser.add_argument("--batch", type=int, default=1, help="episodes at once (forward and step)")
    parser.add_argument("--repeats", type=int, default=5, help="timed repetitions after one for warming up")
    parser.add_argument("--episodes", type=int, default=100, help="of an evaluation")
    parser.add_argument("--root", help="a VOC2012 folder as hmseg takes it")
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--weights", default="random", help="of the backbone, as backbone.weights")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--cell", help=argparse.SUPPRESS)  # measure one part of one cell in this process
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--way", choices=(PUBLISHED, PRODUCT, PUBLISHED_KEEPING), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.out is None and args.part is None:
        parser.error("give the path of the results without its ending, such as results/performance")
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    return args


def cells_of(args: argparse.Namespace) -> list[Cell]:
    """All combinations, the evaluations only where there are photos to read."""
    found = []
    for scenario, backbone, model, masking in product(
        args.scenarios, args.backbones, args.models, args.maskings
    ):
        if "evaluation" in scenario and not args.root:
            print(f"{scenario} is left out: it needs --root", file=sys.stderr)
            continue
        side = args.side or SIDES[model]
        found.append(
            Cell(
                *(model, masking, backbone, scenario, side, args.batch, args.episodes),
                *(args.weights, args.root, args.fold, args.device),
            )
        )
    return found


def one(cell: Cell, args: argparse.Namespace) -> Record:
    """The record of one cell; where a part fails, the last line of what it said."""
    public = {key: value for key, value in cell._asdict().items() if key not in ("root", "weights")}
    record: Record = {"format": 1, "cell": public, "ceilings": ceilings_of(cell, args.threads)}
    # Operations come first: they are counted only where both ways give the same numbers.
    parts: list[tuple[str, ...]] = [("time",) if cell.is_evaluation else ("operations",)]
    parts += [("memory", "--way", way) for way in (PUBLISHED, PRODUCT)]
    for part, *options in parts:
        found = run(cell, part, args, options)
        if "failed" in found:
            return record | {"failed": f"{part}: {found['failed']}"} | made_on()
        record[part] = {**record.get(part, {}), **found}
    if not cell.is_evaluation:
        try:
            record["time"] = times_in_turns(cell, args)
        except EndedError as error:
            return record | {"failed": f"time: {error}"} | made_on()
    return record | made_on()


def times_in_turns(cell: Cell, args: argparse.Namespace) -> dict[str, list[float]]:
    """Of both ways in turns, then of the baseline with the other setting (three at once may not fit)."""

    def programs(*ways: str) -> dict[str, list[str]]:
        return {way: [__file__, *words(cell, "turns", args), "--way", way] for way in ways}

    both = in_turns(programs(PUBLISHED, PRODUCT), args.repeats)
    return both if cell.device == "cuda" else both | in_turns(programs(PUBLISHED_KEEPING), args.repeats)


def turns(cell: Cell, args: argparse.Namespace) -> None:
    """One way of a cell, whenever it is its turn."""
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.way != PUBLISHED:
        keep_freed_memory()
    way = PRODUCT if args.way == PRODUCT else PUBLISHED
    take_turns(works_of(cell, (way,))[way])


def words(cell: Cell, part: str, args: argparse.Namespace) -> list[str]:
    """Of the command line that measures a part of a cell."""
    numbers = ["--repeats", str(args.repeats), "--threads", str(args.threads)]
    return ["--cell", json.dumps(cell._asdict()), "--part", part, *numbers]


def run(cell: Cell, part: str, args: argparse.Namespace, options: Sequence[str]) -> Record:
    """One part of a cell in a process of its own."""
    command = [sys.executable, __file__, *words(cell, part, args), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        print(
            *(line for line in done.stderr.splitlines() if " differ by " in line), sep="\n", file=sys.stderr
        )
        return dict(json.loads(done.stdout.splitlines()[-1]))
    said = [line for line in done.stderr.strip().splitlines() if line.strip()]
    return {"failed": said[-1] if said else f"exit {done.returncode}"}


@cache
def _ceilings(device: str, threads: int) -> str:
    words = [sys.executable, __file__, "--part", "ceilings", "--threads", str(threads), "--cell"]
    cell = json.dumps(Cell("", "", "", "", 0, device=device)._asdict())
    return subprocess.run([*words, cell], capture_output=True, text=True, check=True).stdout.splitlines()[-1]


def ceilings_of(cell: Cell, threads: int) -> dict[str, float]:
    """Of the cell's device, measured once per run."""
    return dict(json.loads(_ceilings(cell.device, threads)))


def measure(cell: Cell, args: argparse.Namespace) -> Record:
    """One part of a cell, in this process."""
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(cell.device)
    if args.part == "ceilings":
        return dict(ceilings(device))
    if args.part == "memory":
        way = args.way
        cell = cell._replace(episodes=min(cell.episodes, 8))  # as many as show the peak
        if way == PRODUCT:
            keep_freed_memory()
        work = works_of(cell, (way,))[way]
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        before = peak_memory(device)
        work()
        if cell.keeps_maps or not cell.is_evaluation:
            work()  # finds the first one's files, or the optimiser's state and the first step's gradients
        return {way: peak_memory(device), f"{way}, before": before}
    works = works_of(cell)
    if args.part == "operations":
        return {way: operations_and_bytes(work) for way, work in works.items()}
    return {way: [work()] for way, work in works.items()}  # minutes long: no warming up, and done once


if __name__ == "__main__":
    main()
