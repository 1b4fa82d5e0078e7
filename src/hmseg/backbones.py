"""Frozen feature pyramids: one interface over torchvision's networks.

A backbone gives a list of maps, described one by one (level, channels, stride) in forward order. Maps are
taken *before* the last ReLU of their block, so they may be negative. REFERENCE section 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from hmseg.errors import ConfigError, unknown
from hmseg.folding import FoldedConvolutions
from hmseg.weights import load_weights


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


class ResNetBackbone(Backbone):
    """ResNet with bottleneck blocks: every block of layers 2 to 4, and the last of layer 1.

    Args:
        net: torchvision's network.
        stride_in_1x1: put the stride of layers 2 to 4 into the first block's 1x1 ``conv1`` (the original
            Caffe networks) and not into its 3x3 ``conv2`` (torchvision). Both have the same weight names.
    """

    def __init__(self, net: torchvision.models.ResNet, stride_in_1x1: bool = False) -> None:
        super().__init__()
        self.conv1, self.bn1, self.maxpool = net.conv1, net.bn1, net.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = net.layer1, net.layer2, net.layer3, net.layer4
        if stride_in_1x1:
            for layer in (self.layer2, self.layer3, self.layer4):
                layer[0].conv1.stride, layer[0].conv2.stride = layer[0].conv2.stride, layer[0].conv1.stride
        depths = (1, len(self.layer2), len(self.layer3), len(self.layer4))
        self.feature_info = tuple(
            FeatureInfo(level, 128 * 2**level, 2 ** (level + 1))
            for level, depth in enumerate(depths, start=1)
            for _ in range(depth)
        )
        self.convolve = FoldedConvolutions()
        self.freeze()

    def maps(self, images: Tensor) -> Iterator[Tensor]:
        """Residual sums of the blocks, before the block's last ReLU; channels last in memory."""
        x = images.contiguous(memory_format=torch.channels_last)
        x = self.maxpool(self.convolve(self.conv1, self.bn1, x, relu=True))
        for block in self.layer1[:-1]:
            x = self._bottleneck(block, x, relu=True)
        for block in (self.layer1[-1], *self.layer2, *self.layer3, *self.layer4):
            if block is not self.layer1[-1]:
                x = x.relu()  # not in place: the caller holds the map
            x = self._bottleneck(block, x)
            yield x

    def _bottleneck(self, block: Any, x: Tensor, relu: bool = False) -> Tensor:
        """The block, up to its last ReLU or with it; ``x``, which nobody else holds, is the sum's memory."""
        out = self.convolve(block.conv1, block.bn1, x, relu=True)
        out = self.convolve(block.conv2, block.bn2, out, relu=True)
        shortcut = (
            x if block.downsample is None else self.convolve(block.downsample[0], block.downsample[1], x)
        )
        return self.convolve(block.conv3, block.bn3, out, relu, onto=shortcut)


class VGG16Backbone(Backbone):
    """VGG-16: convolutions before their ReLU at strides 4 (last only), 8 and 16, and the last max-pool."""

    taken = {14: 1, 17: 2, 19: 2, 21: 2, 24: 3, 26: 3, 28: 3, 30: 4}  # index in `features` -> level

    def __init__(self, net: torchvision.models.VGG) -> None:
        super().__init__()
        self.features = net.features
        self.feature_info = tuple(
            FeatureInfo(level, 256 if level == 1 else 512, 2 ** (level + 1)) for level in self.taken.values()
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.freeze()

    def maps(self, images: Tensor) -> Iterator[Tensor]:
        """Outputs of ``features[i]`` for i in ``taken``; channels last in memory."""
        x = images.contiguous(memory_format=torch.channels_last)
        for index, module in enumerate(self.features):
            if isinstance(module, nn.ReLU):
                x = x.relu() if index - 1 in self.taken else x.relu_()  # the caller holds those taken
            else:
                x = module(x)
            if index in self.taken:
                yield x


class MobileNetV2Backbone(Backbone):
    """MobileNetV2: linear outputs of the inverted residual blocks at strides 4 (last only), 8, 16, 32."""

    taken = {
        3: 1,
        **dict.fromkeys(range(4, 7), 2),
        **dict.fromkeys(range(7, 14), 3),
        **dict.fromkeys(range(14, 18), 4),
    }
    classifier_prefixes = ("features.18.", "classifier.")

    def __init__(self, net: torchvision.models.MobileNetV2) -> None:
        super().__init__()
        self.features = net.features[:18]  # the last 1x1 convolution serves the classifier only
        self.feature_info = tuple(
            FeatureInfo(level, self.features[index].out_channels, 2 ** (level + 1))
            for index, level in self.taken.items()
        )
        self.convolve = FoldedConvolutions()
        self.freeze()

    def maps(self, images: Tensor) -> Iterator[Tensor]:
        """Outputs of ``features[i]`` for i in ``taken``; channels last in memory."""
        x = images.contiguous(memory_format=torch.channels_last)  # depthwise convolutions run twice as fast
        for index, module in enumerate(self.features):
            x = self._block(module, x)
            if index in self.taken:
                yield x

    def _block(self, block: nn.Module, x: Tensor) -> Tensor:
        """Stem or inverted residual block: convolutions with batch norm, ReLU6 behind all but the last."""
        out = x
        for step in block.modules():
            if isinstance(step, nn.Conv2d):
                convolution = step
            elif isinstance(step, nn.BatchNorm2d):
                out = self.convolve(convolution, step, out)
            elif isinstance(step, nn.ReLU6):
                out = F.relu6(out, inplace=True)
        return out.add_(x) if getattr(block, "use_res_connect", False) else out


def _resnet50_caffe() -> Backbone:
    return ResNetBackbone(torchvision.models.resnet50(), stride_in_1x1=True)


BACKBONES: dict[str, Callable[[], Backbone]] = {
    "vgg16": lambda: VGG16Backbone(torchvision.models.vgg16()),
    "resnet50": lambda: ResNetBackbone(torchvision.models.resnet50()),
    "resnet101": lambda: ResNetBackbone(torchvision.models.resnet101()),
    "resnet50_caffe": _resnet50_caffe,
    "mobilenet_v2": lambda: MobileNetV2Backbone(torchvision.models.mobilenet_v2()),
}


def build_backbone(name: str, weights: str = "random") -> Backbone:
    """A frozen backbone with its weights.

    Args:
        name: ``vgg16``, ``resnet50``, ``resnet101``, ``resnet50_caffe`` (ResNet-50 v1, Caffe strides),
            ``mobilenet_v2``, or ``timm/NAME`` (:func:`hmseg.backbones_timm.build_timm_backbone`).
        weights: ``random``; ``imagenet`` (torchvision's IMAGENET1K_V1, through its download cache);
            ``bundled`` (inside the package, MobileNetV2 only); or the path of a state-dict file.

    Raises:
        ConfigError: no such backbone.
        WeightsError: the weights can't be fetched, found or loaded.

    Example:
        >>> backbone = build_backbone("mobilenet_v2", weights="bundled")
        >>> [tuple(m.shape) for m in backbone(torch.zeros(1, 3, 64, 96))][-1]
        (1, 320, 2, 3)
        >>> backbone.feature_info[-1]
        FeatureInfo(level=4, channels=320, stride=32)
    """
    if name.startswith("timm/"):
        from hmseg.backbones_timm import build_timm_backbone  # it builds on this module

        return build_timm_backbone(name.removeprefix("timm/"), weights)
    if name not in BACKBONES:
        raise ConfigError(unknown("backbone", name, [*BACKBONES, "timm/NAME"]))
    backbone = BACKBONES[name]()
    backbone.weights_origin = load_weights(backbone, name, weights, backbone.classifier_prefixes)
    return backbone
