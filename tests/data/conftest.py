"""A tiny source without files, and a tiny folder in the layout of VOC2012."""

from __future__ import annotations

import numpy as np
import pytest

from hmseg.data.episode import Sample
from hmseg.data.source import Listing, Split
from hmseg.errors import DataError


class FakeSource:
    """8 classes in 4 folds, five training and three test images each, of differing sizes; no files."""

    name = "fake"
    class_names: tuple[str, ...] = tuple(f"class{number}" for number in range(8))
    folds = 4

    def fold_classes(self, fold: int) -> tuple[int, ...]:
        if fold not in range(4):
            raise DataError(f"fold {fold} does not exist: fake has folds 0 to 3")
        return (2 * fold, 2 * fold + 1)

    def listing(self, split: Split, fold: int) -> Listing:
        held_out = self.fold_classes(fold)
        classes = held_out if split == "val" else tuple(c for c in range(8) if c not in held_out)
        count = 3 if split == "val" else 5
        return Listing(tuple((f"{split}{c}_{number}", c) for c in classes for number in range(count)))

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
