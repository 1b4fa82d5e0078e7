"""How time and memory of the product grow with image size, shots and batch.

python benchmarks/growth.py results/growth [--model hsnet] [--masking hybrid] [--backbone resnet50]
    [--sides 200 …] [--shots 1 …] [--batches 1 …] [--repeats 2] [--device auto]

Every point runs in a process of its own, so that its peak memory is its own: forward without gradients over
sides, shots and batches (sides 400 px, one shot, batch 1 where not varied), and a training step over sides
and batches, over batches also with the head's activations made again (`recompute=1`). Random weights. Writes
NAME.jsonl, NAME.md and NAME.svg.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from measures import peak_memory, seconds_on
from timing import footer, made_on, write

Record = dict[str, Any]
Point = dict[str, Any]
RECOMPUTED = "step, recomputed"
WORKS = ("forward", "step", RECOMPUTED)
AXES = {"side": "image side, px", "shots": "shots", "batch": "episodes at once"}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all points, write table and plot."""
    args = parse(argv)
    if args.point:
        print(json.dumps(measure(json.loads(args.point), args.repeats)))
        return
    points = points_of(args)
    records: list[Record] = []
    for number, point in enumerate(points, start=1):
        print(f"[{number}/{len(points)}] {point}", file=sys.stderr, flush=True)
        words = [sys.executable, __file__, "--repeats", str(args.repeats), "--point", json.dumps(point)]
        done = subprocess.run(words, capture_output=True, text=True)
        said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
        found = json.loads(said[-1]) if done.returncode == 0 else {"failed": (said or ["no reason"])[-1]}
        records.append({"point": point, **found, **made_on()})
        write(args.out.with_suffix(".jsonl"), "".join(f"{json.dumps(each)}\n" for each in records))
    write(args.out.with_suffix(".md"), report(records))
    plot(records, args.out.with_suffix(".svg"))
    print(report(records))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", help="path of the results without its ending")
    parser.add_argument("--model", default="hsnet")
    parser.add_argument("--masking", default="hybrid")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--sides", type=int, nargs="+", default=[200, 300, 400, 500, 600, 800])
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5, 10, 50])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--step-sides", type=int, nargs="+", default=[200, 400, 600])
    parser.add_argument("--step-batches", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--base", type=int, default=400, help="side of the images where it is not varied")
    parser.add_argument("--repeats", type=int, default=2, help="timed repetitions after one for warming up")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--point", help=argparse.SUPPRESS)  # measure one point in this process
    args = parser.parse_args(argv)
    if args.out is None and args.point is None:
        parser.error("give the path of the results without its ending, such as results/growth")
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    return args


def points_of(args: argparse.Namespace) -> list[Point]:
    """What is varied, one thing at a time."""
    base = {
        "model": args.model, "masking": args.masking, "backbone": args.backbone, "device": args.device,
        "side": args.base, "shots": 1, "batch": 1,
    }  # fmt: skip
    varied: list[tuple[str, str, Sequence[int]]] = [
        ("forward", "side", args.sides),
        ("forward", "shots", args.shots),
        ("forward", "batch", args.batches),
        ("step", "side", args.step_sides),
        ("step", "batch", args.step_batches),
        (RECOMPUTED, "batch", args.step_batches),
    ]
    return [
        {"work": work, "axis": axis, **base, axis: value} for work, axis, values in varied for value in values
    ]


def measure(point: Point, repeats: int) -> Record:
    """Seconds of each repetition and peak memory of one point, in this process."""
    from scenarios import episodes

    from hmseg.allocator import keep_freed_memory
    from hmseg.functional import segmentation_loss
    from hmseg.networks import build_network

    keep_freed_memory()  # as the programs do
    torch.manual_seed(0)
    device = torch.device(point["device"])
    network = build_network(point["model"], point["masking"], point["backbone"]).to(device)
    data = episodes(point["batch"], point["shots"], point["side"], device)
    optimizer = torch.optim.Adam([each for each in network.parameters() if each.requires_grad])

    @torch.no_grad()
    def forward() -> None:
        network(data.query, data.supports, data.masks)

    def step() -> None:
        optimizer.zero_grad()
        segmentation_loss(network(data.query, data.supports, data.masks), data.truth).backward()
        optimizer.step()

    work = forward if point["work"] == "forward" else step
    if work is step:
        network.train()
        network.recompute = 1 if point["work"] == RECOMPUTED else None
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    work()
    return {"seconds": [seconds_on(device, work) for _ in range(repeats)], "memory_gb": peak_memory(device)}


def report(records: Sequence[Record]) -> str:
    """The page."""
    first = records[0]
    point = first["point"]
    lines = [
        "# Growth with image size, shots and batch",
        "",
        f"{point['model']}, {point['masking']} masking, {point['backbone']}, random weights; medians, and "
        "the peak memory of a process of its own (CPU: interpreter and libraries included; GPU: tensors). "
        "`per unit` divides by shots or batch, or by (side / 100)².",
        "",
        "| work | varied | value | seconds | per unit | peak GB |",
        "|---|---|--:|--:|--:|--:|",
        *(row(record) for record in records),
        "",
        *footer(first),
    ]
    return "\n".join(lines)


def row(record: Record) -> str:
    point = record["point"]
    value = point[point["axis"]]
    start = f"| {point['work']} | {AXES[point['axis']]} | {value} |"
    if "failed" in record:
        return f"{start} could not run: {record['failed']} | | |"
    seconds = median(record["seconds"])
    unit = (value / 100) ** 2 if point["axis"] == "side" else value
    return f"{start} {seconds:.2f} | {seconds / unit:.3f} | {record['memory_gb']:.2f} |"


def plot(records: Sequence[Record], path: Path) -> None:
    """Seconds (above) and memory (below) over each axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    ran = [record for record in records if "failed" not in record]
    figure, axes = pyplot.subplots(2, len(AXES), figsize=(12, 6), squeeze=False)
    for column, (axis, label) in enumerate(AXES.items()):
        for work in WORKS:
            chosen = [each for each in ran if each["point"]["axis"] == axis and each["point"]["work"] == work]
            values = [each["point"][axis] for each in chosen]
            if values:
                axes[0, column].plot(values, [median(e["seconds"]) for e in chosen], "o-", label=work)
                axes[1, column].plot(values, [each["memory_gb"] for each in chosen], "o-", label=work)
        axes[1, column].set_xlabel(label)
        for line in (0, 1):
            axes[line, column].set_ylim(bottom=0)
            axes[line, column].grid(alpha=0.3)
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("peak memory, GB")
    if axes[0, 0].lines:
        axes[0, 0].legend()
    figure.tight_layout()
    part = path.with_name(f".{path.name}.part")
    figure.savefig(part, format="svg", metadata={"Date": None})
    part.replace(path)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
