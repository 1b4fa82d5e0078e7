"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_utilities.core.rank_zero import rank_zero_only
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference outputs, real images and weights beside the checkout.

    Skips without it; fails instead when HMSEG_REQUIRE_SHARED=1, so that CI can't skip by mistake.
    """
    path = Path(os.environ.get("HMSEG_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        message = f"needs the folder of reference data beside the checkout ({path.name}/), which is not here"
        if os.environ.get("HMSEG_REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(autouse=True)
def _fixed_global_seed() -> None:
    """Random weights in tests are the same every time."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _first_process() -> None:
    """A Trainer leaves its rank behind in the process; in the next test a logger would write nothing."""
    rank_zero_only.rank = 0


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """A VOC2012 folder: three images per class, each with its class in a square and a row of void."""
    root = tmp_path / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClassAug", "splits/trn", "splits/val"):
        (root / folder).mkdir(parents=True)
    for fold in range(4):
        lines = {"trn": "", "val": ""}
        for number in range(5 * fold + 1, 5 * fold + 6):
            for index in range(3):
                name = f"2007_{number:02d}{index:04d}"
                image = np.full((10, 14, 3), number, dtype=np.uint8)
                Image.fromarray(image).save(root / f"JPEGImages/{name}.jpg")
                labels = np.zeros((10, 14), dtype=np.uint8)
                labels[2:6, 3:9] = number
                labels[7] = 21 - number  # another class, or the same one for none
                labels[9] = 255
                mask = Image.fromarray(labels).convert("P")
                mask.putdata(labels.flatten().tolist())
                mask.save(root / f"SegmentationClassAug/{name}.png")
                for split in lines:
                    lines[split] += f"{name}__{number:02d}\n"
        for split, text in lines.items():
            (root / f"splits/{split}/fold{fold}.txt").write_text(text)
    return root
