"""The W&B sweep of conf/wandb: what its agent would start is a training that composes."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from hmseg import train
from hmseg.cli import _parse
from hmseg.config import compose, conf_dir

SWEEP = yaml.safe_load((conf_dir() / "wandb" / "sweep.yaml").read_text())


def command(values: dict[str, Any]) -> list[str]:
    """The words that W&B's agent starts for one choice of values, put together as it does."""
    given = create_sweep_command_args({"args": {key: {"value": value} for key, value in values.items()}})
    given |= {"env": ["/usr/bin/env"], "interpreter": [sys.executable], "program": [SWEEP["program"]]}
    words: list[str] = []
    for part in create_sweep_command(list(SWEEP["command"])):
        if part.startswith("${") and part.endswith("}"):
            words += given[part[2:-1]]
        else:
            words.append(part)
    return words


def test_each_job_of_the_sweep_is_a_training_with_its_values() -> None:
    names = list(SWEEP["parameters"])
    jobs = itertools.product(*(SWEEP["parameters"][name]["values"] for name in names))
    for job in itertools.islice(jobs, 0, None, 5):
        values = dict(zip(names, job, strict=True))
        start, interpreter, flag, program, *words = command(values)
        assert (start, interpreter, flag) == ("/usr/bin/env", sys.executable, "-m")
        assert program == f"hmseg.{train.PROGRAM.config_name}"
        _, flags, overrides = _parse(words)
        assert flags == []  # settings without hyphens: nothing for argparse
        cfg = compose(*overrides)
        assert (cfg.fold, cfg.seed, "wandb" in cfg.logger) == (values["fold"], values["seed"], True)
        assert str(values["masking"]) in cfg.masking._target_.lower().replace("nomasking", "none")


def test_values_that_hydra_could_misread_arrive() -> None:
    words = command(
        {"optimizer.lr": 1e-05, "baselines": False, "loader.cache": None, "masking": "hybrid_soft"}
    )
    cfg = compose(*words[4:])
    assert (cfg.optimizer.lr, cfg.baselines, cfg.masking.mix) == (1e-5, False, 0.25)


def test_it_is_steered_by_a_number_that_runs_log() -> None:
    from hmseg.callbacks import wandb_run

    assert SWEEP["metric"] == {"name": wandb_run.BEST_SCORE, "goal": "maximize"}
    assert SWEEP["method"] in ("grid", "random", "bayes")
