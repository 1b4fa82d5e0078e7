"""A run that is killed while it trains and while it tests ends as one that was not, its choice of *best* too.

The drawn objects are large, so that a small network finds some of them within seconds and its validation
scores go up and down: the best checkpoint is neither the first nor the last.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

WORDS = (
    "dataset=folder", "dataset.root=own", "dataset.folds=2", "dataset.image_size=64", "fold=0",
    "loader.num_workers=0", "loader.batch_size=2", "loader.eval_batch_size=1", "loader.train_episodes=12",
    "loader.val_episodes=8", "loader.test_episodes=60", "trainer.max_epochs=3", "trainer.max_time=null",
    "trainer.accelerator=cpu", "callbacks.last.train_time_interval=null", "baselines=false",
    "callbacks.last.every_n_train_steps=1", "optimizer.lr=0.001", "logger=none", "paths.records=null",
)  # fmt: skip
STEPS = 18
"""Six in each epoch."""
COLOURS = ((220, 60, 40), (50, 200, 60), (60, 80, 220), (220, 210, 60))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With ``own``: four classes of a coloured rectangle before noise."""
    rng = np.random.default_rng(0)
    for number, colour in enumerate(COLOURS):
        place = tmp_path / "own" / f"class{number}"
        place.mkdir(parents=True)
        for name in range(5):
            image, mask = rng.integers(0, 256, (64, 64, 3)), np.zeros((64, 64), np.uint8)
            height, width = rng.integers(44, 58, 2)
            top, left = rng.integers(0, 64 - height), rng.integers(0, 64 - width)
            inside = (slice(top, top + height), slice(left, left + width))
            image[inside] = np.clip(colour + rng.integers(-40, 40, (height, width, 1)), 0, 255)
            mask[inside] = 255
            Image.fromarray(image.astype(np.uint8)).save(place / f"{name}.jpg")
            Image.fromarray(mask).save(place / f"{name}.png")
    return tmp_path


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "hmseg.train", *words]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)  # type: ignore[call-overload,no-any-return]


def finish(folder: Path, *words: str) -> None:
    process = start(folder, *words)
    _, err = process.communicate(timeout=400)
    assert process.returncode == 0, err


def kill(process: subprocess.Popen[str], when: Callable[[], bool]) -> None:
    """SIGKILL as soon as something is so; the process must still be at work then."""
    deadline = time.monotonic() + 300
    while not when():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def trained_to(run: Path, step: int) -> Callable[[], bool]:
    path = run / "checkpoints" / "last.ckpt"
    return lambda: path.is_file() and checkpoint(path)["global_step"] >= step


def in_the_test_of(run: Path, name: str) -> Callable[[], bool]:
    """Some episodes of a checkpoint are tested, and not all."""
    files = f"checkpoints/{name}.*.unfinished.0"
    return lambda: any(path.read_text().count("\n") > 2 for path in run.glob(files))


def checkpoint(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


def told(run: Path, name: str) -> dict[str, Any]:
    """What a record says of scores and course, without times."""
    (path,) = run.glob(f"checkpoints/{name}.*.json")
    record = json.loads(path.read_text())
    course = [{**each, "seconds": 0} for each in record["training"]["history"]]
    scores = {
        key: record[key] for key in ("miou", "fb_iou", "per_class", "small_objects", "episodes", "test")
    }
    return {**scores, "course": course, "resumed": record["resumed"]}


def test_runs_killed_in_training_and_in_testing_end_alike(folder: Path) -> None:
    finish(folder, *WORDS, "hydra.run.dir=whole")
    whole, killed = folder / "whole", folder / "killed"
    best, last = (checkpoint(whole / "checkpoints" / f"{name}.ckpt") for name in ("best", "last"))
    course = told(whole, "last")["course"]
    mious = [each["miou"] for each in course]
    assert max(mious) > 10 and len(set(mious)) == 3
    assert course[0]["step"] < best["global_step"] < last["global_step"] == STEPS  # there was a choice

    kill(start(folder, *WORDS, "hydra.run.dir=killed"), trained_to(killed, 8))
    kill(start(folder, "resume=killed"), trained_to(killed, 15))
    kill(start(folder, "resume=killed"), in_the_test_of(killed, "best"))
    finish(folder, "resume=killed")

    for name, expected in (("best", best), ("last", last)):
        found = checkpoint(killed / "checkpoints" / f"{name}.ckpt")
        assert found["global_step"] == expected["global_step"]
        assert found["state_dict"].keys() == expected["state_dict"].keys()
        for key, value in expected["state_dict"].items():
            assert torch.equal(found["state_dict"][key], value), key
        ours, theirs = told(killed, name), told(whole, name)
        assert (ours.pop("resumed") > 0) == (name == "best") and theirs.pop("resumed") == 0
        assert ours == theirs
        tables = [next(run.glob(f"checkpoints/{name}.*.csv.gz")).read_bytes() for run in (whole, killed)]
        assert tables[0] == tables[1]
