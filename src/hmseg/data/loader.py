"""Loads batches of episodes, and goes on in mid-epoch."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler, get_worker_info

from hmseg.data.dataset import EpisodeDataset, Item, collate
from hmseg.data.episode import Episode, EpisodeSpec
from hmseg.data.sampler import TrainSampler
from hmseg.data.worker_signals import heed_only_the_parent
from hmseg.errors import CheckpointError, HmsegError


@dataclass(frozen=True)
class SeedWorker:
    """Seeds the global generators of a loader worker from (seed, epoch at its start, device, worker).

    Episodes do not depend on them; it is for libraries that draw from them, so that no two workers draw
    alike.
    """

    seed: int
    rank: int
    sampler: TrainSampler | None = None

    def __call__(self, worker: int) -> None:
        epoch = self.sampler.epoch if self.sampler is not None else 0
        words = np.random.SeedSequence([self.seed, epoch, self.rank, worker]).generate_state(3)
        random.seed(int(words[0]))
        np.random.seed(int(words[1]))
        torch.manual_seed(int(words[2]))
        cv2.setNumThreads(1)  # as PyTorch does with its own in a worker: the workers share the cores
        if get_worker_info() is not None:
            heed_only_the_parent()


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Stops OpenCV's threads while workers are made, who inherit the setting.

    A fork of a process in which OpenCV has threads waits for them for ever, as soon as it uses OpenCV.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _in_one_line(error: HmsegError) -> HmsegError:
    """The error as it was raised in a worker, without the worker's traceback in its message."""
    last = str(error).rstrip().splitlines()[-1]
    return type(error)(last.removeprefix(f"{type(error).__module__}.{type(error).__qualname__}: "))


class EpisodeLoader(DataLoader[Episode]):
    """A DataLoader of collated episodes whose data errors stay one line, also out of a worker.

    Args:
        dataset: makes the episodes.
        sampler: yields (position, recipe) items.
        batch_size: episodes per batch.
        num_workers: processes that read ahead, kept between epochs.
        seed: of the workers' global generators, and of the loader's own.
        rank: number of this device.
        drop_last: leave out a last batch that is not full.
    """

    def __init__(
        self,
        dataset: EpisodeDataset,
        sampler: Sampler[Item] | Sequence[Item],
        batch_size: int,
        num_workers: int = 0,
        seed: int = 0,
        rank: int = 0,
        drop_last: bool = False,
    ) -> None:
        super().__init__(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=num_workers,
            collate_fn=collate,
            drop_last=drop_last,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=num_workers > 0,
            worker_init_fn=SeedWorker(seed, rank, sampler if isinstance(sampler, TrainSampler) else None),
            # Its own generator: else each pass would draw from, and so change, the global one.
            generator=torch.Generator().manual_seed(seed),
        )

    # DataLoader declares its private iterator type; a generator is what callers use of it.
    def __iter__(self) -> Iterator[Episode]:  # type: ignore[override]
        try:
            with _one_opencv_thread():
                batches = super().__iter__()
            yield from batches
        except HmsegError as error:
            raise _in_one_line(error) from None


class TrainLoader(EpisodeLoader):
    """An EpisodeLoader whose pass begins where a resumed epoch was left.

    How far training has come is known to the training loop, which counts batches that were *trained on*; the
    loader itself only knows what was read ahead. So it asks the loop, and not before the first batch of a
    pass is asked for: Lightning makes the iterator of a resumed pass before it has mended its counters.

    Args:
        dataset: makes the episodes.
        sampler: the training sampler.
        batch_size: episodes per batch.
        progress: gives the epoch and the number of its batches that were trained on, or None outside of a
            training loop; then a pass is a whole one of ``sampler.epoch``.
        setting: what the meaning of that number depends on (seed, batch size, ...); stored in checkpoints,
            and compared when one made in mid-epoch is resumed.
        num_workers: as of EpisodeLoader.
        seed: as of EpisodeLoader.
        rank: as of EpisodeLoader.
    """

    def __init__(
        self,
        dataset: EpisodeDataset,
        sampler: TrainSampler,
        batch_size: int,
        progress: Callable[[], tuple[int, int] | None],
        setting: dict[str, int | str | None],
        num_workers: int = 0,
        seed: int = 0,
        rank: int = 0,
    ) -> None:
        super().__init__(dataset, sampler, batch_size, num_workers, seed, rank, drop_last=True)
        self._train_sampler = sampler
        self._batch = batch_size
        self._progress = progress
        self._setting = setting

    def __iter__(self) -> Iterator[Episode]:  # type: ignore[override]  # as above
        epoch, batches = self._progress() or (self._train_sampler.epoch, 0)
        self._train_sampler.set_epoch(epoch)
        self._train_sampler.skip = batches * self._batch
        yield from super().__iter__()

    def specs(self, positions: Sequence[int]) -> list[EpisodeSpec]:
        """The recipes of episodes of the epoch that is gone through, for messages about a batch."""
        return self._train_sampler.specs(positions)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the setting, and the batches of the epoch that were trained on."""
        _, batches = self._progress() or (0, 0)
        return {"setting": dict(self._setting), "batches": batches, "batches_per_epoch": len(self)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Checks that a run may go on in mid-epoch; where to go on is asked of the loop later.

        Raises:
            CheckpointError: the checkpoint was made in mid-epoch with other episodes or another batch size.
        """
        batches = state["batches"]
        if batches % state["batches_per_epoch"] == 0 and batches % len(self) == 0:
            return  # between epochs any setting may change
        changed = [
            f"{key} was {old} and is {self._setting.get(key)}"
            for key, old in state["setting"].items()
            if self._setting.get(key) != old
        ]
        if changed:
            raise CheckpointError(
                f"the checkpoint was made in mid-epoch with other training data ({', '.join(changed)}): "
                "resume with the same values, or start a new run from its weights"
            )
