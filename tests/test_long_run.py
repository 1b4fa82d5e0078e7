"""A run holds no more at its end than at its beginning."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from hmseg.callbacks import FiniteLoss, GradientNorm, Interruption, LastCheckpoint, RunHistory, StepSeed
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.shapes import ShapesSource
from hmseg.plugins import WholeCheckpoints
from tiny import LIGHTNING_WARNINGS, tiny_module, tiny_trainer

pytestmark = LIGHTNING_WARNINGS
STEPS, EPOCHS = 24, 4
FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def long_run(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    if not FOLDER.is_dir():
        pytest.skip("an installed copy has no benchmarks")
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module("long_run")
    for name in ("long_run", "timing"):
        sys.modules.pop(name, None)


class Counts(pl.Callback):
    """Open files and Python's objects at the end of each epoch."""

    def __init__(self) -> None:
        self.handles: list[int] = []
        self.objects: list[int] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        gc.collect()
        self.handles.append(len(os.listdir("/proc/self/fd")))
        self.objects.append(len(gc.get_objects()))


def test_a_hundred_steps_leave_no_handle_open_and_no_list_growing(tmp_path: Path) -> None:
    """With two readers, a checkpoint and a log line each step, a validation each epoch."""
    source = ShapesSource(image_size=48, train_images=40, val_images=60)
    data = EpisodeDataModule(source, 0, 32, batch_size=1, train_episodes=STEPS, val_episodes=4, num_workers=2)
    counts, kept = Counts(), {"dirpath": tmp_path, "enable_version_counter": False}
    callbacks: list[Any] = [
        RunHistory(), StepSeed(0), FiniteLoss(tmp_path), Interruption(), GradientNorm(), counts,
        ModelCheckpoint(filename="best", monitor="val/miou", mode="max", **kept),
        LastCheckpoint(save_top_k=0, save_last=True, every_n_train_steps=1, **kept),
    ]  # fmt: skip
    trainer = tiny_trainer(
        tmp_path, max_epochs=EPOCHS, callbacks=callbacks, logger=CSVLogger(tmp_path, name="log"),
        enable_checkpointing=True, plugins=[WholeCheckpoints()],
    )  # fmt: skip
    trainer.fit(tiny_module(classes=data.classes), data)
    assert trainer.global_step == STEPS * EPOCHS
    assert len(set(counts.handles[1:])) == 1, counts.handles
    grown = (counts.objects[-1] - counts.objects[1]) / (EPOCHS - 2)
    assert grown < STEPS, counts.objects  # less than one object a step; an epoch leaves its line of history


@pytest.mark.parametrize(("leak", "grown"), [(0.0, 0), (0.5, 75)])
def test_the_page_shows_growth(long_run: ModuleType, tmp_path: Path, leak: float, grown: float) -> None:
    lines = [(step, 1 + (step - 1) // 50, 500 + leak * step, 90, 20, 3, 9000) for step in range(10, 251, 10)]
    samples = [dict(zip(long_run.COLUMNS, line, strict=True)) for line in lines]
    found = long_run.summary(samples)
    assert found["growth_since_second_epoch"]["rss_mb"] == grown and found["steps"] == 250
    about = {"side": 64, "batch": 2, "workers": 1, "plot": "x.svg"}
    page = long_run.report({**found, **about, **long_run.made_on()})
    assert f"| last - second | {grown:+g} | +0 |" in page and "250 training steps in 5 epochs" in page
    long_run.plot(samples, tmp_path / "x.svg")
    assert (tmp_path / "x.svg").read_text().startswith("<?xml")


def test_a_look_sees_this_process(long_run: ModuleType) -> None:
    found = long_run.look(3, 1)
    assert 20 < found["rss_mb"] < 20_000 and found["handles"] > 2 and found["step"] == 3


def test_a_run_is_watched(long_run: ModuleType, tmp_path: Path) -> None:
    given = argparse.Namespace(side=64, batch=1, steps=10, workers=0, epochs=1)
    (found,) = long_run.train(given, tmp_path)
    assert found["step"] == 10 and found["epoch"] == 1 and found[long_run.COLUMNS[2]] > 100
