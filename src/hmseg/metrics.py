"""mIoU and FB-IoU of few-shot segmentation (REFERENCE section 11), as sums that add up over devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from hmseg.errors import DataError, HmsegError

SMALL_OBJECT = 0.02
"""Below this share of the image an object counts as small."""


class Scores(NamedTuple):
    """What an evaluation found; plain numbers, ready for a table or JSON.

    Attributes:
        miou: mean over the fold's classes of the foreground IoU, in percent.
        fb_iou: mean of background and foreground IoU over all classes together, in percent.
        per_class: foreground IoU by class id, in percent, in the order of the fold's classes.
        episodes: number of episodes by class id.
    """

    miou: float
    fb_iou: float
    per_class: dict[int, float]
    episodes: dict[int, int]

    @property
    def miou_seen(self) -> float:
        """Mean over the classes with an episode only: for subsets that need not reach every class; 0 if none.

        Example:
            >>> Scores(25.0, 0.0, {0: 50.0, 1: 0.0}, {0: 3, 1: 0}).miou_seen
            50.0
        """
        seen = [iou for class_id, iou in self.per_class.items() if self.episodes[class_id]]
        return sum(seen) / max(len(seen), 1)


def intersections_and_unions(
    prediction: Tensor, target: Tensor, void: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Counts, for each image, the pixels in the intersection and in the union of prediction and truth.

    Runs on the tensors' device and never waits for it.

    Args:
        prediction: (B, H, W), foreground where not zero.
        target: (B, H, W), foreground where not zero.
        void: (B, H, W) bool, pixels to leave out; None for none.

    Returns:
        Intersection and union, each (B, 2) int64; column 0 is background, column 1 foreground.

    Raises:
        HmsegError: the three are not of one size.

    Example:
        >>> prediction, target = torch.tensor([[[1, 1, 0, 0]]]), torch.tensor([[[1, 0, 0, 1]]])
        >>> intersections_and_unions(prediction, target)
        (tensor([[1, 1]]), tensor([[3, 3]]))
        >>> void = torch.tensor([[[False, False, False, True]]])
        >>> intersections_and_unions(prediction, target, void)
        (tensor([[1, 1]]), tensor([[2, 2]]))
    """
    shapes = [tuple(each.shape) for each in (prediction, target, void) if each is not None]
    if len(set(shapes)) != 1 or len(shapes[0]) != 3:
        names = "prediction and target" if void is None else "prediction, target and void"
        raise HmsegError(
            f"{names} have the shapes {', '.join(map(str, shapes))}: expected the same (B, H, W); "
            "resize the logits to the truth first"
        )
    predicted, true = prediction != 0, target != 0
    counted = torch.ones_like(true) if void is None else ~void.bool()

    def count(background: Tensor, foreground: Tensor) -> Tensor:
        both = torch.stack((background & counted, foreground & counted), dim=1)  # (B, 2, H, W)
        return both.sum(dim=(2, 3))

    either, agreed = predicted | true, predicted & true
    return count(~either, agreed), count(~agreed, either)


def small_objects(target: Tensor, void: Tensor | None = None, below: float = SMALL_OBJECT) -> Tensor:
    """Which episodes have a query object that covers less than a share of the image.

    Args:
        target: (B, H, W), foreground where not zero.
        void: (B, H, W) bool, pixels that belong to no image or are not judged; None for none.
        below: share of the non-void pixels, in (0, 1]; default 2 %.

    Returns:
        (B,) bool, to be given to ``FewShotIoU.update`` as ``include``.

    Example:
        >>> small_objects(torch.eye(64).expand(1, 64, 64)), small_objects(torch.eye(8).expand(1, 8, 8))
        (tensor([True]), tensor([False]))
    """
    counted = torch.ones_like(target, dtype=torch.bool) if void is None else ~void.bool()
    foreground = ((target != 0) & counted).sum(dim=(1, 2))
    return foreground < below * counted.sum(dim=(1, 2))


def scores(classes: Sequence[int], intersection: Tensor, union: Tensor, episodes: Tensor) -> Scores:
    """Turns summed counts into scores, as the published evaluation does (REFERENCE section 11).

    A union of 0 counts as 1, so a class without an episode (or whose foreground is neither present nor
    predicted anywhere) scores 0 and pulls the mean down. That is how published numbers are computed.

    Args:
        classes: C class ids.
        intersection: (C, 2) int64, background and foreground, summed over the episodes of each class.
        union: (C, 2) int64, likewise.
        episodes: (C,) int64, number of episodes of each class.

    Example:
        >>> counts = torch.tensor([[6, 1], [0, 0]]), torch.tensor([[8, 4], [0, 0]]), torch.tensor([2, 0])
        >>> scores((5, 9), *counts)
        Scores(miou=12.5, fb_iou=50.0, per_class={5: 25.0, 9: 0.0}, episodes={5: 2, 9: 0})
    """
    intersection, union = intersection.cpu().double(), union.cpu().double()
    per_class = 100 * intersection[:, 1] / union[:, 1].clamp(min=1)  # (C,)
    over_classes = 100 * intersection.sum(dim=0) / union.sum(dim=0).clamp(min=1)  # (2,)
    return Scores(
        miou=per_class.mean().item(),
        fb_iou=over_classes.mean().item(),
        per_class=dict(zip(classes, per_class.tolist(), strict=True)),
        episodes=dict(zip(classes, episodes.tolist(), strict=True)),
    )


class FewShotIoU(Metric):
    """Accumulates episodes into `Scores`. All states are sums, so devices and runs can be merged.

    ``update`` never waits for the device; an episode of a class outside ``classes`` is therefore refused
    only when ``compute`` is called.

    Args:
        classes: the fold's class ids (not negative, no repeats), in the order of the report.
        **kwargs: passed on to ``torchmetrics.Metric``.

    Raises:
        HmsegError: no class, a repeated or a negative one.

    Example:
        >>> metric = FewShotIoU(classes=(4, 7))
        >>> prediction, target = torch.ones(2, 4, 4), torch.ones(2, 4, 4)
        >>> metric.update(prediction, target, None, torch.tensor([7, 7]))
        >>> metric.compute()
        Scores(miou=50.0, fb_iou=50.0, per_class={4: 0.0, 7: 100.0}, episodes={4: 0, 7: 2})
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    class_ids: Tensor
    intersection: Tensor
    union: Tensor
    episodes: Tensor
    stranger: Tensor

    def __init__(self, classes: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes = tuple(int(each) for each in classes)
        if not self.classes or len(set(self.classes)) != len(self.classes) or min(self.classes) < 0:
            raise HmsegError(f"classes are {list(self.classes)}: expected different class ids of 0 or more")
        count = len(self.classes)
        self.register_buffer("class_ids", torch.tensor(self.classes), persistent=False)
        self.add_state("intersection", torch.zeros(count, 2, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("union", torch.zeros(count, 2, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("episodes", torch.zeros(count, dtype=torch.int64), dist_reduce_fx="sum")
        # The highest class id seen that is not among `classes`; -1 for none.
        self.add_state("stranger", torch.tensor(-1), dist_reduce_fx="max")

    def update(
        self,
        prediction: Tensor,
        target: Tensor,
        void: Tensor | None,
        class_ids: Tensor,
        include: Tensor | None = None,
    ) -> None:
        """Adds a batch of episodes.

        Args:
            prediction: (B, H, W), foreground where not zero.
            target: (B, H, W), foreground where not zero.
            void: (B, H, W) bool, pixels to leave out; None for none.
            class_ids: (B,) integer class of each episode.
            include: (B,) bool, episodes to count; None for all. See `small_objects`.
        """
        self._count(class_ids, *intersections_and_unions(prediction, target, void), include)

    def add(
        self, class_ids: Tensor, intersection: Tensor, union: Tensor, include: Tensor | None = None
    ) -> None:
        """Adds episodes whose pixels are counted already; like ``update`` it never waits for the device.

        Args:
            class_ids: (B,) integer class of each episode.
            intersection: (B, 2) int64, background and foreground.
            union: (B, 2) int64, likewise.
            include: (B,) bool, episodes to count; None for all.
        """
        self._computed = None  # what torchmetrics does around an update: a kept result is no longer true
        self._update_count += 1
        self._count(class_ids, intersection, union, include)

    def _count(self, class_ids: Tensor, intersection: Tensor, union: Tensor, include: Tensor | None) -> None:
        same = class_ids[:, None] == self.class_ids  # (B, C)
        unknown = torch.where(same.any(dim=1), -1, class_ids)
        self.stranger = torch.maximum(self.stranger, unknown.max())
        if include is not None:
            same = same & include.bool()[:, None]
        self.intersection = self.intersection + (same[:, :, None] * intersection[:, None]).sum(dim=0)
        self.union = self.union + (same[:, :, None] * union[:, None]).sum(dim=0)
        self.episodes = self.episodes + same.sum(dim=0)

    def compute(self) -> Scores:
        """Scores over all devices.

        Raises:
            DataError: an episode was of a class that is not among ``classes``.
        """
        return self.local()

    def local(self) -> Scores:
        """Scores of what this device has seen so far; unlike ``compute`` it involves no other device."""
        stranger = int(self.stranger)
        if stranger >= 0:
            raise DataError(
                f"an episode is of class {stranger}, but the classes evaluated are {list(self.classes)}: "
                f"build the metric with the classes of the fold that the episodes come from"
            )
        return scores(self.classes, self.intersection, self.union, self.episodes)
