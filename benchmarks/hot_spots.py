"""Where the time of one scenario goes, operator by operator, in the baseline's and in the product's way.

python benchmarks/hot_spots.py [--model hsnet] [--masking hybrid] [--backbone resnet50] [--scenario forward1]
    [--side 400] [--rows 15] [--device auto]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from scenarios import PRODUCT, PUBLISHED, SIDES, Cell, works_of
from torch.profiler import ProfilerActivity, profile


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table for each way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="hsnet")
    parser.add_argument("--masking", default="hybrid")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--scenario", default="forward1", choices=("forward1", "forward5", "step"))
    parser.add_argument("--side", type=int)
    parser.add_argument("--rows", type=int, default=15)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--ways", nargs="+", default=[PUBLISHED, PRODUCT])
    args = parser.parse_args(argv)
    device = args.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    side = args.side or SIDES[args.model]
    works = works_of(Cell(args.model, args.masking, args.backbone, args.scenario, side, device=device))
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    by = "self_cuda_time_total" if device == "cuda" else "self_cpu_time_total"
    for way in args.ways:
        works[way]()
        seconds = works[way]()
        with profile(activities=activities) as found:
            works[way]()
        print(f"{way}: {seconds:.3f} s without the profiler")
        print(found.key_averages().table(sort_by=by, row_limit=args.rows, max_name_column_width=40))


if __name__ == "__main__":
    main()
