"""Training augmentations: what they do, and that nothing but their arguments decides it."""

from __future__ import annotations

import pickle
import random
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.random import SeedSequence

from hmseg.data.augment import Augment, GeometricAugment, VatAugment, find_augmentation
from hmseg.data.dataset import EpisodeDataset
from hmseg.data.episode import EpisodeSpec, Sample
from hmseg.data.loader import EpisodeLoader
from hmseg.data.sampler import TrainSampler
from hmseg.data.source import Listing, Source
from hmseg.data.transforms import resize_image, resize_mask
from hmseg.errors import ConfigError

NAMES = ["ToGray", "Posterize", "Equalize", "Sharpen", "RandomBrightnessContrast", "Solarize", "ColorJitter"]
LISTING = Listing(tuple((f"train{c}_{number}", c) for c in range(2, 8) for number in range(5)))


@pytest.fixture(scope="module")
def augment() -> VatAugment:
    return VatAugment(seed=3)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def of(augment: Augment, image: np.ndarray, *place: int) -> np.ndarray:
    """The augmented image of a sample."""
    blank = np.zeros(image.shape[:2], dtype=bool)
    return augment(Sample(image, blank, blank), *place).image


def test_it_is_the_published_list(augment: VatAugment) -> None:
    assert [type(change).__name__ for change in augment._pipeline] == NAMES
    assert {change.p for change in augment._pipeline} == {0.2}


@pytest.mark.parametrize("number", range(7))
def test_strengths_are_the_published_ones(image: np.ndarray, number: int) -> None:
    """Each change on its own stays within what the defaults of albumentations 1.1 allow."""
    change = VatAugment(0)._pipeline[number]
    change.p = 1.0
    results = []
    for seed in range(20):
        change.set_random_state(np.random.default_rng(seed), random.Random(seed))
        results.append(change(image=image)["image"].astype(int))
    shown = image.astype(int)
    for result in results:
        match NAMES[number]:
            case "ToGray":
                assert np.ptp(result, axis=-1).max() == 0
            case "Posterize":
                np.testing.assert_array_equal(result, shown // 16 * 16)
            case "Solarize":
                np.testing.assert_array_equal(result, np.where(shown < 128, shown, 255 - shown))
            case "RandomBrightnessContrast":  # (1 ± 0.2) x ± 0.2 · 255, clipped
                assert np.abs(result - shown).max() <= 0.2 * 255 + 0.2 * 255 + 1
            case "Equalize":
                assert all(np.unique(result[..., c]).size > 100 for c in range(3))
            case "Sharpen":  # of 3 x 3 pixels, (1 - alpha) x + alpha (8 + lightness, neighbours -1)
                assert (result != shown).any()
    if NAMES[number] in ("RandomBrightnessContrast", "Sharpen", "ColorJitter"):
        assert len({result.tobytes() for result in results}) == 20


def test_hue_turns_by_a_fifth_at_most() -> None:
    """The default of albumentations 2 is half of the circle, by which red may become cyan."""
    jitter = VatAugment(0)._pipeline[NAMES.index("ColorJitter")]
    jitter.p = 1.0
    red = np.full((4, 4, 3), (200, 20, 20), dtype=np.uint8)
    for seed in range(200):
        jitter.set_random_state(np.random.default_rng(seed), random.Random(seed))
        pixel = jitter(image=red)["image"][0, 0].astype(int)
        assert pixel[0] != pixel.min()  # which it is in cyan's half


def test_same_arguments_same_image_whatever_came_before(augment: VatAugment, image: np.ndarray) -> None:
    keys = [(epoch, position, role) for epoch in (0, 7) for position in range(20) for role in (0, 1)]
    first = [of(augment, image, *key) for key in keys]
    copy = pickle.loads(pickle.dumps(augment))  # as a spawned worker gets it
    random.seed(1)
    np.random.seed(1)
    again = [of(copy, image, *key) for key in reversed(keys)][::-1]
    for one, other in zip(first, again, strict=True):
        assert one.shape == image.shape and one.dtype == np.uint8
        np.testing.assert_array_equal(one, other)


def test_it_equals_a_pipeline_made_anew_for_each_image(augment: VatAugment, image: np.ndarray) -> None:
    import albumentations as A  # noqa: N812  # after hmseg has told it not to ask a server for its version

    for position in range(30):
        words = SeedSequence((3, 1, 2, position, 4)).generate_state(2, np.uint64)
        fresh = A.Compose(
            [
                A.ToGray(p=0.2), A.Posterize(p=0.2), A.Equalize(p=0.2), A.Sharpen(p=0.2),
                A.RandomBrightnessContrast(p=0.2), A.Solarize(p=0.2),
                A.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.2, p=0.2),
            ]
        )  # fmt: skip
        fresh.set_random_state(np.random.default_rng(words[0]), random.Random(int(words[1])))
        np.testing.assert_array_equal(of(augment, image, 1, position, 4), fresh(image=image)["image"])


def test_every_argument_counts(image: np.ndarray) -> None:
    def drawn(seed: int = 0, epoch: int = 0, role: int = 0, start: int = 0) -> list[bytes]:
        augment = VatAugment(seed)
        return [of(augment, image, epoch, start + step, role).tobytes() for step in range(20)]

    assert drawn() == drawn()
    assert len({tuple(drawn(**change)) for change in ({}, {"seed": 1}, {"epoch": 1}, {"role": 1})}) == 4
    assert drawn(start=1)[:-1] == drawn()[1:] and len(set(drawn())) > 5


def test_global_generators_and_the_image_stay_as_they_were(augment: VatAugment, image: np.ndarray) -> None:
    before = image.copy()
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    for position in range(50):
        of(augment, image, 0, position, 0)
    np.testing.assert_array_equal(image, before)
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


def test_a_fifth_of_the_images_stays_and_no_probability_changes_none(image: np.ndarray) -> None:
    augment = VatAugment(0)
    kept = sum(np.array_equal(of(augment, image, 0, position, 0), image) for position in range(400))
    assert 0.13 < kept / 400 < 0.30  # 0.8^7 = 0.21, standard error 0.02
    assert all(of(VatAugment(0, probability=0), image, 0, position, 0) is image for position in range(20))


def test_masks_are_untouched_and_images_are_augmented_before_the_resize(fake_source: Source) -> None:
    augment = VatAugment(0)
    plain = EpisodeDataset(fake_source, (6, 7))
    augmented = EpisodeDataset(fake_source, (6, 7), augment=augment)
    changed = 0
    for position in range(12):
        spec = EpisodeSpec(3, "train3_0", ("train3_1", "train3_1"))
        want, got = plain[position, spec], augmented[position, spec, 5]
        for field in ("query_mask", "query_void", "support_masks", "class_id", "query_size", "index"):
            assert torch.equal(getattr(got, field), getattr(want, field))
        images = [got.query_image, *got.support_images]
        for role, name in enumerate((spec.query, *spec.supports)):
            image = augment(fake_source.read(name, 3), 5, position, role).image
            assert torch.equal(images[role], resize_image(image, (6, 7)))
        changed += not torch.equal(got.support_images[0], got.support_images[1])
    assert changed > 5  # the same image twice: drawn independently for each support


@pytest.mark.parametrize("kind", [VatAugment, GeometricAugment])
def test_episodes_do_not_depend_on_workers_batches_or_resuming(
    fake_source: Source, kind: type[VatAugment | GeometricAugment]
) -> None:
    dataset = EpisodeDataset(fake_source, (6, 7), augment=kind(0))

    def images(batch_size: int, num_workers: int = 0, skip: int = 0) -> torch.Tensor:
        sampler = TrainSampler(LISTING, 1, 0, batch_size, episodes=12)
        sampler.epoch, sampler.skip = 2, skip
        loader = EpisodeLoader(dataset, sampler, batch_size, num_workers)
        return torch.cat([torch.cat([b.query_image, b.support_images[:, 0]], dim=1) for b in loader])

    whole = images(4)
    assert torch.equal(images(3, num_workers=1), whole)
    assert torch.equal(images(2, skip=6), whole[6:])
    sampler = TrainSampler(LISTING, 1, 0, 4, episodes=12)
    sampler.epoch = 2
    plain = EpisodeDataset(fake_source, (6, 7))
    unchanged = torch.stack([plain[item].query_image for item in sampler])
    assert not torch.equal(unchanged, whole[:, :3])


def coded(height: int = 60, width: int = 80) -> Sample:
    """Each pixel says its own row and column; the object is a box with a void border."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    image = np.stack([rows, columns, np.full_like(rows, 7)], axis=-1)
    box = (rows >= 20) & (rows < 40) & (columns >= 10) & (columns < 50)
    ring = (rows >= 18) & (rows < 42) & (columns >= 8) & (columns < 52) & ~box
    return Sample(image, box, ring)


def test_geometry_moves_image_mask_and_void_together() -> None:
    sample, augment = coded(), GeometricAugment(0)
    shapes, mirrored, outside = set(), 0, 0
    for position in range(60):
        image, mask, void = augment(sample, 0, position, 0)
        inside = image[..., 2] == 7
        rows, columns = image[..., 0][inside], image[..., 1][inside]
        np.testing.assert_array_equal(mask[inside], sample.mask[rows, columns])
        np.testing.assert_array_equal(void[inside], sample.void[rows, columns])
        # Beyond the image: ImageNet's mean brightness, void and never object.
        assert void[~inside].all() and not mask[~inside].any()
        assert (image[~inside] == 114).all()
        for side, length in zip(mask.shape, sample.mask.shape, strict=True):
            assert 0.4 * length - 1 <= side <= 1.3 * length + 1
        shapes.add(mask.shape)
        outside += bool((~inside).any())
        kept = columns.reshape(-1)
        mirrored += bool(kept[0] > kept[-1])
    assert len(shapes) > 40 and 20 < mirrored < 40 and 20 < outside < 60  # 30 and about 50 expected
    np.testing.assert_array_equal(sample.image, coded().image)


def test_an_object_at_the_edge_stays_where_a_crop_would_lose_it() -> None:
    sample = coded()
    corner = np.zeros_like(sample.mask)
    corner[:3, :3] = True
    augment, unchanged = GeometricAugment(0), 0
    for position in range(60):
        image, mask, _ = augment(Sample(sample.image, corner, sample.void & ~corner), 0, position, 0)
        assert mask.sum() >= 3  # a quarter of nine pixels
        unchanged += image is sample.image
    assert 30 < unchanged < 60


def test_no_episode_loses_its_object_to_the_augmentation_and_the_resize() -> None:
    """A row that a resize to a tenth shows, and misses as soon as it is moved."""
    image, row = np.zeros((200, 200, 3), np.uint8), np.zeros((200, 200), bool)
    row[100] = True

    class OneRow:
        def read(self, name: str, class_id: int) -> Sample:
            return Sample(image, row, np.zeros_like(row))

    source: Any = OneRow()
    augment = GeometricAugment(0)
    dataset = EpisodeDataset(source, (20, 20), augment=augment)
    lost = 0
    for position in range(20):
        episode = dataset[position, EpisodeSpec(0, "query", ("support", "other")), 0]
        assert episode.query_mask.any() and episode.support_masks.flatten(1).any(dim=1).all()
        lost += not resize_mask(augment(source.read("", 0), 0, position, 0).mask, (20, 20)).any()
    assert lost > 5


def test_items_without_their_epoch_are_a_bug(fake_source: Source) -> None:
    dataset = EpisodeDataset(fake_source, (6, 7), augment=VatAugment(0))
    with pytest.raises(TypeError, match="the epoch is missing"):
        dataset[0, EpisodeSpec(2, "train2_0", ("train2_1",))]


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_augmentation("none", 0) is None
    found = find_augmentation("vat", 9)
    assert isinstance(found, VatAugment) and found.seed == 9
    assert isinstance(find_augmentation("geometric", 0), GeometricAugment)
    with pytest.raises(ConfigError, match="unknown augmentation 'vta': did you mean 'vat'"):
        find_augmentation("vta", 0)
    with pytest.raises(ConfigError, match="probability=1.5 came, 0 to 1 was expected"):
        VatAugment(0, probability=1.5)
    monkeypatch.setitem(sys.modules, "albumentations", SimpleNamespace(Compose=object, __version__="1.4.0"))
    with pytest.raises(ConfigError, match=r"albumentations 1\.4\.0 came, 2\.0 or newer was expected"):
        VatAugment(0)
    monkeypatch.setitem(sys.modules, "albumentations", None)
    with pytest.raises(ConfigError, match="needs albumentations"):
        VatAugment(0)
