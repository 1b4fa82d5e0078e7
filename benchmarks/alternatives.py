"""What was tried beside the product's float32 way: torch.compile with its cold start, bfloat16, group sizes.

python benchmarks/alternatives.py results/alternatives [--model hsnet] [--masking hybrid]
    [--backbone resnet50] [--side 400] [--repeats 3] [--only float32 bfloat16 …] [--device auto]

One forward pass of one 1-shot episode without gradients, each way in a process of its own: seconds of the
first call (what a compiler takes is in it) and of later ones, relative error of the logits, and the share of
pixels whose class changes (random weights, so many logits are close). Writes NAME.json and NAME.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from measures import peak_memory, seconds_on
from scenarios import SIDES, episodes, error
from timing import footer, made_on, write

from hmseg.allocator import keep_freed_memory
from hmseg.networks import build_network, fewshot

Record = dict[str, Any]
WAYS = {
    "float32": "as it is",
    "compile": "`torch.compile` of backbone and head",
    "compile_head": "`torch.compile` of the head",
    "bfloat16": "autocast to bfloat16",
    "bfloat16_backbone": "bfloat16 backbone, float32 head",
    "one_image_passes": "one image in each backbone pass",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure each way, write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", help="path of the results without its ending")
    parser.add_argument("--model", default="hsnet")
    parser.add_argument("--masking", default="hybrid")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--side", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)  # measure one in this process
    args = parser.parse_args(argv)
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    args.side = args.side or SIDES[args.model]
    if args.way:
        print(json.dumps(measure(args)))
        return
    if args.out is None:
        parser.error("give the path of the results without its ending, such as results/alternatives")
    found = {}
    for way in args.only:
        print(way, file=sys.stderr, flush=True)
        words = [sys.executable, __file__, "--way", way, "--side", str(args.side), "--device", args.device]
        words += ["--model", args.model, "--masking", args.masking, "--backbone", args.backbone]
        with tempfile.TemporaryDirectory() as cache:  # no compiled code of an earlier run
            environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
            words += ["--repeats", str(args.repeats)]
            done = subprocess.run(words, capture_output=True, text=True, env=environment)
        said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
        found[way] = json.loads(said[-1]) if done.returncode == 0 else {"failed": (said or ["no reason"])[-1]}
    settings = {name: getattr(args, name) for name in ("model", "masking", "backbone", "side", "device")}
    record = {"settings": settings, "ways": found, **made_on()}
    write(args.out.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    write(args.out.with_suffix(".md"), report(record))
    print(report(record))


@torch.no_grad()
def measure(args: argparse.Namespace) -> Record:
    """One way: first call, later calls, and how far its logits are from float32's."""
    keep_freed_memory()  # as the programs do
    device = torch.device(args.device)
    torch.manual_seed(0)
    network = build_network(args.model, args.masking, args.backbone).to(device)
    data = episodes(1, 1, args.side, device)
    wanted = None if args.way == "float32" else network(data.query, data.supports, data.masks)
    if args.way == "compile":
        network.backbone = torch.compile(network.backbone)  # type: ignore[assignment]
    if args.way.startswith("compile"):
        network.head.compile()
    if args.way == "one_image_passes":
        network.pass_pixels = args.side * args.side
    whole = torch.autocast(device.type, torch.bfloat16, enabled=args.way == "bfloat16")
    if args.way == "bfloat16_backbone":
        half_backbone(network, device)

    def forward() -> torch.Tensor:
        with whole:
            return network(data.query, data.supports, data.masks)  # type: ignore[no-any-return]

    first = seconds_on(device, forward)
    got = forward().float()
    changed = 0.0 if wanted is None else (got.argmax(2) != wanted.argmax(2)).float().mean().item()
    return {
        "first": first,
        "seconds": [seconds_on(device, forward) for _ in range(args.repeats)],
        "error": 0.0 if wanted is None else error(got, wanted),
        "changed": changed,
        "memory_gb": peak_memory(device),
    }


def half_backbone(network: fewshot.FewShotNetwork, device: torch.device) -> None:
    """Let the backbone compute in bfloat16, and give float32 maps."""
    forward = network.backbone.forward

    def reduced(images: torch.Tensor) -> list[torch.Tensor]:
        with torch.autocast(device.type, torch.bfloat16):
            return [each.float() for each in forward(images)]

    network.backbone.forward = reduced  # type: ignore[method-assign]


def report(record: Record) -> str:
    """The page."""
    settings = record["settings"]
    lines = [
        "# Other ways that were tried",
        "",
        f"Forward pass of one 1-shot episode, {settings['model']}, {settings['masking']} masking, "
        f"{settings['backbone']}, {settings['side']} px, random weights. `first` is the first call (for a "
        "compiler: what it takes). Errors are against the product's float32 logits.",
        "",
        "| way | first, s | later, s | relative error | pixels changed | peak GB |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for way, found in record["ways"].items():
        if "failed" in found:
            lines.append(f"| {WAYS[way]} | could not run: {found['failed']} | | | | |")
            continue
        lines.append(
            f"| {WAYS[way]} | {found['first']:.1f} | {median(found['seconds']):.2f} | {found['error']:.1e} "
            f"| {100 * found['changed']:.2f} % | {found['memory_gb']:.2f} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            *footer(record),
        ]
    )


if __name__ == "__main__":
    main()
