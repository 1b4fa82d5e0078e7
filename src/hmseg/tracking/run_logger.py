"""The W&B run of a training or evaluation, as a Lightning logger."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pytorch_lightning.loggers import Logger
from pytorch_lightning.loggers.wandb import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from hmseg.errors import ConfigError, TrackingError, first_line, unknown
from hmseg.tracking.labels import Labels
from hmseg.tracking.origin import Origin

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

log = logging.getLogger(__name__)
MODES = ("online", "offline", "disabled")
"""Sent as it comes; written to files, for ``wandb sync`` later; nothing."""

P = ParamSpec("P")
T = TypeVar("T")
_started: list[RunLogger] = []


class RunLogger(WandbLogger):
    """Lightning's ``WandbLogger``, whose run knows what it is and ends with the task.

    The run starts when it is first used. What is not given follows from the configuration (`label`).

    Args:
        save_dir: folder of the run's files, below its ``wandb``.
        project: at W&B.
        entity: user or team; None for the account's own.
        mode: ``online``, ``offline`` or ``disabled``.
        name: of the run; None: masking, fold and seed.
        group: None: the experiment's name, else model, data set and backbone.
        job_type: None: the fold.
        tags: besides those for kind, model, masking, data set, backbone and shot.

    Raises:
        ConfigError: an unknown mode.
    """

    def __init__(
        self,
        save_dir: str | Path,
        project: str = "hmseg",
        entity: str | None = None,
        mode: str = "online",
        name: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        if mode not in MODES:
            raise ConfigError(unknown("logger.wandb.mode", mode, MODES))
        # Not Lightning's `offline`: it would set WANDB_MODE for everything that this process does later.
        super().__init__(
            name=name,
            save_dir=save_dir,
            project=project,
            entity=entity,
            mode=mode,
            group=group,
            job_type=job_type,
            tags=list(tags),
        )
        self.mode = mode
        self._labels: Labels | None = None

    def label(self, labels: Labels, origin: Origin | None = None) -> None:
        """Tells what the run is, before it starts.

        Args:
            labels: fill in what was not given.
            origin: the W&B run that this one goes on with, or whose checkpoint it tests: it gives the group
                and, for a training, the id.
        """
        self._labels, start = labels, self._wandb_init
        group = labels.experiment if origin is None or origin.group is None else origin.group
        for key, value in (("name", labels.name), ("group", group), ("job_type", labels.job_type)):
            start[key] = value if start[key] is None else start[key]
        start["tags"] = list(dict.fromkeys((*start["tags"], *labels.tags)))
        if origin is not None and labels.kind == "train":
            start["id"] = self._id = origin.run

    @property
    def experiment(self) -> Run:
        """The run, started now if it is not yet; on devices other than the first one what does nothing.

        Raises:
            TrackingError: no account, no connection.
        """
        if self._experiment is None:
            self._start()
        run: Run = super().experiment
        return run

    @rank_zero_only
    def _start(self) -> None:
        from wandb.errors import Error

        Path(self._wandb_init["dir"]).mkdir(parents=True, exist_ok=True)
        try:
            _ = super().experiment
        except Error as error:
            raise TrackingError(
                f"logger=wandb: {first_line(error).rstrip('.')}; WANDB_API_KEY works, too, and "
                "logger.wandb.mode=offline needs neither account nor connection"
            ) from error
        _started.append(self)
        if self._labels is not None:
            self.configure({"labels": self._labels.plain()})

    @rank_zero_only
    def configure(self, values: dict[str, Any]) -> None:
        """Adds to the run's configuration."""
        update: Callable[..., None] = self.experiment.config.update
        update(values, allow_val_change=True)

    @property
    def origin(self) -> Origin:
        """The run, for ``wandb.json``."""
        run = self.experiment
        entity = None if self.mode != "online" else run.entity or None
        return Origin(entity, run.project or self._wandb_init["project"], run.id, run.group or None)

    @rank_zero_only
    def log_step(self, values: dict[str, Any], step: int) -> None:
        """Logs anything that W&B shows (tables, too) at a training step."""
        self.experiment.log({**values, "trainer/global_step": step})

    def finish(self, failed: bool) -> None:
        """Ends the run; W&B's client sends what is left, which may take a while."""
        if self._experiment is None:
            return
        try:
            self._experiment.finish(exit_code=int(failed))
        except Exception as error:  # noqa: BLE001 - of its service process, too: our work is done all the same
            log.warning(
                "the W&B run did not end well (%s); 'wandb sync' may send it again", first_line(error)
            )


def run_loggers(loggers: Sequence[Logger]) -> list[RunLogger]:
    """Those of W&B among loggers, but for disabled ones."""
    return [each for each in loggers if isinstance(each, RunLogger) and each.mode != "disabled"]


def label_runs(loggers: Sequence[Logger], labels: Labels, origin: Origin | None = None) -> None:
    """Tells those of W&B what the run is; see `RunLogger.label`."""
    for each in run_loggers(loggers):
        each.label(labels, origin)


def ends_its_runs(task: Callable[P, T]) -> Callable[P, T]:
    """A task after which the W&B runs that it started are over, well or failed: a sweep has several."""

    @functools.wraps(task)
    def ending(*args: P.args, **kwargs: P.kwargs) -> T:
        failed = True
        try:
            result = task(*args, **kwargs)
            failed = False
            return result
        finally:
            while _started:
                _started.pop().finish(failed)

    return ending
