"""The average of the head's weights: what it is, who gets it, and that a resumed run goes on from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from hmseg.callbacks import WeightAverage
from hmseg.errors import ConfigError
from hmseg.module import SegmentationModule
from hmseg.plugins import WholeCheckpoints
from hmseg.run_checkpoints import read_checkpoint
from tiny import LIGHTNING_WARNINGS, tiny_loader, tiny_module, tiny_trainer

pytestmark = LIGHTNING_WARNINGS
State = dict[str, Tensor]


def head_of(state: dict[str, Any]) -> State:
    return {name: each.clone() for name, each in state.items() if name.startswith("network.head.")}


class Looks(pl.Callback):
    """The head's weights after each step and in each validation."""

    def __init__(self) -> None:
        self.steps: list[State] = []
        self.validated: list[State] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.steps.append(head_of(pl_module.state_dict()))

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.validated.append(head_of(pl_module.state_dict()))


def fit(
    folder: Path, decay: float | None, epochs: int = 2, resume: Path | None = None, **options: Any
) -> tuple[SegmentationModule, Looks]:
    """Three batches an epoch; checkpoints ``best`` and, after every step, ``last``."""
    looks, module = Looks(), tiny_module()
    kept: dict[str, Any] = {"dirpath": folder, "enable_version_counter": False}
    best = ModelCheckpoint(filename="best", monitor="val/miou", mode="max", **kept)
    each = ModelCheckpoint(filename="{step}", every_n_train_steps=1, save_top_k=-1, **kept)
    last = ModelCheckpoint(filename="last", **kept)
    trainer = tiny_trainer(
        folder, max_epochs=epochs, callbacks=[best, each, last, looks, WeightAverage(decay)],
        enable_checkpointing=True, plugins=[WholeCheckpoints()], num_sanity_val_steps=1, **options,
    )  # fmt: skip
    trainer.fit(module, tiny_loader(3), tiny_loader(1, seed=50), ckpt_path=resume, weights_only=True)
    return module, looks


def assert_equal(found: State, expected: State) -> None:
    assert found.keys() == expected.keys() and found
    assert not [name for name in found if not torch.equal(found[name], expected[name])]


def averages(begin: State, steps: list[State], decay: float) -> list[State]:
    """After each step, by the definition."""
    found = []
    for number, step in enumerate(steps, start=1):
        kept = min(decay, (1 + number) / (10 + number))
        begin = {name: kept * begin[name] + (1 - kept) * step[name] for name in begin}
        found.append(begin)
    return found


def test_the_average_is_validated_saved_and_left_in_the_network(tmp_path: Path) -> None:
    begin = head_of(tiny_module().state_dict())
    module, looks = fit(tmp_path, decay=0.3)
    after = averages(begin, looks.steps, decay=0.3)
    torch.testing.assert_close(looks.validated, [begin, after[2], after[5]])  # the first one: before training
    torch.testing.assert_close(head_of(module.state_dict()), after[5])
    for name, average in (("last", after[5]), ("step=2", after[1])):
        torch.testing.assert_close(head_of(read_checkpoint(tmp_path / f"{name}.ckpt")["state_dict"]), average)
    other = tiny_module()
    other.restore(read_checkpoint(tmp_path / "last.ckpt"))
    assert_equal(head_of(other.state_dict()), head_of(module.state_dict()))


def test_training_itself_is_as_without(tmp_path: Path) -> None:
    _, plain = fit(tmp_path / "plain", decay=None)
    _, averaged = fit(tmp_path / "averaged", decay=0.9)
    for one, other in zip(plain.steps, averaged.steps, strict=True):
        assert_equal(one, other)
    assert_equal(plain.validated[1], plain.steps[2])
    assert "WeightAverage" not in torch.load(tmp_path / "plain/last.ckpt", weights_only=True)["callbacks"]


def test_a_resumed_run_ends_bit_by_bit_like_a_whole_one(tmp_path: Path) -> None:
    """In mid-epoch too: see test_end_to_end."""
    whole, looks = fit(tmp_path / "whole", decay=0.9)
    fit(tmp_path / "stopped", decay=0.9, epochs=1)
    resumed, seen = fit(tmp_path / "stopped", decay=0.9, resume=tmp_path / "stopped/last.ckpt")
    assert_equal(head_of(resumed.state_dict()), head_of(whole.state_dict()))
    assert_equal(seen.steps[-1], looks.steps[-1])
    assert_equal(seen.validated[-1], looks.validated[-1])


def test_it_moves_with_the_optimiser_and_not_between_accumulated_gradients(tmp_path: Path) -> None:
    begin = head_of(tiny_module().state_dict())
    module, looks = fit(tmp_path, decay=0.5, epochs=1, accumulate_grad_batches=3)
    (average,) = averages(begin, looks.steps[2:], decay=0.5)
    torch.testing.assert_close(head_of(module.state_dict()), average)


def test_a_run_without_it_can_go_on_with_it(tmp_path: Path) -> None:
    fit(tmp_path, decay=None, epochs=1)
    begin = head_of(read_checkpoint(tmp_path / "last.ckpt")["state_dict"])
    module, looks = fit(tmp_path, decay=0.5, resume=tmp_path / "last.ckpt")
    assert len(looks.steps) == 3
    for number, step in enumerate(looks.steps, start=4):  # of the run
        kept = (1 + number) / (10 + number)
        begin = {name: kept * begin[name] + (1 - kept) * step[name] for name in begin}
    torch.testing.assert_close(head_of(module.state_dict()), begin)


@pytest.mark.parametrize("decay", [0, 1, -0.5])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ConfigError, match="callbacks.ema.decay: expected a number between 0 and 1"):
        WeightAverage(decay)
