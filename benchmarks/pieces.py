"""The changes that make the product faster on a CPU, measured one by one on the shapes of HSNet at 400 px.

python benchmarks/pieces.py results/pieces [--repeats 5] [--threads 0]

Each row is one piece of work in the plain way and in others; in turns, best of the repetitions, with the
relative error against float64. What is not in the product stands here too. Writes NAME.json and NAME.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from pieces_backbone import CHANNELS_LAST, Ways, backbone_pieces, order_pieces
from pieces_head import norm_pieces, other_pieces, pivot_pieces
from timing import footer, interleaved, made_on, seconds, write
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hmseg import correlation
from hmseg.correlation import similarity_pieces, unit_features
from hmseg.products import product

SMALL = 2000  # positions in which a product is compared with float64


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all pieces, write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="path of the results without its ending")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--scale", type=int, default=1, help="divide sides by it, to try the program out")
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    pieces = {
        **backbone_pieces(args.scale),
        **order_pieces(args.scale),
        **correlation_pieces(args.scale),
        **linear_pieces(args.scale),
        **pivot_pieces(args.scale),
        **other_pieces(args.scale),
        **norm_pieces(args.scale),
    }
    rows = []
    for name, (wanted, ways) in pieces.items():
        with torch.set_grad_enabled("gradients" in name):
            errors = {way: error(work(), wanted) for way, work in ways.items()}
            timed = {way: (lambda work=work: seconds(work)) for way, work in ways.items()}  # type: ignore[misc]
            times = interleaved(timed, args.repeats)
        rows.append({"piece": name, "seconds": times, "errors": errors})
        print(row(rows[-1]), flush=True)
    record = {"rows": rows, **made_on()}
    write(args.out.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    write(args.out.with_suffix(".md"), report(record))


def error(got: Tensor, wanted: Tensor) -> float:
    """Relative error in the norm."""
    return ((got.double() - wanted).norm() / wanted.norm()).item()


def correlation_pieces(scale: int) -> dict[str, tuple[Tensor, Ways]]:
    """Level 2 of ResNet-50: four maps of 512 channels, of a query and of a support."""
    side = 50 // scale
    query, support = (
        [torch.randn(1, 512, side, side).contiguous(memory_format=CHANNELS_LAST) for _ in range(4)]
        for _ in range(2)
    )

    def plain(count: int | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
        found = []
        for maps in zip(query, support, strict=True):
            q, s = (unit_features(each.to(dtype)).flatten(2)[0] for each in maps)
            found.append((q.t()[None, :count] @ s[None]).clamp(min=0)[0])
        return torch.stack(found, dim=1)

    def in_pieces(stacked_from: int) -> Tensor:
        with patch.object(correlation, "STACKED_FROM", stacked_from):
            parts = [(part, x[:SMALL]) for part, x in next(similarity_pieces(query, support))]
        return torch.cat([x for part, x in parts if part.start < SMALL])[:SMALL]

    ways: Ways = {
        "plain": lambda: plain()[:SMALL],
        "in pieces, map by map": lambda: in_pieces(10**9),
        "in pieces, all maps in one product (product)": lambda: in_pieces(1),
    }
    return {"correlation of level 2": (plain(SMALL, torch.float64), ways)}


def linear_pieces(scale: int) -> dict[str, tuple[Tensor, Ways]]:
    """A product with a matrix of weights: of mixing at level 2 (HSNet), of a window's MLP (VAT)."""
    found: dict[str, tuple[Tensor, Ways]] = {}
    for rows, channels, out in ((2500, 512, 512), (8192, 128, 512)):
        x, weight = torch.randn(rows // scale, channels), torch.randn(out, channels) / channels**0.5
        ways: Ways = {
            "PyTorch's (MKL)": lambda x=x, weight=weight: F.linear(x, weight),  # type: ignore[misc]
            "oneDNN's (product)": lambda x=x, weight=weight: product(x, weight),  # type: ignore[misc]
        }
        found[f"{rows} x {channels} by {channels} x {out}"] = x.double() @ weight.double().t(), ways
    return found


def row(found: Mapping[str, Any]) -> str:
    """One line of the table."""
    cells = [
        f"{way} {1e3 * min(times):.1f} ms ({found['errors'][way]:.0e})"
        for way, times in found["seconds"].items()
    ]
    return f"| {found['piece']} | {'; '.join(cells)} |"


def report(record: Mapping[str, Any]) -> str:
    """The page."""
    return "\n".join(
        [
            "# The pieces, one by one",
            "",
            "Best of the repetitions, in turns; in brackets the relative error against float64. HSNet with "
            "ResNet-50 at 400 px, one episode.",
            "",
            "| piece | ways |",
            "|---|---|",
            *(row(found) for found in record["rows"]),
            "",
            *footer(record),
        ]
    )


if __name__ == "__main__":
    main()
