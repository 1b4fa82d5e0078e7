"""EfficientNet-Lite as a frozen feature pyramid.

Source: github.com/tensorflow/tpu, models/official/efficientnet/lite. EfficientNet (Tan and Le, ICML 2019)
without squeeze-and-excitation, with ReLU6 for swish, and with a stem of one width for all sizes. Modules bear
the names of the published PyTorch weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmseg.backbones.base import Backbone, FeatureInfo
from hmseg.folding import FoldedConvolutions
from hmseg.imagenet import conversion

MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
"""Of the images that the published weights were trained on, in [0, 1]: (pixel - 127) / 128."""

STEM = 32
"""Channels behind the first convolution, whatever the width."""


class Stage(NamedTuple):
    """Blocks of one shape; the first has the stride.

    Attributes:
        depth: how many blocks, before scaling.
        kernel: side of the depthwise kernel.
        stride: of the first block.
        expansion: channels of the depthwise convolution by those that enter the block.
        channels: channels that leave the blocks, before scaling.
        level: level of the pyramid that the outputs belong to; 0: none.
    """

    depth: int
    kernel: int
    stride: int
    expansion: int
    channels: int
    level: int


STAGES = (
    Stage(1, 3, 1, 1, 16, 0),
    Stage(2, 3, 2, 6, 24, 1),
    Stage(2, 5, 2, 6, 40, 2),
    Stage(3, 3, 2, 6, 80, 3),
    Stage(3, 5, 1, 6, 112, 3),
    Stage(4, 5, 2, 6, 192, 4),
    Stage(1, 3, 1, 6, 320, 4),
)


class MBConv(nn.Module):
    """Weights of an inverted residual block: 1x1 to more channels, depthwise, 1x1 to fewer, each normalised.

    Args:
        in_channels: channels that enter.
        out_channels: channels that leave.
        stage: its kernel and expansion.
        stride: of the depthwise convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, stage: Stage, stride: int) -> None:
        super().__init__()
        middle = in_channels * stage.expansion
        self.expands, self.adds = stage.expansion != 1, stride == 1 and in_channels == out_channels
        if self.expands:
            self._expand_conv, self._bn0 = nn.Conv2d(in_channels, middle, 1, bias=False), _norm(middle)
        self._depthwise_conv = _same_conv(middle, middle, stage.kernel, stride, groups=middle)
        self._bn1 = _norm(middle)
        self._project_conv, self._bn2 = nn.Conv2d(middle, out_channels, 1, bias=False), _norm(out_channels)


class EfficientNetLiteBackbone(Backbone):
    """EfficientNet-Lite: linear outputs of the blocks at strides 4 (last only), 8, 16, 32.

    Published weights expect RGB images normalised as (pixel - 127) / 128; their ImageNet scores are of
    squares of 224 (lite0), 240 (lite1) or 260 pixels (lite2), resized bicubically and cut from the middle.
    Images arrive here normalised by ImageNet's statistics and are converted first, so that the zeros by which
    convolutions pad mean what they did in training. Any size is taken; a map has ceil(side / stride)
    positions a side.

    Args:
        width: factor of all channels behind the stem, rounded to multiples of 8; lite2 has 1.1.
        depth: factor of the blocks of all stages but the first and last, rounded up; lite1 has 1.1, lite2
            has 1.2.
    """

    classifier_prefixes = ("_conv_head.", "_bn1.", "_fc.")
    scale: Tensor
    shift: Tensor

    def __init__(self, width: float = 1.0, depth: float = 1.0) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _same_conv(3, STEM, 3, 2), _norm(STEM)
        blocks, features, channels, stride = [], [], STEM, 2
        for stage in STAGES:
            repeats = stage.depth if stage in (STAGES[0], STAGES[-1]) else math.ceil(stage.depth * depth)
            stride *= stage.stride
            for index in range(repeats):
                entering, channels = channels, _scaled(stage.channels, width)
                blocks.append(MBConv(entering, channels, stage, 1 if index else stage.stride))
                taken = stage.level > 1 or (stage.level == 1 and index == repeats - 1)
                features.append(FeatureInfo(stage.level, channels, stride) if taken else None)
        self._blocks = nn.ModuleList(blocks)
        self.taken = [info is not None for info in features]
        self.feature_info = tuple(info for info in features if info is not None)
        scale, shift = conversion(MEAN, STD)
        # Not persistent: they are no weights.
        self.register_buffer("scale", torch.tensor(scale).view(3, 1, 1), persistent=False)
        self.register_buffer("shift", torch.tensor(shift).view(3, 1, 1), persistent=False)
        self.convolve = FoldedConvolutions()
        self.freeze()

    def maps(self, images: Tensor) -> Iterator[Tensor]:
        """Outputs of the blocks that are ``taken``; channels last in memory."""
        x = images.contiguous(memory_format=torch.channels_last)  # depthwise convolutions run twice as fast
        x = x * self.scale.to(x.dtype) + self.shift.to(x.dtype)
        x = self._same(self._conv_stem, self._bn0, x)
        for block, taken in zip(self._blocks, self.taken, strict=True):
            x = self._block(block, x)
            if taken:
                yield x

    def _block(self, block: Any, x: Tensor) -> Tensor:
        """Convolutions with batch norm, ReLU6 behind all but the last; ``x`` stays as it is."""
        out = x
        if block.expands:
            out = F.relu6(self.convolve(block._expand_conv, block._bn0, out), inplace=True)
        out = self._same(block._depthwise_conv, block._bn1, out)
        out = self.convolve(block._project_conv, block._bn2, out)
        return out.add_(x) if block.adds else out

    def _same(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
        """A convolution with batch norm and ReLU6, padded as TensorFlow's "SAME" does.

        With stride 2 an even side gets one zero fewer at its start, so that windows begin elsewhere than
        with PyTorch's padding.
        """
        if conv.stride[0] == 2:
            half, (height, width) = conv.kernel_size[0] // 2, x.shape[-2:]
            x = F.pad(x, (half - 1 + width % 2, half, half - 1 + height % 2, half))
        return F.relu6(self.convolve(conv, norm, x), inplace=True)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)  # TensorFlow's


def _same_conv(in_channels: int, out_channels: int, kernel: int, stride: int, groups: int = 1) -> nn.Conv2d:
    """Where it has a stride, its input is padded beforehand."""
    padding = kernel // 2 if stride == 1 else 0
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)


def _scaled(channels: int, width: float) -> int:
    """Channels times ``width``, at the nearest multiple of 8, but no less than nine tenths of it.

    Example:
        >>> [_scaled(channels, 1.1) for channels in (16, 24, 40, 80, 112, 192, 320)]
        [16, 24, 48, 88, 120, 208, 352]
    """
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * width else rounded
