"""The picture of the first masks of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hmseg import training
from hmseg.config import compose
from hmseg.visualise.mask_sheet import SIDE, Shown, mask_sheet


def test_masks_are_tinted_and_void_is_grey() -> None:
    image = np.full((100, 400, 3), 200, np.uint8)
    mask, void = np.zeros((100, 400), bool), np.zeros((100, 400), bool)
    mask[:, :200], void[:, 300:] = True, True
    sheet = np.asarray(mask_sheet([Shown("cat: a.jpg", image, mask, void)]))
    middle = sheet[SIDE // 2].astype(int)
    inside, outside, uncounted = middle[60], middle[140], middle[220]
    assert inside[0] - inside[2] > 40 and abs(outside[0] - outside[2]) < 4
    assert uncounted.tolist() == [128, 128, 128] and sheet[SIDE + 2 :].min() < 100  # its title


@pytest.mark.filterwarnings("default")
def test_a_run_on_own_data_leaves_it_in_its_folder(tmp_path: Path) -> None:
    for number, name in enumerate(("ant", "bee", "cat", "dog")):
        folder = tmp_path / "own" / name
        folder.mkdir(parents=True)
        for image in range(3):
            pixels = np.full((70, 80, 3), 60 * number, np.uint8)
            Image.fromarray(pixels).save(folder / f"{image}.jpg")
            labels = np.zeros((70, 80), np.uint8)
            labels[20:50, 20:60] = 5
            Image.fromarray(labels).save(folder / f"{image}.png")
    words: tuple[Any, ...] = (
        "dataset=folder", f"dataset.root={tmp_path}/own", "dataset.folds=2", "dataset.image_size=64",
        "trainer=cpu", "trainer.max_steps=1", "loader.batch_size=1", "loader.num_workers=0", "logger=none",
        "loader.val_episodes=2", "loader.test_episodes=2", "test=false", "backbone.weights=random",
        f"paths.output_dir={tmp_path}/out",
    )  # fmt: skip
    training.run(compose(*words))
    with Image.open(tmp_path / "out/masks.jpg") as sheet:
        assert sheet.width == 4 * SIDE and sheet.height > SIDE
