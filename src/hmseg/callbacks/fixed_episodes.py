"""The same few validation episodes in pictures, as the training goes on."""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.episode import Episode, EpisodeSpec
from hmseg.data.source import class_names_of
from hmseg.errors import ConfigError
from hmseg.module import SegmentationModule
from hmseg.tracking.pictures import Shown, shown, strip, wandb_table
from hmseg.tracking.run_logger import run_loggers


class FixedEpisodes(Callback):
    """Shows W&B and TensorBoard what the network makes of a few validation episodes; other loggers nothing.

    W&B gets a table ``val/episodes``, TensorBoard a strip of pictures ``val/episode_<n>``. The episodes are
    of as many classes as there are, the same for all runs with the same validation episodes. They are
    predicted once more after a validation, one by one, so that the validation itself is left alone.

    Args:
        count: episodes; 0 for none.
        most: times that they are shown in a run at most: of many epochs every second, third, … one.
        side: of the pictures in pixels at most.

    Raises:
        ConfigError: a number out of range.
    """

    def __init__(self, count: int = 4, most: int = 50, side: int = 256) -> None:
        for name, value, least in (("count", count, 0), ("most", most, 1), ("side", side, 16)):
            if value < least:
                raise ConfigError(f"callbacks.episodes.{name}: expected at least {least}, got {value}")
        self.count, self.most, self.side = count, most, side
        self._episodes: list[Episode] | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Predicts and shows them where that is due."""
        runs = run_loggers(trainer.loggers)
        boards = [each for each in trainer.loggers if isinstance(each, TensorBoardLogger)]
        if not (runs or boards) or not self._due(trainer):
            return
        rows = self._shown(trainer, pl_module)
        for run in runs:
            run.log_step({"val/episodes": wandb_table(rows, trainer.current_epoch + 1)}, trainer.global_step)
        for board in boards:
            for number, one in enumerate(rows):
                board.experiment.add_image(
                    f"val/episode_{number}", strip(one), trainer.global_step, dataformats="HWC"
                )

    def _due(self, trainer: pl.Trainer) -> bool:
        if self.count == 0 or not trainer.is_global_zero:
            return False
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return False
        epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > 0 else 1
        return trainer.current_epoch % -(-epochs // self.most) == 0

    def _shown(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> list[Shown]:
        data = trainer.datamodule  # type: ignore[attr-defined]  # set by its connector
        assert isinstance(data, EpisodeDataModule) and isinstance(pl_module, SegmentationModule)
        if self._episodes is None:
            chosen = spread(data.val_specs, self.count)
            self._episodes = [data.validation_episode(position) for position in chosen]
        names, rows = class_names_of(data.source, "val"), []
        for episode in self._episodes:
            moved = Episode(*(each.to(pl_module.device) for each in episode))
            with torch.no_grad(), trainer.precision_plugin.val_step_context():
                prediction = pl_module.predict(moved)
            rows.append(shown(episode, prediction, names, self.side))
        return rows


def spread(specs: Sequence[EpisodeSpec], count: int) -> list[int]:
    """Positions of episodes of different classes, then of others, in order.

    Example:
        >>> specs = [EpisodeSpec(class_id, "query", ("support",)) for class_id in (3, 3, 5, 5, 7)]
        >>> spread(specs, 2), spread(specs, 4), spread(specs, 9)
        ([0, 2], [0, 1, 2, 4], [0, 1, 2, 3, 4])
    """
    first: dict[int, int] = {}
    for position, spec in enumerate(specs):
        first.setdefault(spec.class_id, position)
    chosen = list(first.values())[:count]
    others = (position for position in range(len(specs)) if position not in chosen)
    return sorted([*chosen, *list(others)[: count - len(chosen)]])
