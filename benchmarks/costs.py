"""What each model x masking x backbone costs: parameters, time of an episode and of a training step, memory.

python benchmarks/costs.py results/costs [--models hsnet asnet vat] [--backbones resnet50 …] [--repeats 2]

Every cell runs in a process of its own, so that its peak memory is its own; weights are random, for they
change no time. One 1-shot episode at the model's published image size on PASCAL-5i (conf/recipe). A cell that
is in NAME.jsonl already is not run again: the run can be stopped and taken up. Writes NAME.jsonl and NAME.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from timing import write

Record = dict[str, Any]
Cell = tuple[str, str, str]
MODELS = ("hsnet", "asnet", "vat")
MASKINGS = ("none", "feature", "input", "hybrid")
BACKBONES = (
    "resnet50",
    "vgg16",
    "resnet101",
    "mobilenet_v2",
    "resnet50_caffe",
    "convnext_tiny",
    "dinov2_small",
)
"""In the order in which they are measured: one can stop after any."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the cells that are missing, then write the table."""
    args = _parse(argv)
    if args.cell:
        print(json.dumps(measure(*args.cell, repeats=args.repeats, threads=args.threads)))
        return
    if args.out is None:
        sys.exit("error: give the path of the results without its ending, such as results/costs")
    path = args.out.with_suffix(".jsonl")
    records = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    done = {tuple(record["cell"]) for record in records}
    order = product(args.backbones, args.models, args.maskings)
    cells = [cell for backbone, *rest in order if (cell := (*rest, backbone)) not in done]
    started = time.perf_counter()
    for number, cell in enumerate(cells):
        left = (time.perf_counter() - started) / number * (len(cells) - number) if number else float("nan")
        print(f"[{number + 1}/{len(cells)}, {left / 60:.0f} min left] {' '.join(cell)}", flush=True)
        records.append(_run(cell, args.repeats, args.threads))
        write(path, "".join(f"{json.dumps(record)}\n" for record in records))
        write(args.out.with_suffix(".md"), report(records))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", help="path of the results without its ending")
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--maskings", nargs="+", default=MASKINGS)
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    parser.add_argument("--repeats", type=int, default=2, help="timed repetitions after one for warming up")
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--cell", nargs=3, help="measure one cell in this process and print its record")
    return parser.parse_args(argv)


def _run(cell: Cell, repeats: int, threads: int) -> Record:
    """One cell in a process of its own; where it fails, the last line of what it said."""
    options = ["--repeats", str(repeats), "--threads", str(threads)]
    words = [sys.executable, __file__, "--cell", *cell, *options]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode == 0:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"
    return {"cell": list(cell), "failed": reason}


def measure(model: str, masking: str, backbone: str, repeats: int, threads: int) -> Record:
    """Parameters, seconds and memory of one cell."""
    import torch
    from hydra.utils import instantiate

    from hmseg import environment
    from hmseg.assembly import build_network
    from hmseg.config.composer import Composer
    from hmseg.functional import segmentation_loss

    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    with Composer() as composer:
        chosen = [f"model={model}", f"masking={masking}", f"backbone={backbone}", "dataset=pascal"]
        cfg = composer.compose("train", [*chosen, "backbone.weights=random"])
    network = build_network(cfg)
    side = cfg.dataset.image_size
    query, supports = torch.randn(1, 3, side, side), torch.randn(1, 1, 3, side, side)
    mask = torch.zeros(1, side, side, dtype=torch.bool)
    mask[:, side // 4 : side // 2, side // 4 : side // 2] = True
    learnable = [each for each in network.parameters() if each.requires_grad]
    optimizer = instantiate(cfg.optimizer)(learnable)

    def forward() -> None:
        with torch.no_grad():
            network(query, supports, mask[:, None])

    def step() -> None:
        optimizer.zero_grad()
        segmentation_loss(network(query, supports, mask[:, None]), mask).backward()
        optimizer.step()

    forward_seconds = timed(forward, repeats)
    forward_memory = peak_memory()
    network.train()
    return {
        "cell": [model, masking, backbone],
        "image_size": side,
        "learnable": sum(each.numel() for each in learnable),
        "frozen": sum(each.numel() for each in network.parameters() if not each.requires_grad),
        "forward_seconds": forward_seconds,
        "step_seconds": timed(step, repeats),
        "forward_memory_gb": forward_memory,
        "step_memory_gb": peak_memory(),
        **environment.describe(),
    }


def timed(work: Callable[[], None], repeats: int) -> list[float]:
    """Seconds of each repetition, after one that is not counted."""
    work()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return seconds


def peak_memory() -> float:
    """Most memory that this process ever held, in 10^9 bytes (Linux counts in units of 1024)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def report(records: Sequence[Record]) -> str:
    """The table, with what it was measured on."""
    ran = [record for record in records if "failed" not in record]
    records = sorted(records, key=_place)
    lines = [
        "# What each combination costs",
        "",
        "One 1-shot episode (batch 1) at the published image size of the model on PASCAL-5i, random weights, "
        "float32. Times are medians (in brackets: slowest minus fastest); memory is the peak of the whole "
        "process, PyTorch itself included (about 0.4 GB). Learnable parameters are the head's.",
        "",
        "| model | masking | backbone | side | learnable | frozen | forward ms | training step ms "
        "| forward GB | step GB |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|",
        *(_row(record) for record in records),
        "",
    ]
    known = {tuple(record["cell"]) for record in records}
    absent = [cell for cell in product(MODELS, MASKINGS, BACKBONES) if cell not in known]
    if absent:
        listed = "; ".join(" ".join(cell) for cell in absent)
        lines += [f"Not measured, the run was stopped before (the same command goes on): {listed}.", ""]
    if ran:
        first = ran[0]
        versions = ", ".join(f"{name} {number}" for name, number in first["versions"].items())
        commits = sorted({str(record["commit"]) for record in ran})
        hardware = first["hardware"]
        lines += [
            f"- hardware: {hardware['cpu']}, {hardware['cores']} cores, {hardware['threads']} threads, "
            f"GPU {hardware['gpu'] or 'none'}",
            f"- versions: {versions}",
            f"- commit: {', '.join(commits)}; date: {ran[-1]['date'][:10]}; seed 0",
            "- command: `python benchmarks/costs.py results/costs`",
            "",
        ]
    return "\n".join(lines)


def _place(record: Record) -> tuple[int, ...]:
    lists = (MODELS, MASKINGS, BACKBONES)
    return tuple(known.index(name) for known, name in zip(lists, record["cell"], strict=True))


def _row(record: Record) -> str:
    names = " | ".join(record["cell"])
    if "failed" in record:
        return f"| {names} | could not run: {record['failed']} | | | | | | |"
    return (
        f"| {names} | {record['image_size']} | {record['learnable']:,} | {record['frozen']:,} "
        f"| {_milliseconds(record['forward_seconds'])} | {_milliseconds(record['step_seconds'])} "
        f"| {record['forward_memory_gb']:.2f} | {record['step_memory_gb']:.2f} |"
    )


def _milliseconds(seconds: Sequence[float]) -> str:
    return f"{1000 * statistics.median(seconds):,.0f} ({1000 * (max(seconds) - min(seconds)):,.0f})"


if __name__ == "__main__":
    main()
