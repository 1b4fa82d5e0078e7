"""ASNet's head: squeeze the hypercorrelation pyramid by attention over its support planes.

REFERENCE section 5; Kang, Cho: "Integrative Few-Shot Learning for Classification and Segmentation",
CVPR 2022. Parameters bear the published names.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmseg.backbones import FeatureInfo
from hmseg.correlation import hypercorrelation
from hmseg.exporting import larger
from hmseg.masking import Masking
from hmseg.networks.asnet_layers import AttentiveSqueezeLayer
from hmseg.networks.fewshot import Head, Levels, maps_per_level, split_plain
from hmseg.networks.layers import Upsample2x, mean_over_support, resize
from hmseg.networks.prior import ScoreMaps, silence

POOLED_WIDTH = 50
"""Support maps at least this wide are average-pooled. REFERENCE section 1."""

LEAST_PLANE = 17
"""Smallest side of a support plane that two strides of 4 leave two positions of, which kernel 2 needs."""


class ASNetHead(Head):
    """The published head, for the maps of any backbone and any image size.

    The published code ends at a 1 x 1 support plane, or fails: it takes squares of 393 to 512 pixels with
    ResNets, of 400 to 519 with VGG-16. Two additions make it work for any size, query and supports of
    different ones too, and change nothing at those:

    - Support planes of levels 3 and 2 below 17 positions a side are enlarged to 17 (bilinear, corners
      aligned) before the first layer.
    - What is left of the support plane is averaged after levels 3 and 2 too, as it is after level 4.

    Args:
        features: description of the backbone's maps.
        prior: give the decoder the training-free score maps (`hmseg.networks.prior`), and begin with what
            they say; published: no.
    """

    levels = (4, 3, 2)
    published_prefix = "learner."

    def __init__(self, features: Sequence[FeatureInfo], prior: bool = False) -> None:
        super().__init__()
        deep, middle, shallow = maps_per_level(features, self.levels)
        self.encoder_layer4 = Squeeze(deep, (32, 128), kernels=(5, 3), strides=(4, 2))
        self.encoder_layer3 = Squeeze(middle, (32, 128), kernels=(5, 5), strides=(4, 4), pool_kv=True)
        self.encoder_layer2 = Squeeze(shallow, (32, 128), kernels=(5, 5), strides=(4, 4), pool_kv=True)
        self.encoder_layer4to3 = Squeeze(128, (128, 128), kernels=(1, 2), strides=(1, 1))
        self.encoder_layer3to2 = Squeeze(128, (128, 128), kernels=(1, 2), strides=(1, 1))
        self.prior = ScoreMaps() if prior else None
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

    def before_masking(self, support: Tensor, level: int, masking: Masking) -> Tensor:
        """Average-pool maps at least 50 wide to half their size; zeros beyond the border count."""
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            return pooled_where_wide(support)
        if support.shape[-1] < POOLED_WIDTH:
            return support
        return F.avg_pool2d(support, kernel_size=3, stride=2, padding=1)

    def forward(self, query: Levels, support: Levels, support_masks: Tensor) -> Tensor:
        """Logits (B * K, 2, 2 h, 2 w), where h x w is the query's plane at level 2."""
        plain = support
        if self.prior is not None:
            support, plain = split_plain(support, self.plain_levels)
        squeezed4 = self.encoder_layer4(hypercorrelation(query[4], support[4]), support_masks)
        squeezed3 = self.encoder_layer3(enlarged(hypercorrelation(query[3], support[3])), support_masks)
        squeezed2 = self.encoder_layer2(enlarged(hypercorrelation(query[2], support[2])), support_masks)
        mixed = self.encoder_layer4to3(add_context(squeezed4, squeezed3), support_masks)
        mixed = self.encoder_layer3to2(add_context(mixed, squeezed2), support_masks)
        context = mean_over_support(mixed)  # (B*K, 128, h, w)
        if self.prior is None:
            return self._decoded(context)
        scores = self.prior(query, plain, support_masks, (context.shape[-2], context.shape[-1]))
        logits = self._decoded(torch.cat((context, scores), dim=1))
        return logits + self.prior.logits(resize(scores, (logits.shape[-2], logits.shape[-1])))  # type: ignore[no-any-return]

    def _decoded(self, context: Tensor) -> Tensor:
        return self.decoder2(self.upsample(self.decoder1(context)))  # type: ignore[no-any-return]


class Squeeze(nn.ModuleList):
    """Attentive squeeze layers one after the other, on 6-D correlations."""

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
        pool_kv: bool = False,
    ) -> None:
        super().__init__()
        for out_channels, kernel, stride in zip(channels, kernels, strides, strict=True):
            self.append(AttentiveSqueezeLayer(in_channels, out_channels, kernel, stride, pool_kv))
            in_channels = out_channels

    def forward(self, x: Tensor, support_masks: Tensor) -> Tensor:
        """(N, C, hq, wq, hs, ws) and (N, H, W) -> (N, C', hq, wq, hs', ws')."""
        query_size = x.shape[2:4]
        x = x.flatten(2, 3)
        for layer in self:
            x = layer(x, support_masks)
        return x.view(*x.shape[:2], *query_size, *x.shape[3:])


def pooled_where_wide(support: Tensor) -> Tensor:
    """:meth:`ASNetHead.before_masking` as one graph for maps of any width, for files that leave it open.

    The mean around each position, of which every second one is taken; or the map, of which each is.

    Example:
        >>> wide, narrow = torch.rand(1, 2, 7, 51), torch.rand(1, 2, 7, 49)
        >>> torch.allclose(pooled_where_wide(wide), F.avg_pool2d(wide, 3, stride=2, padding=1))
        True
        >>> torch.equal(pooled_where_wide(narrow), narrow)
        True
    """
    height, width = (torch.as_tensor(side) for side in support.shape[-2:])
    wide = width >= POOLED_WIDTH
    step = 1 + wide.long()
    chosen = torch.where(wide, F.avg_pool2d(support, kernel_size=3, stride=1, padding=1), support)
    rows, columns = torch.arange(0, height, step), torch.arange(0, width, step)  # type: ignore[call-overload]
    return chosen.index_select(-2, rows).index_select(-1, columns)


def enlarged(correlation: Tensor) -> Tensor:
    """Enlarge the support plane of (N, C, hq, wq, hs, ws) to `LEAST_PLANE` a side where it is smaller."""
    size = larger(correlation.shape[-2], LEAST_PLANE), larger(correlation.shape[-1], LEAST_PLANE)
    return resize(correlation.flatten(1, 3), size).view(*correlation.shape[:4], *size)


def add_context(deeper: Tensor, shallower: Tensor) -> Tensor:
    """Average the deeper result over its support plane, resize it over the query plane, and add it.

    Args:
        deeper: (N, C, h, w, hs, ws).
        shallower: (N, C, h', w', hs', ws').

    Returns:
        Shaped as ``shallower``.
    """
    context = resize(mean_over_support(deeper), (shallower.shape[2], shallower.shape[3]))
    return shallower + context[..., None, None]
