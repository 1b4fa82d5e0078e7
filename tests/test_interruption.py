"""A run that is stopped anywhere ends like one that was not: weights, validations, best score."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn

from hmseg.callbacks import FiniteLoss, Interruption, LastCheckpoint, RunHistory, StepSeed
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.shapes import ShapesSource
from hmseg.interruption import Terminated, requeue, slurm_job
from hmseg.plugins import WholeCheckpoints, cluster
from tiny import LIGHTNING_WARNINGS, TinyHead, tiny_module, tiny_network, tiny_trainer

pytestmark = LIGHTNING_WARNINGS
STEPS = 6
"""Of an epoch: twelve episodes, two at a time."""


class StoppedError(Exception):
    """What ends a run in these tests."""


class At(pl.Callback):
    """Does something at a hook, once, when so many batches of the run were trained on or are about to be."""

    def __init__(self, batches: int, act: Callable[[], object], hook: str = "on_train_batch_start") -> None:
        self.batches, self.act, self.done = batches, act, False
        setattr(self, hook, self._look)

    def _look(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.fit_loop.total_batch_idx + 1 >= self.batches and not self.done:
            self.done = True
            self.act()


class Dropping(TinyHead):
    """Draws in each training step, as VAT does."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout2d(0.5)

    def forward(self, *args: Any) -> Tensor:
        logits: Tensor = self.drop(super().forward(*args))
        return logits


def stop() -> None:
    raise StoppedError


def fit(
    folder: Path,
    at: At | None = None,
    workers: int = 0,
    resume: bool = False,
    every: int | None = 1,
    **options: Any,
) -> tuple[dict[str, Tensor], RunHistory, ModelCheckpoint]:
    """Trains in a folder with the callbacks of the program; weights, history and best checkpoint."""
    torch.manual_seed(1234 if resume else 0)  # another process has other generators
    network = tiny_network()
    network.head = Dropping()
    source = ShapesSource(image_size=48, train_images=40, val_images=60)
    data = EpisodeDataModule(
        source, fold=0, size=32, batch_size=2, train_episodes=2 * STEPS, val_episodes=3, num_workers=workers
    )
    module = tiny_module(network=network, classes=data.classes)
    kept = {"dirpath": folder / "checkpoints", "enable_version_counter": False}
    best = ModelCheckpoint(filename="best", monitor="val/miou", mode="max", **kept)
    last = LastCheckpoint(
        monitor=None, save_top_k=0, save_last=True, save_on_train_epoch_end=True, every_n_train_steps=every,
        train_time_interval=None if every else timedelta(hours=1), **kept
    )  # fmt: skip
    history = RunHistory()
    ours = [history, best, last, StepSeed(0), FiniteLoss(folder), Interruption()]
    callbacks = [*ours, *([at] if at else [])]
    options = {"max_epochs": 3, "callbacks": callbacks, "enable_checkpointing": True, **options}
    trainer = tiny_trainer(folder, plugins=[WholeCheckpoints(), *cluster()], **options)
    path = folder / "checkpoints/last.ckpt" if resume else None
    trainer.fit(module, data, ckpt_path=path, weights_only=True)
    return {name: value.clone() for name, value in module.state_dict().items()}, history, best


def assert_same(found: Any, expected: Any) -> None:
    weights, history, best = found
    assert not [name for name in expected[0] if not torch.equal(weights[name], expected[0][name])]
    seen = [[(v["epoch"], v["step"], v["miou"]) for v in each.validations] for each in (history, expected[1])]
    assert seen[0] == seen[1]
    assert best.best_model_score == expected[2].best_model_score


# Stopping anywhere

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulated": {"accumulate_grad_batches": 4},  # two steps an epoch, and gradients in between
    "several validations": {"val_check_interval": 0.5},
    "validations across epochs": {"val_check_interval": 4, "check_val_every_n_epoch": None},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_that_dies_anywhere_ends_like_an_undisturbed_one(tmp_path: Path, name: str) -> None:
    options = SETTINGS[name]
    whole = fit(tmp_path / "whole", **options)
    stops = [("on_train_batch_start", 8), ("on_validation_end", 6)]  # batches of the run
    if name == "accumulated":
        stops = [("on_train_batch_start", 9), ("on_validation_end", 6)]
    for hook, batches in stops:
        folder = tmp_path / hook
        with pytest.raises(StoppedError):
            fit(folder, At(batches, stop, hook), **options)
        assert_same(fit(folder, resume=(folder / "checkpoints/last.ckpt").is_file(), **options), whole)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return fit(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_readers_change_nothing(tmp_path: Path, whole: Any, workers: int) -> None:
    """The same seed twice, whoever reads the images: weights, scores and all that is logged."""
    assert_same(fit(tmp_path, workers=workers), whole)


# Signals


def send(signum: int, readers: bool = False) -> Callable[[], None]:
    """Sends a signal to this process; to its readers too, as SLURM does."""

    def act() -> None:
        if readers:
            pids = [str(each.pid) for each in multiprocessing.active_children()]
            subprocess.run(["kill", f"-{signum}", *pids], check=True)  # not from here: their parent they obey
            time.sleep(0.3)  # readers that die of it are noticed by now
        os.kill(os.getpid(), signum)

    return act


def saved_step(folder: Path) -> int:
    step: int = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    return step


def test_sigterm_saves_the_step_and_leaves(tmp_path: Path, whole: Any) -> None:
    """With two reading processes, which get the signal too, and a clock that would not have saved yet."""
    with pytest.raises(Terminated) as stopped:
        fit(tmp_path, At(8, send(signal.SIGTERM, readers=True)), workers=2, every=None)
    assert (stopped.value.code, str(stopped.value)) == (143, "stopped by SIGTERM, saved at step 8")
    assert saved_step(tmp_path) == 8
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # as it was before
    assert_same(fit(tmp_path, workers=2, resume=True, every=None), whole)


@pytest.mark.parametrize("hook", ["on_validation_batch_end", "on_sanity_check_start"])
def test_a_validation_is_left_at_once(tmp_path: Path, whole: Any, hook: str) -> None:
    at = At(0 if "sanity" in hook else 9, send(signal.SIGTERM), hook)
    with pytest.raises(Terminated, match="^stopped by SIGTERM$"):
        fit(tmp_path, at, num_sanity_val_steps=1)
    resume = (tmp_path / "checkpoints/last.ckpt").is_file()
    assert resume == ("sanity" not in hook) and (not resume or saved_step(tmp_path) == 11)
    assert_same(fit(tmp_path, resume=resume), whole)


def test_a_signal_in_the_last_step_ends_the_run_first(tmp_path: Path, whole: Any) -> None:
    with pytest.raises(Terminated, match="saved at step 18"):
        fit(tmp_path, At(18, send(signal.SIGTERM), "on_train_end"))
    assert_same(fit(tmp_path, resume=True), whole)


# SLURM


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job of SLURM, and a scontrol that writes down how it was called."""
    for name, value in {"SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1"}.items():
        monkeypatch.setenv(name, value)
    tool = tmp_path / "bin" / "scontrol"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    return tool


def calls(tool: Path) -> list[str]:
    path = tool.parent.parent / "calls"
    return path.read_text().splitlines() if path.is_file() else []


@pytest.mark.parametrize("signum", [signal.SIGUSR1, signal.SIGTERM])
def test_slurms_signals_save_and_leave(
    tmp_path: Path, scontrol: Path, whole: Any, signum: signal.Signals
) -> None:
    run = tmp_path / "run"
    with pytest.raises(Terminated) as stopped:
        fit(run, At(4, send(signum)), every=None)
    assert str(stopped.value) == f"stopped by {signum.name}, saved at step 4"
    assert stopped.value.code == 128 + signum
    assert saved_step(run) == 4 and not list(run.glob("hpc*")) and not calls(scontrol)  # not Lightning's way
    assert_same(fit(run, resume=True, every=None), whole)


def test_the_job_is_put_back_into_the_queue(scontrol: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert requeue() == "SLURM job 77 requeued" and calls(scontrol) == ["requeue 77"]
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    assert requeue() == "" and len(calls(scontrol)) == 1
    monkeypatch.delenv("SUBMITIT_EXECUTOR")
    monkeypatch.delenv("SLURM_JOB_ID")
    assert requeue() == "" and len(calls(scontrol)) == 1


def test_a_queue_that_refuses_is_told_of(scontrol: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scontrol.write_text("#!/bin/sh\necho 'Requeue is disabled' >&2\nexit 1\n")
    assert requeue() == "SLURM job 77 not requeued (Requeue is disabled)"
    monkeypatch.setenv("PATH", "")
    assert requeue().startswith("SLURM job 77 not requeued (FileNotFoundError")
    assert slurm_job() == "77" and slurm_job({"SLURM_JOB_ID": "7; reboot"}) is None
