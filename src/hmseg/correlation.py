"""Hypercorrelation: 4-D cosine similarities between every query and every support position.

REFERENCE section 3; Min et al., "Hypercorrelation Squeeze for Few-Shot Segmentation", ICCV 2021, section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

EPS = 1e-5
"""Added to the norm of each feature vector, as published (not the maximum of the two)."""


def unit_features(features: Tensor) -> Tensor:
    """Divide each feature vector by (its L2 norm + ``EPS``). ``features``: (N, C, h, w); a new tensor."""
    norm: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / (norm + EPS)


def correlate(query: Tensor, support: Tensor) -> Tensor:
    """Clamped cosine similarity of all pairs of positions, for one backbone map.

    Args:
        query: (B, C, hq, wq).
        support: (B * K, C, hs, ws), the K shots of an image next to each other.

    Returns:
        (B * K, hq, wq, hs, ws) in [0, 1].

    Raises:
        ValueError: channels differ, or the support batch is no multiple of the query batch.

    Example:
        >>> correlate(torch.ones(1, 4, 2, 2), torch.ones(3, 4, 1, 1)).shape
        torch.Size([3, 2, 2, 1, 1])
    """
    batch, channels, *query_size = query.shape
    shots, left_over = divmod(support.shape[0], batch)
    if support.shape[1] != channels or left_over:
        raise ValueError(
            f"query (B, C, h, w) and support (B * K, C, h, w) do not fit: "
            f"{tuple(query.shape)} and {tuple(support.shape)}"
        )
    q = unit_features(query).flatten(2).transpose(1, 2)  # (B, hq*wq, C)
    s = unit_features(support).flatten(2)  # (B*K, C, hs*ws)
    if shots > 1:
        q = q.repeat_interleave(shots, dim=0)
    similarity = torch.bmm(q, s).clamp_(min=0)  # fresh from bmm, so in place is safe
    return similarity.view(-1, *query_size, *support.shape[2:])


def hypercorrelation(query: Sequence[Tensor], support: Sequence[Tensor]) -> Tensor:
    """The correlations of all maps of one level, stacked as channels in forward (shallow to deep) order.

    Args:
        query: L maps (B, C_l, hq, wq), all of one plane.
        support: L maps (B * K, C_l, hs, ws).

    Returns:
        (B * K, L, hq, wq, hs, ws).
    """
    return torch.stack([correlate(q, s) for q, s in zip(query, support, strict=True)], dim=1)
