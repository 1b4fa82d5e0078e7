"""Masking as strategies: what a few-shot network is given, and what ``conf/masking`` builds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from hmseg.errors import ConfigError, unknown
from hmseg.masking.functions import Fill, feature_mask, hybrid_mask, input_mask
from hmseg.masking_options import check_options

Variant = Literal["plain", "masked"]
"""``plain``: the support image as it is; ``masked``: the image without what is outside its mask."""


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
        make = {"plain": lambda: images, "masked": lambda: self.masked_images(images, mask)}
        return {variant: make[variant]() for variant in self.variants}

    def masked_images(self, images: Tensor, mask: Tensor) -> Tensor:
        """The ``masked`` variant, (N, 3, H, W): :func:`hmseg.masking.input_mask`, as published."""
        return input_mask(images, mask)

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

    def merges(self, level: int) -> bool:
        """Whether the maps of a level are merged from several variants (HM). Heads that resize maps (VAT)
        do so after such a merge, but before a mask alone (REFERENCE section 2)."""
        return False

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
        """The plain features, :func:`hmseg.masking.feature_mask`-ed."""
        return feature_mask(features["plain"], mask)


@dataclass(frozen=True, kw_only=True)
class _WithMaskedImages(Masking):
    """Options of every strategy that masks the image."""

    fill: Fill = "mean"
    dilate: int = 0

    def __post_init__(self) -> None:
        check_options(vars(self))

    def masked_images(self, images: Tensor, mask: Tensor) -> Tensor:
        """The images without what is outside the dilated mask, (N, 3, H, W)."""
        return input_mask(images, mask, self.fill, self.dilate)


@dataclass(frozen=True, kw_only=True)
class InputMasking(_WithMaskedImages):
    """Input masking: the features of the masked image alone.

    Args:
        fill: ``mean`` (published) or ``black``; see :func:`hmseg.masking.input_mask`.
        dilate: image pixels by which the mask grows before the image is masked; published: 0.

    Raises:
        ConfigError: an option is out of range.
    """

    variants = ("masked",)

    def apply(self, features: Mapping[Variant, Tensor], mask: Tensor, level: int) -> Tensor:
        """The masked image's features."""
        return features["masked"]


@dataclass(frozen=True, kw_only=True)
class HybridMasking(_WithMaskedImages):
    """Hybrid masking (Moon et al., ECCV 2022): feature masking, its gaps filled by input masking.

    Args:
        relu: ``before`` (published): maps before their last ReLU are masked and merged. ``after``: support
            maps pass the ReLU first, on every level, so the merged map is non-negative too. At thresholds of
            at least 0 the hard choice falls on the same elements, and its result is the ReLU of the one
            before; the query's maps are not the masking's and stay as they are.
        threshold: FM is kept above it; published: 0.
        mix: None (published) for the hard choice, else the softness of a soft one, above 0. Both in units of
            the features; see :func:`hmseg.masking.hybrid_mask`.
        remask: multiply the merged map with the resized mask again; published: no.
        levels: pyramid levels with hybrid masking, the others have feature masking; None (published): all.
        fill: of the masked image, ``mean`` (published) or ``black``; see :func:`hmseg.masking.input_mask`.
        dilate: image pixels by which the mask grows before the image is masked (only there); published: 0.

    Raises:
        ConfigError: an option is out of range.

    Example:
        >>> HybridMasking(levels=[4, 3]).merges(2)  # level 2 has feature masking
        False
    """

    variants = ("plain", "masked")

    relu: Literal["before", "after"] = "before"
    threshold: float = 0.0
    mix: float | None = None
    remask: bool = False
    levels: Sequence[int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.levels is not None:
            object.__setattr__(self, "levels", tuple(self.levels))  # frozen, but still being made

    def apply(self, features: Mapping[Variant, Tensor], mask: Tensor, level: int) -> Tensor:
        """:func:`hmseg.masking.hybrid_mask` of the plain features under the mask and the masked image's."""
        plain = self._rectified(features["plain"])
        if not self.merges(level):
            return feature_mask(plain, mask)
        filling = self._rectified(features["masked"])
        merged = hybrid_mask(feature_mask(plain, mask), filling, self.threshold, self.mix)
        return feature_mask(merged, mask) if self.remask else merged

    def merges(self, level: int) -> bool:
        """Whether this level has hybrid masking."""
        return self.levels is None or level in self.levels

    def _rectified(self, features: Tensor) -> Tensor:
        return features.relu() if self.relu == "after" else features


MASKINGS: dict[str, type[Masking]] = {
    "none": NoMasking,
    "feature": FeatureMasking,
    "input": InputMasking,
    "hybrid": HybridMasking,
}


def build_masking(name: str, **options: Any) -> Masking:
    """The strategy of this name.

    Args:
        name: ``none``, ``feature``, ``input`` or ``hybrid``.
        options: of :class:`InputMasking` or :class:`HybridMasking`; the others have none.

    Raises:
        ConfigError: no such strategy, or an option that it doesn't have or take.

    Example:
        >>> build_masking("hybrid").variants
        ('plain', 'masked')
        >>> build_masking("input", fill="black", dilate=8)
        InputMasking(fill='black', dilate=8)
    """
    if name not in MASKINGS:
        raise ConfigError(unknown("masking", name, MASKINGS))
    kind = MASKINGS[name]
    known = list(getattr(kind, "__dataclass_fields__", ()))
    for option in options:
        if not known:
            raise ConfigError(f"masking '{name}' has no options, got {option}")
        if option not in known:
            raise ConfigError(unknown(f"{name} masking option", option, known))
    return kind(**options)
