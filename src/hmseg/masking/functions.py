"""Masking as pure functions. None changes its arguments or makes the host wait for a GPU."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from hmseg.imagenet import IMAGENET_MEAN, IMAGENET_STD
from hmseg.masking_options import check_options

Fill = Literal["mean", "black"]
"""What an image shows outside its mask: the mean colour, or black."""

_BLACK = tuple((0 - mean) / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True))


def resize_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize masks (N, H, W) to ``size`` as float32 in [0, 1]: bilinear, corners aligned, no antialiasing."""
    resized = F.interpolate(mask[:, None].float(), size, mode="bilinear", align_corners=True)
    return resized[:, 0]


def dilate_mask(mask: Tensor, pixels: int) -> Tensor:
    """Let masks grow by ``pixels`` in all eight directions: the maximum over a square around each pixel.

    Args:
        mask: (N, H, W) bool, or numbers 0 and 1.
        pixels: at least 0; 0 leaves the mask as it is.

    Returns:
        (N, H, W) float32, 0 or 1.

    Example:
        >>> dilate_mask(torch.tensor([[[1, 0, 0, 0]]]), 2)
        tensor([[[1., 1., 1., 0.]]])
    """
    grown = mask[:, None].float()
    if pixels:  # the square's maximum is that over columns, then over rows
        grown = F.max_pool2d(grown, (2 * pixels + 1, 1), stride=1, padding=(pixels, 0))
        grown = F.max_pool2d(grown, (1, 2 * pixels + 1), stride=1, padding=(0, pixels))
    return grown[:, 0]


def feature_mask(features: Tensor, mask: Tensor) -> Tensor:
    """Feature masking (FM): zero the features outside the mask, resized to their plane.

    Args:
        features: (N, C, h, w) features of the whole support image.
        mask: (N, H, W) bool, or numbers 0 and 1, at image size.

    Returns:
        (N, C, h, w), a new tensor.

    Example:
        >>> feature_mask(torch.full((1, 1, 1, 2), 3.0), torch.tensor([[[1, 0]]]))
        tensor([[[[3., 0.]]]])
    """
    return features * resize_mask(mask, (features.shape[-2], features.shape[-1]))[:, None].to(features.dtype)


def input_mask(images: Tensor, mask: Tensor, fill: Fill = "mean", dilate: int = 0) -> Tensor:
    """Input masking (IM): take the image away outside the mask, before the backbone.

    Args:
        images: (N, 3, H, W) images normalised by :mod:`hmseg.imagenet`'s statistics.
        mask: (N, H, W) bool, or numbers 0 and 1.
        fill: ``mean`` (published) zeroes the *normalised* image, so that the mean colour is left; ``black``
            leaves what a zero of the raw image becomes, (0 - mean) / std.
        dilate: pixels by which the mask grows first; see :func:`dilate_mask`.

    Returns:
        (N, 3, H, W), a new tensor.

    Raises:
        ConfigError: no such fill, or a mask to shrink.

    Example:
        >>> image, mask = torch.ones(1, 3, 1, 2), torch.tensor([[[True, False]]])
        >>> input_mask(image, mask)[0, 0], input_mask(image, mask, fill="black")[0, 0]
        (tensor([[1., 0.]]), tensor([[ 1.0000, -2.1179]]))
    """
    check_options({"fill": fill, "dilate": dilate})
    if dilate:
        mask = dilate_mask(mask, dilate)
    if fill == "mean":
        return images * mask[:, None].to(images.dtype)
    inside = mask.bool()  # numbers for the colour, not a tensor: that would have to be copied to a GPU
    channels = zip(images.unbind(dim=1), _BLACK, strict=True)
    return torch.stack([torch.where(inside, channel, black) for channel, black in channels], dim=1)


def hybrid_mask(
    feature_masked: Tensor, input_masked: Tensor, threshold: float = 0.0, mix: float | None = None
) -> Tensor:
    """Hybrid masking (HM): keep what FM leaves above the threshold, fill the rest from the masked image.

    Decided for every channel and position by itself, on features before their last ReLU, so negative
    activations inside the object are replaced too; the result is not masked again. Outside the object FM is
    0, so a threshold below 0 keeps those zeros and fills only what is lower.

    The published choice is hard: where(FM > threshold, FM, IM). A soft one is w · FM + (1 - w) · IM with
    w = max(0, 2 sigmoid((FM - threshold) / mix) - 1) = tanh(max(FM - threshold, 0) / (2 mix)), which is
    0 up to the threshold and tends to the hard choice as ``mix`` tends to 0. (The sigmoid itself would be 1/2
    at the threshold, however small ``mix``: that is all of the image outside the object.)

    Args:
        feature_masked: features after :func:`feature_mask`, any shape.
        input_masked: features of the image after :func:`input_mask`, the same shape.
        threshold: in units of the features.
        mix: None for the hard choice, else the softness, above 0, in the same units: FM has the weight 0.46
            at ``mix`` above the threshold, and 0.91 at three times that.

    Returns:
        The merged features, a new tensor.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> hybrid_mask(torch.tensor([2.0, 0.0, -1.0]), torch.tensor([5.0, 6.0, -7.0]))
        tensor([ 2.,  6., -7.])
        >>> hybrid_mask(torch.tensor([2.0, 0.0, -1.0]), torch.tensor([5.0, 6.0, -7.0]), mix=2.0)
        tensor([ 3.6136,  6.0000, -7.0000])
    """
    if feature_masked.shape != input_masked.shape:
        raise ValueError(
            f"hybrid_mask merges two tensors of one shape; got {tuple(feature_masked.shape)} "
            f"and {tuple(input_masked.shape)}"
        )
    if mix is None:
        return torch.where(feature_masked > threshold, feature_masked, input_masked)
    weight = torch.tanh((feature_masked - threshold).clamp(min=0) / (2 * mix))
    return torch.lerp(input_masked, feature_masked, weight)
