"""Augmentation of training samples: of colours, or of what an image and its masks show of the scene."""

from __future__ import annotations

import os
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.random import SeedSequence

from hmseg.data.episode import Sample
from hmseg.errors import ConfigError, unknown
from hmseg.imagenet import IMAGENET_MEAN

# Keeps these streams apart from those that draw episodes with the same seed (hmseg.data.protocols: 0, 1).
_AUGMENTATION = 2
_VOID = 255


class Augment(Protocol):
    """Change the sample of one place in one training episode.

    The same arguments give the same sample, whatever was augmented before, in whichever process.
    """

    def __call__(self, sample: Sample, epoch: int, position: int, role: int) -> Sample:
        """Return the augmented sample; see ``Seeded``."""
        ...


class Seeded(ABC):
    """An augmentation by albumentations, drawn anew from the seed and the place for each sample.

    Args:
        seed: of the run.

    Raises:
        ConfigError: albumentations is missing or older than 2.0, which cannot be seeded for a single image.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        _ = self._pipeline  # imported here once, and not by every worker

    @abstractmethod
    def changes(self, A: Any) -> list[Any]:  # noqa: N803  # what albumentations' own documents call it
        """Return the transforms in their order; ``A`` is the module ``albumentations``."""

    @abstractmethod
    def apply(self, sample: Sample) -> Sample:
        """Return the sample as the pipeline, seeded just before, makes it."""

    @cached_property
    def _pipeline(self) -> Any:
        """The albumentations pipeline: making one takes 25 times as long as seeding it anew."""
        os.environ.setdefault(
            "NO_ALBUMENTATIONS_UPDATE", "1"
        )  # else the import asks a server for its version
        try:
            import albumentations as A  # noqa: N812
        except ImportError as error:
            raise ConfigError(f"augmentation needs albumentations, which does not import ({error})") from None
        if not hasattr(A.Compose, "set_random_state"):
            raise ConfigError(f"albumentations {A.__version__} came, 2.0 or newer was expected: upgrade it")
        return A.Compose(self.changes(A))

    def __call__(self, sample: Sample, epoch: int, position: int, role: int) -> Sample:
        """Return the augmented sample: a pure function of the sample, the seed and the three numbers.

        Args:
            sample: image and masks at their own size; left as they are.
            epoch: of the training.
            position: of the episode in its epoch.
            role: 0 for the query, k + 1 for support k: each is drawn independently.

        Returns:
            Another sample, or parts of the same where nothing was drawn.
        """
        words = SeedSequence((self.seed, epoch, _AUGMENTATION, position, role)).generate_state(2, np.uint64)
        self._pipeline.set_random_state(np.random.default_rng(words[0]), random.Random(int(words[1])))
        return self.apply(sample)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the pipeline out: a spawned worker makes it for itself."""
        return {name: value for name, value in vars(self).items() if name != "_pipeline"}


class VatAugment(Seeded):
    """What VAT is trained with (REFERENCE section 8): seven changes in this order, each with probability 0.2.

    ToGray, Posterize (4 bits), Equalize, Sharpen, RandomBrightnessContrast (up to 0.2 each), Solarize (from
    128) and ColorJitter (0.2 for brightness, contrast, saturation and hue). The strengths are the defaults of
    albumentations 1.1, which VAT names, and are written out because later defaults differ (hue: 0.5). Masks
    stay as they are.

    Args:
        seed: of the run.
        probability: of each change; published: 0.2.

    Raises:
        ConfigError: the probability is not in [0, 1], or as for ``Seeded``.

    Example:
        >>> augment, blank = VatAugment(seed=0), np.zeros((4, 4), dtype=bool)
        >>> sample = Sample(np.arange(48, dtype=np.uint8).reshape(4, 4, 3), blank, blank)
        >>> query, support, again = (augment(sample, epoch=0, position=5, role=role) for role in (0, 1, 0))
        >>> np.array_equal(query.image, again.image), query.mask is sample.mask
        (True, True)
    """

    def __init__(self, seed: int, probability: float = 0.2) -> None:
        if not 0 <= probability <= 1:
            raise ConfigError(f"probability={probability} came, 0 to 1 was expected")
        self.probability = probability
        super().__init__(seed)

    def changes(self, A: Any) -> list[Any]:  # noqa: N803
        """Return the published list."""
        p = self.probability
        return [
            A.ToGray(p=p),
            A.Posterize(num_bits=4, p=p),
            A.Equalize(mode="cv", by_channels=True, p=p),
            A.Sharpen(alpha=(0.2, 0.5), lightness=(0.5, 1.0), p=p),
            A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, brightness_by_max=True, p=p),
            A.Solarize(p=p),
            A.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.2, p=p),
        ]

    def apply(self, sample: Sample) -> Sample:
        """Return the sample with another image."""
        return sample._replace(image=self._pipeline(image=sample.image)["image"])


class GeometricAugment(Seeded):
    """Flip, scale and crop image and masks together; not published for any of the models.

    A mirror image with probability 0.5; then each of the four sides is moved by itself, inwards by up to 30 %
    of the image or outwards by up to 15 %, which scales by 0.77 to 2.5 and shifts when the result is resized
    to the network's size. Nothing is interpolated here. What comes in from outside is grey, of ImageNet's
    mean brightness, and void. Where less than a quarter of the object is left, the sample stays as it is.

    Args:
        seed: of the run.

    Raises:
        ConfigError: as for ``Seeded``.

    Example:
        >>> image, mask = np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40), bool)
        >>> mask[10:30, :20] = True
        >>> augmented = GeometricAugment(seed=0)(Sample(image, mask, ~mask), epoch=0, position=0, role=0)
        >>> augmented.image.shape[:2] == augmented.mask.shape == augmented.void.shape, augmented.mask.any()
        (True, np.True_)
    """

    crop, pad = 0.3, 0.15
    """Most of the image's height or width that a side is moved by, inwards and outwards."""
    least = 0.25
    """Share of the object's pixels below which a crop shows too little to learn from."""

    def changes(self, A: Any) -> list[Any]:  # noqa: N803
        """Return a flip, and a crop or pad of each side."""
        return [
            A.HorizontalFlip(p=0.5),
            A.CropAndPad(
                percent=(-self.crop, self.pad),
                sample_independently=True,
                keep_size=False,  # the resize to the network's size comes next: one interpolation, not two
                fill=round(255 * sum(IMAGENET_MEAN) / 3),  # albumentations would choose one of several
                fill_mask=_VOID,
                p=1.0,
            ),
        ]

    def apply(self, sample: Sample) -> Sample:
        """Return the changed sample, or the sample itself where its object would be lost."""
        labels = np.where(sample.void, np.uint8(_VOID), sample.mask.astype(np.uint8))
        changed = self._pipeline(image=sample.image, mask=labels)
        mask = changed["mask"] == 1
        if np.count_nonzero(mask) < max(1, self.least * np.count_nonzero(sample.mask)):
            return sample
        return Sample(changed["image"], mask, changed["mask"] == _VOID)


AUGMENTATIONS: dict[str, Callable[[int], Augment] | None] = {
    "none": None,
    "vat": VatAugment,
    "geometric": GeometricAugment,
}


def check_augmentation(name: str) -> None:
    """Raises ConfigError with the nearest name if there is no such augmentation; imports nothing."""
    if name not in AUGMENTATIONS:
        raise ConfigError(unknown("augmentation", name, AUGMENTATIONS))


def find_augmentation(name: str, seed: int) -> Augment | None:
    """The augmentation of a name, None for ``none``; raises ConfigError with the nearest name if unknown.

    Example:
        >>> find_augmentation("none", seed=0) is None
        True
    """
    check_augmentation(name)
    make = AUGMENTATIONS[name]
    return None if make is None else make(seed)
