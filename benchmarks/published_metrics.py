"""Scores as the published code computes them: per sample, on the host (REFERENCE section 11)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

IGNORED = 255


class PublishedMeter:
    """Sums of intersections and unions by class; every sample waits for the device."""

    def __init__(self, classes: Sequence[int]) -> None:
        self.classes = list(classes)
        self.intersections = torch.zeros(2, max(classes) + 1)
        self.unions = torch.zeros(2, max(classes) + 1)

    def update(self, prediction: Tensor, truth: Tensor, void: Tensor, class_ids: Tensor) -> None:
        """Adds a batch: prediction, truth and void (B, H, W) float, 0 or 1."""
        truth = truth + void * IGNORED
        prediction = prediction.clone()
        prediction[truth == IGNORED] = IGNORED
        for predicted, true, class_id in zip(prediction, truth, class_ids, strict=True):
            agreed = predicted[predicted == true]
            intersection = torch.histc(agreed.cpu(), bins=2, min=0, max=1)
            areas = [torch.histc(each.cpu(), bins=2, min=0, max=1) for each in (predicted, true)]
            self.intersections[:, class_id.item()] += intersection
            self.unions[:, class_id.item()] += areas[0] + areas[1] - intersection

    def compute(self) -> tuple[float, float]:
        """mIoU and FB-IoU in percent."""
        intersections, unions = self.intersections[:, self.classes], self.unions[:, self.classes]
        iou = intersections / torch.max(unions, torch.ones_like(unions))
        both = intersections.sum(dim=1) / unions.sum(dim=1)
        return iou[1].mean().item() * 100, both.mean().item() * 100
