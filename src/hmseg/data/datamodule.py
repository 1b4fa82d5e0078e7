"""The Lightning data module: training, validation and test episodes of one fold."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn, TrainerStatus

from hmseg.data.dataset import EpisodeDataset
from hmseg.data.episode import EpisodeSpec
from hmseg.data.loader import EpisodeLoader, TrainLoader, TrainSampler, eval_items
from hmseg.data.protocols import find_protocol
from hmseg.data.source import Listing, Source
from hmseg.errors import ConfigError


def _at_least(name: str, value: int, least: int) -> int:
    if value < least:
        raise ConfigError(f"{name}={value} came, {least} or more was expected")
    return value


def _height_width(size: int | Sequence[int]) -> tuple[int, int]:
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or min(sides) < 1:
        raise ConfigError(f"size={size} came, a positive side or a (height, width) of two was expected")
    return sides[0], sides[1]


class EpisodeDataModule(pl.LightningDataModule):
    """Episodes of one fold of one source.

    Training draws anew each epoch, a pure function of (seed, epoch, position). Validation uses fixed
    episodes of ``train_shot`` supports at the network's size, test fixed ones of ``shot`` supports, both by
    the protocol and independent of ``seed``, so that runs with different seeds are tested alike.

    Sharding over devices is done here: give the Trainer ``use_distributed_sampler=False``. Devices may get
    one validation batch more or less than others, so nothing may synchronise per validation batch.

    Args:
        source: reads the images.
        fold: the classes held out.
        size: side of the images in pixels, or (height, width).
        shot: supports per test episode.
        train_shot: supports per training and validation episode; published: 1.
        batch_size: training episodes per device and step.
        eval_batch_size: validation and test episodes per device and step; None: as ``batch_size``.
        num_workers: reading processes per loader.
        train_episodes: training episodes per epoch; None: each pair of the list once.
        val_episodes: validation episodes.
        test_episodes: test episodes; published: 1000.
        protocol: ``hsnet``, ``ifsl`` or ``strict``.
        seed: of the training episodes.
        protocol_seed: of the validation and test episodes; published: 0.
        original_size: test at the query's own size.

    Raises:
        ConfigError: a number out of range or an unknown protocol.
        DataError: the fold does not exist. Lists are checked when they are first used.
    """

    # A device may be left without evaluation episodes when there are fewer of them than devices.
    allow_zero_length_dataloader_with_multiple_devices = True

    def __init__(
        self,
        source: Source,
        fold: int,
        size: int | Sequence[int],
        shot: int = 1,
        train_shot: int = 1,
        batch_size: int = 1,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        train_episodes: int | None = None,
        val_episodes: int = 1000,
        test_episodes: int = 1000,
        protocol: str = "hsnet",
        seed: int = 0,
        protocol_seed: int = 0,
        original_size: bool = False,
    ) -> None:
        super().__init__()
        self.source = source
        self.fold = fold
        self.classes = source.fold_classes(fold)
        self.size = _height_width(size)
        self.shot = _at_least("shot", shot, 1)
        self.train_shot = _at_least("train_shot", train_shot, 1)
        self.batch_size = _at_least("batch_size", batch_size, 1)
        self.eval_batch_size = _at_least(
            "eval_batch_size", batch_size if eval_batch_size is None else eval_batch_size, 1
        )
        self.num_workers = _at_least("num_workers", num_workers, 0)
        self.train_episodes = (
            None if train_episodes is None else _at_least("train_episodes", train_episodes, 1)
        )
        self.val_episodes = _at_least("val_episodes", val_episodes, 1)
        self.test_episodes = _at_least("test_episodes", test_episodes, 1)
        self.protocol = protocol
        self._draw = find_protocol(protocol)
        self.seed = _at_least("seed", seed, 0)
        self.protocol_seed = _at_least("protocol_seed", protocol_seed, 0)
        self.original_size = original_size

    @cached_property
    def train_listing(self) -> Listing:
        """The list that training draws from."""
        return self.source.listing("train", self.fold)

    @cached_property
    def val_specs(self) -> tuple[EpisodeSpec, ...]:
        """All validation episodes, of all devices."""
        return self._specs(self.train_shot, self.val_episodes)

    @cached_property
    def test_specs(self) -> tuple[EpisodeSpec, ...]:
        """All test episodes, of all devices."""
        return self._specs(self.shot, self.test_episodes)

    def _specs(self, shot: int, count: int) -> tuple[EpisodeSpec, ...]:
        return tuple(self._draw(self.source.listing("val", self.fold), shot, count, self.protocol_seed))

    def _device(self) -> tuple[int, int]:
        """(rank, number of devices), after checking that the Trainer leaves the samplers alone."""
        trainer = self.trainer
        if trainer is None:
            return 0, 1
        if getattr(trainer, "overfit_batches", 0) > 0:  # set by a connector, unknown to mypy
            raise ConfigError(
                "trainer.overfit_batches replaces the episode sampler, so it cannot be used: set "
                "trainer.limit_train_batches and train_episodes instead"
            )
        if trainer.world_size > 1 and trainer._accelerator_connector.use_distributed_sampler:
            raise ConfigError(
                "trainer.use_distributed_sampler=true would shard the episodes a second time: set it to false"
            )
        return trainer.global_rank, trainer.world_size

    def _progress(self) -> tuple[int, int] | None:
        """The epoch of the training loop and how many of its batches were trained on; None without a loop.

        Not the epoch that Lightning gives to ``set_epoch``: that is one too high where a run limited by
        ``max_steps`` is resumed from an epoch's end.
        """
        if self.trainer is None:
            return None
        state = self.trainer.state
        if state.fn != TrainerFn.FITTING or state.status != TrainerStatus.RUNNING:
            return None
        return self.trainer.current_epoch, self.trainer.fit_loop.batch_idx + 1

    def train_dataloader(self) -> TrainLoader:
        """New episodes each epoch; without a Trainer, call ``loader.sampler.set_epoch`` before each."""
        rank, world_size = self._device()
        sampler = TrainSampler(
            self.train_listing,
            self.train_shot,
            self.seed,
            self.batch_size,
            self.train_episodes,
            rank,
            world_size,
        )
        setting: dict[str, int | str] = {
            "source": self.source.name,
            "fold": self.fold,
            "shot": self.train_shot,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "devices": world_size,
            "train_episodes": len(sampler) * world_size,
        }
        dataset = EpisodeDataset(self.source, self.size)
        return TrainLoader(
            dataset,
            sampler,
            self.batch_size,
            self._progress,
            setting,
            self.num_workers,
            self.seed,
            rank,
        )

    def val_dataloader(self) -> EpisodeLoader:
        """The fixed validation episodes of this device, at the network's size."""
        return self._eval_loader(self.val_specs, original_size=False)

    def test_dataloader(self) -> EpisodeLoader:
        """The fixed test episodes of this device."""
        return self._eval_loader(self.test_specs, self.original_size)

    def whole_test(self) -> EpisodeLoader:
        """All test episodes at the network's size, on this one device: for predictors without a Trainer."""
        dataset = EpisodeDataset(self.source, self.size)
        items = eval_items(self.test_specs)
        return EpisodeLoader(dataset, items, self.eval_batch_size, self.num_workers, self.seed)

    def _eval_loader(self, specs: Sequence[EpisodeSpec], original_size: bool) -> EpisodeLoader:
        rank, world_size = self._device()
        dataset = EpisodeDataset(self.source, self.size, original_size)
        return EpisodeLoader(
            dataset,
            eval_items(specs, rank, world_size),
            self.eval_batch_size,
            self.num_workers,
            self.seed,
            rank,
        )
