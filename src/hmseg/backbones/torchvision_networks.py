"""Frozen feature pyramids of torchvision's networks: ResNet, VGG-16 and MobileNetV2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from hmseg.backbones.base import Backbone, FeatureInfo
from hmseg.folding import FoldedConvolutions


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
