"""Seeding of workers, errors out of workers, and going on in mid-epoch."""

from __future__ import annotations

import random
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from hmseg.data.dataset import EpisodeDataset
from hmseg.data.episode import EpisodeSpec
from hmseg.data.loader import EpisodeLoader, SeedWorker, TrainLoader
from hmseg.data.sampler import TrainSampler
from hmseg.data.source import Listing, Source
from hmseg.data.training_draws import training_episodes
from hmseg.errors import CheckpointError, DataError

LISTING = Listing(tuple((f"train{c}_{number}", c) for c in range(4) for number in range(5)))  # 20 pairs


def sampler(
    batch_size: int = 3, episodes: int | None = None, rank: int = 0, world_size: int = 1
) -> TrainSampler:
    return TrainSampler(LISTING, 1, 0, batch_size, episodes, rank, world_size)


def test_workers_are_seeded_apart() -> None:
    python, legacy, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    epoch_1 = sampler()
    epoch_1.set_epoch(1)
    draws = []
    try:
        for seeder, worker in [
            (SeedWorker(0, 0), 0), (SeedWorker(0, 0), 1), (SeedWorker(0, 1), 0), (SeedWorker(1, 0), 0),
            (SeedWorker(0, 0, epoch_1), 0), (SeedWorker(0, 0, sampler()), 0),
        ]:  # fmt: skip
            seeder(worker)
            draws.append((random.random(), float(np.random.random()), float(torch.rand(()))))
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
        torch.set_rng_state(torch_state)
    assert draws[5] == draws[0]
    for values in zip(*draws[:5], strict=True):
        assert len(set(values)) == 5
    # Only a reader grows deaf to signals; this process has called the seeders itself.
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def test_loading_leaves_the_global_generator_alone(fake_source: Source) -> None:
    before = torch.get_rng_state()
    loader = EpisodeLoader(EpisodeDataset(fake_source, (4, 4)), list(sampler()), batch_size=4)
    assert sum(len(batch.index) for batch in loader) == 18
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_data_errors_stay_one_line(fake_source: Source, num_workers: int) -> None:
    items = [(0, EpisodeSpec(0, "train0_1", ("train0_damaged",)))]
    loader = EpisodeLoader(EpisodeDataset(fake_source, (4, 4)), items, batch_size=1, num_workers=num_workers)
    with pytest.raises(DataError) as caught:
        list(loader)
    assert str(caught.value) == "image train0_damaged is damaged: replace it"


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_do_not_depend_on_workers(fake_source: Source, num_workers: int) -> None:
    def train_loader() -> TrainLoader:
        dataset = EpisodeDataset(fake_source, (4, 4))
        return TrainLoader(dataset, sampler(), 3, lambda: None, {}, num_workers)

    expected = [item[0] for item in sampler()]
    batches = list(train_loader())
    assert [index for batch in batches for index in batch.index.tolist()] == expected
    drawn = list(training_episodes(LISTING, 1, 0, 0))
    assert [c for batch in batches for c in batch.class_id.tolist()] == [spec.class_id for spec in drawn[:18]]


class Position:
    """Stands for the training loop."""

    epoch, batches = 0, 0

    def __call__(self) -> tuple[int, int]:
        return self.epoch, self.batches


def indices(loader: TrainLoader) -> list[int]:
    return [index for batch in loader for index in batch.index.tolist()]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_position_is_asked_for_when_the_first_batch_is(fake_source: Source, num_workers: int) -> None:
    position = Position()
    drawn = sampler()
    loader = TrainLoader(EpisodeDataset(fake_source, (4, 4)), drawn, 3, position, {}, num_workers)
    iterator = iter(loader)
    position.epoch, position.batches = 2, 4
    assert [batch.index.tolist() for batch in iterator] == [[12, 13, 14], [15, 16, 17]]
    assert drawn.epoch == 2
    position.batches = 0
    assert indices(loader) == list(range(18))


def test_mid_epoch_checkpoint_of_another_setting_is_refused(fake_source: Source) -> None:
    def loader(position: Position, batch_size: int, seed: int = 0) -> TrainLoader:
        setting: dict[str, int | str | None] = {"seed": seed, "batch_size": batch_size}
        dataset = EpisodeDataset(fake_source, (4, 4))
        return TrainLoader(dataset, sampler(batch_size), batch_size, position, setting)

    position = Position()
    position.batches = 5
    saved = loader(position, 2).state_dict()
    loader(position, 2).load_state_dict(saved)
    with pytest.raises(
        CheckpointError, match=r"mid-epoch .*\(seed was 0 and is 1\): resume with the same values"
    ):
        loader(position, 2, seed=1).load_state_dict(saved)
    with pytest.raises(CheckpointError, match="batch_size was 2 and is 4"):
        loader(position, 4).load_state_dict(saved)  # 5 are all the batches of 4: not the same episodes
    position.batches = 10
    loader(position, 2, seed=1).load_state_dict(loader(position, 2).state_dict())  # an epoch's end


FORKED = """
import cv2, numpy as np
from hmseg.data.dataset import EpisodeDataset
from hmseg.data.episode import EpisodeSpec, Sample
from hmseg.data.loader import EpisodeLoader

class Grey:
    name = "grey"
    def read(self, name, class_id):
        mask = np.ones((64, 48), dtype=bool)
        return Sample(np.full((64, 48, 3), 9, dtype=np.uint8), mask, ~mask)

cv2.setNumThreads(4)
cv2.GaussianBlur(np.zeros((2000, 2000, 3), dtype=np.uint8), (9, 9), 3)  # OpenCV has threads from here on
items = [(0, EpisodeSpec(0, "a", ("b",)))]
loader = EpisodeLoader(EpisodeDataset(Grey(), (32, 32), resize="opencv"), items, 1, num_workers=1)
print(next(iter(loader)).query_image.float().mean().item(), cv2.getNumThreads())
"""


def test_workers_of_a_process_with_opencv_threads_do_not_hang() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["9.0", "4"], done.stderr
