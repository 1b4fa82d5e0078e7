"""The plain reading to compare with: PASCAL-5i as the published HSNet and ASNet code reads it.

Pillow opens, converts and resizes; torchvision makes normalised floats of it; the mask becomes a float
tensor, is resized to the nearest pixel and then cut. Written anew from REFERENCE sections 8 and 9; nothing is
left out that costs time there, and nothing added.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import Dataset
from torchvision.transforms import Compose, Normalize, Resize, ToTensor

from hmseg.data.episode import EpisodeSpec
from hmseg.data.pascal import PascalSource
from hmseg.imagenet import IMAGENET_MEAN, IMAGENET_STD


class PublishedReading(Dataset[dict[str, Tensor]]):
    """Episodes as dictionaries of float tensors."""

    def __init__(self, source: PascalSource, specs: Sequence[EpisodeSpec], size: tuple[int, int]) -> None:
        self.source, self.specs, self.size = source, specs, size
        self.transform = Compose([Resize(size), ToTensor(), Normalize(IMAGENET_MEAN, IMAGENET_STD)])

    def __len__(self) -> int:
        return len(self.specs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        spec = self.specs[index]
        query_mask, query_void = self.mask(spec.query, spec.class_id)
        masks = [self.mask(name, spec.class_id) for name in spec.supports]
        return {
            "query_image": self.image(spec.query),
            "query_mask": query_mask,
            "query_void": query_void,
            "support_images": torch.stack([self.image(name) for name in spec.supports]),
            "support_masks": torch.stack([mask for mask, _ in masks]),
            "support_voids": torch.stack([void for _, void in masks]),
            "class_id": torch.tensor(spec.class_id),
        }

    def image(self, name: str) -> Tensor:
        image: Tensor = self.transform(Image.open(self.source.files(name)[0]).convert("RGB"))
        return image

    def mask(self, name: str, class_id: int) -> tuple[Tensor, Tensor]:
        labels = torch.tensor(np.array(Image.open(self.source.files(name)[1])))
        labels = F.interpolate(labels[None, None].float(), self.size, mode="nearest").squeeze()
        void = (labels / 255).floor()
        labels[labels != class_id + 1] = 0
        labels[labels == class_id + 1] = 1
        return labels, void
