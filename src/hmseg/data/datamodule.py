"""The Lightning data module: training, validation and test episodes of one fold."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn, TrainerStatus

from hmseg.data.augment import check_augmentation, find_augmentation
from hmseg.data.clean_selection import select
from hmseg.data.dataset import EpisodeDataset, collate
from hmseg.data.episode import Episode, EpisodeSpec
from hmseg.data.loader import EpisodeLoader, TrainLoader
from hmseg.data.manifest import Manifest, check_manifest
from hmseg.data.numbers import at_least, height_width, or_none, seeds_of
from hmseg.data.protocols import find_protocol, seeded_episodes
from hmseg.data.sampler import TrainSampler, eval_items
from hmseg.data.source import Listing, Source, Split, class_names_of
from hmseg.errors import ConfigError, unknown
from hmseg.files import chosen_folder

log = logging.getLogger(__name__)
DRAWS = ("published", "class")


class EpisodeDataModule(pl.LightningDataModule):
    """Episodes of one fold of one source.

    Training draws anew each epoch, a pure function of (seed, epoch, position). Validation uses fixed
    episodes of ``train_shot`` supports at the network's size, test fixed ones of ``shot`` supports, both by
    the protocol and independent of ``seed``, so that runs with different seeds are tested alike. With several
    protocol seeds there are so many times as many episodes, those of each seed after those of the one before.

    Sharding over devices is done here: give the Trainer ``use_distributed_sampler=False``. Devices may get
    one validation batch more or less than others, so nothing may synchronise per validation batch; each must
    get at least one.

    Args:
        source: reads the images.
        fold: the classes held out; None for a source without folds.
        size: side of the images in pixels, or (height, width).
        shot: supports per test episode.
        train_shot: supports per training and validation episode; published: 1. More make a step learn from
            several supports at once, as the test with several then uses them.
        batch_size: training episodes per device and step.
        eval_batch_size: validation and test episodes per device and step; None: as ``batch_size``.
        num_workers: reading processes per loader.
        train_episodes: training episodes per epoch; None: as published, see ``training_episodes``.
        val_episodes: validation episodes for each protocol seed; None: as many as a published test.
        test_episodes: test episodes for each protocol seed; None: as published: 1000, on FSS-1000 every image
            once.
        protocol: ``hsnet``, ``ifsl`` or ``strict``.
        seed: of the training episodes.
        protocol_seed: of the validation and test episodes, one or several; published: 0.
        original_size: test at the query's own size.
        replacement: may a support come twice in a training episode, as published?
        draw: how training queries come: ``published``, as the source's list says, or ``class``: a class
            first, each as often, then an image of it. The length of an epoch stays.
        without: names of classes that are not trained on. Images that show them beside another class stay,
            there as background.
        resize: how images are resized, ``pil`` or ``opencv``.
        augmentation: of training images: ``none``, ``vat`` or ``geometric``.
        cache: folder of resized images, ``auto``, or None; evaluation only where training is augmented.
        keep_images: resized images that validation and test keep in the memory of each reading process;
            training, which seldom meets an image again soon, keeps none.
        manifest: test episodes to use instead of drawing some.
        selection: classes of validation: ``published``, the test's own, or ``clean``, training classes set
            aside (``hmseg.data.clean_selection``).

    Attributes:
        tested: positions of test episodes that need not be run again; set it before the test starts, and
            leave one episode at least for each device.

    Raises:
        ConfigError: a number out of range or an unknown protocol.
        DataError: the fold does not exist, or the manifest is of other data. Lists are checked when they are
            first used.
    """

    def __init__(
        self,
        source: Source,
        fold: int | None,
        size: int | Sequence[int],
        shot: int = 1,
        train_shot: int = 1,
        batch_size: int = 1,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        train_episodes: int | None = None,
        val_episodes: int | None = 1000,
        test_episodes: int | None = 1000,
        protocol: str = "hsnet",
        seed: int = 0,
        protocol_seed: int | Sequence[int] = 0,
        original_size: bool = False,
        replacement: bool = True,
        resize: str = "pil",
        augmentation: str = "none",
        cache: str | Path | None = None,
        keep_images: int = 0,
        manifest: Manifest | None = None,
        selection: str = "published",
        draw: str = "published",
        without: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.selection = selection
        self.source = source = select(source, selection)
        self.tested: frozenset[int] = frozenset()
        self.fold = fold
        source.classes("test", fold)  # refuses a fold that isn't there
        self.size = height_width(size)
        self.shot = at_least("shot", shot, 1)
        self.train_shot = at_least("train_shot", train_shot, 1)
        self.batch_size = at_least("batch_size", batch_size, 1)
        self.eval_batch_size = at_least(
            "eval_batch_size", batch_size if eval_batch_size is None else eval_batch_size, 1
        )
        self.num_workers = at_least("num_workers", num_workers, 0)
        self.train_episodes = or_none("train_episodes", train_episodes)
        self.val_episodes = or_none("val_episodes", val_episodes)
        self.test_episodes = or_none("test_episodes", test_episodes)
        find_protocol(protocol)
        self.protocol = protocol if manifest is None else manifest.protocol
        self.seed = at_least("seed", seed, 0)
        self.protocol_seeds = seeds_of(protocol_seed) if manifest is None else manifest.seeds
        self.original_size = original_size
        self.replacement = replacement
        if draw not in DRAWS:
            raise ConfigError(unknown("loader.draw", draw, DRAWS))
        self.draw = draw
        for name in without or ():
            if name not in source.class_names:
                raise ConfigError(unknown("class in loader.without", name, source.class_names))
        self.without = tuple(without or ())
        self.resize = resize
        check_augmentation(augmentation)
        self.augmentation = augmentation
        self.cache = chosen_folder(cache, "images")
        self.keep_images = at_least("keep_images", keep_images, 0)
        self.manifest = manifest
        if manifest is not None:
            if manifest.split != "test":
                raise ConfigError(f"the manifest is of the split {manifest.split}, one of test was expected")
            check_manifest(manifest, source, fold, shot)

    @cached_property
    def train_listing(self) -> Listing:
        """The list that training draws from."""
        listing = self.source.listing("train", self.fold)
        names = self.source.class_names
        pairs = tuple(pair for pair in listing.pairs if names[pair[1]] not in self.without)
        return replace(listing, pairs=pairs, draw=listing.draw if self.draw == "published" else "class")

    @cached_property
    def classes(self) -> tuple[int, ...]:
        """The classes that validation scores; see ``test_classes``."""
        return self._scored("val")

    @cached_property
    def test_classes(self) -> tuple[int, ...]:
        """The classes that the test scores: the fold's, and of a user's own data those with an episode.

        As published, a class of a benchmark without an episode counts as IoU 0. On one's own data it is left
        out, with a warning.
        """
        return self._scored("test")

    def _scored(self, split: Split) -> tuple[int, ...]:
        every = self.source.classes(split, self.fold)
        if not getattr(self.source, "own_data", False):
            return every
        specs = self.val_specs if split == "val" else self.test_specs
        seen = {spec.class_id for spec in specs}
        if lacking := [class_names_of(self.source, split)[each] for each in every if each not in seen]:
            log.warning(
                "fold %s: no %s episode of %s; the mean is over the other %d of %d classes",
                self.fold,
                {"val": "validation", "test": "test"}[split],
                ", ".join(lacking),
                len(every) - len(lacking),
                len(every),
            )
        return tuple(each for each in every if each in seen)

    @cached_property
    def val_specs(self) -> tuple[EpisodeSpec, ...]:
        """All validation episodes, of all devices."""
        return self._specs("val", self.train_shot, self.val_episodes)

    @cached_property
    def test_specs(self) -> tuple[EpisodeSpec, ...]:
        """All test episodes, of all devices."""
        if self.manifest is not None:
            return self.manifest.episodes
        return self._specs("test", self.shot, self.test_episodes)

    @property
    def test_lists(self) -> tuple[int, int] | None:
        """How many lists of test episodes there are, one for each seed, and how long; None for one."""
        seeds = len(self.protocol_seeds)
        return None if seeds == 1 else (seeds, len(self.test_specs) // seeds)

    def _specs(self, split: Split, shot: int, count: int | None) -> tuple[EpisodeSpec, ...]:
        listing = self.source.listing(split, self.fold)
        return tuple(seeded_episodes(self.protocol, listing, shot, count, self.protocol_seeds))

    def _dataset(self, original_size: bool = False, training: bool = False) -> EpisodeDataset:
        # Made here and not at construction: an evaluation never needs it, and it imports albumentations.
        augment = find_augmentation(self.augmentation, self.seed) if training else None
        if augment is not None and self.cache is not None:
            log.info("training is augmented before the resize: it does not use the cache of resized images")
        return EpisodeDataset(
            self.source,
            self.size,
            original_size,
            resize=self.resize,
            augment=augment,
            cache=None if augment is not None else self.cache,
            keep=0 if training else self.keep_images,
        )

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
            self._epoch_length(),
            rank,
            world_size,
            self.replacement,
        )
        setting: dict[str, int | str | None] = {
            "source": self.source.name,
            "fold": self.fold,
            "shot": self.train_shot,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "devices": world_size,
            "train_episodes": len(sampler) * world_size,
            "replacement": self.replacement,
            "augmentation": self.augmentation,
            "draw": self.draw,
            "without": ", ".join(sorted(self.without)),
        }
        return TrainLoader(
            self._dataset(training=True),
            sampler,
            self.batch_size,
            self._progress,
            setting,
            self.num_workers,
            self.seed,
            rank,
        )

    def _epoch_length(self) -> int:
        """Training episodes of an epoch on all devices together: as published, however they are drawn."""
        if self.train_episodes is not None:
            return self.train_episodes
        return replace(self.train_listing, draw=self.source.listing("train", self.fold).draw).epoch

    def val_dataloader(self) -> EpisodeLoader:
        """The fixed validation episodes of this device, at the network's size."""
        return self._eval_loader(self.val_specs, original_size=False)

    def test_dataloader(self) -> EpisodeLoader:
        """The fixed test episodes of this device."""
        return self._eval_loader(self.test_specs, self.original_size, self.tested)

    def validation_episode(self, position: int) -> Episode:
        """One validation episode as a batch of one, at the network's size."""
        return collate([self._dataset()[position, self.val_specs[position]]])

    def whole_test(self) -> EpisodeLoader:
        """All test episodes at the network's size, on this one device: for predictors without a Trainer."""
        items = eval_items(self.test_specs)
        return EpisodeLoader(self._dataset(), items, self.eval_batch_size, self.num_workers, self.seed)

    def _eval_loader(
        self, specs: Sequence[EpisodeSpec], original_size: bool, done: Collection[int] = ()
    ) -> EpisodeLoader:
        rank, world_size = self._device()
        if (left := len(specs) - len(done)) < world_size:  # judged alike on all of them
            # Lightning would leave out a device that has none, and the others wait for its sums.
            raise ConfigError(
                f"{left} evaluation episodes for {world_size} devices leave one without any: give more "
                "episodes or fewer devices"
            )
        return EpisodeLoader(
            self._dataset(original_size),
            eval_items(specs, rank, world_size, done),
            self.eval_batch_size,
            self.num_workers,
            self.seed,
            rank,
        )
