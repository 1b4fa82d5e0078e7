"""What is measured: one model, masking and backbone, in the baseline's and in the product's way.

Both are checked to give the same numbers before anything is timed.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from measures import seconds_on
from published_metrics import PublishedMeter
from published_network import PublishedNetwork
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hmseg.functional import foreground_iou, segmentation_loss
from hmseg.networks import FewShotNetwork, build_network, vote

PUBLISHED, PRODUCT, FILLING = "published code", "hmseg", "hmseg, keeping the maps"
PUBLISHED_KEEPING = "published code, freed memory kept"
"""The baseline under the setting of the C library that only hmseg's programs make (hmseg.allocator)."""
TOLERANCE = 1e-4
SCENARIOS = ("forward1", "forward5", "step", "evaluation1", "evaluation5", "kept_evaluation1")
SIDES = {"hsnet": 400, "asnet": 400, "vat": 473}
"""Published image sides on PASCAL-5i (REFERENCE section 8)."""


class Cell(NamedTuple):
    """One thing to measure."""

    model: str
    masking: str
    backbone: str
    scenario: str
    side: int
    batch: int = 1
    episodes: int = 100
    weights: str = "random"
    root: str | None = None
    fold: int = 1
    device: str = "cpu"

    @property
    def shots(self) -> int:
        """Supports per episode."""
        return int(digit) if (digit := self.scenario[-1]).isdigit() else 1

    @property
    def is_evaluation(self) -> bool:
        """Whether photos are read and scores made."""
        return "evaluation" in self.scenario

    @property
    def keeps_maps(self) -> bool:
        """Whether the product has the backbone's maps in files, made by an earlier run."""
        return self.scenario.startswith("kept_")


class Episodes(NamedTuple):
    """Made-up episodes, normalised."""

    query: Tensor  # (B, 3, H, W)
    truth: Tensor  # (B, H, W) bool
    supports: Tensor  # (B, K, 3, H, W)
    masks: Tensor  # (B, K, H, W) bool


def episodes(batch: int, shots: int, side: int, device: torch.device) -> Episodes:
    """Noise, and squares of a tenth of the image as objects."""
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 1 + shots, 3, side, side, generator=rng).to(device)
    masks = torch.zeros(batch, 1 + shots, side, side, dtype=torch.bool, device=device)
    masks[..., side // 4 : side * 9 // 16, side // 4 : side * 9 // 16] = True
    return Episodes(images[:, 0], masks[:, 0], images[:, 1:], masks[:, 1:])


def networks(cell: Cell, ways: Sequence[str]) -> tuple[PublishedNetwork | None, FewShotNetwork | None]:
    """Both of the same weights (the head's, and a random backbone's, of seed 0), in eval mode.

    A way that isn't wanted is None, so that its memory doesn't count.
    """
    torch.manual_seed(0)
    options: dict[str, Any] = {"affinity": "pascal"} if cell.model == "vat" else {}
    product = build_network(cell.model, cell.masking, cell.backbone, cell.weights, **options)
    if PUBLISHED not in ways:
        return None, product.to(cell.device)
    baseline = PublishedNetwork(product, copy=PRODUCT in ways).to(cell.device).eval()
    return baseline, product.to(cell.device) if PRODUCT in ways else None


def error(got: Tensor, wanted: Tensor) -> float:
    """Relative error in the norm over all elements."""
    return ((got - wanted).norm() / wanted.norm()).item()


def works_of(cell: Cell, ways: tuple[str, ...] = (PUBLISHED, PRODUCT)) -> dict[str, Callable[[], float]]:
    """What to run for each way, giving seconds; the process exits where the two don't agree.

    Args:
        cell: the scenario.
        ways: one of them alone is for memory, and is not compared.
    """
    if cell.is_evaluation:
        from evaluations import evaluation_works

        return evaluation_works(cell, ways)
    return (step_works if cell.scenario == "step" else forward_works)(cell, ways)


def forward_works(cell: Cell, ways: tuple[str, ...]) -> dict[str, Callable[[], float]]:
    """Logits of all shots, no gradients."""
    device = torch.device(cell.device)
    baseline, product = networks(cell, ways)
    data = episodes(cell.batch, cell.shots, cell.side, device)

    @torch.no_grad()
    def published() -> Tensor:
        assert baseline is not None
        masks = data.masks.float()
        shots = range(cell.shots)
        return torch.stack([baseline(data.query, data.supports[:, k], masks[:, k]) for k in shots], dim=1)

    @torch.no_grad()
    def ours() -> Tensor:
        assert product is not None
        return product(data.query, data.supports, data.masks)  # type: ignore[no-any-return]

    if len(ways) > 1:
        agree("logits", error(ours(), published()))
    works = {PUBLISHED: published, PRODUCT: ours}
    return {way: timed(device, works[way]) for way in ways}


def step_works(cell: Cell, ways: tuple[str, ...]) -> dict[str, Callable[[], float]]:
    """One training step: logits, loss, gradients, Adam, and the step's IoU.

    Where the gradients of the two ways are too far from each other, the product's is compared with float64's.
    """
    device = torch.device(cell.device)
    baseline, product = (each and each.train() for each in networks(cell, ways))
    data = episodes(cell.batch, 1, cell.side, device)
    class_ids = torch.zeros(cell.batch, dtype=torch.long, device=device)
    optimizers = {
        way: torch.optim.Adam([each for each in network.head.parameters() if each.requires_grad], lr=1e-3)
        for way, network in ((PUBLISHED, baseline), (PRODUCT, product))
        if network is not None
    }

    def published(learn: bool = True) -> None:
        logits = baseline(data.query, data.supports[:, 0], data.masks[:, 0].float())
        optimizers[PUBLISHED].zero_grad()
        F.cross_entropy(logits, data.truth.long()).backward()
        if learn:
            optimizers[PUBLISHED].step()
        truth = data.truth.float()
        PublishedMeter([0]).update(logits.argmax(1).float(), truth, torch.zeros_like(truth), class_ids)

    def ours(learn: bool = True) -> None:
        logits = product(data.query, data.supports, data.masks)
        optimizers[PRODUCT].zero_grad()
        segmentation_loss(logits, data.truth).backward()
        if learn:
            optimizers[PRODUCT].step()
        foreground_iou(vote(logits.detach()), data.truth)

    works = {PUBLISHED: published, PRODUCT: ours}
    if len(ways) > 1:
        torch.manual_seed(0)  # VAT's dropout
        published(learn=False)
        torch.manual_seed(0)
        ours(learn=False)
        found = error(gradient(product), gradient(baseline))
        if found >= TOLERANCE:  # which of them rounds so much?
            exact = exact_gradient(baseline, data)
            errors = [error(gradient(each).double(), exact) for each in (baseline, product)]
            print(f"gradients differ by {found:.1e}; from float64's by {errors}", file=sys.stderr)
            found = errors[1]
        agree("gradients", found)
    return {way: timed(device, works[way]) for way in ways}


def exact_gradient(baseline: Any, data: Episodes) -> Tensor:
    """The baseline's in float64."""
    network = copy.deepcopy(baseline).double()
    network.zero_grad()
    logits = network(data.query.double(), data.supports[:, 0].double(), data.masks[:, 0].double())
    F.cross_entropy(logits, data.truth.long()).backward()
    return gradient(network)


def gradient(network: Any) -> Tensor:
    """Of all learnable parameters of the head, in one row."""
    return torch.cat([each.grad.flatten() for each in network.head.parameters() if each.grad is not None])


def timed(device: torch.device, work: Callable[[], object]) -> Callable[[], float]:
    """The work as something that gives its seconds."""
    return lambda: seconds_on(device, work)


def agree(what: str, found: float) -> None:
    """Exits where the two ways differ by more than the tolerance."""
    print(f"relative error of the {what}: {found:.1e}", file=sys.stderr)
    if not found < TOLERANCE:
        sys.exit(f"error: the {what} of the two ways differ by {found:.1e}, more than {TOLERANCE}: not timed")
