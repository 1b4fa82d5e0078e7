"""A tiny source without files, and a tiny folder in the layout of VOC2012."""

from __future__ import annotations

import numpy as np
import pytest

from hmseg.data.episode import Sample
from hmseg.data.source import Listing, Lists, Split, check_fold
from hmseg.errors import DataError


class FakeSource:
    """8 classes in 4 folds, five training and three test images each, of differing sizes; no files."""

    name = "fake"
    class_names: tuple[str, ...] = tuple(f"class{number}" for number in range(8))
    folds = 4
    lists: Lists = "own"

    def classes(self, split: Split, fold: int | None) -> tuple[int, ...]:
        fold = check_fold("fake", 4, fold)
        held_out = (2 * fold, 2 * fold + 1)
        return held_out if split != "train" else tuple(c for c in range(8) if c not in held_out)

    def listing(self, split: Split, fold: int | None) -> Listing:
        kind, count = ("train", 5) if split == "train" else ("val", 3)
        classes = self.classes(split, fold)
        return Listing(tuple((f"{kind}{c}_{number}", c) for c in classes for number in range(count)))

    def has(self, name: str) -> bool:
        return name.startswith(("train", "val"))

    def read(self, name: str, class_id: int) -> Sample:
        if name.endswith("damaged"):
            raise DataError(f"image {name} is damaged: replace it")
        number = int(name.rpartition("_")[2])
        height, width = 8 + number, 12 - number
        image = np.full((height, width, 3), 10 * class_id + number, dtype=np.uint8)
        mask = np.zeros((height, width), dtype=bool)
        mask[:4, :4] = True
        void = np.zeros((height, width), dtype=bool)
        void[-1] = True
        return Sample(image, mask, void)


@pytest.fixture
def fake_source() -> FakeSource:
    return FakeSource()
