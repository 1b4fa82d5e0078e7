"""What a backbone is: a frozen network that gives a list of maps, described one by one.

Maps are described by level, channels and stride, in forward order. They are taken *before* the last ReLU of
their block, so they may be negative. REFERENCE section 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn


class FeatureInfo(NamedTuple):
    """One map of a pyramid.

    Attributes:
        level: pyramid level the map belongs to, 1 (shallow) to 4 (deep).
        channels: its channels.
        stride: image pixels per position of the map.
    """

    level: int
    channels: int
    stride: int


class Backbone(nn.Module, ABC):
    """A frozen network that turns images into a list of maps.

    Its parameters take no gradient and it stays in eval mode whatever the surrounding module is told, so
    batch-norm statistics never move. ``forward`` runs under ``no_grad``.

    Attributes:
        features: what :meth:`forward` returns, map by map. Level 1 holds only the last map of its stage.
        classifier_prefixes: keys of published weight files that the features don't need.
        weights_origin: where the weights came from: ``random``, ``bundled``, ``imagenet``, ``file`` or
            ``checkpoint`` (a published one, which brought its own).
    """

    feature_info: tuple[FeatureInfo, ...]
    classifier_prefixes: tuple[str, ...] = ("fc.", "classifier.")
    weights_origin: str = "random"

    @abstractmethod
    def maps(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the maps of normalised images (N, 3, H, W), shallow to deep."""

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[Tensor]:
        """The maps of normalised images (N, 3, H, W), shallow to deep, one per entry of ``feature_info``."""
        return list(self.maps(images))

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode: the backbone is frozen."""
        return super().train(False)

    def freeze(self) -> Self:
        """Take the parameters out of training; called once, at construction."""
        return self.requires_grad_(False).eval()
