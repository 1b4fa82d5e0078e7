"""Kept images: the same pixels, made once, made again when they no longer hold."""

from __future__ import annotations

import errno
import logging
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hmseg.data.cache import ImageCache, InMemory
from hmseg.data.dataset import EpisodeDataset
from hmseg.data.episode import EpisodeSpec, Sample
from hmseg.data.loader import EpisodeLoader
from hmseg.data.reading import read_image, read_label_map
from hmseg.data.source import Source
from hmseg.data.transforms import resize_pixels
from hmseg.errors import ConfigError, DataError

SIZE = (12, 15)


class Photos:
    """Photos NAME.png with a label map NAME_mask.png; says what was read."""

    name = "photos/own"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.read_names: list[str] = []

    def files(self, name: str) -> tuple[Path, Path]:
        return self.root / f"{name}.png", self.root / f"{name}_mask.png"

    def read(self, name: str, class_id: int) -> Sample:
        self.read_names.append(name)
        image, labels = read_image(self.files(name)[0]), read_label_map(self.files(name)[1])
        return Sample(image, labels == class_id + 1, labels == 255)


def draw(root: Path, name: str, seed: int, size: tuple[int, int] = (21, 33)) -> None:
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(root / f"{name}.png")
    labels = rng.choice(np.array([0, 1, 2, 255], np.uint8), size)
    Image.fromarray(labels).save(root / f"{name}_mask.png")


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    (tmp_path / "data").mkdir()
    for seed, name in enumerate("abc"):
        draw(tmp_path / "data", name, seed, (21 + seed, 33))
    return Photos(tmp_path / "data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def check(sample: Sample, photos: Photos, name: str, class_id: int, resize: str = "pil") -> None:
    """The sample is what reading and resizing give."""
    wanted = Photos(photos.root).read(name, class_id)
    np.testing.assert_array_equal(sample.image, resize_pixels(wanted.image, SIZE, resize))
    np.testing.assert_array_equal(sample.mask, wanted.mask)
    np.testing.assert_array_equal(sample.void, wanted.void)
    assert [array.dtype for array in sample] == [np.uint8, np.bool_, np.bool_]


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("resize", ["pil", "opencv"])
def test_same_pixels_read_once(photos: Photos, folder: Path, resize: str) -> None:
    for _ in range(2):  # two runs
        cache = ImageCache(folder, photos, SIZE, resize)  # type: ignore[arg-type]
        for _ in range(2):
            for name in "abc":
                check(cache(name, 0), photos, name, 0, resize)
    assert photos.read_names == ["a", "b", "c"]
    assert len(entries(folder)) == 3


def test_an_image_of_several_classes_is_kept_once(photos: Photos, folder: Path) -> None:
    cache = ImageCache(folder, photos, SIZE)  # type: ignore[arg-type]
    for class_id in (0, 1, 0, 1):
        check(cache("a", class_id), photos, "a", class_id)
    assert photos.read_names == ["a", "a"] and len(entries(folder)) == 1


def test_sizes_libraries_and_roots_are_kept_apart(photos: Photos, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    draw(tmp_path / "other", "a", seed=9)
    for resize in ("pil", "opencv"):
        for side in (8, 16):
            cached = ImageCache(folder, photos, (side, side), resize)("a", 0)  # type: ignore[arg-type]
            assert cached.image.shape == (side, side, 3)
        for source in (photos, Photos(tmp_path / "other")):
            check(ImageCache(folder, source, SIZE, resize)("a", 0), source, "a", 0, resize)  # type: ignore[arg-type]
    assert len(entries(folder)) == 8
    assert all(path.parent.parent.parent == folder for path in entries(folder))  # no folder from its name


def test_a_changed_file_is_read_again(photos: Photos, folder: Path) -> None:
    cache = ImageCache(folder, photos, SIZE)  # type: ignore[arg-type]
    cache("a", 0)
    draw(photos.root, "a", seed=50, size=(19, 40))
    check(cache("a", 0), photos, "a", 0)
    path = photos.files("a")[1]
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))  # of the same size
    for _ in range(2):
        check(cache("a", 0), photos, "a", 0)
    assert len(photos.read_names) == 3 and len(entries(folder)) == 1


def test_classes_read_before_a_change_are_forgotten(photos: Photos, folder: Path) -> None:
    cache = ImageCache(folder, photos, SIZE)  # type: ignore[arg-type]
    cache("a", 0)
    draw(photos.root, "a", seed=51)
    for class_id in (1, 0):
        check(cache("a", class_id), photos, "a", class_id)


@pytest.mark.parametrize("bytes_left", [0, 5, 20, 100, 500, -1])
def test_a_truncated_file_is_named_and_made_again(
    photos: Photos, folder: Path, bytes_left: int, caplog: pytest.LogCaptureFixture
) -> None:
    ImageCache(folder, photos, SIZE)("a", 0)  # type: ignore[arg-type]
    [path] = entries(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[:bytes_left])
    with caplog.at_level(logging.WARNING):
        check(ImageCache(folder, photos, SIZE)("a", 0), photos, "a", 0)  # type: ignore[arg-type]
    [message] = [record.getMessage() for record in caplog.records]
    assert str(path) in message and "is damaged" in message and "made again" in message
    assert path.read_bytes() == whole


def test_a_changed_byte_anywhere_is_noticed(photos: Photos, folder: Path) -> None:
    ImageCache(folder, photos, SIZE)("a", 0)  # type: ignore[arg-type]
    [path] = entries(folder)
    whole = path.read_bytes()
    for place in [*range(0, 140, 7), *range(150, len(whole), 61), len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 16
        path.write_bytes(bytes(damaged))
        check(ImageCache(folder, photos, SIZE)("a", 0), photos, "a", 0)  # type: ignore[arg-type]
        assert path.read_bytes() == whole


def test_full_disk_is_one_line_and_leaves_nothing(
    photos: Photos, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DataError, match=r"can't be written \(no space is left\): .*loader\.cache") as caught:
        ImageCache(folder, photos, SIZE)("a", 0)  # type: ignore[arg-type]
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    assert entries(folder) == []


def test_a_folder_that_cannot_be_used_is_one_line(photos: Photos, folder: Path) -> None:
    folder.write_text("a file")
    with pytest.raises(DataError, match=r"image cache .* can't be (read|written) \(.+\): .*loader\.cache"):
        ImageCache(folder, photos, SIZE)("a", 0)  # type: ignore[arg-type]


def test_a_missing_file_is_the_sources_error(photos: Photos, folder: Path) -> None:
    cache = ImageCache(folder, photos, SIZE)  # type: ignore[arg-type]
    cache("a", 0)
    photos.files("a")[0].unlink()
    with pytest.raises(DataError, match=r"image .*a\.png does not exist"):
        cache("a", 0)


def test_writing_to_what_it_gives_changes_no_file(photos: Photos, folder: Path) -> None:
    cache = ImageCache(folder, photos, SIZE)  # type: ignore[arg-type]
    for _ in range(3):
        sample = cache("a", 0)
        check(sample, photos, "a", 0)
        for array in sample:
            array[:] = 1


def test_sources_without_files_are_refused(fake_source: Source, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"images of fake are not read from files: set loader\.cache=null"):
        EpisodeDataset(fake_source, SIZE, cache=folder)


@pytest.mark.parametrize("original_size", [False, True])
def test_episodes_are_the_same_with_any_keeping(photos: Photos, folder: Path, original_size: bool) -> None:
    items = [(0, EpisodeSpec(0, "a", ("b", "b", "c"))), (1, EpisodeSpec(1, "b", ("a", "a", "a")))] * 2

    def batches(num_workers: int = 0, **options: object) -> list[list[torch.Tensor]]:
        dataset = EpisodeDataset(photos, SIZE, original_size, **options)  # type: ignore[arg-type]
        return [list(batch) for batch in EpisodeLoader(dataset, items, 1, num_workers)]

    wanted = batches()
    # Two workers making the same files at once; files that are there; too little memory; enough of it.
    for kept in (batches(2, cache=folder), batches(cache=folder), batches(keep=2), batches(keep=99)):
        for got, want in zip(kept, wanted, strict=True):
            assert all(torch.equal(one, other) for one, other in zip(got, want, strict=True))
    assert len(entries(folder)) == 3


def test_memory_keeps_the_first_and_reads_the_rest(photos: Photos) -> None:
    memory = InMemory(photos.read, limit=2)
    for _ in range(3):
        for name in "abc":
            memory(name, 0)
    assert photos.read_names == ["a", "b", "c", "c", "c"]
    memory("a", 1)
    assert photos.read_names[-1] == "a"  # of another class


def test_what_memory_keeps_is_not_changed_through_an_episode(photos: Photos) -> None:
    dataset = EpisodeDataset(photos, (21, 33), original_size=True, keep=9)  # type: ignore[arg-type]
    item = (0, EpisodeSpec(0, "a", ("b",)))
    wanted = EpisodeDataset(photos, (21, 33), original_size=True)[item]  # type: ignore[arg-type]
    for _ in range(3):
        episode = dataset[item]
        assert all(torch.equal(one, other) for one, other in zip(episode, wanted, strict=True))
        for field in episode:
            field.zero_()


def test_memory_is_not_sent_to_workers(photos: Photos) -> None:
    dataset = EpisodeDataset(photos, SIZE, keep=9)  # type: ignore[arg-type]
    empty = len(pickle.dumps(dataset))
    item = (0, EpisodeSpec(0, "a", ("b",)))
    episode = dataset[item]
    copy = pickle.loads(pickle.dumps(dataset))
    assert len(pickle.dumps(dataset)) < empty + 100
    assert torch.equal(copy[item].support_images, episode.support_images)
