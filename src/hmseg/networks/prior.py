"""The training-free score map as an input of a learned head, which then begins where it ends.

Masked average pooling (Zhang et al., "SG-One", 2018; Wang et al., "PANet", ICCV 2019): how much more a query
position looks like the mean of the object than like the mean of what is around it. As further channels of the
decoder in PFENet (Tian et al., TPAMI 2020), there from the largest correlations.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmseg.correlation import EPS, shots_of, unit_features
from hmseg.exporting import repeat_rows
from hmseg.masking import resize_mask
from hmseg.networks.fewshot import Levels
from hmseg.networks.layers import resize

GAIN = 10.0
"""Margins of cosines are a tenth or so; the channels beside them are about one."""

CELL = 16
"""Image pixels a side over which a mask is averaged first, so that a small object is not missed."""


class ScoreMaps(nn.Module):
    """Score maps of a query, and the logits that follow them before anything has been learned.

    Attributes:
        levels: the deepest two: those of level 2 say little of the class.
        channels: how many maps there are, one for each level.
        logits: maps (N, channels, h, w) to logits (N, 2, h, w); learned from where the foreground's margin is
            the mean of the maps.
    """

    levels = (4, 3)
    channels = len(levels)

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Conv2d(self.channels, 2, 1)
        with torch.no_grad():
            self.logits.weight[0] = -0.5 / self.channels
            self.logits.weight[1] = 0.5 / self.channels
            self.logits.bias.zero_()  # type: ignore[union-attr]

    def forward(self, query: Levels, plain: Levels, masks: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the maps (B * K, channels, *size), above 0 where the object is likely.

        Args:
            query: for each level, maps (B, C, h, w).
            plain: for each level, maps of the supports as they are, (B * K, C, h', w').
            masks: (B * K, H, W) float, 0 or 1.
            size: of the result, pixels.
        """
        covered = F.avg_pool2d(masks[:, None], CELL, ceil_mode=True, count_include_pad=False)[:, 0]
        levels = [resize(level_margin(query[each], plain[each], covered), size) for each in self.levels]
        return GAIN * torch.cat(levels, dim=1)


def silence(decoder: nn.Sequential) -> None:
    """Let a decoder give zeros, so that it adds nothing to the score maps' logits until it has learned."""
    last = decoder[-1]
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)


def level_margin(query: Sequence[Tensor], support: Sequence[Tensor], masks: Tensor) -> Tensor:
    """Return the mean margin of a level's maps.

    Args:
        query: L maps (B, C_l, h, w).
        support: L maps (B * K, C_l, h', w'), unmasked.
        masks: (B * K, H, W) in [0, 1].

    Returns:
        (B * K, 1, h, w) in [-2, 2].
    """
    margins = [margin(each, other, masks) for each, other in zip(query, support, strict=True)]
    return torch.stack(margins).mean(dim=0)[:, None]


def margin(query: Tensor, support: Tensor, masks: Tensor) -> Tensor:
    """Return the cosine to the mean of the object's features less that to the mean of the background's.

    Args:
        query: (B, C, h, w).
        support: (B * K, C, h', w'), unmasked.
        masks: (B * K, H, W) in [0, 1].

    Returns:
        (B * K, h, w) in [-2, 2].

    Example:
        >>> query = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[None, :, None]  # two channels, (1, 2) positions
        >>> margin(query, support=query.flip(3), masks=torch.tensor([[[1.0, 0.0]]])).round()
        tensor([[[-1.,  1.]]])
    """
    cover = resize_mask(masks, (support.shape[-2], support.shape[-1])).to(support.dtype)
    weights = torch.stack((cover, 1 - cover), dim=1).flatten(2)  # (B*K, 2, h'*w')
    means = torch.bmm(weights, unit_features(support).flatten(2).transpose(1, 2))  # up to a factor
    means = means / (torch.linalg.vector_norm(means, dim=2, keepdim=True) + EPS)  # (B*K, 2, C)
    asked = repeat_rows(unit_features(query), shots_of(query, support))
    cosines = torch.bmm(means, asked.flatten(2)).view(-1, 2, query.shape[-2], query.shape[-1])
    return cosines[:, 0] - cosines[:, 1]
