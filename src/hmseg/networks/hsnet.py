"""HSNet's head: squeeze the hypercorrelation pyramid with centre-pivot 4-D convolutions.

REFERENCE section 4; Min, Kang, Cho: "Hypercorrelation Squeeze for Few-Shot Segmentation", ICCV 2021.
Parameters bear the published names, so published checkpoints need no table of names.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hmseg.backbones import FeatureInfo
from hmseg.networks.fewshot import Head, Levels, maps_per_level, split_plain
from hmseg.networks.first_layer import correlate_and_convolve
from hmseg.networks.group_norm import GroupNorm4d
from hmseg.networks.layers import (
    CentrePivotConv4d,
    Upsample2x,
    added,
    mean_over_support,
    resize,
    resize_query_plane,
    resize_support_plane,
)
from hmseg.networks.prior import ScoreMaps, silence

GROUPS = 4
"""Of every GroupNorm."""


class HSNetHead(Head):
    """The published head, for the maps of any backbone and any image size.

    Args:
        features: description of the backbone's maps.
        prior: give the decoder the training-free score maps (`hmseg.networks.prior`), and begin with what
            they say; published: no.
    """

    levels = (4, 3, 2)

    def __init__(self, features: Sequence[FeatureInfo], prior: bool = False) -> None:
        super().__init__()
        deep, middle, shallow = maps_per_level(features, self.levels)
        self.encoder_layer4 = squeeze(deep, (16, 64, 128), kernels=(3, 3, 3), strides=(2, 2, 2))
        self.encoder_layer3 = squeeze(middle, (16, 64, 128), kernels=(5, 3, 3), strides=(4, 2, 2))
        self.encoder_layer2 = squeeze(shallow, (16, 64, 128), kernels=(5, 5, 3), strides=(4, 4, 2))
        self.encoder_layer4to3 = squeeze(128, (128, 128, 128), kernels=(3, 3, 3), strides=(1, 1, 1))
        self.encoder_layer3to2 = squeeze(128, (128, 128, 128), kernels=(3, 3, 3), strides=(1, 1, 1))
        self.prior = ScoreMaps() if prior else None
        self.sees_masks = prior
        self.plain_levels = frozenset(ScoreMaps.levels if prior else ())
        self.decoder1 = nn.Sequential(
            nn.Conv2d(128 + (ScoreMaps.channels if prior else 0), 128, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(128, 64, 3, padding=1),
            nn.ReLU(),
        )
        self.decoder2 = nn.Sequential(
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 2, 3, padding=1)
        )
        self.upsample = Upsample2x()
        if prior:
            silence(self.decoder2)

    def forward(self, query: Levels, support: Levels, support_masks: Tensor) -> Tensor:
        """Logits (B * K, 2, 2 h, 2 w), where h x w is the query's plane at level 2."""
        plain = support
        if self.prior is not None:
            support, plain = split_plain(support, self.plain_levels)
        squeezed4 = squeezed(self.encoder_layer4, query[4], support[4])
        squeezed3 = squeezed(self.encoder_layer3, query[3], support[3])
        squeezed2 = squeezed(self.encoder_layer2, query[2], support[2])
        mixed = self.encoder_layer4to3(add_resized(squeezed4, squeezed3))
        mixed = self.encoder_layer3to2(add_resized(mixed, squeezed2))
        context = mean_over_support(mixed)  # (B*K, 128, h, w)
        if self.prior is None:
            return self._decoded(context)
        scores = self.prior(query, plain, support_masks, (context.shape[-2], context.shape[-1]))
        logits = self._decoded(torch.cat((context, scores), dim=1))
        return logits + self.prior.logits(resize(scores, (logits.shape[-2], logits.shape[-1])))  # type: ignore[no-any-return]

    def _decoded(self, context: Tensor) -> Tensor:
        return self.decoder2(self.upsample(self.decoder1(context)))  # type: ignore[no-any-return]


def squeeze(
    in_channels: int, channels: Sequence[int], kernels: Sequence[int], strides: Sequence[int]
) -> nn.Sequential:
    """Centre-pivot convolutions, each with GroupNorm and ReLU; ``strides`` are over the support plane."""
    layers: list[nn.Module] = []
    for out_channels, kernel, stride in zip(channels, kernels, strides, strict=True):
        layers += [
            CentrePivotConv4d(in_channels, out_channels, kernel, stride),
            GroupNorm4d(GROUPS, out_channels, inplace=True),
            nn.ReLU(inplace=True),
        ]
        in_channels = out_channels
    return nn.Sequential(*layers)


def squeezed(layers: nn.Sequential, query: Sequence[Tensor], support: Sequence[Tensor]) -> Tensor:
    """The correlations of a level's maps, squeezed by a block of layers; see `correlate_and_convolve`."""
    first, *others = layers
    assert isinstance(first, CentrePivotConv4d)
    x = correlate_and_convolve(first, query, support)
    for layer in others:
        x = layer(x)
    return x


def add_resized(deeper: Tensor, shallower: Tensor) -> Tensor:
    """Resize the deeper result over its query plane to the shallower one's, and add the two.

    The support planes agree wherever a backbone rounds its sizes up, as ResNets do (both are ceil(S / 256)).
    VGG-16 rounds down, so at some sizes the deeper plane is smaller and is resized too.
    """
    resized = resize_query_plane(deeper, (shallower.shape[2], shallower.shape[3]))
    return added(resize_support_plane(resized, (shallower.shape[4], shallower.shape[5])), shallower)
