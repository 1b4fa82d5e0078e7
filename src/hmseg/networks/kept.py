"""Supports that serve many queries: encoded once, kept, and shown to the head with each query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hmseg.networks.chunks import chunks
from hmseg.networks.fewshot import FewShotNetwork, Levels
from hmseg.networks.layers import resize


class KeptSupport(NamedTuple):
    """What the head needs of one support.

    Attributes:
        levels: for each level of the head, masked maps (1, C, h, w).
        mask: (1, H, W) float, 0 or 1.
    """

    levels: Levels
    mask: Tensor


def keep_support(network: FewShotNetwork, image: Tensor, mask: Tensor) -> KeptSupport:
    """Encodes a support: the only time that its image passes the backbone.

    Args:
        network: in eval mode.
        image: (3, H, W) normalised.
        mask: (H, W) bool, or numbers 0 and 1.
    """
    masks = mask[None].to(image.dtype)
    return KeptSupport(network.encode_supports(image[None], masks), masks)


@torch.no_grad()
def segment(
    network: FewShotNetwork, query: Levels, kept: Sequence[KeptSupport], size: tuple[int, int]
) -> Tensor:
    """Logits of queries whose maps are known, as ``FewShotNetwork.forward`` gives them, with kept supports.

    Args:
        network: that encoded both.
        query: of :meth:`FewShotNetwork.encode_query`, maps (B, C, h, w).
        kept: K supports, the same for each query.
        size: height and width of the logits; the query's in ``forward``.

    Returns:
        (B, K, 2, *size), or (B, 1, 2, *size) where the network joins its shots.
    """
    batch, shots = len(query[network.head.levels[0]][0]), len(kept)
    at_once = network.supports_at_once(kept[0].mask.expand(shots, -1, -1))
    if network.join_shots:
        at_once = max(shots, at_once)  # those of one image stay together
    parts: list[Tensor] = []
    for of_query, of_support in chunks(batch, shots, at_once):
        shown = [kept[row % shots] for row in range(of_support.start, of_support.stop)]
        levels, masks = _together(shown)
        if network.join_shots:
            levels, masks = network.head.join(levels, masks, shots)
        asked = {level: [each[of_query] for each in maps] for level, maps in query.items()}
        parts.append(network.head(asked, levels, masks))
    logits = resize(torch.cat(parts), size)
    return logits.reshape(batch, -1, *logits.shape[1:])


def _together(kept: Sequence[KeptSupport]) -> tuple[Levels, Tensor]:
    """Several supports as one batch; one is not copied."""
    if len(kept) == 1:
        return kept[0].levels, kept[0].mask
    levels = {
        level: [torch.cat(maps) for maps in zip(*(each.levels[level] for each in kept), strict=True)]
        for level in kept[0].levels
    }
    return levels, torch.cat([each.mask for each in kept])
