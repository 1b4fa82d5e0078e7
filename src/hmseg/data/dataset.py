"""Turns episode recipes into episodes: reads, cuts out the class, resizes; and stacks them into batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import Dataset

from hmseg.data.episode import Episode, EpisodeSpec
from hmseg.data.source import Source
from hmseg.data.transforms import resize_image, resize_mask

Item = tuple[int, EpisodeSpec]


class EpisodeDataset(Dataset[Episode]):
    """Reads the episode of a recipe; holds no list of its own, so it serves training and test alike.

    The class is cut out of the mask before the mask is resized. A small object may vanish from a resized
    support mask; that its class is in the file is for the source to check.

    Args:
        source: reads the images.
        size: height and width of images and support masks, in pixels.
        original_size: keep the query's truth at the query's own size instead of ``size``.

    Example:
        >>> from hmseg.data.pascal import PascalSource
        >>> dataset = EpisodeDataset(PascalSource("VOC2012"), size=(400, 400))  # doctest: +SKIP
        >>> dataset[0, EpisodeSpec(3, "2007_000061", ("2007_005705",))].support_masks.shape  # doctest: +SKIP
        torch.Size([1, 400, 400])
    """

    def __init__(self, source: Source, size: tuple[int, int], original_size: bool = False) -> None:
        self.source = source
        self.size = size
        self.original_size = original_size

    def __getitem__(self, item: Item) -> Episode:
        """The episode of (position in its list, recipe). Raises DataError where a file cannot be used."""
        index, spec = item
        query = self.source.read(spec.query, spec.class_id)
        supports = [self.source.read(name, spec.class_id) for name in spec.supports]
        height, width = query.mask.shape
        truth_size = (height, width) if self.original_size else self.size
        return Episode(
            query_image=resize_image(query.image, self.size),
            query_mask=resize_mask(query.mask, truth_size),
            query_void=resize_mask(query.void, truth_size),
            support_images=torch.stack([resize_image(support.image, self.size) for support in supports]),
            support_masks=torch.stack([resize_mask(support.mask, self.size) for support in supports]),
            class_id=torch.tensor(spec.class_id),
            query_size=torch.tensor((height, width)),
            index=torch.tensor(index),
        )


def _pad_and_stack(masks: Sequence[Tensor], value: bool) -> Tensor:
    """Stacks (H_i, W_i) masks as (B, max H_i, max W_i), padded below and to the right."""
    height = max(mask.shape[0] for mask in masks)
    width = max(mask.shape[1] for mask in masks)
    padded = [
        F.pad(mask, (0, width - mask.shape[1], 0, height - mask.shape[0]), value=value) for mask in masks
    ]
    return torch.stack(padded)


def collate(episodes: Sequence[Episode]) -> Episode:
    """Stacks B episodes of one size and shot into a batch.

    Query truth of different sizes is padded to the largest of the batch: the mask with background, the void
    map with void, so that padding never counts in a metric. ``query_size`` says what is real.
    """
    return Episode(
        query_image=torch.stack([episode.query_image for episode in episodes]),
        query_mask=_pad_and_stack([episode.query_mask for episode in episodes], value=False),
        query_void=_pad_and_stack([episode.query_void for episode in episodes], value=True),
        support_images=torch.stack([episode.support_images for episode in episodes]),
        support_masks=torch.stack([episode.support_masks for episode in episodes]),
        class_id=torch.stack([episode.class_id for episode in episodes]),
        query_size=torch.stack([episode.query_size for episode in episodes]),
        index=torch.stack([episode.index for episode in episodes]),
    )
