"""One, two and three devices: the same scores, the same stream of training episodes, one word about it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor

from hmseg.callbacks import FiniteLoss, Interruption, LastCheckpoint, RunHistory, StepSeed
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.shapes import ShapesSource
from hmseg.errors import ConfigError, HmsegError
from hmseg.interruption import Terminated
from hmseg.plugins import WholeCheckpoints
from processes import folder_of_all, on_devices, several
from tiny import LIGHTNING_WARNINGS, tiny_module, tiny_trainer

pytestmark = LIGHTNING_WARNINGS
EPISODES = 7
"""Of an evaluation: no number of devices divides them, nor do batches of two."""


def data_of(**options: Any) -> EpisodeDataModule:
    settings: dict[str, Any] = {
        "fold": 0, "size": 32, "train_episodes": 14, "val_episodes": EPISODES, "test_episodes": EPISODES,
        "eval_batch_size": 2, **options,
    }  # fmt: skip
    return EpisodeDataModule(ShapesSource(image_size=48, train_images=40, val_images=60), **settings)


class Seen(pl.Callback):
    """The positions of the episodes that a device trained on, step by step."""

    def __init__(self) -> None:
        self.positions: list[list[int]] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.positions.append(batch.index.tolist())


class KillsItself(pl.Callback):
    """Sends SIGTERM to the first device in its third step."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 2 and trainer.is_global_zero:
            os.kill(os.getpid(), signal.SIGTERM)


class Spoils(pl.Callback):
    """Makes the loss of the last device NaN in the second step."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 1 and trainer.global_rank == trainer.world_size - 1:
            pl_module.network.head.last.bias.data.fill_(float("nan"))


def everything(rank: int, count: int, folder: Path) -> dict[str, Any]:
    """On one device of several: train and test; few episodes; a signal; a loss that is no number."""
    data = data_of(batch_size=6 // count)
    module, seen, history = tiny_module(classes=data.classes), Seen(), RunHistory()
    logger = CSVLogger(folder, name="log")
    trainer = tiny_trainer(
        folder, max_epochs=2, logger=logger, callbacks=[seen, history, StepSeed(0)], **several(count)
    )
    trainer.fit(module, data)
    found = {
        "positions": seen.positions,
        "run": history.run,
        "weights": {name: value.clone() for name, value in module.network.head.state_dict().items()},
        "val": [(each["epoch"], each["miou"]) for each in history.validations],
        "val/loss": float(trainer.callback_metrics["val/loss"]),
    }
    trainer.test(module, data, verbose=False)
    found["test"] = (module.scores, module.small_scores)
    found["rows"] = module.take_rows()
    data.tested, module.tested = frozenset(range(4)), made_up_rows(data)  # the others were tested before
    tiny_trainer(folder, **several(count)).test(module, data, verbose=False)
    found["resumed"] = module.scores
    few = data_of(batch_size=1, val_episodes=count - 1 or 1)
    if count > 1:
        with pytest.raises(ConfigError, match=f"{count - 1} evaluation episodes for {count} devices"):
            tiny_trainer(folder, max_epochs=1, **several(count)).fit(tiny_module(classes=few.classes), few)
    return found | leaving(folder, count)


def made_up_rows(data: EpisodeDataModule) -> Tensor:
    """Rows of the first four test episodes, made up."""
    rows = torch.ones(4, 8, dtype=torch.int64)
    rows[:, 0], rows[:, 1] = torch.arange(4), torch.tensor([spec.class_id for spec in data.test_specs[:4]])
    return rows


def leaving(folder: Path, count: int) -> dict[str, Any]:
    """What becomes of a run whose first device gets a signal, and of one whose last device's loss is NaN."""
    data = data_of(batch_size=1)
    last = LastCheckpoint(dirpath=folder / "kept", monitor=None, save_top_k=0, save_last=True)
    heeding = {"callbacks": [last, KillsItself(), Interruption()], "plugins": [WholeCheckpoints()]}
    options: dict[str, Any] = {"max_epochs": 1, "enable_checkpointing": True, **heeding, **several(count)}
    with pytest.raises(Terminated) as stopped:
        tiny_trainer(folder, **options).fit(tiny_module(classes=data.classes), data)
    spoiling = [Spoils(), FiniteLoss(folder / "nonfinite")]
    with pytest.raises(HmsegError) as failed:
        tiny_trainer(folder, max_epochs=1, callbacks=spoiling, **several(count)).fit(
            tiny_module(classes=data.classes), data
        )
    step = torch.load(folder / "kept/last.ckpt", weights_only=True)["global_step"]
    return {"stopped": (stopped.value.code, str(stopped.value), step), "failed": str(failed.value)}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict[str, Any]]]:
    """By the number of devices, what each of them found."""
    with folder_of_all(tmp_path_factory, "devices") as folder:
        return {
            count: on_devices(count, everything, folder / f"results-{count}", count, folder / str(count))
            for count in (1, 2, 3)
        }


def test_scores_are_the_same_on_any_number_of_devices(found: dict[int, list[dict[str, Any]]]) -> None:
    alone = found[1][0]
    overall, _ = alone["test"]
    assert sum(overall.episodes.values()) == sum(alone["resumed"].episodes.values()) == EPISODES
    for count, devices in found.items():
        assert len(devices) == count
        rows = torch.cat([each["rows"] for each in devices])
        assert sorted(rows[:, 0].tolist()) == list(range(EPISODES))
        for each in devices:
            assert each["resumed"] == alone["resumed"]
            # A batch's loss is the mean over its pixels that count: it depends a little on who is together.
            assert each["val/loss"] == pytest.approx(alone["val/loss"], rel=0.01)
            assert [miou for _, miou in each["val"]] == pytest.approx([m for _, m in alone["val"]], abs=0.5)


def test_devices_share_the_training_stream(found: dict[int, list[dict[str, Any]]]) -> None:
    alone = found[1][0]["positions"]
    assert len(alone) == 4 and sorted(alone[0] + alone[1]) == list(range(12))
    for devices in found.values():
        steps = [sorted(sum(step, [])) for step in zip(*(each["positions"] for each in devices), strict=True)]
        assert steps == [sorted(step) for step in alone]  # step by step what one device would see


def test_devices_learn_what_one_would(found: dict[int, list[dict[str, Any]]]) -> None:
    alone = found[1][0]["weights"]
    for devices in found.values():
        assert len({each["run"] for each in devices}) == 1
        for each in devices:
            for name, value in each["weights"].items():
                assert torch.equal(value, devices[0]["weights"][name])
                assert torch.allclose(value, alone[name], atol=1e-5)


def test_all_leave_together_and_one_says_so(found: dict[int, list[dict[str, Any]]]) -> None:
    for first, *others in found.values():
        assert first["stopped"] == (143, "stopped by SIGTERM, saved at step 3", 3)
        assert all(each["stopped"][0] == 0 for each in others)


def test_a_loss_that_is_no_number_stops_all(found: dict[int, list[dict[str, Any]]]) -> None:
    for *others, last in found.values():
        assert "became nan at step 1 (epoch 0); its batch is in" in last["failed"]
        assert all("no number on another device at step 1" in each["failed"] for each in others)
