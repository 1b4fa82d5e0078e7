"""Scores of several lists of episodes, each of its own seed, in one evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hmseg.errors import HmsegError
from hmseg.metrics import FewShotIoU, Scores, scores


class IoUBySeed(FewShotIoU):
    """``FewShotIoU`` for each of several equally long lists of episodes that come one after the other.

    Args:
        classes: the fold's class ids.
        lists: how many lists there are.
        length: episodes of each.
        **kwargs: passed on to ``torchmetrics.Metric``.

    Raises:
        HmsegError: no list, no episode, or classes that ``FewShotIoU`` refuses.

    Example:
        >>> metric = IoUBySeed(classes=(4, 7), lists=2, length=3)
        >>> prediction, target = torch.ones(2, 4, 4), torch.ones(2, 4, 4)
        >>> metric.update_at(torch.tensor([0, 5]), prediction, target, None, torch.tensor([7, 4]))
        >>> [each.per_class for each in metric.compute()]
        [{4: 0.0, 7: 100.0}, {4: 100.0, 7: 0.0}]
    """

    listed: Tensor

    def __init__(self, classes: Sequence[int], lists: int, length: int, **kwargs: Any) -> None:
        if lists < 1 or length < 1:
            raise HmsegError(f"{lists} lists of {length} episodes came, at least 1 of 1 was expected")
        self.of_each = FewShotIoU(classes).classes
        super().__init__(range(lists * len(self.of_each)), **kwargs)  # a class of each list counts as its own
        self.lists, self.length = lists, length
        self.register_buffer("listed", torch.tensor(self.of_each), persistent=False)

    def update_at(
        self, index: Tensor, prediction: Tensor, target: Tensor, void: Tensor | None, class_ids: Tensor
    ) -> None:
        """Adds a batch of episodes; never waits for the device.

        Args:
            index: (B,) place of each episode in all lists together.
            prediction: as of ``FewShotIoU.update``.
            target: likewise.
            void: likewise.
            class_ids: (B,) class of each episode, one of ``classes``.
        """
        self.update(prediction, target, void, self._place(index, class_ids))

    def add_at(self, index: Tensor, class_ids: Tensor, intersection: Tensor, union: Tensor) -> None:
        """Adds episodes whose pixels are counted already: ``FewShotIoU.add`` with their places as above."""
        self.add(self._place(index, class_ids), intersection, union)

    def _place(self, index: Tensor, class_ids: Tensor) -> Tensor:
        """(B,) the class of each episode, counted through all lists."""
        place = (class_ids[:, None] == self.listed).long().argmax(dim=1)  # (B,)
        which = torch.div(index, self.length, rounding_mode="floor")
        return which * len(self.of_each) + place

    def compute(self) -> tuple[Scores, ...]:  # type: ignore[override]  # one for each list
        """Scores of each list over all devices."""
        shape = (self.lists, len(self.of_each))
        sums = (
            state.view(*shape, *state.shape[1:]) for state in (self.intersection, self.union, self.episodes)
        )
        return tuple(scores(self.of_each, *each) for each in zip(*sums, strict=True))
