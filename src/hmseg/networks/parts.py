"""A few-shot network as modules to export: whole, or in two parts with the supports' features between them.

All compute as :class:`hmseg.networks.FewShotNetwork` does, but with public operators only
(:mod:`hmseg.exporting`), and nothing in them depends on how many queries and supports there are. They take
and give tensors; images are normalised, masks are bool or numbers 0 and 1, and not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hmseg.exporting import exporting
from hmseg.networks.fewshot import FewShotNetwork, Levels
from hmseg.networks.layers import resize


class WholeNetwork(nn.Module):
    """Query, support images and masks -> logits, as the network itself."""

    def __init__(self, network: FewShotNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, query: Tensor, support_images: Tensor, support_masks: Tensor) -> Tensor:
        """(B, 3, H, W), (B, K, 3, H', W') and (B, K, H', W') -> (B, K, 2, H, W)."""
        with exporting():
            return segment(self.network, query, encode(self.network, support_images, support_masks))


class SupportEncoder(nn.Module):
    """Support images and masks -> what is kept of them for any number of queries."""

    def __init__(self, network: FewShotNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, support_images: Tensor, support_masks: Tensor) -> tuple[Tensor, ...]:
        """(B, K, 3, H, W) and (B, K, H, W) -> what `encode` gives."""
        with exporting():
            return tuple(encode(self.network, support_images, support_masks))


class QuerySegmenter(nn.Module):
    """Query and what :class:`SupportEncoder` gave -> logits."""

    def __init__(self, network: FewShotNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, query: Tensor, *kept: Tensor) -> Tensor:
        """(B, 3, H, W) and what `encode` gives -> (B, K, 2, H, W)."""
        with exporting():
            return segment(self.network, query, kept)


def kept_levels(network: FewShotNetwork) -> list[int]:
    """The level of each map that is kept of a support, in the order in which they are kept."""
    levels = [info.level for info in network.backbone.feature_info]
    kept = [each for each in levels if each in network.head.levels and each not in network.head.query_only]
    times = {level: 2 if level in network.head.plain_levels else 1 for level in kept}
    return [level for level in times for _ in range(times[level] * kept.count(level))]


def kept_names(network: FewShotNetwork) -> list[str]:
    """A name for each tensor that is kept: ``level2_0``, …, and ``masks`` where the head sees them.

    Example:
        >>> from hmseg.networks import build_network
        >>> kept_names(build_network("asnet", backbone="mobilenet_v2"))[-3:]
        ['level4_2', 'level4_3', 'masks']
    """
    levels = kept_levels(network)
    names = [f"level{level}_{levels[:index].count(level)}" for index, level in enumerate(levels)]
    return [*names, "masks"] if network.head.sees_masks else names


def encode(network: FewShotNetwork, images: Tensor, masks: Tensor) -> list[Tensor]:
    """What a query needs of its supports.

    Args:
        network: in eval mode.
        images: (B, K, 3, H, W).
        masks: (B, K, H, W).

    Returns:
        For each of `kept_names`: a masked map (B, K, C, h, w), or the masks (B, K, H, W) as floats.
    """
    batch, shots = masks.shape[:2]
    numbers = masks.to(images.dtype)
    levels = network.encode_supports(images.flatten(0, 1), numbers.flatten(0, 1))
    order = dict.fromkeys(kept_levels(network))
    kept = [each.view(batch, shots, *each.shape[1:]) for level in order for each in levels[level]]
    return [*kept, numbers] if network.head.sees_masks else kept


def segment(network: FewShotNetwork, query: Tensor, kept: Sequence[Tensor]) -> Tensor:
    """Logits (B, K, 2, H, W), or (B, 1, 2, H, W) where supports are joined.

    Args:
        network: in eval mode.
        query: (B, 3, H, W).
        kept: what `encode` gives.
    """
    batch, shots = kept[0].shape[:2]
    levels: dict[int, list[Tensor]] = {level: [] for level in network.head.levels}
    for level, each in zip(kept_levels(network), kept, strict=False):  # masks may come after the maps
        levels[level].append(each.flatten(0, 1))
    masks = (kept[-1] if network.head.sees_masks else torch.zeros_like(kept[0][:, :, 0])).flatten(0, 1)
    supports: Levels = levels
    if network.join_shots:
        supports, masks = network.head.join(levels, masks, shots)
        shots = 1
    logits = network.head(network.encode_query(query), supports, masks)
    logits = resize(logits, (query.shape[-2], query.shape[-1]))
    return logits.view(batch, shots, *logits.shape[1:])  # an unflatten's sizes would not stay open in ONNX
