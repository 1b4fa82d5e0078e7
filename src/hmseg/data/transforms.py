"""Resizing of images and masks, and the normalisation that backbones expect (REFERENCE sections 1 and 8)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """Resizes an image as Pillow's antialiased bilinear filter does, as HSNet and ASNet are trained.

    Args:
        image: (H, W, 3) uint8.
        size: height and width wanted, in pixels.

    Returns:
        (3, height, width) uint8. Where the size already fits it shares memory with ``image``.
    """
    height, width = size
    if image.shape[:2] != (height, width):
        image = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    elif not image.flags.writeable:  # a tensor cannot share memory that must not be written
        image = image.copy()
    return torch.from_numpy(image).permute(2, 0, 1)  # (H, W, 3) -> (3, H, W)


def resize_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> Tensor:
    """Resizes a mask as ``torch.nn.functional.interpolate(mode="nearest")`` does.

    Args:
        mask: (H, W) bool.
        size: height and width wanted, in pixels.

    Returns:
        (height, width) bool. Where the size already fits it shares memory with ``mask``.

    Example:
        >>> resize_mask(np.array([[True, False], [False, False]]), (2, 4)).int().tolist()
        [[1, 1, 0, 0], [0, 0, 0, 0]]
    """
    given = torch.from_numpy(mask if mask.flags.writeable else mask.copy())
    if given.shape == size:
        return given
    return F.interpolate(given[None, None].byte(), size=size, mode="nearest")[0, 0].bool()


@lru_cache
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    """ImageNet mean and standard deviation, each (3, 1, 1); kept, since copying to a GPU waits for it."""
    mean = torch.tensor(IMAGENET_MEAN, dtype=torch.float32, device=device)
    std = torch.tensor(IMAGENET_STD, dtype=torch.float32, device=device)
    return mean[:, None, None], std[:, None, None]


def normalise(images: Tensor) -> Tensor:
    """(x / 255 - mean) / std with the ImageNet constants: what every backbone takes (REFERENCE section 1).

    Args:
        images: (..., 3, H, W) uint8 RGB.

    Returns:
        (..., 3, H, W) float32 on the same device.

    Raises:
        TypeError: the images are not bytes, so they may have been normalised already.

    Example:
        >>> [round(v, 3) for v in normalise(torch.zeros(3, 1, 1, dtype=torch.uint8)).flatten().tolist()]
        [-2.118, -2.036, -1.804]
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"images of {images.dtype} came, torch.uint8 was expected: normalise only once")
    mean, std = _constants(images.device)
    return images.to(torch.float32).div_(255).sub_(mean).div_(std)


def denormalise(images: Tensor) -> Tensor:
    """The exact inverse of ``normalise``, for showing.

    Args:
        images: (..., 3, H, W) float, normalised.

    Returns:
        (..., 3, H, W) uint8, rounded and clamped to 0..255.
    """
    mean, std = _constants(images.device)
    return (images.to(torch.float32) * std + mean).mul_(255).round_().clamp_(0, 255).to(torch.uint8)
