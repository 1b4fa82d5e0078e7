"""Progress and gradient norms, as a real Trainer drives them."""

from __future__ import annotations

import csv
import io
import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from hmseg.callbacks import GradientNorm, LastCheckpoint, RunHistory, RunProgress
from hmseg.progress import Limits, clock, remaining
from hmseg.run_checkpoints import HISTORY
from tiny import LIGHTNING_WARNINGS, tiny_loader, tiny_module, tiny_trainer

pytestmark = LIGHTNING_WARNINGS


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def fit(folder: Path, progress: RunProgress, **options: Any) -> pl.Trainer:
    options = {"max_epochs": 3, "enable_progress_bar": True, **options}
    trainer = tiny_trainer(folder, callbacks=[progress, *options.pop("callbacks", [])], **options)
    trainer.fit(tiny_module(), tiny_loader(2), tiny_loader(1, seed=50))
    return trainer


# Progress


def test_one_line_per_epoch_where_there_is_no_terminal(tmp_path: Path) -> None:
    stream = io.StringIO()
    trainer = fit(tmp_path, RunProgress(stream=stream, refresh_seconds=0))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    for epoch, line in enumerate(lines, start=1):
        assert re.fullmatch(
            rf"epoch {epoch}/3  step {2 * epoch}  \[\d+:\d\d < \d+:\d\d\]"
            r"  loss \d+\.\d{4}  IoU \d+\.\d  val mIoU \d+\.\d  val FB-IoU \d+\.\d",
            line,
        ), line
    assert "< 0:00]" in lines[-1]
    last = trainer.callback_metrics
    assert f"loss {last['train/loss_epoch']:.4f}" in lines[-1]
    assert f"val mIoU {last['val/miou']:.1f}" in lines[-1]


def test_terminal_shows_one_bar_over_the_run_with_live_values(tmp_path: Path) -> None:
    stream = Terminal()
    fit(tmp_path, RunProgress(stream=stream, refresh_seconds=0), num_sanity_val_steps=1)
    drawn = [line.strip() for line in re.split(r"[\r\n]", stream.getvalue()) if line.strip()]
    assert any("trying out validation 1/1" in line for line in drawn)
    assert any(re.match(r"17%.* epoch 1/3  step 1 .*loss \d+\.\d{4}  IoU \d", line) for line in drawn)
    assert any(re.search(r"validation 1/1  mIoU so far \d+\.\d", line) for line in drawn)
    assert any(re.search(r"epoch 2/3  step 3 .*val mIoU \d+\.\d", line) for line in drawn)
    assert drawn[-1].startswith("100%")
    assert "\x1b" not in stream.getvalue()  # one bar, never a second line


def test_terminal_is_not_redrawn_too_often(tmp_path: Path) -> None:
    often, seldom = Terminal(), Terminal()
    fit(tmp_path, RunProgress(stream=often, refresh_seconds=0))
    fit(tmp_path, RunProgress(stream=seldom, refresh_seconds=3600))
    assert 0 < seldom.getvalue().count("\r") < often.getvalue().count("\r")


def test_evaluation_alone_ends_in_one_line(tmp_path: Path) -> None:
    stream = io.StringIO()
    trainer = tiny_trainer(tmp_path, callbacks=[RunProgress(stream=stream)], enable_progress_bar=True)
    trainer.validate(tiny_module(), tiny_loader(2), verbose=False)
    trainer.test(tiny_module(), tiny_loader(2), verbose=False)
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(r"val: mIoU \d+\.\d  FB-IoU \d+\.\d  \[\d+:\d\d\]", first)
    assert re.fullmatch(r"test: mIoU \d+\.\d  FB-IoU \d+\.\d  \[\d+:\d\d\]", second)
    terminal = Terminal()
    progress = RunProgress(stream=terminal, refresh_seconds=0)
    trainer = tiny_trainer(tmp_path, callbacks=[progress], enable_progress_bar=True)
    trainer.test(tiny_module(), tiny_loader(2), verbose=False)
    assert re.search(r" 50%\|.*test 1/2  mIoU so far \d", terminal.getvalue())


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_disabled_progress_is_silent(tmp_path: Path, stream: io.StringIO) -> None:
    progress = RunProgress(stream=stream, refresh_seconds=0)
    progress.disable()
    fit(tmp_path, progress)
    progress.print("nothing")
    assert stream.getvalue() == ""
    progress.enable()
    progress.print("some", "words")
    assert stream.getvalue() == "some words\n"


def test_it_writes_to_stderr_unless_told_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(tmp_path, RunProgress(), max_epochs=1)
    out, err = capsys.readouterr()
    assert "epoch 1/1" in err
    assert "epoch" not in out


def test_an_exception_leaves_the_bar_closed(tmp_path: Path) -> None:
    class Fails(pl.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            raise RuntimeError("stop here")

    stream = Terminal()
    with pytest.raises(RuntimeError, match="stop here"):
        fit(tmp_path, RunProgress(stream=stream, refresh_seconds=0), callbacks=[Fails()])
    assert stream.getvalue().endswith("\n")


def test_a_run_by_steps_or_time_shows_its_own_share(tmp_path: Path) -> None:
    stream = Terminal()
    fit(tmp_path, RunProgress(stream=stream, refresh_seconds=0), max_epochs=-1, max_steps=4)
    assert re.search(r" 75%\|.*epoch 2/\?  step 3", stream.getvalue())
    shares: list[tuple[float, float]] = []

    class Shares(pl.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            limits = progress._limits
            shares.append((limits.fraction, limits.seconds[1] if limits.seconds else math.nan))

    progress = RunProgress(stream=io.StringIO())
    limited = {"max_epochs": 1000, "max_steps": 2, "max_time": "00:00:10:00", "limit_train_batches": 1}
    fit(tmp_path, progress, callbacks=[Shares()], **limited)
    assert shares[0][0] == 0.5
    assert 500 < shares[0][1] < 600


@pytest.mark.parametrize(
    ("limits", "fraction"),
    [
        (Limits(), 0.0),
        (Limits(epochs=(1.0, 4), steps=(7, -1)), 0.25),
        (Limits(epochs=(1.0, -1), steps=(30, 40)), 0.75),
        (Limits(epochs=(3.0, 4), steps=(7, 70)), 0.75),
        (Limits(epochs=(1.0, 4), seconds=(90.0, 10.0)), 0.9),
        (Limits(epochs=(5.0, 4)), 1.0),
    ],
)
def test_fraction_goes_by_the_nearest_limit(limits: Limits, fraction: float) -> None:
    assert limits.fraction == pytest.approx(fraction)


def test_remaining_time() -> None:
    half = Limits(steps=(50, 100))
    assert remaining(half, start=0.0, elapsed=30.0) == pytest.approx(30.0)
    assert remaining(half, start=0.4, elapsed=30.0) == pytest.approx(150.0)  # resumed: a tenth took 30 s
    assert remaining(half._replace(seconds=(5.0, 20.0)), start=0.0, elapsed=30.0) == 20.0
    assert remaining(half._replace(seconds=(5.0, -2.0)), start=0.0, elapsed=30.0) == 0.0
    assert remaining(half, start=0.5, elapsed=30.0) == math.inf
    assert remaining(Limits(), start=0.0, elapsed=30.0) == math.inf
    assert clock(remaining(Limits(), start=0.0, elapsed=30.0)) == "?"


# Gradients


def test_gradient_norm_is_that_before_clipping_at_the_logged_steps(tmp_path: Path) -> None:
    norms: list[float] = []

    class Slow(pl.Callback):
        def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
            squares = [
                (p.grad.double() ** 2).sum().item() for p in pl_module.parameters() if p.grad is not None
            ]
            norms.append(math.sqrt(sum(squares)))

    logger = CSVLogger(tmp_path, name="log")
    trainer = tiny_trainer(
        tmp_path,
        max_epochs=1,
        logger=logger,
        log_every_n_steps=2,
        gradient_clip_val=1e-3,
        callbacks=[GradientNorm(), Slow()],
    )
    trainer.fit(tiny_module(), tiny_loader(5))
    with open(Path(logger.log_dir) / "metrics.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["train/grad_norm"]]
    assert [int(row["step"]) for row in rows] == [1, 3]
    assert [float(row["train/grad_norm"]) for row in rows] == pytest.approx([norms[1], norms[3]], rel=1e-5)
    assert min(norms) > 1e-3  # so clipping would have shown


def test_gradient_norm_is_computed_only_where_it_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    norm = torch.nn.utils.get_total_norm

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return norm(*args, **kwargs)

    monkeypatch.setattr(torch.nn.utils, "get_total_norm", counted)
    options = {"max_epochs": 1, "log_every_n_steps": 3, "callbacks": [GradientNorm()]}
    tiny_trainer(tmp_path, **options).fit(tiny_module(), tiny_loader(7))
    assert len(calls) == 2


def test_logged_values_are_on_disk_when_a_run_dies(tmp_path: Path) -> None:
    """The CSV logger needs no flushing of ours: what was logged is in the file before the next step."""
    logger = CSVLogger(tmp_path, name="log")
    seen: list[int] = []

    class Looks(pl.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            path = Path(logger.log_dir) / "metrics.csv"
            seen.append(len(path.read_text().splitlines()) - 1 if path.is_file() else 0)

    trainer = tiny_trainer(tmp_path, max_epochs=1, logger=logger, callbacks=[Looks()])
    trainer.fit(tiny_module(), tiny_loader(4))
    assert seen == [0, 1, 2, 3]


# History


def run_with_history(folder: Path, epochs: int, resume: Path | None = None) -> RunHistory:
    history = RunHistory()
    saved = ModelCheckpoint(dirpath=folder, filename="last", enable_version_counter=False)
    trainer = tiny_trainer(
        folder,
        callbacks=[saved, history],  # the checkpoint's comes last all the same
        max_epochs=epochs,
        enable_checkpointing=True,
        num_sanity_val_steps=1,
    )
    trainer.fit(tiny_module(), tiny_loader(3), tiny_loader(1, seed=50), ckpt_path=resume, weights_only=True)
    return history


def test_history_is_in_every_checkpoint_and_goes_on_when_resumed(tmp_path: Path) -> None:
    first = run_with_history(tmp_path, epochs=2)
    stored = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"][HISTORY]
    assert stored["run"] == first.run and len(first.run) == 32
    assert stored["validations"] == first.validations
    assert [(v["epoch"], v["step"]) for v in first.validations] == [(1, 3), (2, 6)]
    assert all(0 <= v["miou"] <= 100 for v in first.validations)
    assert 0 < first.validations[0]["seconds"] <= first.validations[1]["seconds"] <= first.seconds

    second = run_with_history(tmp_path, epochs=4, resume=tmp_path / "last.ckpt")
    assert second.run == first.run
    assert second.validations[:2] == first.validations
    assert [v["epoch"] for v in second.validations] == [1, 2, 3, 4]
    assert second.seconds > stored["seconds"]
    assert run_with_history(tmp_path / "other", epochs=1).run != first.run


def test_the_last_checkpoint_is_of_the_end_though_the_clock_saves_it(tmp_path: Path) -> None:
    history = RunHistory()
    last = LastCheckpoint(
        dirpath=tmp_path,
        monitor=None,
        save_top_k=0,
        save_last=True,
        save_on_train_epoch_end=True,
        train_time_interval=timedelta(hours=1),
        enable_version_counter=False,
    )
    trainer = tiny_trainer(tmp_path, callbacks=[history, last], max_epochs=2, enable_checkpointing=True)
    trainer.fit(tiny_module(), tiny_loader(3), tiny_loader(1, seed=50))
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 6
    assert [each["epoch"] for each in saved["callbacks"][HISTORY]["validations"]] == [1, 2]
