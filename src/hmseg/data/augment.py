"""Augmentation of training images: colours and contrast only, so that masks stay as they are."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.random import SeedSequence
from numpy.typing import NDArray

from hmseg.errors import ConfigError, unknown

# Keeps these streams apart from those that draw episodes with the same seed (hmseg.data.protocols: 0, 1).
_AUGMENTATION = 2


class Augment(Protocol):
    """Changes the image of one place in one training episode; never its mask.

    The same arguments give the same image, whatever was augmented before, in whichever process.
    """

    def __call__(self, image: NDArray[np.uint8], epoch: int, position: int, role: int) -> NDArray[np.uint8]:
        """The augmented image; see ``VatAugment``."""
        ...


class VatAugment:
    """What VAT is trained with (REFERENCE section 8): seven changes in this order, each with probability 0.2.

    ToGray, Posterize (4 bits), Equalize, Sharpen, RandomBrightnessContrast (up to 0.2 each), Solarize (from
    128) and ColorJitter (0.2 for brightness, contrast, saturation and hue). The strengths are the defaults of
    albumentations 1.1, which VAT names, and are written out because later defaults differ (hue: 0.5).

    Args:
        seed: of the run.
        probability: of each change; published: 0.2.

    Raises:
        ConfigError: the probability is not in [0, 1], or albumentations is missing or older than 2.0, which
            cannot be seeded for a single image.

    Example:
        >>> augment = VatAugment(seed=0)
        >>> image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
        >>> query, support, again = (augment(image, epoch=0, position=5, role=role) for role in (0, 1, 0))
        >>> np.array_equal(query, again), query.shape
        (True, (4, 4, 3))
    """

    def __init__(self, seed: int, probability: float = 0.2) -> None:
        if not 0 <= probability <= 1:
            raise ConfigError(f"probability={probability} came, 0 to 1 was expected")
        self.seed = seed
        self.probability = probability
        _ = self._pipeline  # imported here once, and not by every worker

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
        p = self.probability
        return A.Compose(
            [
                A.ToGray(p=p),
                A.Posterize(num_bits=4, p=p),
                A.Equalize(mode="cv", by_channels=True, p=p),
                A.Sharpen(alpha=(0.2, 0.5), lightness=(0.5, 1.0), p=p),
                A.RandomBrightnessContrast(
                    brightness_limit=0.2, contrast_limit=0.2, brightness_by_max=True, p=p
                ),
                A.Solarize(p=p),
                A.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.2, p=p),
            ]
        )

    def __call__(self, image: NDArray[np.uint8], epoch: int, position: int, role: int) -> NDArray[np.uint8]:
        """The augmented image: a pure function of the image, the seed and the three numbers.

        Args:
            image: (H, W, 3) uint8 RGB at its own size; left as it is.
            epoch: of the training.
            position: of the episode in its epoch.
            role: 0 for the query, k + 1 for support k: each is drawn independently.

        Returns:
            (H, W, 3) uint8; the image itself where nothing was drawn.
        """
        words = SeedSequence((self.seed, epoch, _AUGMENTATION, position, role)).generate_state(2, np.uint64)
        self._pipeline.set_random_state(np.random.default_rng(words[0]), random.Random(int(words[1])))
        augmented: NDArray[np.uint8] = self._pipeline(image=image)["image"]
        return augmented

    def __getstate__(self) -> dict[str, Any]:
        """Without the pipeline, which a spawned worker makes for itself."""
        return {"seed": self.seed, "probability": self.probability}


AUGMENTATIONS: dict[str, Callable[[int], Augment] | None] = {"none": None, "vat": VatAugment}


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
