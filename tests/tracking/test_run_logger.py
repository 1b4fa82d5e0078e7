"""What a W&B run is started with; the runs themselves: tests/test_wandb_offline.py and …_online.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pytorch_lightning.loggers import CSVLogger

from hmseg.assembly import build_loggers
from hmseg.config import compose
from hmseg.errors import ConfigError
from hmseg.tracking.origin import Origin
from hmseg.tracking.run_logger import MODES, RunLogger, label_runs, run_loggers

ORIGIN = Origin("team", "hmseg", "1a2b", "theirs")


def logger(*words: str, kind: str = "train", origin: Origin | None = None) -> RunLogger:
    (built,) = build_loggers(compose("logger=wandb", "logger.wandb.mode=offline", *words), kind, origin)
    assert isinstance(built, RunLogger)
    return built


def test_a_run_gets_group_job_type_name_and_tags_of_its_configuration() -> None:
    start = logger("fold=1", "masking=input")._wandb_init
    assert (start["group"], start["job_type"]) == ("hsnet-shapes-mobilenet_v2", "fold1")
    assert start["name"] == "input fold 1 seed 0" and start["id"] is None
    assert "masking=input" in start["tags"] and start["mode"] == "offline"


def test_what_is_given_wins_and_tags_are_added_to() -> None:
    words = ("group=g", "job_type=j", "name=n", "tags=[mine,train]")
    start = logger(*(f"logger.wandb.{word}" for word in words), origin=ORIGIN)._wandb_init
    assert (start["group"], start["job_type"], start["name"]) == ("g", "j", "n")
    assert start["tags"][:3] == ["mine", "train", "model=hsnet"]


def test_a_training_goes_on_in_its_run_and_an_evaluation_joins_its_group() -> None:
    resumed, tested = logger(origin=ORIGIN), logger(kind="evaluate", origin=ORIGIN)
    assert (resumed._wandb_init["id"], resumed.version) == ("1a2b", "1a2b")
    assert (tested._wandb_init["id"], tested._wandb_init["group"]) == (None, "theirs")
    assert "evaluate" in tested._wandb_init["tags"]


def test_modes(tmp_path: Path) -> None:
    for mode in MODES:
        assert RunLogger(tmp_path, mode=mode).mode == mode
    with pytest.raises(ConfigError, match=r"unknown logger\.wandb\.mode 'on': did you mean 'online'"):
        RunLogger(tmp_path, mode="on")
    with pytest.raises(ConfigError, match=r"unknown logger\.wandb\.mode 'ofline': did you mean 'offline'"):
        compose("logger=wandb", "logger.wandb.mode=ofline")


def test_mode_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert compose("logger=wandb").logger.wandb.mode == "disabled"
    monkeypatch.delenv("WANDB_MODE")
    assert compose("logger=wandb").logger.wandb.mode == "online"


def test_disabled_runs_and_other_loggers_get_nothing_extra(tmp_path: Path) -> None:
    off, on = RunLogger(tmp_path, mode="disabled"), RunLogger(tmp_path, mode="offline")
    assert run_loggers([off, CSVLogger(tmp_path), on]) == [on]
    label_runs([off, CSVLogger(tmp_path)], logger()._labels)  # type: ignore[arg-type]
    assert off._wandb_init["group"] is None


def test_nothing_is_started_before_it_is_used(tmp_path: Path) -> None:
    built = logger(f"paths.output_dir={tmp_path}/run")
    assert built._experiment is None and not (tmp_path / "run").exists()
    assert "wandb" not in sys.modules or sys.modules["wandb"].run is None
