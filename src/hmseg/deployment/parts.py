"""What is exported: modules with names for what goes in and out, and the dimensions that stay open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hmseg.networks import FewShotNetwork
from hmseg.networks.parts import QuerySegmenter, SupportEncoder, WholeNetwork, kept_names

Tensors = tuple[Tensor, ...]

IMAGES = {0: "batch", 1: "shots", 3: "support_height", 4: "support_width"}
MASKS = {0: "batch", 1: "shots", 2: "support_height", 3: "support_width"}
QUERY = {0: "batch", 2: "height", 3: "width"}
ALWAYS_OPEN = ("batch", "shots")


@dataclass(frozen=True)
class Part:
    """One file.

    Attributes:
        name: ``whole``, ``encoder`` or ``segmenter``.
        module: what is exported.
        inputs: for each input in order, its name and the names of its dimensions that stay open.
        outputs: names of what comes out, in order.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Mapping[int, str]]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Sizes:
    """How many queries and supports of which sizes (height, width) an episode has."""

    batch: int
    shots: int
    query: tuple[int, int]
    support: tuple[int, int]

    def __str__(self) -> str:
        query, support = ("x".join(map(str, each)) for each in (self.query, self.support))
        return f"batch {self.batch}, {self.shots} shots, query {query}, supports {support}"


def parts_of(network: FewShotNetwork, part: str, any_size: bool) -> list[Part]:
    """The parts to write, in the order in which they are used.

    Args:
        network: in eval mode.
        part: ``whole`` or ``split``.
        any_size: leave the sizes of images open, not only batch and shots.
    """

    def left_open(dimensions: Mapping[int, str]) -> dict[int, str]:
        return {i: name for i, name in dimensions.items() if any_size or name in ALWAYS_OPEN}

    supports = {"support_images": left_open(IMAGES), "support_masks": left_open(MASKS)}
    query = {"query": left_open(QUERY)}
    if part == "whole":
        return [Part("whole", WholeNetwork(network).eval(), query | supports, ("logits",))]
    names = kept_names(network)
    kept = {name: left_open(_dimensions(name)) for name in names}
    return [
        Part("encoder", SupportEncoder(network).eval(), supports, tuple(names)),
        Part("segmenter", QuerySegmenter(network).eval(), query | kept, ("logits",)),
    ]


def _dimensions(name: str) -> dict[int, str]:
    """Of a kept tensor; the maps of one level have one size."""
    if name == "masks":
        return MASKS
    level = name.partition("_")[0]
    return {0: "batch", 1: "shots", 3: f"{level}_height", 4: f"{level}_width"}


def example(part: Part, sizes: Sizes, seed: int = 0) -> Tensors:
    """Inputs for a part: noise with an object in every support; of a segmenter what its encoder gives."""
    query, images, masks = episode(sizes, seed)
    if part.name == "encoder":
        return images, masks
    if part.name == "whole":
        return query, images, masks
    with torch.no_grad():
        network: Any = part.module.network
        return query, *SupportEncoder(network)(images, masks)


def episode(sizes: Sizes, seed: int = 0) -> Tensors:
    """Query (B, 3, H, W), supports (B, K, 3, H', W') and masks (B, K, H', W') bool, the same for a seed."""
    generator = torch.Generator().manual_seed(seed)
    counts, (height, width) = (sizes.batch, sizes.shots), sizes.support
    query = torch.randn(sizes.batch, 3, *sizes.query, generator=generator)
    images = torch.randn(*counts, 3, height, width, generator=generator)
    masks = torch.zeros(*counts, height, width, dtype=torch.bool)
    masks[..., height // 4 : 2 * height // 3, width // 3 : 3 * width // 4] = True
    return query, images, masks


def sizes_to_try(side: int, any_size: bool) -> list[Sizes]:
    """Episodes with which a file is checked: one support and several, and images of other sizes."""
    square = (side, side)
    tried = [Sizes(1, 1, square, square), Sizes(2, 3, square, square)]
    if any_size:
        smaller, wider = max(64, side * 3 // 4), side + 40
        tried += [Sizes(1, 1, (wider, smaller), square), Sizes(1, 2, square, (smaller, wider))]
    return tried
