"""Frozen feature pyramids of timm: hierarchical networks (ConvNeXt, Swin, …) and plain ViTs (DINOv2, …).

Every timm network with maps of strides 8, 16 and 32 serves, and every one whose blocks all have one stride.
Maps are what its ``forward_intermediates`` gives: before a last ReLU only where the network has none at the
end of a stage, as most of today's; a ResNet of timm's gives maps after it. ``pip install 'hmseg[timm]'``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmseg import timm_networks
from hmseg.backbones import Backbone, FeatureInfo
from hmseg.errors import ConfigError, first_line
from hmseg.imagenet import conversion

LEVELS = {4: 1, 8: 2, 16: 3, 32: 4}
"""Level of each stride of a hierarchical network; only level 1 may be missing."""


class Tap(NamedTuple):
    """A map to take: its position among those that timm offers, the level that it serves, its stride."""

    position: int
    level: int
    stride: int


class TimmBackbone(Backbone):
    """Maps of a timm network.

    Images whose sides are no multiple of the deepest stride (of the patch, for a ViT) are enlarged to the
    next one, bilinearly, so that the positions of every map cover the whole image, as masks resized to it do.
    Images arrive normalised by ImageNet's statistics; for networks made for others they are converted.

    Args:
        net: timm's network with its weights, what lies behind the last map cut off.
        taps: the maps, shallow to deep.
        norm: pass every map through the network's last normalisation.
        any_size: whether the network takes images of any size.
        image_size: side of the square images by which it is tried out, and the only one it takes unless
            ``any_size``; None: the one that it was made for.

    Raises:
        ConfigError: the network can't take images of this size.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, net: nn.Module, taps: Sequence[Tap], norm: bool, any_size: bool, image_size: int | None = None
    ) -> None:
        super().__init__()
        self.net, self.norm = net, norm
        self.indices = [tap.position for tap in taps]
        self.multiple = max(tap.stride for tap in taps)
        made_for: dict[str, Any] = net.pretrained_cfg  # type: ignore[assignment]
        scale, shift = conversion(made_for["mean"], made_for["std"])
        self.converts = any(each != 1 for each in scale) or any(shift)
        # Not persistent: they are no weights.
        self.register_buffer("scale", torch.tensor(scale).view(3, 1, 1), persistent=False)
        self.register_buffer("shift", torch.tensor(shift).view(3, 1, 1), persistent=False)
        self.freeze()
        side = image_size or made_for["input_size"][-1]
        self.only_side = None if any_size else self.rounded_up(side)
        channels = self._channels(side, made_for)
        self.feature_info = tuple(
            FeatureInfo(tap.level, width, tap.stride) for tap, width in zip(taps, channels, strict=True)
        )

    def rounded_up(self, side: int) -> int:
        """The side that images of this side are enlarged to."""
        return -(-side // self.multiple) * self.multiple

    def maps(self, images: Tensor) -> Iterator[Tensor]:
        """timm's intermediate maps (N, C, h, w); class and register tokens are left out.

        Raises:
            ConfigError: the network takes images of another size only.
        """
        height, width = images.shape[-2:]
        size = (self.rounded_up(height), self.rounded_up(width))
        if self.only_side is not None and size != (self.only_side, self.only_side):
            raise ConfigError(
                f"this backbone was built for images of {self.only_side} x {self.only_side} only, got "
                f"{height} x {width}: give it their size as image_size"
            )
        if size != (height, width):
            images = F.interpolate(images, size, mode="bilinear", align_corners=False)
        if self.converts:
            images = images * self.scale.to(images.dtype) + self.shift.to(images.dtype)
        yield from self.net.forward_intermediates(  # type: ignore[operator]
            images, indices=self.indices, norm=self.norm, output_fmt="NCHW", intermediates_only=True
        )

    def _channels(self, side: int, made_for: Mapping[str, Any]) -> list[int]:
        """Channels of the maps, seen on an image of this side."""
        usual = made_for["input_size"][-1]
        try:
            if self.only_side is not None and side != usual and hasattr(self.net, "set_input_size"):
                self.net.set_input_size((self.only_side, self.only_side))  # type: ignore[operator]
            return [each.shape[1] for each in self(torch.zeros(1, 3, side, side))]
        except Exception as error:  # whatever the network's own code stumbles over
            raise ConfigError(
                f"timm's {made_for['architecture']} can't take images of {side} x {side} "
                f"({first_line(error)}); it was made for {usual} x {usual}: give dataset.image_size={usual}, "
                "or take another backbone"
            ) from error


def build_timm_backbone(
    name: str,
    weights: str = "random",
    *,
    blocks: Sequence[Sequence[int]] | None = None,
    image_size: int | None = None,
) -> TimmBackbone:
    """A frozen backbone of timm.

    Hierarchical networks give their maps of stride 4 (level 1, if there is one), 8, 16 and 32 (levels 2 to
    4), usually one each. Plain ones (ViT, DINOv2, EVA, …) give the outputs of groups of blocks as grids, all
    of the patch's stride, each through the network's last normalisation, as DINOv2's own dense features are.

    Args:
        name: timm's, with or without a tag: ``convnext_tiny``, ``vit_small_patch14_dinov2.lvd142m``.
        weights: ``random``; ``imagenet``, here timm's pretrained ones for this name and tag, whatever they
            were trained on, through the Hugging Face cache; or a file with timm's names, ``.safetensors`` or
            torch's.
        blocks: for plain networks, the blocks (from 0) of levels 2, 3, 4 or of 1, 2, 3, 4, where level 1 is
            one block. None: quarters of the depth; of 12 blocks [[2], [3, 4, 5], [6, 7, 8], [9, 10, 11]].
        image_size: side of the images. Networks made for one size only are changed to it where timm can;
            None leaves them as they are.

    Raises:
        ConfigError: no timm, no such network, one that lacks a stride, or one that can't take the size.
        WeightsError: the weights can't be fetched, found or loaded.

    Example:
        >>> backbone = build_timm_backbone("test_vit", image_size=64)
        >>> [tuple(m.shape) for m in backbone(torch.zeros(1, 3, 64, 96))][-1]
        (1, 64, 4, 6)
        >>> backbone.feature_info[-1]
        FeatureInfo(level=4, channels=64, stride=16)
    """
    net, any_size = timm_networks.create(name, pretrained=weights == "imagenet")
    strides = [int(each["reduction"]) for each in timm_networks.offered(net, name)]
    plain = len(set(strides)) == 1
    if not plain and blocks is not None:
        raise ConfigError(f"backbone.blocks: {name} has stages, not blocks of one stride; leave blocks out")
    taps = block_taps(name, strides, blocks) if plain else stage_taps(name, strides)
    origin = timm_networks.cut_and_load(net, name, weights, [tap.position for tap in taps], keep_norm=plain)
    backbone = TimmBackbone(net, taps, plain, any_size, image_size)
    backbone.weights_origin = origin
    return backbone


def stage_taps(name: str, strides: Sequence[int]) -> list[Tap]:
    """The maps of stride 8, 16 and 32, and the last of stride 4.

    Raises:
        ConfigError: a stride is missing.

    Example:
        >>> [tap.level for tap in stage_taps("resnet50", [2, 4, 8, 16, 32])]
        [1, 2, 3, 4]
    """
    if missing := {8, 16, 32} - set(strides):
        raise ConfigError(
            f"{name} can't be a backbone: it has maps of the strides {_numbers(sorted(set(strides)))}, "
            f"none of {_numbers(sorted(missing))}"
        )
    taps = [
        Tap(position, LEVELS[stride], stride) for position, stride in enumerate(strides) if stride in LEVELS
    ]
    shallow = [tap for tap in taps if tap.level == 1]
    return [tap for tap in taps if tap not in shallow[:-1]]


def block_taps(name: str, strides: Sequence[int], blocks: Sequence[Sequence[int]] | None = None) -> list[Tap]:
    """Groups of blocks as levels; see :func:`build_timm_backbone`.

    Raises:
        ConfigError: groups that are no such groups, or fewer than four blocks.

    Example:
        >>> [(tap.position, tap.level) for tap in block_taps("vit", [16] * 4)]
        [(0, 1), (1, 2), (2, 3), (3, 4)]
    """
    depth = len(strides)
    if blocks is None:
        ends = [depth * quarter // 4 for quarter in range(5)]
        groups = [list(range(ends[i], ends[i + 1])) for i in range(4)]
        groups[0] = groups[0][-1:]
    else:
        groups = [list(group) for group in blocks]
    flat = [block for group in groups for block in group]
    fits = (
        len(groups) in (3, 4)
        and all(groups)
        and (len(groups) == 3 or len(groups[0]) == 1)
        and all(type(block) is int and 0 <= block < depth for block in flat)
        and sorted(set(flat)) == flat
    )
    if not fits:
        raise ConfigError(
            f"backbone.blocks: expected ascending blocks of levels 2, 3, 4 (or of 1, 2, 3, 4, one for level "
            f"1), out of the {depth} of {name} from 0 to {depth - 1}, such as [[3,4,5],[6,7,8],[9,10,11]]; "
            f"got {str(groups).replace(' ', '')}"
        )
    first = 5 - len(groups)
    return [Tap(block, level, strides[0]) for level, group in enumerate(groups, first) for block in group]


def _numbers(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))
