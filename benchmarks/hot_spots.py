"""Where the time of a scenario goes, operator by operator, in the baseline's and in the product's way.

python benchmarks/hot_spots.py results/hot_spots [--model hsnet] [--masking hybrid] [--backbone resnet50]
    [--scenarios forward1 forward5 step] [--side 400] [--rows 10] [--device auto]

PyTorch's profiler around one call that is warm; time inside each operator, without those that it calls.
Writes NAME.json and NAME.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from scenarios import SIDES, Cell, works_of
from timing import footer, made_on, write
from torch.profiler import ProfilerActivity, profile

Profile = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    """Profile both ways of each scenario, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="path of the results without its ending")
    parser.add_argument("--model", default="hsnet")
    parser.add_argument("--masking", default="hybrid")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--scenarios", nargs="+", default=["forward1", "forward5", "step"])
    parser.add_argument("--side", type=int)
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    args = parser.parse_args(argv)
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    side = args.side or SIDES[args.model]
    profiles = []
    for scenario in args.scenarios:
        works = works_of(Cell(args.model, args.masking, args.backbone, scenario, side, device=args.device))
        profiles += [{"scenario": scenario, "way": way, **profiled(works[way], args.device)} for way in works]
    settings = {name: getattr(args, name) for name in ("model", "masking", "backbone", "device")}
    record = {"settings": {**settings, "side": side}, "profiles": profiles, **made_on()}
    write(args.out.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    write(args.out.with_suffix(".md"), report(record, args.rows))
    print(report(record, args.rows))


def profiled(work: Any, device: str) -> Profile:
    """Seconds of a call without the profiler, and operators by the time inside each."""
    work()
    seconds = work()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    with profile(activities=activities, acc_events=True) as found:
        work()
    by = "self_device_time_total" if device == "cuda" else "self_cpu_time_total"
    operators = [
        {"name": event.key, "seconds": getattr(event, by) / 1e6, "calls": event.count}
        for event in found.key_averages()
    ]
    operators.sort(key=lambda each: -each["seconds"])
    return {"seconds": seconds, "operators": [each for each in operators if each["seconds"] > 0]}


def report(record: Mapping[str, Any], rows: int) -> str:
    """The page."""
    settings = record["settings"]
    lines = [
        "# Where the time goes",
        "",
        f"{settings['model']}, {settings['masking']} masking, {settings['backbone']}, {settings['side']} px, "
        "random weights, one episode. Share of the profiled call's time that was spent inside an operator, "
        "and how often it was called. In brackets the seconds of a call without the profiler.",
        "",
    ]
    for scenario in dict.fromkeys(each["scenario"] for each in record["profiles"]):
        both = {each["way"]: each for each in record["profiles"] if each["scenario"] == scenario}
        heads = [f"{way} ({found['seconds']:.2f} s) | share | calls" for way, found in both.items()]
        lines += [f"## {scenario}", "", f"| {' | '.join(heads)} |", f"|{'---|--:|--:|' * len(both)}"]
        columns = [shares(found, rows) for found in both.values()]
        lines += [f"| {' | '.join(cells)} |" for cells in zip(*columns, strict=True)]
        lines.append("")
    return "\n".join(
        [
            *lines,
            *footer(record),
        ]
    )


def shares(found: Profile, rows: int) -> list[str]:
    """The first operators, the rest in one row; always ``rows`` + 1."""
    whole = sum(each["seconds"] for each in found["operators"])
    first, rest = found["operators"][:rows], found["operators"][rows:]
    cells = [f"`{one['name']}` | {100 * one['seconds'] / whole:.1f} % | {one['calls']}" for one in first]
    cells += [" | | "] * (rows - len(first))
    left = sum(each["seconds"] for each in rest)
    return [*cells, f"all others | {100 * left / whole:.1f} % | {sum(each['calls'] for each in rest)}"]


if __name__ == "__main__":
    main()
