"""Runs with ``logger=wandb`` in a process of their own: wandb's service lives as long as its process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# 64-pixel shapes and a dozen episodes: seconds, and nothing is left out.
TINY = (
    "experiment=shapes_quick",
    "dataset.image_size=64",
    "dataset.source.train_images=40",
    "dataset.source.val_images=60",
    "loader.num_workers=0",
    "loader.batch_size=2",
    "loader.train_episodes=4",
    "loader.val_episodes=6",
    "loader.test_episodes=6",
    "trainer.max_epochs=2",
    "trainer.max_time=null",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "baselines=false",
    "hydra.run.dir=run",
)

_SCRIPT = """
import importlib, json, pathlib, sys
from hmseg.cli import entry
for program, *words in json.loads(sys.argv[1]):
    if any("RUN" in word for word in words):
        run = json.loads(pathlib.Path("run/wandb.json").read_text())["run"]
        words = [word.replace("RUN", run) for word in words]
    try:
        entry(importlib.import_module(f"hmseg.{program}").PROGRAM, words)
    except SystemExit as error:
        print(f"{program} ended with {error.code}", file=sys.stderr)
"""


def run_all(
    programs: Sequence[Sequence[str]], folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs programs one after the other, each a name and its words.

    Args:
        programs: names of entry points, with their words; RUN in them is the id of the W&B run in ``run``.
        folder: to work in; W&B's own files go below it, too.
        environment: besides this process's, whose W&B account and folders are left out.
    """
    own = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    folders = {
        f"WANDB_{name}_DIR": str(folder / f"wandb-{name.lower()}") for name in ("DATA", "CACHE", "CONFIG")
    }
    return subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps(programs)],
        cwd=folder,
        env={**own, **folders, "HOME": str(folder), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
