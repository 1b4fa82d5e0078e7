"""How long one episode takes on this machine: a step of training and a test, measured in some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import torch

from hmseg.assembly import build_network
from hmseg.config import compose
from hmseg.functional import segmentation_loss

BUDGET = 6.0
"""Seconds for each of the two; at least one repetition after the one for warming up."""
REPETITIONS = 20


class Measured(NamedTuple):
    """Seconds of one 1-shot episode in batches of one, on ``device``.

    Attributes:
        step: forward, loss, backward and the optimiser.
        forward: of a test.
        device: ``cuda`` or ``cpu``.
    """

    step: float
    forward: float
    device: str


def measure(settings: Sequence[str], budget: float = BUDGET) -> Measured:
    """Time the network of a training at its image size, with random weights, which change no time.

    Reading images is not in it; in batches a GPU is faster.

    Args:
        settings: of a training.
        budget: seconds for each of the two measurements, reached unless a single repetition takes longer.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    cfg = compose(*settings, "backbone.weights=random")
    network = build_network(cfg).to(device)
    side = int(cfg.dataset.image_size)
    query, supports = torch.randn(1, 3, side, side), torch.randn(1, 1, 3, side, side)
    mask = torch.zeros(1, side, side, dtype=torch.bool)
    mask[:, side // 4 : side // 2, side // 4 : side // 2] = True
    query, supports, mask = query.to(device), supports.to(device), mask.to(device)
    learnable = [each for each in network.parameters() if each.requires_grad]
    optimizer = torch.optim.Adam(learnable)

    def forward() -> None:
        with torch.no_grad():
            network(query, supports, mask[:, None])

    def step() -> None:
        optimizer.zero_grad()
        segmentation_loss(network(query, supports, mask[:, None]), mask).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    seconds = _seconds(forward, device, budget)
    network.train()
    return Measured(_seconds(step, device, budget), seconds, device)


def _seconds(work: Callable[[], None], device: str, budget: float) -> float:
    """The median of as many repetitions as fit, after one for warming up."""
    started, taken = time.perf_counter(), []
    for repetition in range(REPETITIONS + 1):
        before = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        if repetition:
            taken.append(now - before)
        if taken and now - started + median(taken) > budget:
            break
    return median(taken)
