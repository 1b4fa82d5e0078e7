"""What each masking leaves of a support, as arrays, and what hybrid masking took where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hmseg.data.transforms import denormalise, normalise
from hmseg.masking import FeatureMasking, HybridMasking, InputMasking, Masking, NoMasking
from hmseg.masking.strategies import Variant
from hmseg.networks import FewShotNetwork
from hmseg.visualise.pictures import Floats, Mask, Pixels
from hmseg.visualise.tensors import check_level, mean, support_tensors, tensor


@dataclass(frozen=True)
class MaskingMaps:
    """One level of a support under several maskings; planes (h, w) by the masking's name.

    Attributes:
        level: pyramid level.
        activation: root mean square of the masked features over the channels, mean over the level's maps:
            how much of the support is left at a position. At least 0.
        filled: what share of the channels holds the masked image's feature, mean over the level's maps, in
            [0, 1]. Feature masking 0, input masking 1; hybrid masking between: where it filled in.
    """

    level: int
    activation: Mapping[str, Floats]
    filled: Mapping[str, Floats]


def four_maskings(own: Masking) -> dict[str, Masking]:
    """None, feature, input and hybrid masking, with the options of a network's own masking."""
    options = {name: getattr(own, name) for name in ("fill", "dilate") if hasattr(own, name)}
    return {
        "none": NoMasking(),
        "feature": FeatureMasking(),
        "input": InputMasking(**options),
        "hybrid": own if isinstance(own, HybridMasking) else HybridMasking(**options),
    }


@torch.no_grad()
def masking_maps(
    network: FewShotNetwork,
    support: Pixels,
    mask: Mask,
    level: int,
    maskings: Mapping[str, Masking] | None = None,
) -> MaskingMaps:
    """What each masking leaves of a support at one level of the network.

    Args:
        network: gives backbone and head; which masking it was trained with plays no part.
        support: (H, W, 3) uint8, at the size at which the network is to see it.
        mask: (H, W) bool.
        level: pyramid level, one whose support maps the head takes.
        maskings: by name; None: `four_maskings`.

    Raises:
        ConfigError: the head does not look at supports at this level.
        DataError: image and mask don't fit.

    Example:
        >>> import numpy as np
        >>> from hmseg.networks import build_network
        >>> network = build_network("hsnet", "hybrid", "mobilenet_v2", weights="bundled")
        >>> image, mask = np.full((64, 96, 3), 90, dtype=np.uint8), np.zeros((64, 96), dtype=bool)
        >>> mask[16:48, 32:64] = True
        >>> maps = masking_maps(network, image, mask, level=4)
        >>> list(maps.activation), maps.activation["hybrid"].shape
        (['none', 'feature', 'input', 'hybrid'], (2, 3))
    """
    check_level(network, level)
    images, masks = support_tensors(network, support, mask)
    passes = _Passes(network, level)
    activation: dict[str, Floats] = {}
    filled: dict[str, Floats] = {}
    for name, masking in (four_maskings(network.masking) if maskings is None else maskings).items():
        by_variant = {
            variant: [network.head.before_masking(each, level, masking) for each in passes(view)]
            for variant, view in masking.views(images, masks).items()
        }
        maps: list[dict[Variant, Tensor]] = [
            dict(zip(by_variant, each, strict=True)) for each in zip(*by_variant.values(), strict=True)
        ]
        activation[name] = mean([_rms(masking.apply(each, masks, level)) for each in maps])
        filled[name] = mean([_from_masked_image(masking, each, masks, level).mean(1) for each in maps])
    return MaskingMaps(level, activation, filled)


def masked_picture(support: Pixels, mask: Mask, masking: Masking | None = None) -> Pixels:
    """The image that input masking gives the backbone, (H, W, 3): the mean colour or black outside the mask.

    Args:
        support: (H, W, 3) uint8.
        mask: (H, W) bool.
        masking: whose ``fill`` and ``dilate`` count; None: as published.
    """
    images = (InputMasking() if masking is None else masking).masked_images(
        normalise(tensor(support))[None], torch.from_numpy(mask.copy())[None].float()
    )
    picture: Pixels = denormalise(images)[0].permute(1, 2, 0).numpy()
    return picture


@dataclass
class _Passes:
    """Maps of one level, each image through the backbone once, however many maskings ask for it."""

    network: FewShotNetwork
    level: int
    known: list[tuple[Tensor, list[Tensor]]] = field(default_factory=list)

    def __call__(self, images: Tensor) -> list[Tensor]:
        for before, maps in self.known:
            if torch.equal(before, images):
                return maps
        described = zip(self.network.backbone(images), self.network.backbone.feature_info, strict=True)
        maps = [each for each, info in described if info.level == self.level]
        self.known.append((images, maps))
        return maps


def _from_masked_image(
    masking: Masking, features: Mapping[Variant, Tensor], mask: Tensor, level: int
) -> Tensor:
    """What share of each element comes from the masked image: by how much it moves when that moves by 1.

    Asked of the masking itself, so that it holds for every threshold, softness and strategy of one's own that
    mixes the two images' features. (N, C, h, w).
    """
    if "masked" not in features:
        return torch.zeros_like(features["plain"])
    low, high = (
        masking.apply({**features, "masked": torch.full_like(features["masked"], value)}, mask, level)
        for value in (0.0, 1.0)
    )
    return (high - low).clamp(0, 1)


def _rms(features: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, h, w)."""
    return features.square().mean(dim=1).sqrt()
