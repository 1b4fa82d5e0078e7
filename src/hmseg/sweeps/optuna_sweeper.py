"""``hydra/sweeper=optuna``: hyper-parameters looked for by Optuna, each trial a job of the launcher."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from hmseg.errors import ConfigError
from hmseg.files import writing
from hmseg.sweeps.jobs import finite
from hmseg.sweeps.launcher import missing

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

RESULTS_FILE = "optimization_results.yaml"  # as Hydra's own Optuna plugin names it
log = logging.getLogger(__name__)


class OptunaSearch(Sweeper):
    """Asks Optuna for values, runs them, tells it what came out: the best validation mIoU of each run.

    With a seeded sampler a search that is started again asks for the same values, which the launcher finds
    finished: it goes on where it was, with or without ``storage``.

    Args:
        n_trials: in all, those of an earlier start with the same ``storage`` included.
        n_jobs: trials asked for at a time; as many as the launcher runs side by side.
        direction: ``maximize`` or ``minimize``.
        sampler: an Optuna sampler's ``_target_`` and arguments.
        study_name: of the study in the storage.
        storage: URL such as ``sqlite:///study.db``, for Optuna's dashboard; None: in memory.
        params: the space, ``key: choice(a,b) | range(1,5) | interval(0,1) | tag(log, interval(1e-4, 1e-2))``;
            the same may stand on the command line.
    """

    def __init__(
        self,
        n_trials: int,
        n_jobs: int,
        direction: str,
        sampler: DictConfig,
        study_name: str,
        storage: str | None,
        params: Mapping[str, Any] | None,
    ) -> None:
        self.n_trials, self.n_jobs, self.direction, self.sampler = n_trials, n_jobs, direction, sampler
        self.study_name, self.storage, self.params = study_name, storage, dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's: what to run, and the sweep's configuration."""
        self.hydra_context, self.config = hydra_context, config
        self._loader, self._folder = hydra_context.config_loader, Path(str(config.hydra.sweep.dir))
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Hydra's: the whole search.

        Raises:
            ConfigError: no space, a wrong number, or Optuna is missing or refuses its settings.
        """
        fixed, space = self._space(arguments)
        self._folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, self._folder / "multirun.yaml")
        study = self._study()
        self._take_up(study)
        while (left := self.n_trials - _finished(study)) > 0:
            trials = [study.ask(space) for _ in range(min(self.n_jobs, left))]
            words = [[*fixed, *(f"{key}={value}" for key, value in trial.params.items())] for trial in trials]
            returns = self._launcher.launch(words, initial_job_idx=trials[0].number)
            for trial, done in zip(trials, returns, strict=True):
                _tell(study, trial, done.return_value)
        self._conclude(study)

    def _space(self, arguments: Sequence[str]) -> tuple[list[str], dict[str, BaseDistribution]]:
        """The overrides that all trials share, and what is searched."""
        for name, value in (("n_trials", self.n_trials), ("n_jobs", self.n_jobs)):
            if value < 1:
                raise ConfigError(f"hydra.sweeper.{name}: expected at least 1, got {value}")
        words = [f"{key}={value}" for key, value in self.params.items()]
        parser = OverridesParser.create(config_loader=self._loader)
        parsed = {each.get_key_element(): each for each in parser.parse_overrides([*words, *arguments])}
        swept = {key: each for key, each in parsed.items() if each.is_sweep_override()}
        if not swept:
            raise ConfigError(
                "hydra/sweeper=optuna: nothing to search; give for instance "
                "'optimizer.lr=tag(log,interval(1e-4,1e-2))' or masking=feature,hybrid"
            )
        fixed = [str(each.input_line) for key, each in parsed.items() if key not in swept]
        return fixed, {key: distribution(each) for key, each in swept.items()}

    def _study(self) -> optuna.Study:
        try:
            import optuna
        except ImportError:
            raise missing("optuna", "hydra/sweeper=optuna") from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            study = optuna.create_study(
                storage=self.storage,
                study_name=self.study_name,
                direction=self.direction,  # type: ignore[arg-type]  # checked there
                load_if_exists=True,
            )
            # Of a study that goes on, another seed: the first one's values have been tried.
            seed = self.sampler.get("seed")
            more = {} if seed is None else {"seed": seed + len(study.trials)}
            study.sampler = instantiate(self.sampler, **more)
            return study
        except ValueError as error:
            raise ConfigError(f"hydra.sweeper: {error}") from None

    def _take_up(self, study: optuna.Study) -> None:
        """Trials of an earlier start that were under way are asked for first."""
        from optuna.trial import TrialState

        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params)

    def _conclude(self, study: optuna.Study) -> None:
        """Writes and says what was best."""
        from optuna.trial import TrialState

        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not done:
            log.error("no trial gave a value")
            return
        best = study.best_trial
        results = {
            "name": "optuna",
            "best_evaluated_params": best.params,
            "best_evaluated_result": best.value,
            "best_trial": best.number,
            "trials": len(study.trials),
            "complete": len(done),
        }
        with writing(self._folder / RESULTS_FILE) as file:
            yaml.safe_dump(results, file, sort_keys=False)
        words = " ".join(f"{key}={value}" for key, value in best.params.items())
        log.info("best of %d trials: #%d %s, %.2f", len(done), best.number, words, best.value)


def _finished(study: optuna.Study) -> int:
    """Trials that count: failed ones do, or a space in which all fail would be searched for ever."""
    from optuna.trial import TrialState

    under_way = (TrialState.WAITING, TrialState.RUNNING)
    return sum(trial.state not in under_way for trial in study.get_trials(deepcopy=False))


def _tell(study: optuna.Study, trial: optuna.Trial, value: object) -> None:
    from optuna.trial import TrialState

    number = finite(value)
    if number is None:
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, number)


def distribution(override: Override) -> BaseDistribution:
    """Optuna's distribution of an override of Hydra's.

    Args:
        override: a choice, range or interval; ``tag(log, …)`` makes an interval logarithmic.

    Raises:
        ConfigError: Optuna can't search it.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    try:
        if isinstance(value, IntervalSweep):
            low, high, logarithmic = value.start, value.end, "log" in value.tags
            if isinstance(low, int) and isinstance(high, int):
                return IntDistribution(low, high, log=logarithmic)
            assert low is not None and high is not None  # Hydra's grammar has both
            return FloatDistribution(float(low), float(high), log=logarithmic)
        if isinstance(value, RangeSweep):
            start, stop, step = value.start, value.stop, value.step
            if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
                numbers = range(start, stop, step)  # Hydra's, without its end
                return IntDistribution(min(numbers), max(numbers), step=abs(step))
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    except ValueError as error:
        raise ConfigError(f"{override.input_line}: can't be searched ({error})") from None
