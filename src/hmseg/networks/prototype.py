"""A head without learnable parameters: is a position more like the object, or like its background?

Masked average pooling (Zhang et al., "SG-One", 2018; Wang et al., "PANet", ICCV 2019), a background that
adapts to each query position, and self-support (Fan et al., "Self-Support Few-Shot Semantic Segmentation",
ECCV 2022), on several maps of a frozen backbone. The defaults were chosen on training classes
(``benchmarks/prototype.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hmseg.backbones import FeatureInfo
from hmseg.errors import ConfigError
from hmseg.networks.fewshot import Head, Levels, split_plain
from hmseg.networks.layers import resize

EPS = 1e-6
"""Keeps divisions and logarithms finite: of a weight, where all weights add up to one."""


class PrototypeHead(Head):
    """Foreground where a position is more like the object than like its background.

    1. Each of the chosen maps is resized to the plane of the finest level and divided by its norm, and all
       are put side by side, so that a cosine of the result is the mean of the maps' cosines.
    2. The object's prototype is the mean of the masked support features under the mask. Where hybrid masking
       fills gaps of feature masking, it fills them here.
    3. The background is the mean of the plain support features outside the mask, weighted for each query
       position by how much they look like it.
    4. The margin is the cosine to the object's prototype less the cosine to the background.
    5. Self-support: the query's own most certain positions make a second prototype, mixed with the first, and
       what looks like background in the query a second background, likewise.
    6. Foreground is where the margin is above 0, or above a share of its largest value in the image.

    Several supports are best joined (``join_shots``): their pixels then make one prototype.

    Args:
        features: description of the backbone's maps.
        maps: how many of the last maps of levels 1 to 4 are used; fewer where the backbone has fewer.
        background_sharpness: temperature of the background's weights; 0 weights all of it alike.
        self_support: share of the query's own prototype in step 5.
        certain: positions whose margin is above this share of the largest one make that prototype.
        own_background: share of the query's own background in step 5.
        threshold: share of the largest margin in step 6.
        scale: logits per unit of margin; it changes probabilities, never the mask.

    Raises:
        ConfigError: an option out of range, or no map is left.

    Example:
        >>> from hmseg.networks import build_network
        >>> network = build_network("prototype", "feature", "mobilenet_v2", weights="bundled")
        >>> mask = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
        >>> mask[..., 16:48, 16:48] = True
        >>> image = torch.randn(1, 3, 64, 64)
        >>> network(image, image[:, None], mask).shape
        torch.Size([1, 1, 2, 64, 64])
    """

    def __init__(
        self,
        features: Sequence[FeatureInfo],
        maps: Sequence[int] = (0, 0, 2, 3),
        background_sharpness: float = 5.0,
        self_support: float = 0.3,
        certain: float = 0.5,
        own_background: float = 0.6,
        threshold: float = 0.0,
        scale: float = 20.0,
    ) -> None:
        super().__init__()
        for name, value, most in (
            ("background_sharpness", background_sharpness, float("inf")),
            ("self_support", self_support, 1.0),
            ("certain", certain, 1.0),
            ("own_background", own_background, 1.0),
            ("threshold", threshold, 1.0),
        ):
            if not 0 <= value <= most:
                raise ConfigError(f"model.{name}: expected 0 to {most:g}, got {value}")
        if scale <= 0:
            raise ConfigError(f"model.scale: expected a number above 0, got {scale}")
        if len(maps) != 4 or min(maps) < 0:
            raise ConfigError(f"model.maps: expected a count for each of levels 1 to 4, got {list(maps)}")
        available = {level: sum(info.level == level for info in features) for level in (1, 2, 3, 4)}
        self.maps = {
            level: min(count, available[level])
            for level, count in enumerate(maps, start=1)
            if count and available[level]
        }
        if not self.maps:
            raise ConfigError(
                f"model.maps: {list(maps)} leaves no map of this backbone, which has "
                f"{list(available.values())} maps of levels 1 to 4"
            )
        self.levels = tuple(sorted(self.maps, reverse=True))
        self.plain_levels = frozenset(self.levels)
        self.background_sharpness = background_sharpness
        self.self_support = self_support
        self.certain = certain
        self.own_background = own_background
        self.threshold = threshold
        self.scale = scale

    def forward(self, query: Levels, support: Levels, support_masks: Tensor) -> Tensor:
        """Logits (B * K, 2, h, w) on the query's plane at the finest level: 0 and the scaled margin."""
        masked, plain = split_plain(support, self.plain_levels)
        q, fg, bg = self._joined(query), self._joined(masked), self._joined(plain)
        q = q.repeat_interleave(len(fg) // len(q), dim=0)
        plane = (q.shape[-2], q.shape[-1])
        cover = F.adaptive_avg_pool2d(support_masks[:, None], (fg.shape[-2], fg.shape[-1]))
        q, fg, bg, cover = (
            each.flatten(2).transpose(1, 2) for each in (q, fg, bg, cover)
        )  # (N, positions, C)
        margin = self._margin(q, fg, bg, cover)  # (N, positions)
        foreground = margin - self.threshold * margin.amax(dim=1, keepdim=True).clamp(min=0)
        logits = torch.stack((torch.zeros_like(foreground), self.scale * foreground), dim=1)
        return logits.view(*logits.shape[:2], *plane)

    def join(self, support: Levels, support_masks: Tensor, shots: int) -> tuple[Levels, Tensor]:
        """As for any head, but resized first: else positions beside a seam would mix two images."""
        plane = self._plane(support)
        resized = {level: [resize(each, plane) for each in maps] for level, maps in support.items()}
        return super().join(resized, support_masks, shots)

    def _plane(self, levels: Levels) -> tuple[int, int]:
        finest = levels[self.levels[-1]][0]
        return finest.shape[-2], finest.shape[-1]

    def _joined(self, levels: Levels) -> Tensor:
        """(N, C, h, w): the chosen maps as unit vectors, side by side on the finest level's plane."""
        plane = self._plane(levels)
        chosen = [each for level in self.levels for each in levels[level][-self.maps[level] :]]
        return F.normalize(torch.cat([F.normalize(resize(each, plane), dim=1) for each in chosen], 1), dim=1)

    def _margin(self, query: Tensor, masked: Tensor, plain: Tensor, cover: Tensor) -> Tensor:
        """Cosine to the object less cosine to the background.

        Args:
            query: (N, hq * wq, C) unit vectors.
            masked: (N, hs * ws, C) likewise, masked.
            plain: (N, hs * ws, C) likewise, of the whole image.
            cover: (N, hs * ws, 1), the share of each position that the mask covers.
        """
        prototype = mean_direction(masked, cover)  # (N, C)
        background = self._background(query, plain, 1 - cover)  # (N, hq * wq)
        margin = cosine(query, prototype) - background
        if self.self_support:
            largest = margin.amax(dim=1, keepdim=True)  # (N, 1)
            own = mean_direction(query, (margin - self.certain * largest).clamp(min=0)[..., None])
            share = self.self_support * (largest > 0)  # where nothing looks like the object, none
            prototype = F.normalize(torch.lerp(prototype, own, share.to(own.dtype)), dim=1)
            margin = cosine(query, prototype) - background
        if self.own_background:
            doubt = (-margin).clamp(min=0)
            doubt = doubt / doubt.amax(dim=1, keepdim=True).clamp(min=EPS)
            background = torch.lerp(
                background, self._background(query, query, doubt[..., None]), self.own_background
            )
        return cosine(query, prototype) - background

    def _background(self, query: Tensor, plain: Tensor, weights: Tensor) -> Tensor:
        """Return the cosine (N, hq * wq) of each query position to the background as it sees it.

        Args:
            query: (N, hq * wq, C) unit vectors.
            plain: (N, positions, C) unit vectors, of supports or the query itself.
            weights: (N, positions, 1), how much each of them is background, 0 to 1.
        """
        if self.background_sharpness == 0:
            return cosine(query, mean_direction(plain, weights))
        likeness = self.background_sharpness * query @ plain.transpose(1, 2)  # (N, hq * wq, hs * ws)
        seen = torch.softmax(likeness + (weights + EPS).log().transpose(1, 2), dim=2) @ plain
        return F.cosine_similarity(query, seen, dim=2)


def mean_direction(features: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean of features (N, positions, C) as unit vectors (N, C).

    Args:
        features: (N, positions, C).
        weights: (N, positions, 1), at least 0; where all are 0 every position counts alike.
    """
    total = weights.sum(dim=1, keepdim=True)
    shares = torch.where(total > 0, weights / total.clamp(min=EPS), 1 / weights.shape[1])
    return F.normalize((features * shares).sum(dim=1), dim=1)


def cosine(features: Tensor, prototype: Tensor) -> Tensor:
    """Return the cosines (N, positions) of unit vectors (N, positions, C) to one unit vector each (N, C)."""
    return torch.einsum("npc,nc->np", features, prototype)
