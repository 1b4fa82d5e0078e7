"""Turns episode recipes into episodes: reads, cuts out the class, resizes; and stacks them into batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import Dataset

from hmseg.data.augment import Augment
from hmseg.data.cache import ImageCache, InMemory, Read
from hmseg.data.episode import Episode, EpisodeSpec, Sample
from hmseg.data.source import Source
from hmseg.data.transforms import find_resizer, resize_image, resize_mask, resize_pixels
from hmseg.errors import ConfigError

Item = tuple[int, EpisodeSpec] | tuple[int, EpisodeSpec, int]
"""Position in the list or epoch, recipe, and in training the epoch, from which augmentation is drawn."""


class EpisodeDataset(Dataset[Episode]):
    """Reads the episode of a recipe; holds no list of its own, so it serves training and test alike.

    The class is cut out of the mask before the mask is resized. A small object may vanish from a resized
    support mask; that its class is in the file is for the source to check. An image that an episode names
    twice is read once.

    Args:
        source: reads the images.
        size: height and width of images and support masks, in pixels.
        original_size: keep the query's truth at the query's own size instead of ``size``.
        resize: how images are resized: ``pil`` (HSNet, ASNet) or ``opencv`` (VAT); masks always the same way.
        augment: changes training samples before they are resized, the query's and each support's
            independently; items then need their epoch. Where it loses the object, nothing is changed.
        cache: folder of resized images (``hmseg.data.cache``), None for none; the pixels are the same.
        keep: how many resized images stay in the memory of each process where there is neither cache nor
            augmentation; the pixels are the same.

    Raises:
        ConfigError: an unknown ``resize``; a cache together with ``augment``, for which no resized image can
            stand in; a cache for a source without files.

    Example:
        >>> from hmseg.data.pascal import PascalSource
        >>> dataset = EpisodeDataset(PascalSource("VOC2012"), size=(400, 400))  # doctest: +SKIP
        >>> dataset[0, EpisodeSpec(3, "2007_000061", ("2007_005705",))].support_masks.shape  # doctest: +SKIP
        torch.Size([1, 400, 400])
    """

    def __init__(
        self,
        source: Source,
        size: tuple[int, int],
        original_size: bool = False,
        *,
        resize: str = "pil",
        augment: Augment | None = None,
        cache: str | Path | None = None,
        keep: int = 0,
    ) -> None:
        find_resizer(resize)
        if cache is not None and augment is not None:
            raise ConfigError(
                "a cache of resized images came with an augmentation that acts before the resize: "
                "give one of them"
            )
        self.source = source
        self.size = size
        self.original_size = original_size
        self.resize = resize
        self.augment = augment
        self._read: Read = source.read if augment is not None else self._read_resized
        if cache is not None:
            self._read = ImageCache(cache, source, size, resize)
        elif keep > 0 and augment is None:
            self._read = InMemory(self._read, keep)

    def _read_resized(self, name: str, class_id: int) -> Sample:
        sample = self.source.read(name, class_id)
        return sample._replace(image=resize_pixels(sample.image, self.size, self.resize))

    def __getitem__(self, item: Item) -> Episode:
        """The episode of (position, recipe) or (position, recipe, epoch).

        Raises:
            DataError: a file cannot be used.
        """
        index, spec = item[0], item[1]
        names = (spec.query, *spec.supports)
        samples = {name: self._read(name, spec.class_id) for name in dict.fromkeys(names)}
        query, *supports = [self._augmented(samples[name], item, role) for role, name in enumerate(names)]
        height, width = query.mask.shape
        truth_size = (height, width) if self.original_size else self.size
        return Episode(
            query_image=resize_image(query.image, self.size, self.resize),
            query_mask=resize_mask(query.mask, truth_size),
            query_void=resize_mask(query.void, truth_size),
            support_images=torch.stack(
                [resize_image(each.image, self.size, self.resize) for each in supports]
            ),
            support_masks=torch.stack([resize_mask(support.mask, self.size) for support in supports]),
            class_id=torch.tensor(spec.class_id),
            query_size=torch.tensor((height, width)),
            index=torch.tensor(index),
        )

    def _augmented(self, sample: Sample, item: Item, role: int) -> Sample:
        """The sample of the query (role 0) or of support k (role k + 1) as it is trained on."""
        if self.augment is None:
            return sample
        if len(item) < 3:
            raise TypeError("augmentation is drawn from (position, recipe, epoch), the epoch is missing")
        augmented = self.augment(sample, epoch=item[2], position=item[0], role=role)
        if augmented.mask is not sample.mask and not resize_mask(augmented.mask, self.size).any():
            return sample  # a small object that was made smaller, and fell between the pixels
        return augmented


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
