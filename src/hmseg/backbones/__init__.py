"""Frozen feature pyramids: one interface over torchvision's networks and EfficientNet-Lite.

timm's are in :mod:`hmseg.backbones_timm`.
"""

from hmseg.backbones.base import Backbone, FeatureInfo
from hmseg.backbones.build import BACKBONES, build_backbone
from hmseg.backbones.efficientnet_lite import EfficientNetLiteBackbone
from hmseg.backbones.torchvision_networks import MobileNetV2Backbone, ResNetBackbone, VGG16Backbone

__all__ = [
    "BACKBONES",
    "Backbone",
    "EfficientNetLiteBackbone",
    "FeatureInfo",
    "MobileNetV2Backbone",
    "ResNetBackbone",
    "VGG16Backbone",
    "build_backbone",
]
