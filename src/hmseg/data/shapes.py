"""The embedded data set ``shapes``: made on demand from a seed and an index, no files.

Twenty classes in four folds. A class is an outline with a texture ("striped star"); colour, pose, scale,
light and background vary and say nothing about it. Scenes hold distractors of other classes, clutter, partial
occlusion and one-pixel void borders, and in over a third of the images the main class covers less than 2 %.
"""

from __future__ import annotations

import re

import numpy as np

from hmseg.data.episode import Sample
from hmseg.data.shapes_plan import CLASSES, PER_FOLD, Planner
from hmseg.data.shapes_scene import Scene, render
from hmseg.data.source import Listing, Lists, Split, check_fold, check_split
from hmseg.errors import DataError

_SPLITS: tuple[Split, ...] = ("train", "val")  # the position enters the seed: order is part of the data set
_NAME = re.compile(r"(train|val)_([0-9]{6,})")


class ShapesSource:
    """Procedural few-shot segmentation benchmark; a :class:`~hmseg.data.source.Source`.

    Image ``index`` of a split has the main class ``index % 20`` and depends on ``(seed, split, index)`` and
    the size and difficulty only: the same bytes in every process and any order. A scene shows classes of one
    fold only, so that training scenes never contain a held-out class.

    Args:
        image_size: side of the square images in pixels, at least 32. Layouts are the same at every size.
        train_images: number of training images over all classes, at least 40 (two per class).
        val_images: number of test images over all classes, at least 40.
        difficulty: in [0, 1]: number of distractors, occlusion, turning, noise, loss of contrast.
        seed: of the whole data set, not negative.

    Raises:
        DataError: an argument is out of its range.

    Example:
        >>> source = ShapesSource(image_size=64)
        >>> source.class_names[0], source.folds, source.classes("val", 0)
        ('striped star', 4, (0, 1, 2, 3, 4))
        >>> source.listing("val", 0).pairs[:2]
        (('val_000000', 0), ('val_000001', 1))
        >>> sample = source.read("val_000000", 0)
        >>> sample.image.shape, bool(sample.mask.any()), bool((sample.mask & sample.void).any())
        ((64, 64, 3), True, False)
    """

    name: str = "shapes"
    class_names: tuple[str, ...] = tuple(f"{texture} {outline}" for texture, outline in CLASSES)
    folds: int = len(CLASSES) // PER_FOLD
    lists: Lists = "published"  # there are no files: the lists are always these

    def __init__(
        self,
        image_size: int = 160,
        train_images: int = 2000,
        val_images: int = 400,
        difficulty: float = 0.5,
        seed: int = 0,
    ) -> None:
        least = 2 * len(CLASSES)
        for option, value, low in (
            ("image_size", image_size, 32),
            ("train_images", train_images, least),
            ("val_images", val_images, least),
            ("seed", seed, 0),
        ):
            if value < low:
                why = " (two images for each class)" if low == least else ""
                raise DataError(f"shapes: {option} is {value}, expected {low} or more{why}")
        if not 0 <= difficulty <= 1:
            raise DataError(f"shapes: difficulty is {difficulty}, expected a number from 0 to 1")
        self.image_size = image_size
        self.difficulty = difficulty
        self.seed = seed
        self._counts: dict[Split, int] = {"train": train_images, "val": val_images}

    def classes(self, split: Split, fold: int | None) -> tuple[int, ...]:
        """``val`` and ``test``: the five classes held out in ``fold``; ``train``: all others."""
        check_split(split, self.name)
        fold = check_fold(self.name, self.folds, fold)
        held_out = range(PER_FOLD * fold, PER_FOLD * (fold + 1))
        return tuple(each for each in range(len(CLASSES)) if (each in held_out) == (split != "train"))

    def listing(self, split: Split, fold: int | None) -> Listing:
        """``train``: training images of all other folds; else test images of ``fold``. Draws nothing.

        Raises:
            DataError: unknown split, or fold out of range.
        """
        classes = self.classes(split, fold)
        kind: Split = "train" if split == "train" else "val"
        labels = ((index, index % len(CLASSES)) for index in range(self._counts[kind]))
        wanted = ((index, label) for index, label in labels if label in classes)
        return Listing(tuple((f"{kind}_{index:06d}", label) for index, label in wanted))

    def has(self, name: str) -> bool:
        """Is there such an image?"""
        try:
            self._parse(name)
        except DataError:
            return False
        return True

    def scene(self, name: str) -> Scene:
        """The whole scene of an image: its pixels, the class of each of them, the void borders.

        Args:
            name: as listed, such as ``train_000123``.

        Raises:
            DataError: the name is malformed or beyond the number of images.
        """
        split, index = self._parse(name)
        streams = np.random.SeedSequence([self.seed, _SPLITS.index(split), index]).spawn(2)
        layout, pixels = (np.random.Generator(np.random.PCG64(stream)) for stream in streams)
        plan = Planner(layout, self.difficulty).plan(index % len(CLASSES))
        return render(plan, self.image_size, self.difficulty, pixels)

    def read(self, name: str, class_id: int) -> Sample:
        """One image with the visible pixels of one class that is in it, be it as a distractor.

        Args:
            name: as listed, such as ``train_000123``.
            class_id: the listed class of the image, or another one that it shows.

        Raises:
            DataError: the name is malformed or beyond the number of images, the class is unknown or absent.
        """
        if not 0 <= class_id < len(CLASSES):
            raise DataError(f"shapes: class is {class_id}, expected 0 to {len(CLASSES) - 1}")
        scene = self.scene(name)
        mask = (scene.labels == class_id) & ~scene.void
        if not mask.any():
            present = sorted(set(scene.labels[~scene.void].tolist()) - {-1})
            raise DataError(
                f"shapes: image '{name}' does not show class {class_id} ({self.class_names[class_id]}); "
                f"it shows {', '.join(map(str, present))}"
            )
        return Sample(scene.image, mask, scene.void)

    def _parse(self, name: str) -> tuple[Split, int]:
        match = _NAME.fullmatch(name)
        if match is None:
            raise DataError(f"shapes: image name is {name!r}, expected one such as 'train_000123'")
        split: Split = "train" if match[1] == "train" else "val"
        index = int(match[2])
        if index >= self._counts[split]:
            last = self._counts[split] - 1
            raise DataError(f"shapes: there is no image '{name}', the last one is '{split}_{last:06d}'")
        return split, index
