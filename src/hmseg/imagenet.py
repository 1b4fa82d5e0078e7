"""The colour statistics by which images are normalised, for data, maskings and backbones alike."""

from __future__ import annotations

from collections.abc import Sequence

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Of red, green and blue in [0, 1]. REFERENCE section 1."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Likewise."""


def conversion(mean: Sequence[float], std: Sequence[float]) -> tuple[list[float], list[float]]:
    """Scale and shift, by channel, from images normalised by ImageNet's statistics to others'.

    Example:
        >>> conversion(IMAGENET_MEAN, IMAGENET_STD)
        ([1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
        >>> scale, shift = conversion((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        >>> red = (1 - 0.485) / 0.229  # of white
        >>> round(red * scale[0] + shift[0], 6)
        1.0
    """
    ours = list(zip(IMAGENET_MEAN, IMAGENET_STD, strict=True))
    scale = [from_std / to_std for (_, from_std), to_std in zip(ours, std, strict=True)]
    shift = [(m - to) / to_std for (m, _), to, to_std in zip(ours, mean, std, strict=True)]
    return scale, shift
