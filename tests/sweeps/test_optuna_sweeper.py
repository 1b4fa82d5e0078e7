"""Hyper-parameters searched by Optuna: the space, the search, a search that is started again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hmseg import train
from hmseg.cli import entry
from hmseg.errors import ConfigError
from hmseg.sweeps.optuna_sweeper import distribution

SEARCH = ("-m", "hydra/sweeper=optuna", "hydra.launcher.root=.")


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[DictConfig]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")

    def run(*words: str, code: int = 0) -> list[DictConfig]:
        """The configurations of the trials that were run; each gives a score that is highest at lr=0.01."""
        seen: list[DictConfig] = []

        def task(cfg: DictConfig) -> float:
            seen.append(cfg)
            if cfg.seed % 2:
                raise ConfigError("odd")
            return -abs(float(cfg.optimizer.lr) - 0.01)

        try:
            entry(replace(train.PROGRAM, task=task), [*SEARCH, *words])
        except SystemExit as error:
            assert error.code == code
        else:
            assert code == 0
        return seen

    return run


def parsed(text: str) -> Any:
    (override,) = OverridesParser.create().parse_overrides([text])
    return distribution(override)


def test_sweeps_become_distributions() -> None:
    assert parsed("lr=tag(log,interval(1e-4,1e-2))") == FloatDistribution(1e-4, 1e-2, log=True)
    assert parsed("lr=interval(0,1)") == FloatDistribution(0.0, 1.0)
    assert parsed("seed=int(interval(1,8))") == IntDistribution(1, 8)
    assert parsed("seed=range(0,9,4)") == IntDistribution(0, 8, step=4)
    assert parsed("masking=feature,hybrid") == CategoricalDistribution(["feature", "hybrid"])
    assert parsed("masking=choice(none,input)") == CategoricalDistribution(["none", "input"])
    with pytest.raises(ConfigError, match="can't be searched"):
        parsed("lr=tag(log,interval(0,1))")


def test_the_best_values_are_found_and_a_second_start_does_nothing_again(
    search: Callable[..., list[DictConfig]], tmp_path: Path
) -> None:
    words = ("optimizer.lr=tag(log,interval(1e-4,1e-1))", "masking=feature,hybrid", "hydra.sweep.dir=a")
    seen = search(*words, "hydra.sweeper.n_trials=5", "hydra.sweeper.n_jobs=2")
    assert len(seen) == 5 and all(1e-4 <= cfg.optimizer.lr <= 1e-1 for cfg in seen)
    best = min(seen, key=lambda cfg: abs(cfg.optimizer.lr - 0.01))
    results = yaml.safe_load((tmp_path / "a/optimization_results.yaml").read_text())
    assert results["best_evaluated_params"]["optimizer.lr"] == best.optimizer.lr
    assert results["best_evaluated_result"] == -abs(best.optimizer.lr - 0.01)
    assert (results["trials"], results["complete"]) == (5, 5)
    again = search(*words, "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=2")
    assert len(again) == 1 and again[0].optimizer.lr not in {cfg.optimizer.lr for cfg in seen}


def test_a_failed_trial_does_not_stop_the_search(
    search: Callable[..., list[DictConfig]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = search("seed=range(0,8)", "hydra.sweeper.n_trials=5", "hydra.sweep.dir=a", code=1)
    odd = [cfg for cfg in seen if cfg.seed % 2]
    assert 0 < len(odd) < len(seen)
    error = capsys.readouterr().err
    assert f"{len(odd)} of 5 jobs failed" in error and f"seed={odd[0].seed}: odd" in error
    assert yaml.safe_load((tmp_path / "a/optimization_results.yaml").read_text())["trials"] == 5


def test_a_study_is_kept_in_a_file(search: Callable[..., list[DictConfig]]) -> None:
    words = (
        "optimizer.lr=interval(0.001,0.1)",
        "hydra.sweeper.storage=sqlite:///study.db",
        "hydra.sweep.dir=a",
    )
    first = search(*words, "hydra.sweeper.n_trials=1")
    second = search(*words, "hydra.sweeper.n_trials=2")
    assert len(first) == len(second) == 1 and first[0].optimizer.lr != second[0].optimizer.lr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("seed=1",), "nothing to search"),
        (("seed=1,2", "hydra.sweeper.n_trials=0"), "n_trials: expected at least 1, got 0"),
        (("seed=1,2", "hydra.sweeper.n_trials=few"), "hydra.sweeper.n_trials"),
        (("seed=1,2", "hydra.sweeper.direction=up"), "hydra.sweeper: "),
        (("fold=0,4",), "fold=4: dataset shapes has folds 0 to 3"),
        (("optimizer.lr=interval(-1,1)",), "optimizer.lr: expected a number above 0"),
    ],
)
def test_mistakes_are_one_line_before_anything_runs(
    search: Callable[..., list[DictConfig]], capsys: pytest.CaptureFixture[str], words: Any, message: str
) -> None:
    assert search(*words, code=2) == []
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and message in error
