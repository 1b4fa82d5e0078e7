"""Predictors without training that every trained network must beat, and the scoring of any predictor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from hmseg.backbones import Backbone
from hmseg.data.episode import Episode
from hmseg.data.transforms import normalise
from hmseg.errors import DataError
from hmseg.masking import FeatureMasking
from hmseg.metrics import FewShotIoU, Scores, small_objects
from hmseg.networks.fewshot import FewShotNetwork
from hmseg.networks.prototype import PrototypeHead


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


def prototype(backbone: Backbone) -> FewShotNetwork:
    """Return the training-free network of :mod:`hmseg.networks.prototype`, on the maps of a backbone.

    Feature masking, all supports joined, and the head's defaults, whatever network it is compared with. Of
    levels 3 and 4 it takes those that the backbone has.

    Args:
        backbone: frozen; it is shared, not copied.

    Raises:
        ConfigError: the backbone has neither level 3 nor level 4.
    """
    head = PrototypeHead(backbone.feature_info)
    return FewShotNetwork(backbone, FeatureMasking(), head, join_shots=True).eval()


def to_device(batch: Episode, device: torch.device | str) -> Episode:
    """The batch with every tensor on a device."""
    return Episode(*(tensor.to(device) for tensor in batch))


def network_inputs(batch: Episode) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised query, normalised supports and support masks: what a network takes."""
    return normalise(batch.query_image), normalise(batch.support_images), batch.support_masks


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
