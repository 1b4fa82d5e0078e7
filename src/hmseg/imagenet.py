"""The colour statistics by which images are normalised, for data, maskings and backbones alike."""

from __future__ import annotations

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Of red, green and blue in [0, 1]. REFERENCE section 1."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Likewise."""
