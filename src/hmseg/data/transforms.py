"""Resizing of images and masks, and the normalisation that backbones expect (REFERENCE sections 1 and 8)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hmseg.errors import ConfigError, unknown
from hmseg.imagenet import IMAGENET_MEAN, IMAGENET_STD

Resizer = Callable[[NDArray[np.uint8], tuple[int, int]], NDArray[np.uint8]]


def _pil(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.array(resized)


def _opencv(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


RESIZERS: dict[str, Resizer] = {"pil": _pil, "opencv": _opencv}


def find_resizer(name: str) -> Resizer:
    """The resizing of a name; raises ConfigError with the nearest name if there is none.

    - ``pil``: Pillow's bilinear filter, antialiased, as HSNet and ASNet are trained. It equals what the
      installed Pillow makes: from version 13 on, Pillow makes images that shrink more in height than in width
      in another order of passes, so a pixel may be one step of 255 off from older versions.
    - ``opencv``: ``cv2.INTER_LINEAR``, not antialiased, as VAT is trained.
    """
    if name not in RESIZERS:
        raise ConfigError(unknown("resize", name, RESIZERS))
    return RESIZERS[name]


def resize_pixels(image: NDArray[np.uint8], size: tuple[int, int], resize: str = "pil") -> NDArray[np.uint8]:
    """Resizes an image as the published code does.

    Args:
        image: (H, W, 3) uint8.
        size: height and width wanted, in pixels.
        resize: ``pil`` or ``opencv``; see ``find_resizer``.

    Returns:
        (height, width, 3) uint8; ``image`` itself where the size already fits.
    """
    resizer = find_resizer(resize)
    return image if image.shape[:2] == size else resizer(image, size)


def resize_image(image: NDArray[np.uint8], size: tuple[int, int], resize: str = "pil") -> Tensor:
    """As ``resize_pixels``, as a tensor.

    Returns:
        (3, height, width) uint8. Where the size already fits it shares memory with ``image``.
    """
    pixels = resize_pixels(image, size, resize)
    if not pixels.flags.writeable:  # a tensor cannot share memory that must not be written
        pixels = pixels.copy()
    return torch.from_numpy(pixels).permute(2, 0, 1)  # (H, W, 3) -> (3, H, W)


@lru_cache(maxsize=4096)
def _nearest(length: int, wanted: int) -> NDArray[np.int64]:
    """Which of ``length`` pixels each of the ``wanted`` ones shows; asked of torch, so it is torch's rule."""
    pixels = torch.arange(length, dtype=torch.float32)  # exact up to 2^24
    chosen = F.interpolate(pixels[None, None], size=wanted, mode="nearest")[0, 0]
    return chosen.long().numpy()


def resize_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> Tensor:
    """Resizes a mask as ``torch.nn.functional.interpolate(mode="nearest")`` does, but several times faster.

    Args:
        mask: (H, W) bool.
        size: height and width wanted, in pixels.

    Returns:
        (height, width) bool. Where the size already fits it shares memory with ``mask``.

    Example:
        >>> resize_mask(np.array([[True, False], [False, False]]), (2, 4)).int().tolist()
        [[1, 1, 0, 0], [0, 0, 0, 0]]
    """
    if mask.shape == size:
        return torch.from_numpy(mask if mask.flags.writeable else mask.copy())
    rows, columns = (_nearest(length, wanted) for length, wanted in zip(mask.shape, size, strict=True))
    return torch.from_numpy(mask[rows].take(columns, axis=1))


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
