"""A few validation episodes in pictures, in TensorBoard's files; in W&B's: tests/test_wandb_offline.py."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hmseg.callbacks import FixedEpisodes
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.shapes import ShapesSource
from hmseg.errors import ConfigError
from tiny import LIGHTNING_WARNINGS, tiny_module, tiny_trainer

pytestmark = LIGHTNING_WARNINGS


def data() -> EpisodeDataModule:
    source = ShapesSource(image_size=64, train_images=40, val_images=60)
    return EpisodeDataModule(source, 0, 64, batch_size=2, train_episodes=2, val_episodes=8)


def fit(folder: Path, callback: FixedEpisodes, logger: Any, **options: Any) -> Any:
    module, episodes = tiny_module(classes=data().classes), data()
    trainer = tiny_trainer(folder, logger=logger, callbacks=[callback], **{"max_epochs": 3, **options})
    trainer.fit(module, episodes)
    return module


def images(folder: Path) -> dict[str, list[Any]]:
    events = EventAccumulator(str(folder), size_guidance={"images": 0})
    events.Reload()
    return {tag: events.Images(tag) for tag in events.Tags()["images"]}


def board(folder: Path) -> TensorBoardLogger:
    return TensorBoardLogger(folder, name="", version="")


def test_tensorboard_gets_the_same_episodes_after_each_validation(tmp_path: Path) -> None:
    fit(tmp_path, FixedEpisodes(count=3, side=32), board(tmp_path), num_sanity_val_steps=1)
    found = images(tmp_path)
    assert set(found) == {"val/episode_0", "val/episode_1", "val/episode_2"}
    for shots in found.values():
        assert [each.step for each in shots] == [1, 2, 3]
        pictures = [np.asarray(Image.open(io.BytesIO(each.encoded_image_string))) for each in shots]
        assert all(picture.shape == (32, 4 * 32, 3) for picture in pictures)
        for picture in pictures:  # support, query and truth stay the same, the prediction need not
            assert (picture[:, : 3 * 32] == pictures[0][:, : 3 * 32]).all()
    first, second = (found[f"val/episode_{n}"][0].encoded_image_string for n in (0, 1))
    assert first != second


def test_long_runs_show_them_a_bounded_number_of_times(tmp_path: Path) -> None:
    fit(tmp_path, FixedEpisodes(count=1, most=2, side=32), board(tmp_path), max_epochs=5)
    assert [each.step for each in images(tmp_path)["val/episode_0"]] == [1, 4]


def test_training_and_scores_are_the_same_with_and_without_pictures(tmp_path: Path) -> None:
    shown = fit(tmp_path / "a", FixedEpisodes(count=2), board(tmp_path / "a"))
    plain = fit(tmp_path / "b", FixedEpisodes(count=0), board(tmp_path / "b"))
    assert not images(tmp_path / "b")
    assert shown.scores == plain.scores
    for a, b in zip(shown.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)


def test_other_loggers_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("nothing should be predicted")

    monkeypatch.setattr(FixedEpisodes, "_shown", refuse)
    fit(tmp_path, FixedEpisodes(), CSVLogger(tmp_path), max_epochs=1)


@pytest.mark.parametrize(("name", "value"), [("count", -1), ("most", 0), ("side", 8)])
def test_numbers_out_of_range_are_refused(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"callbacks\.episodes\.{name}: expected at least .*, got {value}"):
        FixedEpisodes(**{name: value})
