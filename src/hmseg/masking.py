"""Masking strategies: which support features reach the hypercorrelation.

Pure functions first (tensors in, tensors out), thin strategies after them. A strategy says which
variants of the support image must pass the backbone and how their features are joined; it knows
nothing of the backbone, the head or Lightning. REFERENCE section 2; Hybrid Masking is Moon et al.,
ECCV 2022 (arXiv 2203.12826).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from hmseg.errors import ConfigError, unknown

Variant = Literal["plain", "masked"]
"""``plain``: the support image as it is; ``masked``: the image zeroed outside its mask."""


def resize_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize masks (N, H, W) to ``size`` as float32 in [0, 1]: bilinear, corners aligned, no antialiasing."""
    resized = F.interpolate(mask[:, None].float(), size, mode="bilinear", align_corners=True)
    return resized[:, 0]


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


def input_mask(images: Tensor, mask: Tensor) -> Tensor:
    """Input masking (IM): zero the *normalised* image outside the mask, so that the mean colour is left.

    Args:
        images: (N, 3, H, W) normalised images.
        mask: (N, H, W) bool, or numbers 0 and 1.

    Returns:
        (N, 3, H, W), a new tensor.
    """
    return images * mask[:, None].to(images.dtype)


def hybrid_mask(feature_masked: Tensor, input_masked: Tensor) -> Tensor:
    """Hybrid masking (HM): keep what FM leaves above zero, fill the rest from the masked image's features.

    Decided for every channel and position by itself, on features before their last ReLU, so negative
    activations inside the object are replaced too; the result is not masked again.

    Args:
        feature_masked: features after :func:`feature_mask`, any shape.
        input_masked: features of the image after :func:`input_mask`, the same shape.

    Returns:
        The merged features, a new tensor.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> hybrid_mask(torch.tensor([2.0, 0.0, -1.0]), torch.tensor([5.0, 6.0, -7.0]))
        tensor([ 2.,  6., -7.])
    """
    if feature_masked.shape != input_masked.shape:
        raise ValueError(
            f"hybrid_mask merges two tensors of one shape; got {tuple(feature_masked.shape)} "
            f"and {tuple(input_masked.shape)}"
        )
    return torch.where(feature_masked > 0, feature_masked, input_masked)


class Masking(ABC):
    """How support features are masked.

    Attributes:
        variants: the support images that must pass the backbone, in the order in which :meth:`apply`
            finds their features.
    """

    variants: ClassVar[tuple[Variant, ...]]

    def views(self, images: Tensor, mask: Tensor) -> dict[Variant, Tensor]:
        """The support images that must pass the backbone, by the names in ``variants``.

        Args:
            images: (N, 3, H, W) normalised images.
            mask: (N, H, W) float, 0 or 1.
        """
        make = {"plain": lambda: images, "masked": lambda: input_mask(images, mask)}
        return {variant: make[variant]() for variant in self.variants}

    @abstractmethod
    def apply(self, features: Mapping[Variant, Tensor], mask: Tensor, level: int) -> Tensor:
        """Masked support features of one backbone map.

        Args:
            features: for each of ``variants``, (N, C, h, w).
            mask: (N, H, W) at image size.
            level: pyramid level of the map, 1 to 4.

        Returns:
            (N, C, h, w). May be one of the given tensors itself, never changed in place.
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class NoMasking(Masking):
    """Support features as they are: for heads that mask elsewhere (ASNet), and as an ablation."""

    variants = ("plain",)

    def apply(self, features: Mapping[Variant, Tensor], mask: Tensor, level: int) -> Tensor:
        """The plain features."""
        return features["plain"]


class FeatureMasking(Masking):
    """Feature masking, the default of HSNet and VAT."""

    variants = ("plain",)

    def apply(self, features: Mapping[Variant, Tensor], mask: Tensor, level: int) -> Tensor:
        """The plain features, :func:`feature_mask`-ed."""
        return feature_mask(features["plain"], mask)


class InputMasking(Masking):
    """Input masking: the features of the masked image alone."""

    variants = ("masked",)

    def apply(self, features: Mapping[Variant, Tensor], mask: Tensor, level: int) -> Tensor:
        """The masked image's features."""
        return features["masked"]


class HybridMasking(Masking):
    """Hybrid masking (Moon et al., ECCV 2022): feature masking, its gaps filled by input masking."""

    variants = ("plain", "masked")

    def apply(self, features: Mapping[Variant, Tensor], mask: Tensor, level: int) -> Tensor:
        """:func:`hybrid_mask` of the plain features under the mask and the masked image's features."""
        return hybrid_mask(feature_mask(features["plain"], mask), features["masked"])


MASKINGS: dict[str, type[Masking]] = {
    "none": NoMasking,
    "feature": FeatureMasking,
    "input": InputMasking,
    "hybrid": HybridMasking,
}


def build_masking(name: str) -> Masking:
    """The strategy of this name.

    Raises:
        ConfigError: no such strategy.

    Example:
        >>> build_masking("hybrid").variants
        ('plain', 'masked')
    """
    if name not in MASKINGS:
        raise ConfigError(unknown("masking", name, MASKINGS))
    return MASKINGS[name]()
