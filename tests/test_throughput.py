"""Speed and memory, as a real Trainer drives the callback."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

from hmseg.callbacks import Throughput, throughput
from hmseg.callbacks.throughput import peak_memory
from tiny import LIGHTNING_WARNINGS, tiny_loader, tiny_module, tiny_trainer

pytestmark = LIGHTNING_WARNINGS


class Clock:
    """A clock that goes on by ``step`` seconds each time it is read."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def rows(folder: Path, monkeypatch: pytest.MonkeyPatch, batches: int, **options: Any) -> list[dict[str, Any]]:
    monkeypatch.setattr(throughput.time, "perf_counter", Clock(0.5))
    logger = CSVLogger(folder, name="log")
    trainer = tiny_trainer(folder, logger=logger, callbacks=[Throughput()], **options)
    trainer.fit(tiny_module(), tiny_loader(batches), tiny_loader(1, seed=50))
    with open(Path(logger.log_dir) / "metrics.csv") as file:
        return [row for row in csv.DictReader(file) if row["train/memory_gb"]]


def test_rate_counts_episodes_since_the_last_logged_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rows(tmp_path, monkeypatch, 7, max_epochs=1, log_every_n_steps=3)
    assert [int(row["step"]) for row in found] == [2, 5]
    # Three steps of two episodes each; the clock is read as the first begins and as the third ends.
    assert [float(row["train/episodes_per_second"]) for row in found] == [12.0, 12.0]


def test_validations_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"max_epochs": 1, "log_every_n_steps": 4, "val_check_interval": 1}
    found = rows(tmp_path, monkeypatch, 4, **options)
    # Every step is followed by a validation, so that the clock runs four times half a second.
    assert [float(row["train/episodes_per_second"]) for row in found] == [4 * 2 / 2.0]


def test_steps_that_only_collect_gradients_are_not_logged_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"max_epochs": 1, "log_every_n_steps": 1, "accumulate_grad_batches": 2}
    found = rows(tmp_path, monkeypatch, 4, **options)
    assert [float(row["train/episodes_per_second"]) for row in found] == [8.0, 8.0]


def test_memory_is_the_processs_peak_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = peak_memory(torch.device("cpu"))
    (row,) = rows(tmp_path, monkeypatch, 1, max_epochs=1)
    assert before <= float(row["train/memory_gb"]) * 1e9 * (1 + 1e-6)
    assert float(row["train/memory_gb"]) * 1e9 <= peak_memory(torch.device("cpu")) * (1 + 1e-6)
