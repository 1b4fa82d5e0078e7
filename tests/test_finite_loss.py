"""A loss that is no number ends the run before it is saved, and its batch can be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from full_disk import full_disk
from hmseg.callbacks import FiniteLoss
from hmseg.callbacks.finite_loss import _Seen
from hmseg.callbacks.journal import TestJournal
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.episode import Episode
from hmseg.data.shapes import ShapesSource
from hmseg.errors import CheckpointError, HmsegError
from hmseg.run_checkpoints import read_checkpoint
from tiny import LIGHTNING_WARNINGS, tiny_loader, tiny_module, tiny_trainer

pytestmark = LIGHTNING_WARNINGS


def explode(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=float("inf"))


class Spoils(pl.Callback):
    """Makes one loss NaN: that of a batch of the second epoch."""

    def __init__(self, batch: int = 2) -> None:
        self.batch = batch

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (1, self.batch):
            pl_module.network.head.last.bias.data.fill_(float("nan"))


@pytest.mark.parametrize("every", [{"every_n_epochs": 1}, {"every_n_train_steps": 1}])
def test_a_diverging_run_stops_before_its_checkpoint(tmp_path: Path, every: dict[str, int]) -> None:
    saver = ModelCheckpoint(dirpath=tmp_path, save_top_k=-1, **every)
    options = {"max_epochs": 3, "enable_checkpointing": True, "log_every_n_steps": 50}
    trainer = tiny_trainer(tmp_path, callbacks=[saver, FiniteLoss(tmp_path / "nonfinite")], **options)
    told = r"loss became nan at step 1 \(epoch 0\); .*lower optimizer\.lr"
    if "every_n_train_steps" in every:  # before there is a loss of these weights
        told = r"weights became NaN or infinite before step 1 \(network\.head\..*\): nothing of it is saved"
    with pytest.raises(HmsegError, match=told):
        trainer.fit(tiny_module(optimizer=explode), tiny_loader(4))
    assert not list(tmp_path.glob("*.ckpt"))


class Leaps(pl.Callback):
    """Makes the last step of the second epoch diverge: its loss is a number, its weights are huge."""

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.current_epoch == 1 and trainer.is_last_batch:
            for parameter in pl_module.network.head.parameters():
                parameter.data.fill_(4e19)


def test_a_diverged_last_step_is_never_called_best(tmp_path: Path) -> None:
    best = ModelCheckpoint(dirpath=tmp_path, filename="best", monitor="val/miou", mode="max")
    last = ModelCheckpoint(dirpath=tmp_path, filename="last", enable_version_counter=False)
    options = {"max_epochs": 2, "enable_checkpointing": True}
    trainer = tiny_trainer(tmp_path, callbacks=[Leaps(), best, last, FiniteLoss(tmp_path)], **options)
    module = tiny_module()
    with pytest.raises(HmsegError, match=r"logits became NaN or infinite in the validation \(step 8\): its"):
        trainer.fit(module, tiny_loader(4), tiny_loader(2, seed=50))
    assert best.best_model_path == str(tmp_path / "best.ckpt")
    for name in ("best", "last"):
        assert read_checkpoint(tmp_path / f"{name}.ckpt")["global_step"] == 4


def test_weights_that_are_no_numbers_are_no_network(tmp_path: Path) -> None:
    saver = ModelCheckpoint(dirpath=tmp_path, filename="last")
    trainer = tiny_trainer(tmp_path, callbacks=[saver], max_epochs=1, enable_checkpointing=True)
    trainer.fit(tiny_module(), tiny_loader(1))
    checkpoint = read_checkpoint(tmp_path / "last.ckpt")
    checkpoint["state_dict"]["network.head.last.bias"][0] = torch.nan
    with pytest.raises(
        CheckpointError, match=r"holds NaN or infinity \(network\.head\.last\.bias\): the trai"
    ):
        tiny_module().restore(checkpoint)


def test_a_test_of_such_logits_has_no_scores_and_leaves_no_episode(tmp_path: Path) -> None:
    module = tiny_module()
    module.network.head.last.bias.data.fill_(torch.nan)
    journal = TestJournal(tmp_path / "best.unfinished", "key", seconds=0)
    with pytest.raises(HmsegError, match="logits became NaN or infinite in the test"):
        tiny_trainer(tmp_path, callbacks=[journal]).test(module, tiny_loader(2), verbose=False)
    assert module.scores is None and len(journal.read()) == 0
    with pytest.raises(HmsegError, match="logits became NaN or infinite in the test"):  # without a journal
        tiny_trainer(tmp_path).test(module, tiny_loader(2), verbose=False)


def test_no_step_waits_for_the_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tensor that is made a bool or a number is waited for."""

    def waited(_: Any) -> NoReturn:
        raise AssertionError("the device was waited for")

    module, batch = tiny_module(), next(iter(tiny_loader(1)))
    module.on_validation_epoch_start()
    for name in ("__bool__", "item", "__float__", "__int__"):
        monkeypatch.setattr(torch.Tensor, name, waited)
    module.validation_step(batch, 0)


def test_the_batch_is_kept_with_the_names_of_its_images(tmp_path: Path) -> None:
    source = ShapesSource(image_size=48, train_images=40, val_images=60)
    data = EpisodeDataModule(
        source, fold=0, size=32, batch_size=2, train_episodes=8, val_episodes=2, num_workers=1
    )
    module = tiny_module(classes=data.classes)
    trainer = tiny_trainer(tmp_path, max_epochs=2, callbacks=[Spoils(), FiniteLoss(tmp_path / "nonfinite")])
    with pytest.raises(HmsegError) as failed:
        trainer.fit(module, data)
    (path,) = (tmp_path / "nonfinite").iterdir()
    assert path.name == "step000006-device0.pt"
    assert f"became nan at step 6 (epoch 1); its batch is in {path}: lower" in str(failed.value)
    kept = torch.load(path, weights_only=True)
    assert kept["step"] == 6 and kept["epoch"] == 1 and kept["loss"] != kept["loss"]
    episode = Episode(**kept["episode"])
    assert episode.query_image.shape == (2, 3, 32, 32) and episode.index.tolist() == [4, 5]
    loader = data.train_dataloader()
    loader.sampler.set_epoch(1)  # type: ignore[attr-defined]
    again = list(loader)[2]  # the names are those of these images
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(episode, again, strict=True))
    specs = loader.specs([4, 5])
    assert kept["names"] == [
        {"class": each.class_id, "query": each.query, "supports": list(each.supports)} for each in specs
    ]


def test_the_weights_are_those_that_gave_it(tmp_path: Path) -> None:
    """On the CPU the run stops before a step with such a gradient is made."""
    module = tiny_module()
    with pytest.raises(HmsegError):
        tiny_trainer(tmp_path, max_epochs=2, callbacks=[Spoils(), FiniteLoss(tmp_path)]).fit(
            module, tiny_loader(4)
        )
    assert torch.isfinite(module.network.head.mix.weight).all()


def test_other_batches_a_full_disk_and_a_trial_run(tmp_path: Path) -> None:
    module, loader = tiny_module(optimizer=explode), tiny_loader(4)
    with (
        full_disk(1000),
        pytest.raises(HmsegError, match=r"its batch could not be saved \(.*File too large\)"),
    ):
        tiny_trainer(tmp_path, max_epochs=1, callbacks=[FiniteLoss(tmp_path / "a")]).fit(module, loader)
    assert not list((tmp_path / "a").iterdir())
    module = tiny_module(optimizer=explode)
    with pytest.raises(HmsegError, match=r"nan at step 1 \(epoch 0\): lower"):
        tiny_trainer(tmp_path, fast_dev_run=3, callbacks=[FiniteLoss(tmp_path / "b")]).fit(module, loader)
    assert not (tmp_path / "b").exists()
    module = tiny_module(optimizer=explode)
    with pytest.raises(HmsegError, match="its batch is in"):
        tiny_trainer(tmp_path, max_epochs=1, callbacks=[FiniteLoss(tmp_path / "c")]).fit(module, loader)
    (path,) = (tmp_path / "c").iterdir()
    assert torch.load(path, weights_only=True)["names"] == []  # a loader that is not ours


class Event:
    """A GPU's event: what was asked of it, and whether the step is done."""

    def __init__(self, done: bool = False) -> None:
        self.done, self.waited = done, False

    def query(self) -> bool:
        return self.done

    def synchronize(self) -> None:
        self.done = self.waited = True


def seen(step: int, bad: bool = False, done: bool = False) -> _Seen:
    loss = torch.tensor(float("nan") if bad else 1.0)
    event: Any = Event(done)
    return _Seen(None, loss, torch.tensor(int(bad), dtype=torch.int32), event, step, epoch=0)


def test_a_gpu_is_never_waited_for_in_its_own_step(tmp_path: Path) -> None:
    """With events in place of a GPU's: two steps may be under way, those before them are waited for."""
    trainer = tiny_trainer(tmp_path, fast_dev_run=1)
    guard = FiniteLoss(tmp_path)
    steps = [seen(0, done=True), seen(1), seen(2), seen(3), seen(4)]
    for each in steps[:3]:
        guard._unread.append(each)
        guard._read(trainer, behind=2)
    assert not any(each.arrived.waited for each in steps)  # type: ignore[union-attr]
    assert [each.step for each in guard._unread] == [1, 2]  # what has arrived is read without waiting
    guard._unread.append(steps[3])
    guard._read(trainer, behind=2)
    assert [each.arrived.waited for each in steps] == [False, True, False, False, False]  # type: ignore[union-attr]
    guard._unread.append(seen(4, bad=True))
    guard._read(trainer, behind=2)
    with pytest.raises(HmsegError, match="nan at step 4"):
        guard.on_save_checkpoint(trainer, tiny_module(), {"state_dict": {}})  # all is waited for
