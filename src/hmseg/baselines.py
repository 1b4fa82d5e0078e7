"""Predictors without training that every trained network must beat, and the scoring of any predictor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hmseg.backbones import Backbone
from hmseg.correlation import correlate
from hmseg.data.episode import Episode
from hmseg.data.transforms import normalise
from hmseg.errors import ConfigError, DataError
from hmseg.metrics import FewShotIoU, Scores, intersections_and_unions, small_objects

LEVELS = (3, 4)
THRESHOLDS = tuple(step / 20 for step in range(1, 20))
"""What `CorrelationPrior.calibrate` tries: 0.05, 0.10, … 0.95."""


class Predictor(Protocol):
    """Anything that segments a query from its supports: a network or a baseline."""

    def predict(self, query: Tensor, support_images: Tensor, support_masks: Tensor) -> Tensor:
        """(B, 3, H, W), (B, K, 3, H, W) normalised, (B, K, H, W) -> mask (B, H, W)."""
        ...


class AllForeground(nn.Module):
    """Calls every pixel foreground: its mIoU is the mean share of the object in the image.

    Example:
        >>> query, masks = torch.zeros(2, 3, 4, 6), torch.zeros(2, 1, 4, 6)
        >>> AllForeground().predict(query, query[:, None], masks).shape
        torch.Size([2, 4, 6])
    """

    def predict(self, query: Tensor, support_images: Tensor, support_masks: Tensor) -> Tensor:
        """(B, H, W) bool, all true; arguments as for a network."""
        return query.new_ones((len(query), *query.shape[-2:]), dtype=torch.bool)


def foreground_positions(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Which positions of a feature plane see the object; at least one in each image.

    A position is foreground where the mask covers half or more of its cell. Where the object is too small
    for that, the positions with the largest cover are (all of them for an empty mask).

    Args:
        masks: (N, H, W), 0 or 1.
        size: height and width of the plane.

    Returns:
        (N, *size) bool.

    Example:
        >>> mask = torch.zeros(1, 4, 4)
        >>> mask[0, 3, 0] = 1
        >>> foreground_positions(mask, (2, 2)).int().tolist()
        [[[0, 0], [1, 0]]]
    """
    cover = F.adaptive_avg_pool2d(masks[:, None].float(), size)[:, 0]
    return cover >= cover.amax(dim=(1, 2), keepdim=True).clamp(max=0.5)


def best_match(query: Tensor, support: Tensor, masks: Tensor) -> Tensor:
    """The largest clamped cosine similarity of each query position to a foreground support position.

    Args:
        query: (B, C, h, w) map of one backbone feature.
        support: (B * K, C, h', w') maps, the K shots of an image next to each other.
        masks: (B * K, H, W) support masks, 0 or 1.

    Returns:
        (B * K, h, w) in [0, 1].
    """
    similarity = correlate(query, support).flatten(3)  # (B*K, h, w, h'*w')
    allowed = foreground_positions(masks, (support.shape[-2], support.shape[-1])).flatten(1)
    return similarity.masked_fill(~allowed[:, None, None], 0.0).amax(dim=3)


class CorrelationPrior(nn.Module):
    """The training-free prior: how well each query position matches the support's object, thresholded.

    `best_match` for every feature of levels 3 and 4; the mean over the features of a level; resized to the
    image (bilinear, align_corners=True); the mean over the two levels, then over the shots; then each image's
    map is stretched to [0, 1] (its minimum to 0, its maximum to 1). Foreground where that reaches the
    threshold. Features are of the plain images, unmasked.

    Args:
        backbone: any backbone with levels 3 and 4.
        threshold: 0 to 1; see `calibrate`.

    Raises:
        ConfigError: the backbone lacks a level, or the threshold is out of range.
    """

    def __init__(self, backbone: Backbone, threshold: float = 0.5) -> None:
        super().__init__()
        offered = {info.level for info in backbone.feature_info}
        if not offered.issuperset(LEVELS):
            raise ConfigError(f"the backbone has levels {sorted(offered)}, the prior needs {list(LEVELS)}")
        if not 0 <= threshold <= 1:
            raise ConfigError(f"the threshold is {threshold}: expected 0 to 1")
        self.backbone = backbone
        self.threshold = threshold

    @torch.no_grad()
    def forward(self, query: Tensor, support_images: Tensor, support_masks: Tensor) -> Tensor:
        """The stretched prior (B, H, W) in [0, 1]; arguments as for a network."""
        batch, shots = support_masks.shape[:2]
        masks = support_masks.flatten(0, 1)
        query_maps, support_maps = self.backbone(query), self.backbone(support_images.flatten(0, 1))
        per_level = []
        for level in LEVELS:
            matches = [
                best_match(q, s, masks)
                for info, q, s in zip(self.backbone.feature_info, query_maps, support_maps, strict=True)
                if info.level == level
            ]
            mean = torch.stack(matches).mean(dim=0)[:, None]  # (B*K, 1, h, w)
            size = (query.shape[-2], query.shape[-1])
            per_level.append(F.interpolate(mean, size=size, mode="bilinear", align_corners=True)[:, 0])
        prior = torch.stack(per_level).mean(dim=0).view(batch, shots, *size).mean(dim=1)
        low, high = prior.amin(dim=(1, 2), keepdim=True), prior.amax(dim=(1, 2), keepdim=True)
        return (prior - low) / (high - low).clamp(min=1e-7)

    def predict(self, query: Tensor, support_images: Tensor, support_masks: Tensor) -> Tensor:
        """(B, H, W) bool; arguments as for a network."""
        prior: Tensor = self(query, support_images, support_masks)
        return prior >= self.threshold

    def calibrate(self, batches: Iterable[Episode], device: torch.device | str = "cpu") -> float:
        """Sets the threshold of `THRESHOLDS` with the highest mIoU on episodes of *training* classes.

        Void pixels are left out; the mean is over the classes that occur; of equals the lowest wins.

        Args:
            batches: collated episodes at the network's size, never of the classes to be tested.
            device: where this module is.

        Returns:
            The threshold.

        Raises:
            DataError: there is no episode.
        """
        sums: dict[int, Tensor] = {}  # class -> (thresholds, intersection and union)
        for batch in batches:
            episodes = to_device(batch, device)
            prior = self(*network_inputs(episodes))
            for index, class_id in enumerate(batch.class_id.tolist()):
                one = slice(index, index + 1)
                counts = [
                    torch.cat(intersections_and_unions(prior[one] >= t, *truth(episodes, one)))[:, 1]
                    for t in THRESHOLDS
                ]
                sums[class_id] = sums.get(class_id, 0) + torch.stack(counts)
        if not sums:
            raise DataError("there is no episode to calibrate the prior on: give at least one batch")
        per_class = torch.stack(list(sums.values())).double().cpu()  # (classes, thresholds, 2)
        miou = (per_class[..., 0] / per_class[..., 1].clamp(min=1)).mean(dim=0)
        self.threshold = THRESHOLDS[int(miou.argmax())]
        return self.threshold


def to_device(batch: Episode, device: torch.device | str) -> Episode:
    """The batch with every tensor on a device."""
    return Episode(*(tensor.to(device) for tensor in batch))


def network_inputs(batch: Episode) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised query, normalised supports and support masks: what a network takes."""
    return normalise(batch.query_image), normalise(batch.support_images), batch.support_masks


def truth(batch: Episode, part: slice) -> tuple[Tensor, Tensor]:
    """Mask and void of some queries."""
    return batch.query_mask[part], batch.query_void[part]


@torch.no_grad()
def score(
    predictors: Mapping[str, Predictor],
    batches: Iterable[Episode],
    classes: Sequence[int],
    device: torch.device | str = "cpu",
) -> dict[str, tuple[Scores, Scores]]:
    """Scores of several predictors on the same episodes, read once, at the network's size.

    Args:
        predictors: networks or baselines by name, on ``device``.
        batches: collated episodes.
        classes: class ids of the fold.
        device: where to compute.

    Returns:
        For each predictor the scores of all episodes, and of those with a small query object (below 2 % of
        the image).

    Raises:
        HmsegError: masks of another size than the images, or no batch.
        DataError: an episode of another class.
    """
    metrics = {name: (FewShotIoU(classes).to(device), FewShotIoU(classes).to(device)) for name in predictors}
    empty = True
    for batch in batches:
        empty = False
        episodes = to_device(batch, device)
        inputs = network_inputs(episodes)
        mask, void, class_ids = episodes.query_mask, episodes.query_void, episodes.class_id
        small = small_objects(mask, void)
        for name, (overall, few) in metrics.items():
            prediction = predictors[name].predict(*inputs)
            overall.update(prediction, mask, void, class_ids)
            few.update(prediction, mask, void, class_ids, include=small)
    if empty:
        raise DataError("there is no episode to score: give at least one batch")
    # Not compute(): one device scores all episodes, while the others of a distributed run wait for it.
    return {name: (overall.local(), few.local()) for name, (overall, few) in metrics.items()}
